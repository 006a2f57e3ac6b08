"""The policy of `gpuctl run --deadline`, in real life and in simulation: `decide`.

First the deadline: on-demand is taken at the last moment at which it is sure to be in time, and
nothing is begun that would pass that moment (`safety`). Then the cost: what it saves to wait, to
move to spot, or to a cheaper zone, averaged over what the market may be like (`plan`, `regimes`).
"""

from math import exp

from gpuctl.core.deadline.memory import HOUR, Memory, learn
from gpuctl.core.deadline.plan import STEPS, plans, value
from gpuctl.core.deadline.regimes import mean_stay, weights
from gpuctl.core.deadline.safety import may_start_spot, may_wait, must_leave_idle
from gpuctl.core.deadline.view import IDLE, ON_DEMAND, Decision, Observation, Place, Why

_PRICES = 20
"""Prices are planned with to a twentieth of on-demand: finer ones decide alike."""
_ASKED = 0.2
"""How much dearer a zone counts that has just refused…"""
_ASKED_HOURS = 1.0
"""…and after how many hours a third of that is left."""
_ASK_AGAIN = 1.0
"""Hours before a cheaper zone is asked again while another one is held."""
_CHEAPER = 0.02
"""A cheaper zone is cheaper by more than this share of on-demand."""


def decide(view: Observation) -> Decision:
    """Where to be for the next interval. Never late while on-demand can be had.

    The safety holds for any `memory`, prices and availability, as long as it held before: the job
    was feasible when it began, and every decision was followed.
    """
    memory = learn(view)
    slack = view.slack
    if view.held >= 0:
        return _holding(view, memory, slack)
    zones = _zones(view, memory)
    if not zones and view.held == ON_DEMAND:
        return Decision(ON_DEMAND, Why.STAY, memory)
    if must_leave_idle(view, slack) and not (zones and _sure(view, slack)):
        return Decision(ON_DEMAND, Why.SAFETY, memory)
    if view.held == ON_DEMAND:
        return _on_demand(view, memory, slack, zones)
    return _idle(view, memory, slack, zones)


def _sure(view: Observation, slack: int) -> bool:
    """Whether spot is in sight and can be started safely, though there is no time for a refusal."""
    return view.available is not None and slack >= 2 * view.job.overhead


def _zones(view: Observation, memory: Memory) -> list[Place]:
    """The zones worth asking, best first: cheap, and not just asked."""
    if view.available is not None:
        found = [zone for zone, there in enumerate(view.available) if there]
        return sorted(found, key=view.prices.__getitem__)

    def rank(zone: Place) -> float:
        return view.prices[zone] + _ASKED * exp(-memory.absent(zone) / _ASKED_HOURS)

    return sorted(
        (z for z, price in enumerate(view.prices) if price < 1 and z != view.lost), key=rank
    )


def _holding(view: Observation, memory: Memory, slack: int) -> Decision:
    """Spot is kept until it is taken back, unless a cheaper zone can be had and pays for a move."""
    hold = Decision(view.held, Why.HOLD, memory)
    prices = view.prices
    here = prices[view.held]
    if view.starting or min(prices) >= here - _CHEAPER or slack < 2 * view.job.overhead:
        return hold
    stay = min(mean_stay(weights(memory.logs)), view.work_left / HOUR)
    pays = view.job.overhead / HOUR / stay if stay else 1.0
    zones = [
        zone
        for zone, price in enumerate(prices)
        if here - price > max(_CHEAPER, pays)
        and (memory.absent(zone) >= _ASK_AGAIN if view.available is None else view.available[zone])
    ]
    if not zones:
        return hold
    zones.sort(key=prices.__getitem__)
    saves = (here - prices[zones[0]]) * stay - view.job.overhead / HOUR
    return Decision(zones[0], Why.CHEAPER, memory, tuple(zones[1:]), saves)


def _on_demand(view: Observation, memory: Memory, slack: int, zones: list[Place]) -> Decision:
    """On-demand is left for spot that is likely to last, as long as the slack is not needed more.

    What is asked seldom has been there for longer when it is found, and so lasts longer.
    """
    if not may_start_spot(view, slack):
        return Decision(ON_DEMAND, Why.SAFETY, memory)
    likely = weights(memory.logs)
    worth = []
    best = 0.0
    for zone in zones:
        age = memory.age if view.available is not None else memory.absent(zone) / 2
        saves = _saves(view, likely, slack, view.prices[zone], age, moves=True)
        if saves > 0:
            worth.append(zone)
            best = max(best, saves)
    if worth:
        return Decision(worth[0], Why.TAKE, memory, tuple(worth[1:]), best)
    return Decision(ON_DEMAND, Why.STAY, memory)


def _idle(view: Observation, memory: Memory, slack: int, zones: list[Place]) -> Decision:
    """Take spot where there is any; else wait, or begin on on-demand, whichever costs less."""
    if not may_start_spot(view, slack) and not _sure(view, slack):
        zones = []
    first = tuple(zones[1:])
    if zones and (view.available is not None or memory.on is None):
        return Decision(zones[0], Why.TAKE, memory, first)
    price = min(view.prices, default=1.0)
    away = memory.age + memory.unseen
    saves = _saves(view, weights(memory.logs), slack, price, away, moves=False)
    if saves > 0 and may_wait(view, slack):
        if zones:
            return Decision(zones[0], Why.TAKE, memory, first, saves)
        return Decision(IDLE, Why.WAIT, memory, (), saves)
    if zones and view.lost is not None:
        return Decision(zones[0], Why.TAKE, memory, first)
    return Decision(ON_DEMAND, Why.BEHIND, memory, (), -saves)


def _saves(
    view: Observation,
    likely: tuple[float, ...],
    slack: int,
    price: float,
    age: float,
    *,
    moves: bool,
) -> float:
    """Hours of on-demand expected to be saved by moving to spot, or by waiting for it."""
    overhead = view.job.overhead / HOUR
    near = max(1, min(_PRICES - 1, round(price * _PRICES))) / _PRICES
    tables = plans(near, overhead, len(view.prices))
    step = tables[0].step
    steps = (view.job.deadline - view.elapsed) / HOUR / step
    least = overhead / step
    spare = slack / HOUR / step
    if steps > STEPS:
        spare = least + (spare - least) * STEPS / steps
        steps = STEPS
    left = int(steps)
    total = 0.0
    for weight, plan in zip(likely, tables, strict=True):
        rows = plan.move[left] if moves else plan.wait[left]
        total += weight * value(rows, age, spare)
    return total
