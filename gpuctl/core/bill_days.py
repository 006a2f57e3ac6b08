"""A bill added up as it is read: what may be ours by resource and day, all else in sums."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.billed import BilledDay, Category
from gpuctl.core.errors import UsageProblem
from gpuctl.core.kinds import Kind
from gpuctl.core.ledger_days import Known
from gpuctl.core.rounding import EXACT, PRINTED_DECIMALS, round_half_up
from gpuctl.core.undated import Place, Undated, place_of

USD = "USD"

Keep = Callable[[BilledDay], bool]


class AskedKey(NamedTuple):
    """`resource` as the ledger names it, where it knows it; `project` is the bill's tag.

    The tag is part of the key only where the bill names no resource: it is all there is then.
    """

    provider: str
    resource: str | None
    kind: Kind | None
    day: date
    project: str | None
    undated: bool = False


class Asked(NamedTuple):
    """What a bill asks for one thing on one day."""

    key: AskedKey
    account: str | None
    sku: str | None
    project: str | None
    known: bool
    """Whether the ledger has the resource."""
    cost: Decimal
    """In `currency`, exact."""
    currency: str
    per_usd: Decimal
    usd: Fraction
    quantity: Decimal | None
    unit: str | None
    invoice: str | None
    rows: int


class Foreign(NamedTuple):
    """Usage that is not gpuctl's: its sum by what it is."""

    provider: str
    kind: Kind | None
    sku: str | None
    usd: Fraction
    rows: int
    first: date
    last: date
    nameless: bool
    """The bill names neither resource nor project for it."""

    @property
    def key(self) -> "tuple[str, Kind | None, str | None, bool]":
        """What is one line."""
        return self.provider, self.kind, self.sku, self.nameless

    def with_(self, other: "Foreign") -> "Foreign":
        """Both as one: the same thing, billed at another rate."""
        return self._replace(
            usd=self.usd + other.usd,
            rows=self.rows + other.rows,
            first=min(self.first, other.first),
            last=max(self.last, other.last),
        )


_ForeignKey = tuple[str, Kind | None, str | None, bool, Decimal]


class _Sum:
    """Days added up in the bill's own currency: no fraction is made for each of a million."""

    __slots__ = ("cost", "first", "last", "rows")

    def __init__(self, day: BilledDay) -> None:
        self.cost, self.rows = day.cost, day.rows
        self.first = self.last = day.day

    def add(self, day: BilledDay) -> None:
        self.cost = EXACT.add(self.cost, day.cost)
        self.rows += day.rows
        if day.day < self.first:
            self.first = day.day
        elif day.day > self.last:
            self.last = day.day


class BillDays(NamedTuple):
    """A whole bill."""

    asked: Mapping[AskedKey, Asked]
    foreign: tuple[Foreign, ...]
    sums: Mapping[Category, Fraction]
    """USD, exact, all rows."""
    days: Mapping[str, tuple[date, date]]
    """Provider -> the first and the last day that it has usage on."""
    until: Mapping[str, datetime]
    """Provider -> the end of the last row of usage."""
    accounts: Mapping[str, frozenset[str]]
    kinds: Mapping[str, frozenset[Kind]]
    rows: int
    undated: Undated
    """Of all rows, also those that were not kept: where one is placed tells nothing."""


def read_bill(
    days: Iterable[BilledDay], known: Known, keep: Keep, per_usd: Decimal | None
) -> BillDays:
    """Reads once. `per_usd` is for a bill in another currency that names no rate itself.

    UsageProblem when such a bill comes without it.
    """
    reading = _Reading(known, per_usd)
    for day in days:
        if day.undated:
            reading.doubt(day)
        if keep(day):
            reading.add(day)
    return reading.done()


