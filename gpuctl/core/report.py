"""Charges -> what each client pays, rounded once; every printed column adds up to its total.

Cost is what the clouds charge; a part is recharged to the client and the rest absorbed; the
markup comes on top of what is recharged: `billable = recharged + markup`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.charges import Charge
from gpuctl.core.kinds import Market, Unit
from gpuctl.core.names import client_of
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.tally import Tally


class Terms(NamedTuple):
    """Who bears a project's cost. `markup` is a fraction; `cap` and `included` are in USD."""

    absorbed: bool = False
    markup: Decimal = Decimal(0)
    cap: Decimal | None = None
    """Nothing above this is recharged in the period; shared by the client's projects in order."""
    included: Decimal = Decimal(0)
    """So much is in the client's retainer: absorbed before anything is recharged."""


class Line(NamedTuple):
    """One kind of thing on one market. `cost` is rounded; `amount` and `rate` are exact."""

    kind: str
    sku: str | None
    market: Market | None
    unit: Unit | None
    amount: Fraction
    rate: Decimal | None
    """None when several rates went into it, or none is known."""
    cost: Decimal
    sessions: int
    note: str | None = None
    """Why: of adjustments and corrections."""
    unpriced: bool = False
    """A price of it is missing: `cost` is what is known of it, 0 where that is nothing."""


class Account(NamedTuple):
    """One project's figures, in the currency's units."""

    project: str
    cost: Decimal
    billable: Decimal
    absorbed: Decimal
    markup: Decimal
    lines: tuple[Line, ...]
    hours: Fraction
    """Machine-hours."""
    own_account: Decimal = Decimal(0)
    """Cost on the client's own cloud account: shown, in no total."""

    @property
    def client(self) -> str:
        """Whose project it is."""
        return client_of(self.project)

    @property
    def recharged(self) -> Decimal:
        """Cost passed on to the client."""
        return self.cost - self.absorbed


class Report(NamedTuple):
    """All projects; `idle` is the nobody's part of shared machines, borne by the user."""

    accounts: tuple[Account, ...]
    unattributed: Decimal
    idle: Decimal
    total: Decimal
    currency: str = "USD"

    @property
    def billable(self) -> Decimal:
        """What clients are asked for."""
        nothing = self.total - self.total  # of as many decimals as the currency has
        return sum((account.billable for account in self.accounts), nothing)

    @property
    def absorbed(self) -> Decimal:
        """What the user bears, the idle part of shared machines included."""
        return sum((account.absorbed for account in self.accounts), self.idle)


_Groups = dict[str, list["_Thing"]]

_UNATTRIBUTED = ""
_IDLE = "~"
"""Sorts after every project: ties go to those who pay."""


def report(
    charges: Iterable[Charge], terms: Callable[[str], Terms], currency: str = "USD"
) -> Report:
    """Group, round, apply the terms. Runs on a client's own account are in no total."""
    mine, theirs = _grouped(charges)
    places = minor_units(currency)
    nothing = round_half_up(Decimal(0), places)
    rounded = spread({name: _cost(things) for name, things in mine.items()}, places)
    names = sorted({name for name in {*mine, *theirs} if name not in (_UNATTRIBUTED, _IDLE)})
    left = _Allowances(terms)
    accounts = []
    for name in names:
        cost = rounded.get(name, nothing)
        absorbed = round_half_up(left.absorb(name, cost), places)
        markup = round_half_up((cost - absorbed) * terms(name).markup, places)
        group = mine.get(name, ())
        accounts.append(
            Account(
                project=name,
                cost=cost,
                absorbed=absorbed,
                markup=markup,
                billable=cost - absorbed + markup,
                lines=tuple(_lines(group, cost, places)),
                hours=sum((thing.machine_hours for thing in group), Fraction(0)),
                own_account=round_half_up(_cost(theirs.get(name, ())), places),
            )
        )
    return Report(
        accounts=tuple(accounts),
        unattributed=rounded.get(_UNATTRIBUTED, nothing),
        idle=rounded.get(_IDLE, nothing),
        total=sum(rounded.values(), nothing),
        currency=currency,
    )


def spread(
    exact: Mapping[str, Fraction], places: int, whole: Decimal | None = None
) -> dict[str, Decimal]:
    """Round the sum half up, then share it so that the parts add up: largest remainder.

    Ties go to the first name. Negative parts (credits) are rounded down like the others.
    `whole` is the sum to come to where it was rounded already, less than a unit from the exact.
    """
    scale = 10**places
    if whole is None:
        whole = round_half_up(sum(exact.values(), Fraction(0)), places)
    floors = {name: (value * scale).__floor__() for name, value in exact.items()}
    missing = int(whole * scale) - sum(floors.values())
    by_remainder = sorted(exact, key=lambda name: (floors[name] - exact[name] * scale, name))
    for name in by_remainder[:missing]:
        floors[name] += 1
    return {name: Decimal(cents).scaleb(-places) for name, cents in floors.items()}


