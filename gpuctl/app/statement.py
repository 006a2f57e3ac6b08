"""What a client is sent for a period: as it was closed, or as the ledger has it now."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import NamedTuple

from gpuctl.app import money
from gpuctl.config.model import ClientPolicy, Settings
from gpuctl.core.bill import problems_of, runs
from gpuctl.core.closing import closes
from gpuctl.core.errors import LedgerError, NotFound
from gpuctl.core.events import Adjust, Close, Event, Leased, Price, Quoted, Split, Switch, Usage
from gpuctl.core.names import client_of
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.span import Month, Span
from gpuctl.core.statement import Party, QuoteLine, Statement
from gpuctl.core.statements import statement_of
from gpuctl.core.statements_facts import Customer, Described, Known, Period, Rate
from gpuctl.core.statements_record import UnreadableStatement, read_statement
from gpuctl.core.statements_sessions import Looks

Rates = Callable[[str, date], Rate]
"""(currency, day) -> what a USD was worth. GpuctlError where nobody knows."""

_PROVIDERS = ("aws", "gcp")


class Books(NamedTuple):
    """What every statement of a period is made from; read and reckoned once."""

    events: Sequence[Event]
    period: money.Period
    figures: money.Figures
    usages: Sequence[Usage]
    book: PriceBook
    closed: Mapping[tuple[str, Month], Close]
    quotes: tuple[QuoteLine, ...] = ()
    """Of all clients; of what is billed alone."""


def open_books(
    known: money.Facts,
    period: money.Period,
    now: datetime,
    settings: Settings,
    about: Callable[[Span], Sequence[Event]] | None = None,
) -> Books:
    """The period's figures, for as many statements as are wanted.

    `about` reads the ledger for another span; None = `known` has all of it.
    """
    events = known.events
    return Books(
        events=events,
        period=period,
        figures=money.figures(known, period, now, settings),
        usages=runs(events),
        book=PriceBook(event for event in events if isinstance(event, Price)),
        closed=closes(events),
        quotes=_quotes(events, period, now, about),
    )


def _quotes(
    events: Sequence[Event],
    period: money.Period,
    now: datetime,
    about: Callable[[Span], Sequence[Event]] | None,
) -> tuple[QuoteLine, ...]:
    if not any(isinstance(event, Quoted) for event in events):
        return ()
    from gpuctl.app.quoted import in_period  # noqa: PLC0415 - most ledgers hold no quote

    found = in_period(events, about or (lambda _span: events), period.shown, now)
    return tuple(one.line for one in found if one.quote.billed)


def clients_known(events: Iterable[Event], settings: Settings) -> Sequence[str]:
    """Those of the settings and of the ledger, by name."""
    return sorted({client_of(name) for name in projects_known(events)} | set(settings.clients))


def projects_known(events: Iterable[Event]) -> frozenset[str]:
    """All that the ledger ever named."""
    projects: set[str] = set()
    for event in events:
        match event:
            case Usage() | Switch() | Adjust():
                projects.add(event.project or "")
            case Split():
                projects.update(event.shares)
            case _:
                pass
    return frozenset(projects - {""})


def known_client(events: Iterable[Event], settings: Settings, name: str) -> str:
    """The name itself; NotFound with those there are."""
    known = clients_known(events, settings)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise NotFound(
            f'there is no client "{name}"; known: {", ".join(known) or "none"}',
            hint=f"did you mean {near[0]}?" if near else f"gpuctl client add {name}",
        )
    return name


def clients_to_bill(books: Books, settings: Settings) -> Sequence[str]:
    """Clients with a figure in the period, or with a fee for it."""
    found = {account.client for account in books.figures.report.accounts}
    if books.period.month is not None:
        found |= {name for name, policy in settings.clients.items() if policy.retainer is not None}
        found |= {name for name, month in books.closed if month == books.period.month}
    return sorted(found)


def statement_for(
    books: Books,
    client: str,
    settings: Settings,
    now: datetime,
    *,
    rates: Rates,
    head: str,
) -> Statement:
    """The statement as it was sent where the month is closed; else as of now."""
    month = books.period.month
    close = books.closed.get((client, month)) if month is not None else None
    if close is not None:
        return statement_in(close)
    customer = _customer(client, settings, fee=month is not None)
    rate = None
    if customer.currency != "USD":
        rate = rates(customer.currency, rate_day(books.period, now))
    mine = [c for c in books.figures.charges if c.project and client_of(c.project) == client]
    terms = money.terms_of(settings)
    known = Known(
        charges=mine,
        accounts=[a for a in books.figures.report.accounts if a.client == client],
        terms=terms,
        usages=books.usages,
        book=books.book,
        look=Looks(books.events, client, _attached(books.events, settings)).of,
        problems=tuple(problems_of(mine, books.usages)),
    )
    made = statement_of(customer, _period(books.period), known, rate, now, head)
    quotes = tuple(line for line in books.quotes if client_of(line.project) == client)
    return made._replace(quotes=quotes) if quotes else made


def statement_in(close: Close) -> Statement:
    """The statement that a closing keeps. LedgerError where it is none."""
    try:
        return read_statement(close.statement)
    except UnreadableStatement as error:
        raise LedgerError(
            f"the closing of {close.client}'s {close.month} cannot be read: {error}",
            hint="gpuctl ledger verify",
        ) from None


def narrowed(statement: Statement, project: str) -> Statement:
    """One project of a statement by itself: without the fee and the rounding of the whole."""
    projects = tuple(item for item in statement.projects if item.project == project)
    net = sum((item.billable for item in projects), statement.fee * 0)
    places = minor_units(statement.currency)
    vat = round_half_up(net * (statement.vat_rate or 0), places)
    return statement._replace(
        projects=projects,
        own_account=statement.own_account * 0,
        fee=statement.fee * 0,
        included_usd=statement.included_usd * 0,
        rounding=statement.rounding * 0,
        net=net,
        vat=vat,
        total=net + vat,
        quotes=tuple(line for line in statement.quotes if line.project == project),
        notes=(f"only {project}: a part of the client's statement", *statement.notes),
    )


def rate_day(period: money.Period, now: datetime) -> date:
    """The last day of the period; today while it goes on."""
    return min(period.shown.end - timedelta(seconds=1), now).date()


def _period(period: money.Period) -> Period:
    month = None if period.month is None else str(period.month)
    spans = {name: period.window(name) for name in _PROVIDERS}
    return Period(month=month, spans=spans)


def _customer(client: str, settings: Settings, *, fee: bool) -> Customer:
    policy = settings.clients.get(client, ClientPolicy(name=client))
    retainer = policy.retainer
    me = settings.me
    sender = Party(me.name, me.address, me.vat, me.contact) if me.name else None
    customer = Customer(
        client=client,
        receiver=Party(policy.title or client, policy.address, policy.vat, policy.contact),
        sender=sender,
        currency=policy.currency,
        cap_usd=policy.cap_month,
        step=policy.rounding,
        vat_rate=policy.vat_rate,
        projects={
            name: Described(project.title, project.tags)
            for name, project in settings.projects.items()
            if client_of(name) == client
        },
    )
    if retainer is None:
        return customer
    customer = customer._replace(included_usd=retainer.included)
    return customer._replace(fee=retainer.month) if fee else customer


def _attached(events: Iterable[Event], settings: Settings) -> dict[str, tuple[str, int]]:
    """The GPUs that templates attach, of the templates that leases name."""
    names = {event.template for event in events if isinstance(event, Leased)}
    found = {}
    for name in sorted(names & set(settings.templates)):
        gpu = settings.templates[name].gpu
        if gpu is not None:
            found[name] = (gpu.type, gpu.count)
    return found
