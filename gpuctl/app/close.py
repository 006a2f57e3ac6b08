"""`close`: a client's month is frozen, and what was sent is kept."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from gpuctl.app import money
from gpuctl.app.statement import (
    Books,
    Rates,
    known_client,
    open_books,
    statement_for,
)
from gpuctl.config.model import Settings
from gpuctl.core import closing
from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.events import Close
from gpuctl.core.names import client_of
from gpuctl.core.ports import Ledger
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, format_time
from gpuctl.core.statement import Statement
from gpuctl.core.statements_record import account_record, statement_record


class Asked(NamedTuple):
    """Whose month is to be closed. `anyway`: though a price is missing."""

    client: str
    month: Month
    invoice: str | None = None
    anyway: bool = False
    dry_run: bool = False


class Closed(NamedTuple):
    """The closing, the statement as it is kept, and the exact USD behind it."""

    fact: Close
    statement: Statement
    problems: tuple[str, ...]

    @property
    def usd(self) -> Fraction:
        """What the closing bills, exact: the month's own costs and the corrections."""
        return exact(self.fact)


def exact(fact: Close) -> Fraction:
    """USD that a closing bills: its month's costs and its corrections of earlier ones."""
    parts = [fact.costs, *fact.corrects.values()]
    return sum(
        (Fraction(str(usd)) for part in parts if isinstance(part, dict) for usd in part.values()),
        Fraction(0),
    )


def close(ledger: Ledger, settings: Settings, asked: Asked, now: datetime, rates: Rates) -> Closed:
    """Freeze a client's month. Refusals: UsageProblem (2), GpuctlError (1) for open problems."""
    events = ledger.events()
    client = known_client(events, settings, asked.client)
    _refuse_what_goes_on(asked, now)
    books = open_books(money.Facts(events), money.of_month(asked.month), now, settings)
    before = books.closed.get((client, asked.month))
    if before is not None:
        raise UsageProblem(
            f"{client}'s {asked.month} was closed at {format_time(before.at)}: what is learnt "
            "since is billed as a correction in the next open month",
            hint=f"gpuctl report --client {client} --month {asked.month}",
        )
    problems = _open_problems(books, client)
    if problems and not asked.anyway:
        reasons = "".join(f"\n  {problem}" for problem in problems)
        raise GpuctlError(
            f"{client}'s {asked.month} is not ready to be closed:{reasons}",
            hint=f"gpuctl price update, or gpuctl close {client} --month {asked.month} --anyway",
        )
    statement = statement_for(books, client, settings, now, rates=rates, head=ledger.head)
    statement = statement._replace(invoice=asked.invoice, closed_at=now)
    fact = _fact(books, asked, statement, now)
    fact = fact._replace(overhead=money.bears_overhead(settings, client))
    if not asked.dry_run:
        ledger.append([fact])
    return Closed(fact=fact, statement=statement, problems=tuple(problems))


def closings(ledger: Ledger) -> Sequence[Close]:
    """Every closing that counts, oldest month first."""
    found = closing.closes(ledger.events())
    return [found[key] for key in sorted(found, key=lambda key: (key[1], key[0]))]


def _refuse_what_goes_on(asked: Asked, now: datetime) -> None:
    if not closing.is_over(asked.month, now):
        raise UsageProblem(
            f"{asked.month} is not over yet on every cloud's clocks (Google's are Los Angeles')",
            hint=f"gpuctl close {asked.client} --month {_last_over(now)}",
        )


def _last_over(now: datetime) -> Month:
    last = Month.of(now, billing_zone(None)).previous()
    return last if closing.is_over(last, now) else last.previous()


def _open_problems(books: Books, client: str) -> Sequence[str]:
    """What would make the month's sum wrong: prices that are not known."""
    missing: dict[str, None] = {}
    for charge in books.figures.charges:
        mine = charge.project is not None and client_of(charge.project) == client
        if mine and charge.cost is None and not charge.settled and charge.payer is None:
            place = charge.zone or charge.region or charge.provider
            missing[f"no price for {charge.kind} {charge.sku} in {place}"] = None
    return list(missing)


def _fact(books: Books, asked: Asked, statement: Statement, now: datetime) -> Close:
    mine = [
        charge
        for charge in books.figures.charges
        if charge.project is not None and client_of(charge.project) == asked.client
    ]
    own = [charge for charge in mine if charge.kind != closing.CORRECTION]
    accounts = [a for a in books.figures.report.accounts if a.client == asked.client]
    return Close(
        id=f"close/{asked.client}/{asked.month}",
        client=asked.client,
        month=str(asked.month),
        at=now,
        invoice=asked.invoice,
        costs={name: closing.ratio(usd) for name, usd in sorted(closing.costs(own).items())},
        corrects={month: dict(parts) for month, parts in closing.corrects(mine).items()},
        statement=statement_record(statement),
        accounts={account.project: account_record(account) for account in accounts},
    )
