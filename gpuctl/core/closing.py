"""Closed months: what was billed stays as it was, and what is learnt later becomes a correction.

A closing freezes one client's month. The difference between what that month comes to now and
what was billed for it (at its closing, and by corrections since) is due in the first month
after it that is not closed for that client. Everything is exact USD; cents are rounded where
they are printed. Loaded only where the ledger holds a closing.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpuctl.core.bill import bill, monthly
from gpuctl.core.charges import Charge, by_month
from gpuctl.core.events import Close, Event, Settle
from gpuctl.core.names import client_of
from gpuctl.core.report import Account, Report, Terms, report
from gpuctl.core.rounding import round_half_up
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span
from gpuctl.core.statements_record import read_account

CORRECTION = "correction"
"""The `kind` of a correction's charge; its `sku` is the month that it corrects."""

Closes = Mapping[tuple[str, Month], Close]
Costs = Mapping[tuple[str, Month], Fraction]
"""(project, month) -> exact USD."""

_PROVIDERS = ("aws", "gcp")


def closes(events: Iterable[Event]) -> Closes:
    """Every closing that counts: of two for the same client and month, the first."""
    found: dict[tuple[str, Month], Close] = {}
    for event in events:
        if isinstance(event, Close):
            key = (event.client, Month.parse(event.month))
            known = found.get(key)
            if known is None or (event.at, event.id) < (known.at, known.id):
                found[key] = event
    return found


def is_over(month: Month, now: datetime) -> bool:
    """Whether the month has ended on every provider's clocks."""
    return all(month.span(billing_zone(name)).end <= now for name in _PROVIDERS)


def costs(charges: Iterable[Charge]) -> dict[str, Fraction]:
    """Project -> exact USD of what is ours to bill; what has no price yet counts nothing."""
    found: dict[str, Fraction] = {}
    for charge in charges:
        cost = charge.cost
        if charge.payer is None and charge.project is not None and cost is not None:
            found[charge.project] = found.get(charge.project, Fraction(0)) + cost
    return found


def due(
    events: Sequence[Event],
    known: Closes,
    month: Month,
    now: datetime,
    untouched: Container[tuple[str, Month]] = (),
) -> Sequence[Charge]:
    """The corrections that are billed in `month`: one for each project and closed month.

    `untouched`: closed months of a client that nothing was learnt of since; `events` may lack them.
    """
    due_months = {
        client: months
        for client in sorted({client for client, _ in known})
        if (months := [of for of in due_in(known, client, month) if (client, of) not in untouched])
    }
    if not due_months:
        return ()
    months = sorted(set().union(*due_months.values()))
    now_costs = {
        (project, of): cost
        for of, charges in _charges_by_month(events, months, now).items()
        for project, cost in costs(_as_billed(charges, known, of)).items()
    }
    return [
        _correction(project, of, month, usd)
        for client, months in due_months.items()
        for of in sorted(months)
        for project, usd in sorted(_differences(known, client, of, now_costs).items())
        if usd
    ]


def _charges_by_month(
    events: Sequence[Event], months: Sequence[Month], now: datetime
) -> Mapping[Month, Sequence[Charge]]:
    """Each month's charges. All are billed in one go where that comes to the same.

    It does not where a bill's stretch reaches over a month's end: what it asks more is then
    shared by what ran on either side, not by time.
    """
    settles = [event for event in events if isinstance(event, Settle)]
    if any(_crosses_months(settle) for settle in settles):
        return {month: bill(events, monthly(month), now).charges for month in months}

    def window(provider: str | None) -> Span:
        zone = billing_zone(provider)
        return Span(months[0].span(zone).start, months[-1].span(zone).end)

    found: dict[Month, list[Charge]] = {month: [] for month in months}
    for charge in bill(events, window, now).charges:
        for month, piece in _by_month(charge):
            if month in found:
                found[month].append(piece)
    return found


def _crosses_months(settle: Settle) -> bool:
    zone = billing_zone(settle.provider)
    last = settle.until - timedelta(seconds=1)
    return Month.of(settle.since, zone) != Month.of(last, zone)


def _by_month(charge: Charge) -> Iterator[tuple[Month, Charge]]:
    if charge.start == charge.end:
        yield Month.of(charge.start, billing_zone(charge.provider)), charge
        return
    for month, span in by_month(Span(charge.start, charge.end), charge.provider):
        part = Fraction(span.seconds, charge.seconds)
        yield month, charge._replace(start=span.start, end=span.end, units=charge.units * part)


