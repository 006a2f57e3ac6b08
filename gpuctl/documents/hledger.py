"""A statement as an hledger journal: bookings with the tags client, project, session and machine.

`hledger check -s` passes: accounts and the currency are declared.
"""

import re
from collections.abc import Iterator

from gpuctl.core.rounding import minor_units
from gpuctl.core.statement import Statement
from gpuctl.documents.books import Booking, Posting, accounts, bookings, day_of, name_of
from gpuctl.documents.entries import coins
from gpuctl.documents.formats import plain


def draw(statement: Statement) -> bytes:
    """The journal. A transaction is marked `*` once the month is closed, `!` before."""
    return "".join(f"{line}\n" for line in _lines(statement)).encode()


def _lines(statement: Statement) -> Iterator[str]:
    places = minor_units(statement.currency)
    yield f"; {statement.client} {statement.month or ''}, {statement.basis}"
    yield f"; ledger {_text(statement.ledger_head)}"
    for note in statement.notes:
        yield f"; note: {plain(note)}"
    # The mark is needed even where no decimals follow it, else hledger refuses the line.
    yield f"commodity 1000.{'0' * places} {statement.currency}"
    for account in accounts(statement):
        yield f"account {':'.join(account)}"
    for booking in bookings(statement):
        yield ""
        yield from _transaction(statement, booking, places)


def _transaction(statement: Statement, booking: Booking, places: int) -> Iterator[str]:
    flag = "*" if statement.closed_at else "!"
    code = re.sub(r"[()]", " ", _text(name_of(statement)))
    payee = _text(statement.receiver.name).replace("|", "/") or statement.client
    title = _text(booking.title).replace("|", "/")
    yield f"{day_of(statement).isoformat()} {flag} ({code}) {payee} | {title}"
    yield from _tags(
        ("client", statement.client),
        ("project", booking.project),
        ("period", statement.month),
        ("basis", statement.basis),
    )
    for posting in booking.postings:
        amount = coins(posting.amount, places)
        yield f"    {':'.join(posting.account)}  {amount} {statement.currency}"
        yield from _posting_tags(posting)


def _posting_tags(posting: Posting) -> Iterator[str]:
    yield from _tags(
        ("row", posting.row.value),
        ("session", posting.session),
        ("machine", posting.machine),
        ("note", posting.note),
    )


def _tags(*tags: tuple[str, str | None]) -> Iterator[str]:
    """A tag a line: its value goes on to the end of the line."""
    for name, value in tags:
        if value:
            yield f"    ; {name}: {_text(value)}"


def _text(text: str) -> str:
    """Without what hledger reads as its own: `;` comments, `,` ends a tag, `[…]` dates."""
    return " ".join(re.sub(r"[;,\[\]]", " ", plain(text)).split())
