"""A statement as bookings: the sender's books, double entry, one booking for each project.

What is asked for is a claim on the client; cloud cost passed on, markup and fee are income; VAT
is owed. Each booking adds up to zero, and the claims to the statement's total.
"""

from collections.abc import Iterator
from datetime import UTC, date
from decimal import Decimal
from typing import NamedTuple

from gpuctl.core.statement import Statement
from gpuctl.documents.entries import Entry, Row, entries
from gpuctl.documents.formats import plain

Account = tuple[str, ...]

VAT: Account = ("Liabilities", "VAT")


class Posting(NamedTuple):
    """`amount` in the statement's currency: claims positive, income negative."""

    account: Account
    amount: Decimal
    row: Row
    session: str | None = None
    machine: str | None = None
    note: str = ""


class Booking(NamedTuple):
    """One transaction. `project` None = the client's own: fee, rounding, VAT."""

    project: str | None
    title: str
    postings: tuple[Posting, ...]


def bookings(statement: Statement) -> Iterator[Booking]:
    """The statement's bookings, projects first; none for a project that has no entries."""
    groups: dict[str | None, list[Entry]] = {}
    for entry in entries(statement):
        groups.setdefault(entry.project.project if entry.project else None, []).append(entry)
    for project, found in groups.items():
        postings = [_posting(statement.client, entry) for entry in found]
        asked = sum((entry.amount for entry in found), Decimal(0))
        postings.append(Posting(receivable(statement), asked, Row.TOTAL))
        of = found[0].project
        title = (of.title if of else None) or project or "fee, rounding and VAT"
        yield Booking(project, plain(title), tuple(postings))


def receivable(statement: Statement) -> Account:
    """The claim on the client."""
    return ("Assets", "Receivable", _part(statement.client))


def accounts(statement: Statement) -> list[Account]:
    """All accounts that are posted to, in order of name."""
    return sorted({post.account for booking in bookings(statement) for post in booking.postings})


def day_of(statement: Statement) -> date:
    """The day it is booked (UTC): when it was closed; before that, the day it was drawn for."""
    return (statement.closed_at or statement.as_of).astimezone(UTC).date()


def name_of(statement: Statement) -> str:
    """What the bookings are filed under: the invoice, or the client and the period."""
    invoice = plain(statement.invoice or "")
    return invoice or f"{statement.client}-{statement.month or day_of(statement).isoformat()}"


def _posting(client: str, entry: Entry) -> Posting:
    session = entry.session
    return Posting(
        account=_account(client, entry),
        amount=-entry.amount,
        row=entry.row,
        session=plain(session.session) if session else None,
        machine=plain(session.machine) if session else None,
        note=plain(entry.note),
    )


def _account(client: str, entry: Entry) -> Account:
    if entry.row is Row.VAT:
        return VAT
    if entry.project is None:
        return ("Income", entry.row.value.capitalize(), _part(client))
    name = entry.project.project.rpartition("/")[2]
    kind = "Markup" if entry.row is Row.MARKUP else "Cloud"
    return ("Income", kind, _part(client), _part(name))


def _part(name: str) -> str:
    """Part of an account's name: `acme` -> `Acme`, as beancount has them."""
    return name[:1].upper() + name[1:]
