"""`spend` and `report`: the ledger alone answers, no cloud is asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from gpuctl.config.model import Settings
from gpuctl.core.bill import Bill, Window, bill, fixed, monthly
from gpuctl.core.charges import Charge, basis
from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Close, Event
from gpuctl.core.names import client_of
from gpuctl.core.report import Account, Report, Terms, report
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span

if TYPE_CHECKING:
    from gpuctl.core.closing import Closes
    from gpuctl.core.ports import Ledger


class Period(NamedTuple):
    """What is asked for: a span, or a month as each provider bills it."""

    window: Window
    shown: Span
    month: Month | None = None


def this_month(now: datetime) -> Period:
    """From the first of the month, 00:00Z, to now."""
    start = Month.of(now, billing_zone(None)).span(billing_zone(None)).start
    return between(start, now)


def between(start: datetime, end: datetime) -> Period:
    """[start, end) for all providers alike."""
    span = Span(start, end)
    return Period(window=fixed(span), shown=span)


def of_month(month: Month) -> Period:
    """UTC on AWS, Los Angeles on Google: their own billing months."""
    return Period(window=monthly(month), shown=month.span(billing_zone("aws")), month=month)


def spend(
    events: Sequence[Event],
    period: Period,
    now: datetime,
    *,
    project: str | None = None,
    client: str | None = None,
) -> Bill:
    """The charges of a period, exact; of one project or client where one is named."""
    whole = bill(events, period.window, now)
    charges = tuple(charge for charge in whole.charges if _of(charge, project, client))
    return Bill(charges=charges, problems=whole.problems)


def _of(charge: Charge, project: str | None, client: str | None) -> bool:
    if project is not None and charge.project != project:
        return False
    return client is None or (charge.project is not None and client_of(charge.project) == client)


class Facts(NamedTuple):
    """What the ledger holds that a period's figures can depend on."""

    events: Sequence[Event]
    untouched: frozenset[tuple[str, Month]] = frozenset()
    """Closed months of a client that nothing was learnt of since: they need no correction."""


def facts(ledger: "Ledger", period: Period) -> Facts:
    """Read for a period: its months, and closed months before it that were touched since."""
    events = ledger.events_about(period.shown)
    month = period.month
    if month is None or not any(isinstance(event, Close) for event in events):
        return Facts(events)
    from gpuctl.core import closing  # noqa: PLC0415 - most ledgers hold no closing

    known = closing.closes(events)
    before = [
        (client, of)
        for client in sorted({client for client, _ in known})
        for of in closing.due_in(known, client, month)
    ]
    untouched = frozenset(key for key in before if not ledger.touched(key[1], known[key].id))
    first = min((of for _, of in set(before) - untouched), default=month)
    if first != month:
        start = first.span(billing_zone(None)).start
        events = ledger.events_about(Span(start, period.shown.end))
    return Facts(events, untouched)


class Figures(NamedTuple):
    """A period's charges, with the corrections that it bills, and the report made of them."""

    charges: tuple[Charge, ...]
    report: Report
    problems: tuple[str, ...]
    closed: Mapping[str, str] = MappingProxyType({})
    """Clients whose month is closed -> since when, in words."""


def figures(known: Facts, period: Period, now: datetime, settings: Settings) -> Figures:
    """Rounded over all projects together. Closed months are shown as they were billed.

    A span of days shows the facts as they stand: corrections and overhead belong to months.
    """
    events = known.events
    whole = bill(events, period.window, now)
    month = period.month
    closed = month is not None and any(isinstance(event, Close) for event in events)
    if month is None or not (closed or settings.share_overhead):
        made = report(whole.charges, terms_of(settings))
        return Figures(charges=whole.charges, report=made, problems=whole.problems)
    from gpuctl.core import closing  # noqa: PLC0415 - most ledgers hold no closing

    closes = closing.closes(events)
    charges: Sequence[Charge] = whole.charges
    if settings.share_overhead or any(at == month and c.overhead for (_, at), c in closes.items()):
        from gpuctl.core.overhead import shared  # noqa: PLC0415 - few turn it on

        charges = shared(charges, _bearing(settings, closes, month), closing.last_second(month))
    charges = (*charges, *closing.due(events, closes, month, now, known.untouched))
    try:
        made = closing.report_of(closes, month, charges, terms_of(settings))
    except ValueError as error:
        raise LedgerError(
            f"a closing of {month} cannot be read: {error}", hint="gpuctl ledger verify"
        ) from None
    return Figures(
        charges=charges,
        report=made,
        problems=whole.problems,
        closed=MappingProxyType(dict(_closed(closes, month))),
    )


def _closed(known: "Closes", month: Month) -> Iterator[tuple[str, str]]:
    for (client, at), close in sorted(known.items()):
        if at == month:
            invoice = f", invoice {close.invoice}" if close.invoice else ""
            yield (
                client,
                f"{client}: closed on {close.at:%Y-%m-%d}{invoice}, shown as it was billed",
            )


def bears_overhead(settings: Settings, client: str) -> bool:
    """Whether a client bears its share of what is no project's own."""
    policy = settings.clients.get(client)
    by_hours = policy is None or policy.overhead.value == "by-hours"
    return settings.share_overhead and by_hours


def _bearing(settings: Settings, known: "Closes", month: Month) -> Callable[[str], bool]:
    """As the settings have it; clients whose month is closed, as they did then."""

    def bears(client: str) -> bool:
        close = known.get((client, month))
        return bears_overhead(settings, client) if close is None else close.overhead

    return bears


class Statement(NamedTuple):
    """A report, what to know about it, and the accounts that were asked for."""

    report: Report
    accounts: tuple[Account, ...]
    problems: tuple[str, ...]
    basis: str
    """`estimated`, `settled` against the bill, or `mixed`: of what was asked for."""


def statement(
    known: Facts,
    period: Period,
    now: datetime,
    settings: Settings,
    *,
    project: str | None = None,
    client: str | None = None,
) -> Statement:
    """Rounded over all projects together, and only then filtered: the same cents each time."""
    made = figures(known, period, now, settings)
    accounts = tuple(
        account
        for account in made.report.accounts
        if (project is None or account.project == project)
        and (client is None or account.client == client)
    )
    asked = (charge for charge in made.charges if _of(charge, project, client))
    shown = dict.fromkeys(account.client for account in accounts)
    closed = tuple(made.closed[name] for name in shown if name in made.closed)
    return Statement(
        report=made.report,
        accounts=accounts,
        problems=(*made.problems, *closed),
        basis=basis(asked),
    )


def terms_of(settings: Settings) -> Callable[[str], Terms]:
    """Who pays, as the settings have it; a project nobody configured is billed at cost."""

    def terms(project: str) -> Terms:
        client = settings.clients.get(client_of(project))
        retainer = client.retainer if client is not None else None
        return Terms(
            absorbed=settings.absorbed(project),
            markup=settings.markup(project),
            cap=client.cap_month if client is not None else None,
            included=retainer.included if retainer is not None else Decimal(0),
        )

    return terms
