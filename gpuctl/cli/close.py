"""`close`: a client's month is frozen; later facts become corrections in the next open one."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import clients
from gpuctl.cli.render import Column, emit, emit_json, say
from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.close import Closed
    from gpuctl.core.events import Close
    from gpuctl.core.span import Month
    from gpuctl.core.statement import Statement


@click.command()
@click.argument("client", required=False, shell_complete=clients)
@click.option("--month", metavar="M", help="The month to close: 2025-03, or last.")
@click.option("--invoice", metavar="NO", help="The number of your invoice, kept with it.")
@click.option("--rate", metavar="R", help="The client's currency for one USD: 0.92, or 1/1.0842.")
@click.option(
    "--rates", metavar="FILE", type=click.Path(path_type=Path), help="A file of the ECB's rates."
)
@click.option("--anyway", is_flag=True, help="Though a price is missing.")
@click.option("--dry-run", is_flag=True, help="Show what would be closed, close nothing.")
@click.option("--list", "listing", is_flag=True, help="Show what is closed (also: close ls).")
@command
def close(
    session: Session,
    client: str | None,
    month: str | None,
    *,
    listing: bool,
    **flags: Any,
) -> int:
    """Freeze a client's month: keep the statement as it is sent.

    From then on `report --month` and the statement print these figures, whatever is learnt later.
    The difference is billed as a correction in the first month after it that is still open.
    """
    if listing or (client in ("ls", "list") and month is None):
        return _list(session)
    if client is None or month is None:
        raise UsageProblem("whose month is to be closed?", hint="gpuctl close acme --month last")
    from gpuctl.app import close as app
    from gpuctl.cli.documents import rates_of

    now = session.now()
    asked = app.Asked(
        client=client,
        month=_month(month, now),
        invoice=flags["invoice"],
        anyway=flags["anyway"],
        dry_run=flags["dry_run"],
    )
    settings = session.lenient_config.settings
    rates = rates_of(session, flags["rate"], flags["rates"])
    done = app.close(session.ledger, settings, asked, now, rates)
    _print(session, done, dry_run=asked.dry_run)
    return 0


def _month(text: str, now: datetime) -> "Month":
    from gpuctl.core.rules import billing_zone
    from gpuctl.core.span import Month

    this = Month.of(now, billing_zone(None))
    try:
        return {"this": this, "last": this.previous()}.get(text) or Month.parse(text)
    except ValueError as error:
        raise UsageProblem(str(error), hint="--month 2025-03, or last") from None


def _print(session: Session, done: "Closed", *, dry_run: bool) -> None:
    from gpuctl.core.rounding import decimal_text

    fact, statement = done.fact, done.statement
    if session.output == "json":
        shape = _shape(fact, statement)
        emit_json(
            "close",
            {
                **shape,
                "dry_run": dry_run,
                "cost_usd": decimal_text(done.usd),
                "corrects": {month: dict(_usd(parts)) for month, parts in fact.corrects.items()},
                "statement": fact.statement,
                "problems": list(done.problems),
            },
        )
    else:
        records = [_project(item, statement.currency) for item in statement.projects]
        emit(session, "close", "projects", records, _PROJECTS, empty="nothing was spent")
        if session.output == "table":
            for words in _beside(statement):
                say(session, words)
            say(session, f"total {statement.total} {statement.currency}")
    for note in dict.fromkeys((*done.problems, *statement.notes)):
        click.echo(note, err=True)
    name = f"{fact.client}'s {fact.month}"
    if dry_run:
        click.echo(f"{name} would be closed; nothing was written", err=True)
    else:
        click.echo(f"{name} is closed", err=True)
        click.echo(
            f"Next: gpuctl report --client {fact.client} --month {fact.month} --format pdf",
            err=True,
        )


def _beside(statement: "Statement") -> list[str]:
    """What lies between the projects and the total, so that the lines add up to it."""
    from gpuctl.core.rounding import decimal_text

    words = []
    if statement.fee:
        words.append(f"fee {statement.fee} {statement.currency}")
    if statement.rounding:
        words.append(f"rounding {statement.rounding:+f} {statement.currency}")
    if statement.vat_rate is not None:
        words.append(f"net {statement.net} {statement.currency}")
        rate = decimal_text(statement.vat_rate * 100)
        words.append(f"VAT {rate} % {statement.vat} {statement.currency}")
    return words


def _project(item: Any, currency: str) -> dict[str, Any]:
    return {
        "project": item.project,
        "cost": f"{item.cost:f}",
        "absorbed": f"{item.absorbed:f}",
        "markup": f"{item.markup:f}",
        "billable": f"{item.billable:f}",
        "currency": currency,
    }


_PROJECTS = [
    Column("PROJECT", lambda r: r["project"]),
    Column("COST", lambda r: r["cost"], right=True),
    Column("ABSORBED", lambda r: r["absorbed"], right=True),
    Column("MARKUP", lambda r: r["markup"], right=True),
    Column("BILLABLE", lambda r: f"{r['billable']} {r['currency']}", right=True),
]


def _usd(parts: Any) -> Any:
    from fractions import Fraction

    from gpuctl.core.rounding import decimal_text

    return ((project, decimal_text(Fraction(ratio))) for project, ratio in parts.items())


def _shape(fact: "Close", statement: "Statement | None") -> dict[str, Any]:
    from gpuctl.core.span import format_time

    return {
        "client": fact.client,
        "month": fact.month,
        "invoice": fact.invoice,
        "closed_at": format_time(fact.at),
        "currency": statement and statement.currency,
        "net": statement and f"{statement.net:f}",
        "vat": statement and f"{statement.vat:f}",
        "total": statement and f"{statement.total:f}",
    }


def _sent(fact: "Close") -> "Statement | None":
    """The statement that a closing keeps; None where another program wrote none."""
    from gpuctl.app.statement import statement_in
    from gpuctl.core.errors import LedgerError

    try:
        return statement_in(fact)
    except LedgerError:
        return None


def _list(session: Session) -> int:
    from gpuctl.app.close import closings

    records = [_shape(fact, _sent(fact)) for fact in closings(session.ledger)]
    columns = [
        Column("MONTH", lambda r: r["month"]),
        Column("CLIENT", lambda r: r["client"]),
        Column("INVOICE", lambda r: r["invoice"] or "-"),
        Column("CLOSED", lambda r: r["closed_at"][:10]),
        Column(
            "TOTAL", lambda r: f"{r['total']} {r['currency']}" if r["total"] else "?", right=True
        ),
    ]
    empty = "no month is closed. Next: gpuctl close CLIENT --month last"
    emit(session, "close.list", "closes", records, columns, empty=empty)
    return 0
