"""Which line of a bill is which day of the ledger: by resource, and where it names none, by tag."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.bill_days import Asked, AskedKey, together
from gpuctl.core.kinds import Kind
from gpuctl.core.ledger_days import DayKey, Known, LedgerDay
from gpuctl.core.report import spread
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import day_span

_CLOCKS = timedelta(minutes=5)
"""So far apart may the bill's and the cloud's own times of an end be."""

_PLACES = 12
"""Decimals of the parts when one amount is shared by several resources."""


_Lines = dict[AskedKey, Asked]
_Days = dict[DayKey, LedgerDay]
"""What is not paired yet: each step takes out what it finds."""


class Pair(NamedTuple):
    """What is asked for one day of the ledger: `cost` in the bill's own currency."""

    day: LedgerDay
    asked: Asked
    """Where it was shared between several, the whole."""
    cost: Decimal
    by: str
    """`resource` or `tag`."""

    @property
    def usd(self) -> Fraction:
        """Its part in USD, exact; all parts together are exactly what was asked."""
        whole = Fraction(self.asked.cost)
        return self.asked.usd * Fraction(self.cost) / whole if whole else self.asked.usd


class Pairs(NamedTuple):
    """What was found, and the keys of what is left on either side."""

    found: tuple[Pair, ...]
    bill_left: tuple[AskedKey, ...]
    ledger_left: tuple[DayKey, ...]


def pairs(asked: Mapping[AskedKey, Asked], days: Mapping[DayKey, LedgerDay], known: Known) -> Pairs:
    """Each line and each day at most once."""
    lines, left = dict(asked), dict(days)
    found = [
        *_by_name(lines, left),
        *_by_machine(lines, left, known),
        *_past_midnight(lines, days),
        *_by_tag(lines, left),
    ]
    return Pairs(tuple(found), tuple(lines), tuple(left))


def _by_name(lines: _Lines, left: _Days) -> Iterator[Pair]:
    for key in list(lines):
        if key.resource is not None and key.kind is not None:
            day = left.pop((key.provider, key.resource, key.kind, key.day), None)
            if day is not None:
                line = lines.pop(key)
                yield Pair(day, line, line.cost, "resource")


def _by_machine(lines: _Lines, left: _Days, known: Known) -> Iterator[Pair]:
    """A line under a name of the machine is for what the machine has of that kind."""
    for key in list(lines):
        if key.resource is None or key.kind is None:
            continue
        names = known.of_machine.get((key.provider, key.kind, key.resource), frozenset())
        places = [(key.provider, name, key.kind, key.day) for name in sorted(names)]
        own = [left.pop(place) for place in places if place in left]
        if own:
            yield from _shared([lines.pop(key)], own, "resource")


def _past_midnight(lines: _Lines, days: Mapping[DayKey, LedgerDay]) -> Iterator[Pair]:
    """The last minutes of a run that by the ledger was over before the day began."""
    for key in list(lines):
        before = _day_before(key, days)
        if before is not None and _is_rest_of(before, lines[key]):
            line = lines.pop(key)
            nothing = before._replace(
                day=key.day,
                estimate=Fraction(0),
                settled=Fraction(0),
                missing=False,
                amount=Fraction(0),
                seconds=0,
                runs=0,
            )
            yield Pair(nothing, line, line.cost, "resource")


def _by_tag(lines: _Lines, left: _Days) -> Iterator[Pair]:
    for group, members in _groups(lines, left.values()):
        yield from _shared([lines.pop(line.key) for line in group], members, "tag")
        for member in members:
            del left[member.key]


def _day_before(key: AskedKey, days: Mapping[DayKey, LedgerDay]) -> LedgerDay | None:
    if key.resource is None or key.kind is None:
        return None
    return days.get((key.provider, key.resource, key.kind, key.day - timedelta(days=1)))


def _is_rest_of(before: LedgerDay, line: Asked) -> bool:
    """Whether a line is no more than the last minutes of a run that ended about midnight."""
    midnight = day_span(before.day, billing_zone(before.provider)).end
    if before.seconds == 0 or before.last < midnight - _CLOCKS:
        return False
    return 0 <= line.usd <= before.estimate / before.seconds * int(_CLOCKS.total_seconds())


def _groups(
    lines: Mapping[AskedKey, Asked], days: Iterable[LedgerDay]
) -> Iterable[tuple[Sequence[Asked], Sequence[LedgerDay]]]:
    """Lines without an id beside the days of their projects.

    A resource that changed hands is billed under both tags: whatever hangs together by a
    resource or a project is taken as one, else a part would be settled with less than the whole.
    """
    nameless: dict[tuple[str, Kind, date], dict[str, Asked]] = {}
    for key, line in lines.items():
        if key.resource is None and key.kind is not None and key.project is not None:
            nameless.setdefault((key.provider, key.kind, key.day), {})[key.project] = line
    if not nameless:
        return
    same: dict[tuple[str, Kind, date], list[LedgerDay]] = {}
    for day in days:
        same.setdefault((day.provider, day.kind, day.day), []).append(day)
    for place, by_project in nameless.items():
        rest = sorted(same.get(place, ()), key=lambda day: day.resource)
        for project in sorted(by_project):
            group, members = _hanging_together(project, by_project, rest)
            if group and members:
                rest = [day for day in rest if day not in members]
                yield group, members


def _hanging_together(
    project: str, by_project: dict[str, Asked], days: Sequence[LedgerDay]
) -> tuple[list[Asked], list[LedgerDay]]:
    reached: set[str | None] = {project} if project in by_project else set()
    members: list[LedgerDay] = []
    while more := [day for day in days if day not in members and day.projects & reached]:
        members += more
        reached = reached.union(*(day.projects for day in more)) - {None}
    if not members:
        return [], []
    return [
        by_project.pop(name) for name in sorted(filter(None, reached & set(by_project)))
    ], members


def _shared(lines: Sequence[Asked], days: Sequence[LedgerDay], by: str) -> list[Pair]:
    """By estimated cost, else by billed units; the parts add up exactly."""
    whole = lines[0]
    for line in lines[1:]:
        whole = together(whole, line)
    costs = [day.estimate for day in days]
    priced = sum(costs) > 0 and not any(day.missing for day in days)
    amounts = costs if priced else [day.amount for day in days]
    weights = amounts if sum(amounts) > 0 else [Fraction(1) for _ in days]
    scale = Fraction(whole.cost) / sum(weights, Fraction(0))
    exact = {day.resource: scale * weight for day, weight in zip(days, weights, strict=True)}
    exponent = whole.cost.as_tuple().exponent
    places = max(_PLACES, -exponent if isinstance(exponent, int) else 0)
    parts = spread(exact, places, whole.cost)
    return [Pair(day, whole, parts[day.resource], by) for day in days]
