"""The exact least cost of a job for somebody who knows the future, over one zone or several.

The cheapest schedule is the cheapest choice of intervals to be idle, on on-demand or in a zone,
such that `interval * held - overhead * starts >= work`. Two things make it quick to find:

- Nothing changes within a stretch of constant availability and prices, so a best schedule changes
  place only between stretches, but for one stretch that it leaves early or enters late.
- A price on progress (the multiplier of the constraint) turns it into a choice without the
  constraint, which gives a lower bound on what any beginning of a schedule can still come to.
  Beginnings above the bound are dropped; the allowed gap is widened until a schedule is found.
"""

from collections.abc import Iterator, Sequence
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


_Edges = tuple[tuple[int, int], ...]
"""What may yet be left out: (saving an interval, intervals), the dearest first."""


class _Label(NamedTuple):
    """A beginning of a schedule: the progress it is good for in seconds, and its cost.

    Any run can be entered later: `edges` tells what its intervals then save at least, and `least`
    the least price of the run that still goes on.
    """

    progress: int
    cost: int
    least: int
    edges: _Edges


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
        most = floor + price * job.interval * 0.4 * 1.4**widening
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
        # An end met again is the best there is, whatever rounding makes of the difference.
        same = (cost, progress) in {short, enough}
        if same or cost - price * progress >= known - 1e-9 * max(1.0, abs(known)):
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
    labels[0] = [_Label(0, 0, 0, ())]
    last = problem.stretches[0]
    for at, stretch in enumerate(problem.stretches):
        grown = _grow(job, stretch, last, labels)
        labels = []
        for mode, found in enumerate(grown):
            cost = stretch.costs[mode] or 0
            room = limit - ahead[at + 1][mode] + stretch.length * max(0.0, cost - gain)
            near = (_capped(label, room + price * label.progress, gain) for label in found)
            labels.append(_undominated(job, [label for label in near if label is not None]))
        last = stretch
    ends = (
        label.cost - _saved(label.edges, (label.progress - job.work) // job.interval)
        for mode, found in enumerate(labels)
        for label in _ended(last, mode, found)
        if label.progress >= job.work
    )
    return min(ends, default=None)


def _capped(label: _Label, room: float, gain: float) -> _Label | None:
    """The label without what it cannot be shortened by; None where it can come to nothing.

    Where an interval less saves less than its progress is worth, it eats into the room.
    """
    progress, cost, least, edges = label
    room -= cost
    for saving, length in edges:
        if saving > gain:
            room += (saving - gain) * length
    if room < 0:
        return None
    left, kept = room, []
    for saving, length in edges:
        if saving < gain:
            fits = int(left / (gain - saving))
            if fits < length:
                if fits:
                    kept.append((saving, fits))
                break
            left -= (gain - saving) * length
        kept.append((saving, length))
    return _Label(progress, cost, least if gain - least <= room else 0, tuple(kept))


def _saved(edges: _Edges, most: int) -> int:
    """What leaving out that many intervals saves."""
    saved = 0
    for saving, length in edges:
        if most <= length:
            return saved + most * saving
        saved += length * saving
        most -= length
    return saved


def _with(edges: _Edges, saving: int, length: int) -> _Edges:
    """With that many more intervals (fewer where negative) of that saving."""
    sizes = dict(edges)
    sizes[saving] = max(0, sizes.get(saving, 0) + length)
    return tuple(sorted(((a, b) for a, b in sizes.items() if a and b), reverse=True))


def _grow(
    job: Job, stretch: _Stretch, last: _Stretch, labels: Sequence[Sequence[_Label]]
) -> list[list[_Label]]:
    """Every label carried through a stretch in every way."""
    length, costs = stretch
    more = length * job.interval
    free = _undominated(
        job, [label for mode, found in enumerate(labels) for label in _ended(last, mode, found)]
    )
    grown: list[list[_Label]] = [free]
    for mode in range(1, len(costs)):
        cost = costs[mode]
        if cost is None:
            grown.append([])
            continue
        paid = cost * length
        into = [
            _Label(p + more, c + paid, min(least, cost), _with(edges, min(least, cost), length))
            for p, c, least, edges in labels[mode]
        ]
        begun = more - job.overhead
        into += [
            _Label(p + begun, c + paid, cost, _with(edges, cost, length)) for p, c, _, edges in free
        ]
        grown.append(into)
    return grown


def _ended(last: _Stretch, mode: int, labels: Sequence[_Label]) -> Iterator[_Label]:
    """The labels of a mode when nothing is held any more: the last stretch may be left early."""
    cost = last.costs[mode] or 0
    for progress, paid, least, edges in labels:
        if cost > least:
            ended = _with(_with(edges, least, -last.length), cost, last.length)
        else:
            ended = edges
        yield _Label(progress, paid, 0, ended)


def _undominated(job: Job, labels: Sequence[_Label]) -> list[_Label]:
    """Without those that another one, shortened where it can be, equals or betters."""
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda one: (-one[0], one[1], -one[2])):
        progress, cost, least, edges = label
        for other in kept:
            if other[2] >= least:
                surplus = (other[0] - progress) // job.interval
                if _serves(other[3], surplus, edges, cost - other[1]):
                    break
        else:
            kept.append(label)
    return kept


def _serves(one: _Edges, surplus: int, other: _Edges, cheaper: int) -> bool:
    """Whether `one`, `surplus` intervals longer, saves what `other` does, for every number left
    out: at least `-cheaper` more. Both are concave, so the corners tell.
    """
    if _saved(one, surplus) < -cheaper:
        return False
    corner = saved = 0
    for saving, length in other:
        corner += length
        saved += length * saving
        if _saved(one, surplus + corner) + cheaper < saved:
            return False
    corner = -surplus
    for _, length in one:
        corner += length
        if corner > 0 and _saved(one, surplus + corner) + cheaper < _saved(other, corner):
            return False
    return True
