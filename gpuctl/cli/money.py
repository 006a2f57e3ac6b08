"""`spend`, `report`, `budget`: the ledger answers, no cloud is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import asks, command
from gpuctl.cli.completions import clients, projects
from gpuctl.cli.render import Column, Record, emit, say
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, project_text, rate
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.money import Period
    from gpuctl.core.bill import Bill


_FORMATS = ("text", "json", "md", "html", "pdf", "csv", "hledger", "beancount", "xero", "focus")


def period_options(function: Any) -> Any:
    """--from, --to and --month, as every money command takes them."""
    for option in (
        click.option("--month", metavar="M", help="2025-03, this or last: as each cloud bills it."),
        click.option(
            "--to", "end", metavar="T", help="Until then, not included. A date is 00:00Z."
        ),
        click.option("--from", "start", metavar="T", help="From then on. A date is 00:00Z."),
    ):
        function = option(function)
    return function


def period_of(session: Session, start: str | None, end: str | None, month: str | None) -> "Period":
    """What the options say; this month until now without any."""
    from gpuctl.app import money
    from gpuctl.core.rules import billing_zone
    from gpuctl.core.span import Month, parse_moment

    now = session.now()
    try:
        if month is not None:
            if start or end:
                raise UsageProblem("--month says it all: leave out --from and --to")
            this = Month.of(now, billing_zone(None))
            named = {"this": this, "last": this.previous()}.get(month)
            return money.of_month(named or Month.parse(month))
        if start is None and end is None:
            return money.this_month(now)
        default = money.this_month(now).shown
        first = parse_moment(start) if start else default.start
        last = parse_moment(end) if end else now
        if last < first:
            raise UsageProblem(f"--to {last:%Y-%m-%dT%H:%MZ} is before --from {first:%Y-%m-%d}")
        return money.between(first, last)
    except ValueError as error:
        raise UsageProblem(str(error), hint="--month 2025-03, this or last") from None


@click.command()
@click.option("-p", "--project", shell_complete=projects, help="Only this project.")
@click.option("--client", shell_complete=clients, help="Only this client's projects.")
@period_options
@click.option("--by", type=click.Choice(["project", "client", "cloud", "day", "kind"]), help="Sum.")
@click.option(
    "--view",
    type=click.Choice(["exact", "cur"]),
    default="exact",
    show_default=True,
    help="cur: as AWS's own bill prints it.",
)
@command
def spend(
    session: Session,
    project: str | None,
    client: str | None,
    start: str | None,
    end: str | None,
    month: str | None,
    by: str | None,
    view: str,
) -> int:
    """Charges, exact and unrounded."""
    from gpuctl.app import money
    from gpuctl.core.span import format_time

    period = period_of(session, start, end, month)
    found = money.spend(
        session.ledger.events(), period, session.now(), project=project, client=client
    )
    rows, whole = _rows(found, view)
    extra = {
        "from": format_time(period.shown.start),
        "to": format_time(period.shown.end),
        "currency": "USD",
        "total": whole,
    }
    if by is not None and session.output != "json":
        _sums(session, rows, by)
    else:
        emit(session, "spend", "charges", rows, _SPEND, extra=extra, empty="no charges")
    if session.output == "table":
        say(session, f"total {dollars(whole, 4)}")
        _say_settled(session, found)
    for problem in found.problems:
        click.echo(problem, err=True)
    return 0


def _say_settled(session: Session, found: "Bill") -> None:
    settled = [charge for charge in found.charges if charge.settled and charge.payer is None]
    if settled:
        from gpuctl.core.tally import total

        whole = total(settled)
        say(session, f"  settled against the bill {dollars(whole, 4)}")
        say(session, f"  estimated {dollars(found.total - whole, 4)}")


def _rows(found: "Bill", view: str) -> tuple[list[dict[str, Any]], str]:
    from fractions import Fraction

    from gpuctl.cli.money_shapes import charge_shape, cur_cost, cur_shape, exact
    from gpuctl.core.charges import as_aws_prints

    if view == "exact":
        return [charge_shape(charge) for charge in found.charges], exact(found.total)
    charges = list(as_aws_prints(found.charges))
    costs = [cur_cost(charge) or Fraction(0) for charge in charges if charge.payer is None]
    return [cur_shape(charge) for charge in charges], exact(sum(costs, Fraction(0)))


_SPEND = [
    Column("FROM", lambda r: r["from"][:16].replace("T", " ")),
    Column("PROJECT", lambda r: "idle" if r.get("absorbed") else project_text(r["project"])),
    Column("RESOURCE", lambda r: r["resource"] or "-"),
    Column("WHAT", lambda r: f"{r['kind']} {r['sku'] or ''}".strip()),
    Column("SECONDS", lambda r: str(r["seconds"]), right=True),
    Column("RATE", lambda r: f"{rate(r['rate'])}" if r["rate"] else "?", right=True),
    Column("COST", lambda r: dollars(r["cost"], 4), right=True),
]


def _sums(session: Session, rows: list[dict[str, Any]], by: str) -> None:
    from fractions import Fraction

    from gpuctl.core.rounding import decimal_text

    names: dict[str, Callable[[Record], str]] = {
        "project": lambda r: project_text(r["project"]),
        "client": lambda r: project_text(r["project"]).partition("/")[0],
        "cloud": lambda r: r["provider"] or "-",
        "day": lambda r: r["from"][:10],
        "kind": lambda r: r["kind"],
    }
    sums: dict[str, Fraction] = {}
    for row in rows:
        name = names[by](row)
        sums[name] = sums.get(name, Fraction(0)) + Fraction(row["cost"] or 0)
    records = [{by: name, "cost": decimal_text(sums[name])} for name in sorted(sums)]
    columns = [
        Column(by.upper(), lambda r: r[by]),
        Column("COST", lambda r: dollars(r["cost"], 4), right=True),
    ]
    emit(session, "spend", "sums", records, columns, empty="no charges")


@click.command()
@click.option("-p", "--project", shell_complete=projects, help="Only this project.")
@click.option("--client", shell_complete=clients, help="Only this client's projects.")
@period_options
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="A statement for the client (md, html, pdf), or for other programs.",
)
@click.option(
    "--out",
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="Where to; a directory takes one file for each client.",
)
@click.option("--rate", metavar="R", help="The client's currency for one USD: 0.92, or 1/1.0842.")
@click.option(
    "--rates", metavar="FILE", type=click.Path(path_type=Path), help="A file of the ECB's rates."
)
@asks
@command
def report(
    session: Session,
    project: str | None,
    client: str | None,
    start: str | None,
    end: str | None,
    month: str | None,
    form: str | None,
    **how: Any,
) -> int:
    """What each client pays, rounded once; printed lines add up to printed totals.

    Without --format the report in USD. With one, a client's statement in its own currency: a
    month that was closed as it was sent, any other as it stands.
    """
    from gpuctl.app import money
    from gpuctl.cli.money_shapes import account_shape
    from gpuctl.core.span import format_time

    period = period_of(session, start, end, month)
    if form == "json":
        session.flag(output="json")
    elif form not in (None, "text"):
        from gpuctl.cli.documents import rates_of, send

        rates = rates_of(session, how["rate"], how["rates"])
        return send(session, form, period, rates, client=client, project=project, out=how["out"])
    if any(how.values()):
        raise UsageProblem("--out, --rate and --rates go with a document", hint="--format pdf")
    made = money.statement(
        session.ledger.events(),
        period,
        session.now(),
        session.lenient_config.settings,
        project=project,
        client=client,
    )
    figures = made.report
    extra = {
        "from": format_time(period.shown.start),
        "to": format_time(period.shown.end),
        "currency": figures.currency,
        "unattributed": f"{figures.unattributed:f}",
        "idle": f"{figures.idle:f}",
        "total": f"{figures.total:f}",
        "total_billable": f"{figures.billable:f}",
        "total_absorbed": f"{figures.absorbed:f}",
        "basis": made.basis,
        "ledger_head": session.ledger.head,
    }
    records = [account_shape(account) for account in made.accounts]
    if session.output == "table":
        from gpuctl.cli.statement import print_statement

        print_statement(session, made, period, filtered=project is not None or client is not None)
        click.echo(f"ledger {session.ledger.head[:16]}", err=True)
    else:
        emit(session, "report", "projects", records, [], extra=extra)
    for problem in made.problems:
        click.echo(problem, err=True)
    return 0
