"""When it is safe to wait, to start spot, to hold: on-demand is in time after every decision.

With `slack` the time to the deadline (whole intervals) beyond the work left, on-demand is in time
while slack >= overhead; an idle interval uses an interval of slack, a start uses its overhead.
"""

from gpuctl.core.deadline.view import IDLE, ON_DEMAND, Observation


def may_wait(view: Observation, slack: int) -> bool:
    """Whether on-demand can still be started one interval later."""
    return slack - view.job.interval >= view.job.overhead


def may_start_spot(view: Observation, slack: int) -> bool:
    """Whether a spot machine can be started, lost at the worst moment, and on-demand be in time.

    One that is idle must also be able to afford a refusal, which costs the interval.
    """
    if slack < 2 * view.job.overhead:
        return False
    return view.held != IDLE or may_wait(view, slack)


def must_leave_idle(view: Observation, slack: int) -> bool:
    """Whether nothing but on-demand is safe now."""
    return view.held == IDLE and not may_wait(view, slack)


def is_settled(view: Observation, slack: int) -> bool:
    """Whether on-demand is held and no spot machine can be started safely any more."""
    return view.held == ON_DEMAND and slack - view.starting < 2 * view.job.overhead
