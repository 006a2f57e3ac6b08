"""The policy of `gpuctl run --deadline`, in real life and in simulation: `decide`.

First the deadline: on-demand is taken at the last moment at which it is sure to be in time, and
nothing is begun that would pass that moment (`safety`). Then the cost: what it saves to wait, to
move to spot, or to a cheaper zone, averaged over what the market may be like (`plan`, `regimes`).
"""

from gpuctl.core.deadline.memory import HOUR, Memory, Spell, learn
from gpuctl.core.deadline.plan import STEPS, plans, value
from gpuctl.core.deadline.regimes import mean_stay, weights
from gpuctl.core.deadline.safety import may_start_spot, may_wait, must_leave_idle
from gpuctl.core.deadline.view import IDLE, ON_DEMAND, Decision, Observation, Place, Why

_PRICES = 10
"""Prices are planned with to a tenth of on-demand: finer ones decide alike (measured)."""
_FOUND_AT = (0.25, 0.75)
"""Spot that is found where there was none `u` hours ago came any time since: two shares of `u`."""
_LEAST = 0.01
"""Hours of on-demand that it must be expected to save to leave on-demand."""
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
    """The zones worth asking, best first: cheap, and likely to keep what they give."""
    overhead = view.job.overhead / HOUR

    def rank(zone: Place) -> float:
        price = view.prices[zone]
        # Each stay ends with a start elsewhere: its time is paid, and is missing.
        return price + overhead / mean_stay(weights(memory.zones[zone].logs)) * (1 + price)

    if view.available is not None:
        return sorted((zone for zone, there in enumerate(view.available) if there), key=rank)
    return sorted(
        (z for z, price in enumerate(view.prices) if price < 1 and z != view.lost), key=rank
    )


def _holding(view: Observation, memory: Memory, slack: int) -> Decision:
    """Spot is kept until it is taken back, unless a cheaper zone can be had and pays for a move."""
    hold = Decision(view.held, Why.HOLD, memory)
    prices, overhead = view.prices, view.job.overhead / HOUR
    here = prices[view.held]
    if view.starting or min(prices) >= here - _CHEAPER or slack < 2 * view.job.overhead:
        return hold
    stay = min(mean_stay(weights(memory.zones[view.held].logs)), view.work_left / HOUR)

    def saves(zone: Place) -> float:
        return (here - prices[zone]) * stay - overhead * prices[zone]

    zones = [
        zone
        for zone, price in enumerate(prices)
        if here - price > _CHEAPER
        and saves(zone) > 0
        and (
            memory.zones[zone].absent >= _ASK_AGAIN
            if view.available is None
            else view.available[zone]
        )
    ]
    if not zones:
        return hold
    zones.sort(key=prices.__getitem__)
    return Decision(zones[0], Why.CHEAPER, memory, tuple(zones[1:]), saves(zones[0]))


def _on_demand(view: Observation, memory: Memory, slack: int, zones: list[Place]) -> Decision:
    """On-demand is left for spot that is likely to last, as long as the slack is not needed more.

    What is asked seldom has been there for longer when it is found, and so lasts longer.
    """
    if not may_start_spot(view, slack):
        return Decision(ON_DEMAND, Why.SAFETY, memory)
    saved = {zone: _moved(view, memory.zones[zone], slack, view.prices[zone]) for zone in zones}
    worth = [zone for zone in zones if saved[zone] > _LEAST]
    if worth:
        best = max(saved[zone] for zone in worth)
        return Decision(worth[0], Why.TAKE, memory, tuple(worth[1:]), best)
    return Decision(ON_DEMAND, Why.STAY, memory)


def _moved(view: Observation, zone: Spell, slack: int, price: float) -> float:
    """Hours of on-demand expected to be saved by a move to spot in that zone, if it has any."""
    ages = [zone.age]
    if view.available is None:
        ages = [share * zone.absent for share in _FOUND_AT]
    likely = weights(zone.logs)
    return sum(_saves(view, likely, slack, price, age, moves=True) for age in ages) / len(ages)


def _idle(view: Observation, memory: Memory, slack: int, zones: list[Place]) -> Decision:
    """Take spot where there is any; else wait, or begin on on-demand, whichever costs less."""
    if not may_start_spot(view, slack) and not _sure(view, slack):
        zones = []
    first = tuple(zones[1:])
    away = memory.away
    if zones and (view.available is not None or away is None):
        return Decision(zones[0], Why.TAKE, memory, first)
    saves = 0.0
    if view.prices:
        cheapest = min(range(len(view.prices)), key=view.prices.__getitem__)
        likely = weights(memory.zones[cheapest].logs)
        price = view.prices[cheapest]
        saves = _saves(view, likely, slack, price, away or 0.0, moves=False)
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
