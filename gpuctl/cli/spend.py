"""`spend`: charges, exact; their sums, and a chart of them. No cloud is asked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import clients, projects
from gpuctl.cli.periods import period_of, period_options
from gpuctl.cli.render import Column, emit, say
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, project_text, rate
from gpuctl.cli.whose import check_whose

if TYPE_CHECKING:
    from gpuctl.core.bill import Bill
    from gpuctl.core.charges import Charge

Costs = Sequence[tuple["Charge", Fraction | None]]
"""Charges with what they cost in the view that was asked for."""


@click.command()
@click.option("-p", "--project", shell_complete=projects, help="Only this project.")
@click.option("--client", shell_complete=clients, help="Only this client's projects.")
@period_options
@click.option("--by", type=click.Choice(["project", "client", "cloud", "day", "kind"]), help="Sum.")
@click.option("--chart", is_flag=True, help="Draw the sums; by day without --by.")
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
    *,
    chart: bool,
) -> int:
    """Charges, exact and unrounded."""
    from gpuctl.app import money
    from gpuctl.core.rounding import decimal_text
    from gpuctl.core.span import format_time

    period = period_of(session, start, end, month)
    check_whose(session, project, client)
    found = money.spend(
        session.ledger.events_about(period.shown),
        period,
        session.now(),
        project=project,
        client=client,
    )
    costs, shape = _seen(found, view)
    ours = [(charge, cost) for charge, cost in costs if charge.payer is None]
    whole = decimal_text(sum((cost for _, cost in ours if cost), Fraction(0)))
    by = by or ("day" if chart else None)
    extra: dict[str, Any] = {
        "from": format_time(period.shown.start),
        "to": format_time(period.shown.end),
        "currency": "USD",
        "total": whole,
    }
    if by is None or session.output == "json":
        rows = [shape(charge) for charge, _ in costs]
        if by is not None:
            extra["sums"] = _records(by, _sums(ours, by))
        emit(session, "spend", "charges", rows, _COLUMNS, extra=extra, empty="no charges")
    elif chart and session.output == "table":
        from gpuctl.cli.bars import print_bars

        print_bars(session, _sums(ours, by), every_day=by == "day")
    else:
        columns = [
            Column(by.upper(), lambda r: r[by]),
            Column("COST", lambda r: dollars(r["cost"], 4), right=True),
        ]
        records = _records(by, _sums(ours, by))
        emit(session, "spend", "sums", records, columns, empty="no charges")
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


def _seen(found: "Bill", view: str) -> tuple[Costs, Callable[["Charge"], dict[str, Any]]]:
    from gpuctl.cli.money_shapes import charge_shape, cur_cost, cur_shape

    if view == "exact":
        return [(charge, charge.cost) for charge in found.charges], charge_shape
    from gpuctl.core.charges import as_aws_prints

    return [(charge, cur_cost(charge)) for charge in as_aws_prints(found.charges)], cur_shape


_COLUMNS = [
    Column("FROM", lambda r: r["from"][:16].replace("T", " ")),
    Column("PROJECT", lambda r: "idle" if r.get("absorbed") else project_text(r["project"])),
    Column("RESOURCE", lambda r: r["resource"] or "-"),
    Column("WHAT", lambda r: f"{r['kind']} {r['sku'] or ''}".strip()),
    Column("SECONDS", lambda r: str(r["seconds"]), right=True),
    Column("RATE", lambda r: f"{rate(r['rate'])}" if r["rate"] else "?", right=True),
    Column("COST", lambda r: dollars(r["cost"], 4), right=True),
]


def _sums(costs: Costs, by: str) -> dict[str, Fraction]:
    """Sums by name, in order of the names. What has no price counts nothing."""
    sums: dict[str, Fraction] = {}
    for name, cost in _named(costs, by):
        sums[name] = sums.get(name, Fraction(0)) + cost
    return {name: sums[name] for name in sorted(sums)}


def _named(costs: Costs, by: str) -> Iterator[tuple[str, Fraction]]:
    for charge, cost in costs:
        if by == "day":
            yield from _by_day(charge, cost or Fraction(0))
        else:
            yield _name(charge, by), cost or Fraction(0)


def _name(charge: "Charge", by: str) -> str:
    project = "idle" if charge.absorbed else project_text(charge.project)
    match by:
        case "project":
            return project
        case "client":
            return project.partition("/")[0]
        case "cloud":
            return charge.provider or "-"
        case _:
            return charge.kind


def _by_day(charge: "Charge", cost: Fraction) -> Iterable[tuple[str, Fraction]]:
    """What falls on each of the provider's own days, by the seconds of it."""
    from gpuctl.core.ledger_days import by_day

    for day, piece in by_day(charge):
        part = Fraction(piece.seconds, charge.seconds) if charge.seconds else Fraction(1)
        yield day.isoformat(), cost * part


def _records(by: str, sums: dict[str, Fraction]) -> list[dict[str, Any]]:
    from gpuctl.core.rounding import decimal_text

    return [{by: name, "cost": decimal_text(cost)} for name, cost in sums.items()]