class _Reading:
    def __init__(self, known: Known, per_usd: Decimal | None) -> None:
        self._known = known
        self._per_usd = per_usd
        self._asked: dict[AskedKey, Asked] = {}
        self._foreign: dict[_ForeignKey, _Sum] = {}
        self._names: dict[tuple[str, str | None], str | None] = {}
        self._sums: dict[tuple[Category, Decimal], Decimal] = {}
        self._days: dict[str, tuple[date, date]] = {}
        self._until: dict[str, datetime] = {}
        self._accounts: dict[str, set[str]] = {}
        self._kinds: dict[str, set[Kind]] = {}
        self._rows = 0
        self._places: set[Place] = set()

    def doubt(self, day: BilledDay) -> None:
        place = place_of(day, self._named(day)) if day.category is Category.USAGE else None
        if place is not None:
            self._places.add(place)

    def add(self, day: BilledDay) -> None:
        rate = self._rate(day)
        self._rows += day.rows
        place = (day.category, rate)
        self._sums[place] = EXACT.add(self._sums.get(place, Decimal(0)), day.cost)
        if day.account is not None:
            self._accounts.setdefault(day.provider, set()).add(day.account)
        if day.category is not Category.USAGE:
            return
        first, last = self._days.get(day.provider, (day.day, day.day))
        self._days[day.provider] = min(first, day.day), max(last, day.day)
        self._until[day.provider] = max(self._until.get(day.provider, day.end), day.end)
        if day.kind is not None:
            self._kinds.setdefault(day.provider, set()).add(day.kind)
        resource = self._named(day)
        if resource is None and day.project is None:
            thing = (day.provider, day.kind, day.sku, day.resource is None, rate)
            known = self._foreign.get(thing)
            if known is None:
                self._foreign[thing] = _Sum(day)
            else:
                known.add(day)
        else:
            self._add_asked(day, resource, rate)

    def _rate(self, day: BilledDay) -> Decimal:
        if day.per_usd is not None:
            return day.per_usd
        if day.currency == USD:
            return Decimal(1)
        if self._per_usd is None:
            raise UsageProblem(
                f"the bill is in {day.currency} and does not say how many there are to a USD",
                hint="--per-usd 0.92, as your invoice has it",
            )
        return self._per_usd

    def _named(self, day: BilledDay) -> str | None:
        # Most of a large bill is somebody else's, the same resources day after day.
        place = (day.provider, day.resource)
        if place not in self._names:
            self._names[place] = self._known.resource(*place)
        return self._names[place]

    def _others(self) -> Iterator[Foreign]:
        found: dict[tuple[str, Kind | None, str | None, bool], Foreign] = {}
        for (provider, kind, sku, nameless, rate), one in self._foreign.items():
            usd = Fraction(one.cost) / Fraction(rate)
            item = Foreign(provider, kind, sku, usd, one.rows, one.first, one.last, nameless)
            known = found.get(item.key)
            found[item.key] = item if known is None else known.with_(item)
        yield from found.values()

    def _add_asked(self, day: BilledDay, resource: str | None, rate: Decimal) -> None:
        named = resource or day.resource
        tag = day.project if named is None else None
        key = AskedKey(day.provider, named, day.kind, day.day, tag, day.undated)
        one = Asked(
            key=key,
            account=day.account,
            sku=day.sku,
            project=day.project,
            known=resource is not None,
            cost=day.cost,
            currency=day.currency,
            per_usd=rate,
            usd=Fraction(day.cost) / Fraction(rate),
            quantity=day.quantity,
            unit=day.unit,
            invoice=day.invoice,
            rows=day.rows,
        )
        known = self._asked.get(key)
        self._asked[key] = one if known is None else together(known, one)

    def done(self) -> BillDays:
        sums: dict[Category, Fraction] = {}
        for (category, rate), cost in self._sums.items():
            sums[category] = sums.get(category, Fraction(0)) + Fraction(cost) / Fraction(rate)
        return BillDays(
            asked=self._asked,
            foreign=tuple(self._others()),
            sums=sums,
            days=self._days,
            until=self._until,
            accounts={name: frozenset(found) for name, found in self._accounts.items()},
            kinds={name: frozenset(found) for name, found in self._kinds.items()},
            rows=self._rows,
            undated=Undated(self._places, self._known),
        )


def together(one: Asked, other: Asked) -> Asked:
    """Both as one; in USD where they were billed at two rates, to as many decimals as we print."""
    usd = one.usd + other.usd
    same = (one.currency, one.per_usd) == (other.currency, other.per_usd)
    measured = one.unit == other.unit and None not in (one.quantity, other.quantity)
    quantity = Fraction(one.quantity or 0) + Fraction(other.quantity or 0)
    return one._replace(
        cost=EXACT.add(one.cost, other.cost) if same else round_half_up(usd, PRINTED_DECIMALS),
        currency=one.currency if same else USD,
        per_usd=one.per_usd if same else Decimal(1),
        usd=usd,
        sku=one.sku if one.sku == other.sku else None,
        project=one.project if one.project == other.project else None,
        quantity=round_half_up(quantity, PRINTED_DECIMALS) if measured else None,
        invoice=one.invoice or other.invoice,
        rows=one.rows + other.rows,
    )
