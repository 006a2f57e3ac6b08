"""The report as a person reads it in a terminal."""

from decimal import Decimal

from gpuctl.app.money import Period, Statement
from gpuctl.cli.render import Column, as_table, room, say
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import format_time


def print_statement(session: Session, made: Statement, period: Period, *, filtered: bool) -> None:
    """One block for each project with its lines, then the totals."""
    first, *spans = _spans(period)
    say(session, f"{first}{_BASIS[made.basis]}")
    for line in spans:
        say(session, line)
    figures = made.report
    rows: list[dict[str, str]] = []
    for account in made.accounts:
        rows.append(
            _row(account.project, account.cost, account.absorbed, account.markup, account.billable)
        )
        rows += [
            _line(f"  {line.kind} {line.sku or ''}".rstrip(), line.cost, unpriced=line.unpriced)
            for line in account.lines
            if line.cost or line.kind != "settle"  # a bill rounds each of its rows
        ]
        if account.own_account:
            rows.append(_line("  on the client's own account, not billed", account.own_account))
    nobody = figures.unattributed
    if not filtered:
        if nobody:
            rows.append(_row("unattributed", nobody, nobody, Decimal(0), Decimal(0)))
        if figures.idle:
            rows.append(
                _row(
                    "idle part of shared machines",
                    figures.idle,
                    figures.idle,
                    Decimal(0),
                    Decimal(0),
                )
            )
        rows.append(
            _row(
                "total",
                figures.total,
                figures.absorbed + nobody,
                sum((account.markup for account in made.accounts), Decimal(0)),
                figures.billable,
            )
        )
    say(session, as_table(rows, _COLUMNS, room(session)))


_BASIS = {
    "estimated": "",
    "mixed": ", settled against the bill in part",
    "settled": ", settled against the bill",
}


def _spans(period: Period) -> list[str]:
    if period.month is None:
        shown = period.shown
        return [f"{format_time(shown.start)} to {format_time(shown.end)}, in USD"]
    spans = {name: period.month.span(billing_zone(name)) for name in ("aws", "gcp")}
    return [f"{period.month}, in USD"] + [
        f"  {name}: {format_time(span.start)} to {format_time(span.end)}"
        for name, span in spans.items()
    ]


def _row(
    name: str, cost: Decimal, absorbed: Decimal, markup: Decimal, billable: Decimal
) -> dict[str, str]:
    return {
        "project": name,
        "cost": dollars(cost),
        "absorbed": dollars(absorbed) if absorbed else "-",
        "markup": dollars(markup) if markup else "-",
        "billable": dollars(billable),
    }


def _line(name: str, cost: Decimal, *, unpriced: bool = False) -> dict[str, str]:
    """`?` for what has no price: it is missing, not nothing."""
    shown = dollars(cost) if cost or not unpriced else "?"
    if cost and unpriced:
        shown += " + ?"
    return {"project": name, "cost": shown, "absorbed": "", "markup": "", "billable": ""}


_COLUMNS = [
    Column("PROJECT", lambda r: r["project"]),
    Column("COST", lambda r: r["cost"], right=True),
    Column("ABSORBED", lambda r: r["absorbed"], right=True),
    Column("MARKUP", lambda r: r["markup"], right=True),
    Column("BILLABLE", lambda r: r["billable"], right=True),
]
