"""The ledger by day: what it has for each resource and kind, as a bill would be cut.

Days are the provider's: UTC on AWS, Los Angeles on Google.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.attribution import cut
from gpuctl.core.bill import Window, bill, runs
from gpuctl.core.charges import Charge
from gpuctl.core.events import Event, Usage
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.rules import billing_zone
from gpuctl.core.settling import KIND as SETTLE
from gpuctl.core.span import day_span
from gpuctl.core.sustained import KIND as DISCOUNT

DayKey = tuple[str, str, Kind, date]
"""Provider, resource, kind, day."""


class LedgerDay(NamedTuple):
    """One resource's kind on one day. USD, exact."""

    provider: str
    account: str | None
    resource: str
    kind: Kind
    day: date
    projects: frozenset[str | None]
    sku: str | None
    market: Market | None
    estimate: Fraction
    """By seconds and prices; what has no price counts nothing here."""
    missing: bool
    """Whether a price is missing."""
    settled: Fraction
    """What earlier bills added to the estimate."""
    amount: Fraction
    """Billed units."""
    seconds: int
    first: datetime
    last: datetime
    runs: int
    uncertain: bool
    """The end of a run in it is not known for certain."""
    open: bool
    """A run in it goes on."""
    free: bool
    """Interrupted in the first hour: the ledger counts nothing for it."""

    @property
    def cost(self) -> Fraction:
        """What the ledger says now."""
        return self.estimate + self.settled

    @property
    def key(self) -> DayKey:
        """Where it is found."""
        return self.provider, self.resource, self.kind, self.day


class Known(NamedTuple):
    """Which resources the ledger has, by their own names and by their machine's."""

    kinds: Mapping[tuple[str, str], frozenset[Kind]]
    projects: Mapping[tuple[str, str], frozenset[str]]
    """Those that its runs began for."""
    of_machine: Mapping[tuple[str, Kind, str], frozenset[str]]
    """(provider, kind, a name of the machine) -> its resources of that kind.

    A bill may name a disk or an address as the machine is named that has it. The machine itself
    is known by its name and by its number.
    """

    def resource(self, provider: str, named: str | None) -> str | None:
        """The name under which the ledger knows it, or its machine; None when it does not.

        A bill may name a resource by a path that ends in its name.
        """
        if named is None:
            return None
        names = (named, named.rsplit("/", 1)[-1])
        return next((name for name in names if (provider, name) in self.kinds), None)


class LedgerDays(NamedTuple):
    """The days of a window, and the discounts that the ledger reckons itself (negative)."""

    days: Mapping[DayKey, LedgerDay]
    discounts: Mapping[tuple[str, str | None, date], Fraction]
    """(provider, account, day) -> USD."""


def known_resources(events: Iterable[Event]) -> Known:
    """Every resource that ever ran."""
    usages = runs(events)
    names: dict[str, set[str]] = {}
    for usage in usages:
        if usage.machine is not None:
            known = names.setdefault(usage.machine, {usage.machine.rsplit(":", 1)[-1]})
            if usage.kind in (Kind.COMPUTE, Kind.VCPU):
                known.add(usage.resource)
    kinds: dict[tuple[str, str], set[Kind]] = {}
    projects: dict[tuple[str, str], set[str]] = {}
    machines: dict[tuple[str, Kind, str], set[str]] = {}
    for usage in usages:
        aliases = names.get(usage.machine or "", set())
        for name in {usage.resource, *aliases}:
            place = (usage.provider, name)
            kinds.setdefault(place, set()).add(usage.kind)
            known = projects.setdefault(place, set())
            if usage.project is not None:
                known.add(usage.project)
        for name in aliases:
            machines.setdefault((usage.provider, usage.kind, name), set()).add(usage.resource)
    return Known(
        kinds={place: frozenset(found) for place, found in kinds.items()},
        projects={place: frozenset(found) for place, found in projects.items()},
        of_machine={name: frozenset(found) for name, found in machines.items()},
    )


def ledger_days(events: Iterable[Event], window: Window, now: datetime) -> LedgerDays:
    """What the ledger has in a window, as it stands: earlier settlements included."""
    events = list(events)
    usages = {usage.id: usage for usage in runs(events)}
    days: dict[DayKey, LedgerDay] = {}
    discounts: dict[tuple[str, str | None, date], Fraction] = {}
    for charge in bill(events, window, now).charges:
        if charge.provider is None:
            continue
        for day, piece in by_day(charge):
            if charge.kind == DISCOUNT:
                place = (charge.provider, charge.account, day)
                discounts[place] = discounts.get(place, Fraction(0)) + (piece.cost or 0)
            elif charge.resource is not None:
                one = _of(piece, day, usages.get(charge.usage or ""))
                known = days.get(one.key)
                days[one.key] = one if known is None else _together(known, one)
    return LedgerDays(days=days, discounts=discounts)


def by_day(charge: Charge) -> Iterator[tuple[date, Charge]]:
    """A charge cut at the midnights of its provider."""
    zone = billing_zone(charge.provider)
    rest = charge
    while True:
        day = rest.start.astimezone(zone).date()
        first, *later = cut(rest, (day_span(day, zone).end,))
        yield day, first
        if not later:
            return
        (rest,) = later


def _of(charge: Charge, day: date, usage: Usage | None) -> LedgerDay:
    difference = charge.kind == SETTLE
    kind = Kind((charge.sku or "") if difference else charge.kind)
    cost = charge.cost
    certain = usage is None or usage.evidence is None or usage.evidence.certain
    return LedgerDay(
        provider=charge.provider or "",
        account=charge.account,
        resource=charge.resource or "",
        kind=kind,
        day=day,
        projects=frozenset([charge.project]),
        sku=None if difference else charge.sku,
        market=charge.market,
        estimate=Fraction(0) if difference else cost or Fraction(0),
        missing=cost is None,
        settled=(cost or Fraction(0)) if difference else Fraction(0),
        amount=Fraction(0) if difference else charge.amount,
        seconds=0 if difference else charge.seconds,
        first=charge.start,
        last=charge.end,
        runs=0 if difference else 1,
        uncertain=not certain and usage is not None and usage.end == charge.end,
        open=usage is not None and usage.end is None,
        free=charge.free,
    )


def _together(one: LedgerDay, other: LedgerDay) -> LedgerDay:
    """Both as one; a difference that a bill made lies over the whole day and says no times."""
    timed = [day for day in (one, other) if day.runs] or [one, other]
    return one._replace(
        account=one.account or other.account,
        projects=one.projects | other.projects,
        sku=one.sku or other.sku,
        market=one.market or other.market,
        estimate=one.estimate + other.estimate,
        missing=one.missing or other.missing,
        settled=one.settled + other.settled,
        amount=one.amount + other.amount,
        seconds=one.seconds + other.seconds,
        first=min(day.first for day in timed),
        last=max(day.last for day in timed),
        runs=one.runs + other.runs,
        uncertain=one.uncertain or other.uncertain,
        open=one.open or other.open,
        free=one.free or other.free,
    )
