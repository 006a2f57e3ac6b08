"""A statement as comma separated values (RFC 4180, UTF-8): what a client can check by itself.

One row for each session and for everything else that is asked for. `amount` of all rows but
`total` adds up to `amount` of `total`, whose `note` holds the statement's notes. Where a price is
missing an amount is empty, never zero. No cell can become a formula in a spreadsheet.
"""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from gpuctl.core.cells import cell
from gpuctl.core.rounding import decimal_text, minor_units
from gpuctl.core.span import format_time
from gpuctl.core.statement import SessionLine, Statement
from gpuctl.documents.entries import Entry, Row, coins, entries
from gpuctl.documents.formats import plain

COLUMNS = (
    "row",
    "client",
    "project",
    "title",
    "month",
    "period_start",
    "period_end",
    "session",
    "machine",
    "provider",
    "zone",
    "type",
    "gpu",
    "gpus",
    "market",
    "start",
    "end",
    "seconds",
    "price_low_usd",
    "price_high_usd",
    "compute",
    "other",
    "amount",
    "currency",
    "fx_per_usd",
    "fx_date",
    "fx_source",
    "fx_quoted",
    "markup_rate",
    "vat_rate",
    "ended_by",
    "status",
    "note",
    "invoice",
    "as_of",
    "ledger",
)


def draw(statement: Statement) -> bytes:
    """The rows with a header, lines ending in CRLF. Times are UTC, `end` empty = still running."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    total = Entry(Row.TOTAL, statement.total, note="; ".join(statement.notes))
    for entry in (*entries(statement), total):
        found = dict(_cells(statement, entry))
        writer.writerow([cell(plain(found.get(name, ""))) for name in COLUMNS])
    return out.getvalue().encode()


def _cells(statement: Statement, entry: Entry) -> Iterator[tuple[str, str]]:
    """What is known, by column; the others stay empty."""
    yield "row", entry.row.value
    yield "client", statement.client
    yield "month", statement.month or ""
    unpriced = entry.session is not None and entry.session.unpriced
    places = minor_units(statement.currency)
    yield "amount", _known(entry.amount, places, unpriced=unpriced)
    yield "currency", statement.currency
    yield "vat_rate", _number(statement.vat_rate)
    yield "status", statement.basis
    yield "note", entry.note
    yield "invoice", statement.invoice or ""
    yield "as_of", format_time(statement.as_of)
    yield "ledger", statement.ledger_head
    provider = entry.session.provider if entry.session else None
    start, end = _period(statement, provider)
    yield "period_start", start
    yield "period_end", end
    if entry.project is not None:
        yield "project", entry.project.project
        yield "title", entry.project.title or ""
        yield "markup_rate", _number(entry.project.markup_rate)
    if statement.exchange is not None:
        yield "fx_per_usd", _number(statement.exchange.per_usd)
        yield "fx_date", statement.exchange.day.isoformat()
        yield "fx_source", statement.exchange.source
        yield "fx_quoted", statement.exchange.quoted
    if entry.session is not None:
        yield from _session(entry.session, places)


def _session(session: SessionLine, places: int) -> Iterator[tuple[str, str]]:
    yield "session", session.session
    yield "machine", session.machine
    yield "provider", session.provider
    yield "zone", session.zone or ""
    yield "type", session.type or ""
    yield "gpu", session.gpu or ""
    yield "gpus", str(session.gpus)
    yield "market", session.market.value if session.market else ""
    yield "start", format_time(session.start)
    yield "end", _time(session.end)
    yield "seconds", str(session.seconds)
    yield "price_low_usd", _number(session.low)
    yield "price_high_usd", _number(session.high)
    yield "compute", _known(session.compute, places, unpriced=session.unpriced)
    yield "other", coins(session.cost - session.compute, places)
    yield "ended_by", session.ended_by.value if session.ended_by else ""
    yield "status", "settled" if session.settled else "estimated"
    if session.unpriced:
        yield "note", "a price is missing: amount is what is known of it"
    if session.free:
        yield "note", "interrupted in the first hour: the machine is not billed"


def _known(amount: Decimal, places: int, *, unpriced: bool) -> str:
    """Empty where the price is missing, which is not nothing."""
    return "" if unpriced and not amount else coins(amount, places)


def _period(statement: Statement, provider: str | None) -> tuple[str, str]:
    """What counts to the period: a provider's own span, or all of them together."""
    spans = [span for span in statement.spans if span.provider == provider] or statement.spans
    return (
        format_time(min(span.start for span in spans)),
        format_time(max(span.end for span in spans)),
    )


def _time(moment: datetime | None) -> str:
    return "" if moment is None else format_time(moment)


def _number(value: Decimal | None) -> str:
    return "" if value is None else decimal_text(value)
