"""The policies that ours is measured against: on-demand alone, greedy, Uniform Progress.

Uniform Progress is that of "Can't Be Late" (NSDI '24), as its authors' code has it, not its text:
on on-demand it stays there while no spot can be had. Over several zones both ask the cheapest
first.
"""

from gpuctl.core.deadline.safety import may_start_spot, must_leave_idle
from gpuctl.core.deadline.view import IDLE, ON_DEMAND, Decision, Observation, Why


def on_demand(view: Observation) -> Decision:
    """On-demand from the first moment on: never late, never cheap."""
    del view
    return Decision(ON_DEMAND, Why.ONLY)


def greedy(view: Observation) -> Decision:
    """Spot while there is any, else nothing, until only on-demand is in time."""
    if view.held >= 0:
        return Decision(view.held, Why.HOLD, view.memory)
    slack = view.slack
    if view.held == ON_DEMAND or must_leave_idle(view, slack):
        return Decision(ON_DEMAND, Why.SAFETY)
    return _try_spot(view, slack) or Decision(IDLE, Why.WAIT, view.memory)


def uniform_progress(view: Observation) -> Decision:
    """Keep the work done in proportion to the time gone, on on-demand where spot falls short."""
    if view.held >= 0:
        return Decision(view.held, Why.HOLD, view.memory)
    slack = view.slack
    if must_leave_idle(view, slack):
        return Decision(ON_DEMAND, Why.SAFETY)
    if view.held == ON_DEMAND:
        if _ahead(view, 2 * view.job.overhead):
            return _try_spot(view, slack) or Decision(ON_DEMAND, Why.SAFETY)
        return Decision(ON_DEMAND, Why.BEHIND)
    behind = view.elapsed * view.job.work > (view.job.work - view.work_left) * view.job.deadline
    # Behind, a zone that has just refused is not asked again: the text's rule for what can be seen.
    found = None if behind and view.refused else _try_spot(view, slack)
    if found is not None:
        return found
    return Decision(ON_DEMAND, Why.BEHIND) if behind else Decision(IDLE, Why.WAIT, view.memory)


def _ahead(view: Observation, margin: int) -> bool:
    """Whether the work done is more than what is due `margin` seconds from now."""
    done = view.job.work - view.work_left
    return done * view.job.deadline > (view.elapsed + margin) * view.job.work


def _try_spot(view: Observation, slack: int) -> Decision | None:
    """Take the cheapest zone that has any; None where that is not safe or known to be in vain."""
    if not may_start_spot(view, slack):
        return None
    order = sorted(range(len(view.prices)), key=view.prices.__getitem__)
    zones = [
        zone
        for zone in order
        if zone != view.lost and (view.available is None or view.available[zone])
    ]
    if not zones:
        return None
    return Decision(zones[0], Why.TAKE, view.memory, tuple(zones[1:]))