class _Allowances:
    """What is left of each client's cap and included amount while its projects are gone through."""

    def __init__(self, terms: Callable[[str], Terms]) -> None:
        self._terms = terms
        self._included: dict[str, Decimal] = {}
        self._cap: dict[str, Decimal] = {}

    def absorb(self, project: str, cost: Decimal) -> Decimal:
        """The part of a project's cost that is not recharged. Credits are passed on whole."""
        terms, client = self._terms(project), client_of(project)
        if terms.absorbed:
            return cost
        if cost <= 0:
            return Decimal(0)
        free = min(self._included.setdefault(client, terms.included), cost)
        self._included[client] -= free
        recharged = cost - free
        if terms.cap is not None:
            room = self._cap.setdefault(client, terms.cap)
            recharged = min(recharged, room)
            self._cap[client] = room - recharged
        return cost - recharged


class _Thing:
    """What goes into one line: the charges of a kind of thing on a market."""

    __slots__ = ("_size", "_tally", "first", "notes", "tallies", "unpriced", "usages")

    def __init__(self, first: Charge) -> None:
        self.first = first
        self._size = first.quantity
        self._tally = Tally()
        self.tallies = {self._size: self._tally}
        """By size: machine-hours are billed hours of so many cores at once."""
        self.usages: set[str | None] = set()
        self.notes: dict[str, None] = {}
        self.unpriced = False

    def add(self, charge: Charge) -> None:
        """Count one more."""
        size = charge.quantity
        if size != self._size:
            self._size, self._tally = size, self.tallies.setdefault(size, Tally())
        self._tally.add(charge)
        self.usages.add(charge.usage)
        if charge.unpriced:
            self.unpriced = True
        if charge.note and charge.kind != "settle":
            # A bill asks anew every day; the reasons of adjustments and corrections are few.
            self.notes[charge.note] = None

    @property
    def cost(self) -> Fraction:
        """USD, exact."""
        return sum((tally.cost for tally in self.tallies.values()), Fraction(0))

    @property
    def amount(self) -> Fraction:
        """Billed units."""
        return sum((tally.amount for tally in self.tallies.values()), Fraction(0))

    @property
    def rate(self) -> Decimal | None:
        """The one rate of all, if there is one."""
        rates = {tally.rate for tally in self.tallies.values()}
        return rates.pop() if len(rates) == 1 else None

    @property
    def machine_hours(self) -> Fraction:
        """Hours of machines, each counted once: Google's are known by their cores."""
        if self.first.kind not in ("compute", "vcpu"):
            return Fraction(0)
        return sum(
            (tally.amount / Fraction(size) for size, tally in self.tallies.items() if size),
            Fraction(0),
        )


def _grouped(charges: Iterable[Charge]) -> tuple[_Groups, _Groups]:
    """By project, in one go over them: on our own accounts, and on the clients' own."""
    things: dict[tuple[bool, str, str, str | None, bool, bool], _Thing] = {}
    for charge in charges:
        name = _IDLE if charge.absorbed else charge.project or _UNATTRIBUTED
        # Not the market itself: an enumeration's hash is computed in Python, a million times.
        market = charge.market
        spot, none = market is Market.SPOT, market is None
        key = (charge.payer is None, name, charge.kind, charge.sku, spot, none)
        thing = things.get(key)
        if thing is None:
            thing = things[key] = _Thing(charge)
        thing.add(charge)
    mine: _Groups = {}
    theirs: _Groups = {}
    for (own, name, *_), thing in things.items():
        (mine if own else theirs).setdefault(name, []).append(thing)
    return mine, theirs


def _cost(things: Iterable[_Thing]) -> Fraction:
    return sum((thing.cost for thing in things), Fraction(0))


def _lines(group: Sequence[_Thing], cost: Decimal, places: int) -> Iterable[Line]:
    """The project's lines, which add up to its `cost` as that was rounded beside the others."""
    things: dict[str, _Thing] = {}
    for thing in group:
        first = thing.first
        market = first.market.value if first.market else ""
        things["\x1f".join((first.kind, first.sku or "", market))] = thing
    rounded = spread({name: thing.cost for name, thing in things.items()}, places, cost)
    for name, thing in sorted(things.items(), key=lambda item: item[0]):
        yield Line(
            kind=thing.first.kind,
            sku=thing.first.sku,
            market=thing.first.market,
            unit=thing.first.unit,
            amount=thing.amount,
            rate=thing.rate,
            cost=rounded[name],
            sessions=len(thing.usages),
            note="; ".join(thing.notes) or None,
            unpriced=thing.unpriced,
        )
