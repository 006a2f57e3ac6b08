"""A statement for beancount: bookings tagged `#client-project`, linked by the invoice.

It opens the accounts it posts to, and loads without errors on its own.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date

from gpuctl.core.rounding import minor_units
from gpuctl.core.statement import Statement
from gpuctl.documents.books import Booking, Posting, accounts, bookings, day_of, name_of
from gpuctl.documents.entries import coins
from gpuctl.documents.formats import plain


def draw(statement: Statement) -> bytes:
    """The directives. A transaction is marked `*` once the month is closed, `!` before."""
    return "".join(f"{line}\n" for line in _lines(statement)).encode()


def _lines(statement: Statement) -> Iterator[str]:
    yield f"; {statement.client} {statement.month or ''}, {statement.basis}"
    yield f"; ledger {plain(statement.ledger_head)}"
    for note in statement.notes:
        yield f"; note: {plain(note)}"
    yield f'option "operating_currency" "{statement.currency}"'
    opened = _opened(statement)
    for account in accounts(statement):
        yield f"{opened.isoformat()} open {':'.join(account)} {statement.currency}"
    for booking in bookings(statement):
        yield ""
        yield from _transaction(statement, booking)


def _opened(statement: Statement) -> date:
    """Before anything of the period."""
    starts = [span.start.astimezone(UTC).date() for span in statement.spans]
    return min([*starts, day_of(statement)])


def _transaction(statement: Statement, booking: Booking) -> Iterator[str]:
    flag = "*" if statement.closed_at else "!"
    payee = _string(statement.receiver.name)
    tag = _word(booking.project or statement.client)
    link = _word(name_of(statement)) or _word(statement.client)
    day = day_of(statement).isoformat()
    yield f"{day} {flag} {payee} {_string(booking.title)} #{tag} ^{link}"
    yield from _metadata(
        2,
        ("client", statement.client),
        ("project", booking.project),
        ("period", statement.month),
        ("basis", statement.basis),
    )
    places = minor_units(statement.currency)
    for posting in booking.postings:
        amount = coins(posting.amount, places)
        yield f"  {':'.join(posting.account)}  {amount} {statement.currency}"
        yield from _posting_metadata(posting)


def _posting_metadata(posting: Posting) -> Iterator[str]:
    yield from _metadata(
        4,
        ("row", posting.row.value),
        ("session", posting.session),
        ("machine", posting.machine),
        ("note", posting.note),
    )


def _metadata(indent: int, *pairs: tuple[str, str | None]) -> Iterator[str]:
    for name, value in pairs:
        if value:
            yield f"{' ' * indent}{name}: {_string(value)}"


def _string(text: str) -> str:
    """A beancount string, on one line."""
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _word(text: str) -> str:
    """A tag or link: letters, digits, `-`, `_` and `.`; `acme/vision` -> `acme-vision`."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")
