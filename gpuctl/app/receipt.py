"""What a lease cost, what it would have cost on demand, and what still costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.fleet import lease_bill
from gpuctl.core.books import Books, books
from gpuctl.core.charges import Charge
from gpuctl.core.events import Event, Price, Usage
from gpuctl.core.kinds import Market
from gpuctl.core.meter import monthly
from gpuctl.core.model import Machine
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import MARKET_KINDS
from gpuctl.core.tally import total


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """Something of the machine that goes on costing. `monthly` is USD for 730 hours."""

    resource: str
    kind: str
    monthly: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Charges since the lease began, exact; `on_demand` is compute alone, None = price unknown."""

    charges: tuple[Charge, ...]
    total: Fraction
    compute: Fraction
    on_demand: Fraction | None
    still: tuple[Still, ...]
    problems: tuple[str, ...]


def receipt(app: App, machine: Machine) -> Receipt:
    """The account of a machine's present or last lease."""
    events = app.ledger.events()
    now = app.clock()
    known = books(events)
    mine = lease_bill(events, known, machine, now)
    machine_id = str(machine.id)
    book = PriceBook(event for event in events if isinstance(event, Price))
    remaining = [usage for usage in known.open if usage.machine == machine_id]
    return Receipt(
        charges=mine.charges,
        total=mine.total,
        compute=total(charge for charge in mine.charges if charge.kind in MARKET_KINDS),
        on_demand=_on_demand(events, known, machine, now),
        still=tuple(_still(usage, book, app) for usage in remaining),
        problems=mine.problems,
    )


def _still(usage: Usage, book: PriceBook, app: App) -> Still:
    costs = monthly([usage], book, app.clock())
    return Still(resource=usage.resource, kind=usage.kind.value, monthly=costs)


def _on_demand(
    events: Sequence[Event], known: Books, machine: Machine, now: datetime
) -> Fraction | None:
    """The same runs at on-demand prices; None where one of them is not known."""
    changed = [
        event._replace(market=Market.ON_DEMAND)
        if isinstance(event, Usage) and event.kind in MARKET_KINDS
        else event
        for event in events
    ]
    charges = [
        charge
        for charge in lease_bill(changed, known, machine, now).charges
        if charge.kind in MARKET_KINDS
    ]
    if any(charge.cost is None for charge in charges):
        return None
    return total(charges)
