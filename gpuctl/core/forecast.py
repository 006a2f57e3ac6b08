"""What the open runs will still cost this month, and whom, at the prices of now. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.attribution import Attribution
from gpuctl.core.books import Books, books
from gpuctl.core.charges import Charge
from gpuctl.core.events import Event, Price, Split, Usage
from gpuctl.core.kinds import Unit
from gpuctl.core.meter import hourly
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import billing_zone, rule_for
from gpuctl.core.span import Month, Span

_HOUR = 3_600


def coming(events: Sequence[Event], now: datetime) -> dict[str, Fraction | None]:
    """Project -> USD that what is open will still cost it this month; None where a price lacks.

    Machines and addresses go on until their lease's deadline, with the disks that end with them;
    other storage until the month's end.
    What is switched or split is shared as its charges will be; idle parts are nobody's, and runs
    on a client's own account are left out.
    """
    known = books(events)
    opened = [usage for usage in known.open if usage.payer is None]
    if not opened:
        return {}
    book = PriceBook(event for event in events if isinstance(event, Price))
    splits = (event for event in events if isinstance(event, Split))
    attribution = Attribution(known.switches, splits)
    found: dict[str, Fraction | None] = {}
    for charge in _ahead(opened, known, book, attribution, now):
        if charge.project is not None:
            sofar, cost = found.get(charge.project, Fraction(0)), charge.cost
            found[charge.project] = None if sofar is None or cost is None else sofar + cost
    return found


def _ahead(
    opened: Iterable[Usage], known: Books, book: PriceBook, attribution: Attribution, now: datetime
) -> Iterator[Charge]:
    for usage in opened:
        rest = Span(now, max(now, _end(usage, known, now)))
        whole = Span(min(usage.start, now), rest.end)
        yield from attribution.attribute(usage, whole, [_charge(usage, book, rest)])


def _end(usage: Usage, known: Books, now: datetime) -> datetime:
    zone = billing_zone(usage.provider)
    end = Month.of(now, billing_zone(None)).span(zone).end
    lease = known.leases.get(usage.session or "")
    by_the_hour = rule_for(usage.provider, usage.kind).unit is Unit.HOUR
    if lease is not None and (by_the_hour or _ends_with_machine(usage)):
        end = min(end, lease.deadline)
    return end


def _ends_with_machine(usage: Usage) -> bool:
    """At its deadline EC2 terminates a machine, with its own disks; Google's is stopped, and its
    disk stays (`DeleteOnTermination`, and `scheduling.instanceTerminationAction`, as we set them).
    """
    return usage.provider == "aws" and usage.machine is not None


def _charge(usage: Usage, book: PriceBook, rest: Span) -> Charge:
    """The rest of a run; `units` are USD times seconds, since a rate by the hour is a fraction."""
    rate = hourly([usage], book, rest.start)
    return Charge(
        provider=usage.provider,
        account=usage.account,
        region=usage.region,
        zone=usage.zone,
        resource=usage.resource,
        kind=usage.kind,
        sku=usage.sku,
        market=usage.market,
        start=rest.start,
        end=rest.end,
        quantity=usage.quantity,
        unit=None,
        units=Fraction(0) if rate is None else rate * rest.seconds,
        per=_HOUR,
        rate=None if rate is None else Decimal(1),
        project=usage.project,
        session=usage.session,
        ended_by=None,
    )
