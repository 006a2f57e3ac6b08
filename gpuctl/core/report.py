"""Charges -> what each client pays, rounded once; every printed column adds up to its total.

Cost is what the clouds charge; a part is recharged to the client and the rest absorbed; the
markup comes on top of what is recharged: `billable = recharged + markup`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.charges import Charge, total
from gpuctl.core.kinds import Market, Unit
from gpuctl.core.names import client_of
from gpuctl.core.rounding import minor_units, round_half_up


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
        return sum((account.billable for account in self.accounts), Decimal(0))

    @property
    def absorbed(self) -> Decimal:
        """What the user bears, the idle part of shared machines included."""
        return sum((account.absorbed for account in self.accounts), self.idle)


_UNATTRIBUTED = ""
_IDLE = "~"
"""Sorts after every project: ties go to those who pay."""


def report(
    charges: Iterable[Charge], terms: Callable[[str], Terms], currency: str = "USD"
) -> Report:
    """Group, round, apply the terms. Runs on a client's own account are in no total."""
    charges = list(charges)
    mine = _grouped(charge for charge in charges if charge.payer is None)
    theirs = _grouped(charge for charge in charges if charge.payer is not None)
    places = minor_units(currency)
    rounded = spread({name: total(items) for name, items in mine.items()}, places)
    names = sorted({name for name in {*mine, *theirs} if name not in (_UNATTRIBUTED, _IDLE)})
    left = _Allowances(terms)
    accounts = []
    for name in names:
        cost = rounded.get(name, Decimal(0))
        absorbed = left.absorb(name, cost)
        markup = round_half_up((cost - absorbed) * terms(name).markup, places)
        items = mine.get(name, ())
        accounts.append(
            Account(
                project=name,
                cost=cost,
                absorbed=absorbed,
                markup=markup,
                billable=cost - absorbed + markup,
                lines=tuple(_lines(items, cost, places)),
                hours=_machine_hours(items),
                own_account=round_half_up(total(theirs.get(name, ())), places),
            )
        )
    return Report(
        accounts=tuple(accounts),
        unattributed=rounded.get(_UNATTRIBUTED, Decimal(0)),
        idle=rounded.get(_IDLE, Decimal(0)),
        total=sum(rounded.values(), Decimal(0)),
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


def _grouped(charges: Iterable[Charge]) -> dict[str, list[Charge]]:
    groups: dict[str, list[Charge]] = {}
    for charge in charges:
        name = _IDLE if charge.absorbed else charge.project or _UNATTRIBUTED
        groups.setdefault(name, []).append(charge)
    return groups


def _lines(charges: Sequence[Charge], cost: Decimal, places: int) -> Iterable[Line]:
    """The project's lines, which add up to its `cost` as that was rounded beside the others."""
    groups: dict[tuple[str, str, str], list[Charge]] = {}
    for charge in charges:
        key = (charge.kind, charge.sku or "", charge.market.value if charge.market else "")
        groups.setdefault(key, []).append(charge)
    names = {"\x1f".join(key): items for key, items in sorted(groups.items())}
    rounded = spread({name: total(items) for name, items in names.items()}, places, cost)
    for name, items in names.items():
        first = items[0]
        rates = {charge.rate for charge in items}
        yield Line(
            kind=first.kind,
            sku=first.sku,
            market=first.market,
            unit=first.unit,
            amount=sum((charge.amount for charge in items), Fraction(0)),
            rate=rates.pop() if len(rates) == 1 else None,
            cost=rounded[name],
            sessions=len({charge.usage for charge in items}),
            note=_note(items),
        )


def _note(charges: Iterable[Charge]) -> str | None:
    """The reasons of adjustments and corrections, each once; a bill asks anew every day."""
    notes = dict.fromkeys(c.note for c in charges if c.note and c.kind != "settle")
    return "; ".join(notes) or None


def _machine_hours(charges: Iterable[Charge]) -> Fraction:
    """Hours of machines, each counted once: Google's are known by their cores."""
    hours = Fraction(0)
    for charge in charges:
        if charge.kind in ("compute", "vcpu") and charge.quantity:
            hours += charge.amount / Fraction(charge.quantity)
    return hours
