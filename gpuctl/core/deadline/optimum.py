"""The exact least cost of a job for somebody who knows the future, over one zone or several.

The cheapest schedule is the cheapest choice of intervals to be idle, on on-demand or in a zone,
such that `interval * held - overhead * starts >= work`. Two things make it quick to find:

- Nothing changes within a stretch of constant availability and prices, so a best schedule changes
  place only between stretches, but for one stretch that it leaves early or enters late.
- A price on progress (the multiplier of the constraint) turns it into a choice without the
  constraint, which gives a lower bound on what any beginning of a schedule can still come to.
  Beginnings above the bound are dropped; the allowed gap is widened until a schedule is found.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from gpuctl.core.deadline.simulate import Market
from gpuctl.core.deadline.view import Job

_Costs = tuple[int | None, ...]
"""Per interval, by mode: nothing (idle), on-demand, then the zones; None = not to be had."""


class _Stretch(NamedTuple):
    """Intervals of constant costs."""

    length: int
    costs: _Costs


class _Label(NamedTuple):
    """A beginning of a schedule: the progress it is good for in seconds, and its cost.

    It may be shortened later: by every interval of on-demand, and at the edge of one stretch of
    spot, by at most `most` intervals that save `saving` each.
    """

    progress: int
    cost: int
    on_demand: int
    saving: int
    most: int


class _Problem(NamedTuple):
    job: Job
    on_demand: int
    stretches: Sequence[_Stretch]


def least_cost(job: Job, market: Market, first: int) -> int:
    """The cost of the cheapest schedule that is in time, in the market's unit; exact.

    ValueError when there is none: not even on-demand from the first moment on is in time.
    """
    if not job.feasible:
        raise ValueError("the deadline cannot be met, not even on on-demand from the first moment")
    problem = _Problem(job, market.on_demand, tuple(_stretches(job, market, first)))
    price, floor = _dual(problem)
    ahead = _ahead(problem, price)
    for widening in count():
        most = floor + market.on_demand * 2.0**widening
        found = _search(problem, price, ahead, most)
        if found is not None and found <= most:
            return found
    raise AssertionError  # pragma: no cover - count() has no end


def _stretches(job: Job, market: Market, first: int) -> Iterator[_Stretch]:
    before: tuple[tuple[bool, ...], tuple[int, ...]] | None = None
    length = 0
    for at in range(first, first + job.decisions):
        row = market.available[at], market.prices[at]
        if row != before:
            if before is not None:
                yield _stretch(length, market.on_demand, *before)
            before, length = row, 0
        length += 1
    if before is not None:
        yield _stretch(length, market.on_demand, *before)


def _stretch(
    length: int, on_demand: int, available: tuple[bool, ...], prices: tuple[int, ...]
) -> _Stretch:
    zones = (price if there else None for there, price in zip(available, prices, strict=True))
    return _Stretch(length, (0, on_demand, *zones))


def _dual(problem: _Problem) -> tuple[float, float]:
    """The price of a second of progress at which the bound is highest, and that bound.

    Cutting planes: between a schedule that does too little and one that does enough.
    """
    work = problem.job.work
    total = sum(stretch.length for stretch in problem.stretches)
    short = (0, 0)
    enough = (
        total * problem.on_demand,
        total * problem.job.interval - problem.job.overhead,
    )
    while True:
        price = (enough[0] - short[0]) / (enough[1] - short[1])
        cost, progress = _cheapest(problem, price)
        known = short[0] - price * short[1]
        if cost - price * progress >= known - 1e-6 * max(1.0, abs(known)) * 1e-3:
            return price, known + price * work
        if progress >= work:
            enough = cost, progress
        else:
            short = cost, progress


def _cheapest(problem: _Problem, price: float) -> tuple[int, int]:
    """Cost and progress of the schedule that is cheapest when progress is paid for."""
    job = problem.job
    start, gain = price * job.overhead, price * job.interval
    modes = len(problem.stretches[0].costs)
    nowhere = (float("inf"), 0, 0)
    best = (0.0, 0, 0)
    at: list[tuple[float, int, int]] = [nowhere] * modes
    for length, costs in problem.stretches:
        fresh = best[0] + start
        ends = best
        for mode in range(1, modes):
            cost = costs[mode]
            if cost is None:
                at[mode] = nowhere
                continue
            value, paid, progress = at[mode]
            if fresh < value:
                value, paid, progress = fresh, best[1], best[2] - job.overhead
            value += length * (cost - gain)
            at[mode] = value, paid + length * cost, progress + length * job.interval
            if value < ends[0]:
                ends = at[mode]
        best = ends
    return best[1], best[2]


def _ahead(problem: _Problem, price: float) -> list[list[float]]:
    """By stretch and mode held before it: the least that the rest can come to, progress paid."""
    job = problem.job
    start, gain = price * job.overhead, price * job.interval
    modes = len(problem.stretches[0].costs)
    after = [0.0] * modes
    tables = [after]
    for length, costs in reversed(problem.stretches):
        stay = [
            float("inf") if cost is None else after[mode] + length * (cost - gain)
            for mode, cost in enumerate(costs)
        ]
        stay[0] = after[0]
        fresh = min(stay[0], min(stay[1:]) + start)
        after = [min(fresh, value) for value in stay]
        tables.append(after)
    tables.reverse()
    return tables


def _search(
    problem: _Problem, price: float, ahead: Sequence[Sequence[float]], most: float
) -> int | None:
    """The cheapest schedule of all that can come to at most `most`; None where there is none."""
    job = problem.job
    gain = price * job.interval
    limit = most + 1e-6 * max(1.0, abs(most)) - price * job.work
    labels: list[list[_Label]] = [[] for _ in problem.stretches[0].costs]
    labels[0] = [_Label(0, 0, 0, 0, 0)]
    last = problem.stretches[0]
    for at, stretch in enumerate(problem.stretches):
        grown = _grow(job, stretch, last, labels)
        labels = []
        for mode, found in enumerate(grown):
            edge = stretch.length * max(0.0, (stretch.costs[mode] or 0) - gain)
            room = limit - ahead[at + 1][mode] + edge
            near = (_capped(problem, price, room, label) for label in found)
            labels.append(_undominated(problem, [label for label in near if label is not None]))
        last = stretch
    ends = (
        _total(problem, label)
        for mode, found in enumerate(labels)
        for label in _ended(last, mode, found)
        if label.progress >= job.work
    )
    return min(ends, default=None)


def _capped(problem: _Problem, price: float, room: float, label: _Label) -> _Label | None:
    """The label without what it cannot be shortened by; None where it can come to nothing.

    Where progress is worth more than an interval saves, each interval less eats into the room.
    """
    gain = price * problem.job.interval
    progress, cost, on_demand, saving, most = label
    dear = problem.on_demand - gain
    cheap = saving - gain
    room += price * progress - cost + on_demand * max(0.0, dear) + most * max(0.0, cheap)
    if room < 0:
        return None
    if dear < 0:
        on_demand = min(on_demand, int(room / -dear))
    if cheap < 0:
        most = min(most, int(room / -cheap))
    return _Label(progress, cost, on_demand, saving if most else 0, most)


def _total(problem: _Problem, label: _Label) -> int:
    """The cost of a whole schedule once nothing is held for longer than is needed."""
    left, cost = (label.progress - problem.job.work) // problem.job.interval, label.cost
    edges = ((problem.on_demand, label.on_demand), (label.saving, label.most))
    for saving, most in sorted(edges, reverse=True):
        less = min(left, most)
        left, cost = left - less, cost - less * saving
    return cost


def _grow(
    job: Job, stretch: _Stretch, last: _Stretch, labels: Sequence[Sequence[_Label]]
) -> list[list[_Label]]:
    """Every label carried through a stretch in every way."""
    length, costs = stretch
    more = length * job.interval
    free = [label for mode, found in enumerate(labels) for label in _ended(last, mode, found)]
    grown: list[list[_Label]] = [free]
    for mode in range(1, len(costs)):
        cost = costs[mode]
        if cost is None:
            grown.append([])
            continue
        paid, begun, spare = cost * length, more - job.overhead, length if mode == 1 else 0
        into = [_Label(p + more, c + paid, o + spare, s, n) for p, c, o, s, n in labels[mode]]
        into += [_Label(p + begun, c + paid, o + spare, s, n) for p, c, o, s, n in free]
        if mode > 1:
            into += [
                _Label(p + begun, c + paid, o, cost, length)
                for p, c, o, s, n in free
                if cost > s or length > n
            ]
        grown.append(into)
    return grown


def _ended(last: _Stretch, mode: int, labels: Sequence[_Label]) -> Iterator[_Label]:
    """The labels of a mode when nothing is held any more: the last stretch may be left early."""
    yield from labels
    if mode > 1:
        saving = last.costs[mode] or 0
        for label in labels:
            if saving > label.saving or last.length > label.most:
                yield label._replace(saving=saving, most=last.length)


def _undominated(problem: _Problem, labels: Iterable[_Label]) -> list[_Label]:
    """Without those that another one, shortened where it can be, equals or betters."""
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda one: (-one.progress, one.cost, -one.on_demand)):
        if not any(_dominates(problem, other, label) for other in kept):
            kept.append(label)
    return kept


def _dominates(problem: _Problem, one: _Label, other: _Label) -> bool:
    """Whether `one` (of no less progress) serves as well, however `other` may be shortened yet."""
    dear = problem.on_demand
    surplus = (one.progress - other.progress) // problem.job.interval
    less = one.on_demand - other.on_demand
    if less >= other.most and other.saving <= dear:
        if one.cost - min(surplus, less - other.most) * dear <= other.cost:
            return True
    if less < 0 or one.most < other.most or (other.most and one.saving < other.saving):
        return False
    less = min(surplus, less)
    spot = min(surplus - less, one.most - other.most)
    return one.cost - less * dear - spot * one.saving <= other.cost
