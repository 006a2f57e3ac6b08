"""What a lease cost, what it would have cost on demand, and what still costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.fleet import began
from gpuctl.core.bill import bill, fixed
from gpuctl.core.books import books
from gpuctl.core.charges import Charge, total
from gpuctl.core.events import Event, Price, Usage
from gpuctl.core.meter import per_hour, priced
from gpuctl.core.model import Machine, Market
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import MARKET_KINDS
from gpuctl.core.span import Span


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
    since = min(began(known, machine), now)
    whole = bill(events, fixed(Span(since, now)), now)
    machine_id = str(machine.id)
    mine = [charge for charge in whole.charges if charge.machine == machine_id]
    book = PriceBook(event for event in events if isinstance(event, Price))
    remaining = [usage for usage in known.open if usage.machine == machine_id]
    return Receipt(
        charges=tuple(mine),
        total=total(mine),
        compute=total(charge for charge in mine if charge.kind in MARKET_KINDS),
        on_demand=_on_demand(events, machine_id, since, app),
        still=tuple(_still(usage, book, app) for usage in remaining),
        problems=whole.problems,
    )


def _still(usage: Usage, book: PriceBook, app: App) -> Still:
    price = book.at(priced(usage), app.clock())
    monthly = None if price is None else per_hour(usage, price.usd, app.clock()) * 730
    return Still(resource=usage.resource, kind=usage.kind.value, monthly=monthly)


def _on_demand(
    events: Sequence[Event], machine_id: str, since: datetime, app: App
) -> Fraction | None:
    """The same runs at on-demand prices; None where one of them is not known."""
    now = app.clock()
    changed = [
        replace(event, market=Market.ON_DEMAND)
        if isinstance(event, Usage) and event.kind in MARKET_KINDS
        else event
        for event in events
    ]
    window = fixed(Span(since, now))
    charges = [
        charge
        for charge in bill(changed, window, now).charges
        if charge.machine == machine_id and charge.kind in MARKET_KINDS
    ]
    if any(charge.cost is None for charge in charges):
        return None
    return total(charges)