def _as_billed(charges: Sequence[Charge], known: Closes, of: Month) -> Sequence[Charge]:
    """A month's charges, overhead shared with those that bore it when they were billed."""
    bearing = {client for (client, at), close in known.items() if at == of and close.overhead}
    if not bearing:
        return charges
    from gpuctl.core.overhead import shared  # noqa: PLC0415 - few turn it on

    return shared(charges, bearing.__contains__, last_second(of))


def last_second(month: Month) -> datetime:
    """When what belongs to a month as a whole is dated."""
    return month.span(billing_zone(None)).end - timedelta(seconds=1)


def due_in(known: Closes, client: str, month: Month) -> Sequence[Month]:
    """The closed months just before an open one: those whose corrections it bills."""
    if (client, month) in known:
        return ()
    found = []
    before = month.previous()
    while (client, before) in known:
        found.append(before)
        before = before.previous()
    return found


def _differences(known: Closes, client: str, of: Month, now: Costs) -> dict[str, Fraction]:
    """Project -> what the closed month comes to now, less what was billed for it."""
    left = {project: cost for (project, at), cost in now.items() if at == of}
    left = {project: cost for project, cost in left.items() if client_of(project) == client}
    billed = [_ratios(known[client, of].costs)]
    billed += [
        _ratios(close.corrects.get(str(of), {}))
        for (name, _), close in known.items()
        if name == client
    ]
    for parts in billed:
        for project, usd in parts.items():
            left[project] = left.get(project, Fraction(0)) - usd
    return left


def _ratios(values: Any) -> dict[str, Fraction]:
    return {project: Fraction(ratio) for project, ratio in values.items()}


def _correction(project: str, of: Month, month: Month, usd: Fraction) -> Charge:
    last = last_second(month)
    return Charge(
        provider=None,
        account=None,
        region=None,
        zone=None,
        resource=None,
        kind=CORRECTION,
        sku=str(of),
        market=None,
        start=last,
        end=last,
        quantity=Decimal(1),
        unit=None,
        units=usd,
        per=1,
        rate=Decimal(1),
        project=project,
        session=None,
        ended_by=None,
        note=f"corrects {of}",
    )


def report_of(
    known: Closes, month: Month, charges: Sequence[Charge], terms: Callable[[str], Terms]
) -> Report:
    """A month's report: closed clients as they were billed, the others as their charges are.

    The cents of closed clients are fixed; the rest is rounded together, by largest remainder.
    `charges` are the month's, with the corrections that are `due` in it.
    """
    frozen = {client: close for (client, at), close in known.items() if at == month}
    rest = [c for c in charges if c.project is None or client_of(c.project) not in frozen]
    made = report(rest, terms)
    billed = [account for close in frozen.values() for account in accounts_of(close)]
    return made._replace(
        accounts=tuple(sorted([*made.accounts, *billed], key=lambda account: account.project)),
        total=sum((account.cost for account in billed), made.total),
    )


def accounts_of(close: Close) -> Sequence[Account]:
    """What `report` shows of a closed month. UnreadableStatement where the record is none.

    A closing that another program wrote may lack it: then its exact costs, billed as they are.
    """
    if close.accounts is not None:
        return [read_account(record) for record in close.accounts.values()]  # type: ignore[arg-type]
    billed = _ratios(close.costs)
    for parts in close.corrects.values():
        for project, usd in _ratios(parts).items():
            billed[project] = billed.get(project, Fraction(0)) + usd
    return [_bare(project, round_half_up(usd, 2)) for project, usd in sorted(billed.items())]


def _bare(project: str, cost: Decimal) -> Account:
    return Account(
        project=project,
        cost=cost,
        billable=cost,
        absorbed=Decimal(0),
        markup=Decimal(0),
        lines=(),
        hours=Fraction(0),
    )


def corrects(charges: Iterable[Charge]) -> dict[str, dict[str, str]]:
    """The corrections among charges as a closing keeps them: month -> project -> `n/d`."""
    found: dict[str, dict[str, str]] = {}
    for charge in charges:
        if charge.kind == CORRECTION and charge.sku is not None and charge.project is not None:
            found.setdefault(charge.sku, {})[charge.project] = ratio(charge.units)
    return found


def ratio(usd: Fraction) -> str:
    """`n/d`, as a closing keeps exact amounts."""
    return f"{usd.numerator}/{usd.denominator}"
