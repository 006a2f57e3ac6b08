"""`report`, `budget`: the ledger answers, no cloud is asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import asks, command
from gpuctl.cli.completions import clients, projects
from gpuctl.cli.periods import period_of, period_options
from gpuctl.cli.render import emit
from gpuctl.cli.session import Session
from gpuctl.cli.whose import check_together, check_whose
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gpuctl.app.money import Period
    from gpuctl.core.events import Event
    from gpuctl.core.quoting.actual import Actual

_FORMATS = ("text", "json", "md", "html", "pdf", "csv", "hledger", "beancount", "xero", "focus")


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
    period = period_of(session, start, end, month)
    if form in ("focus", "text", "json", None):
        check_whose(session, project, client)
    check_together(project, client)
    if form == "json":
        session.flag(output="json")
    elif form not in (None, "text"):
        from gpuctl.cli.documents import rates_of, send

        rates = rates_of(session, how["rate"], how["rates"])
        rated = next((flag for flag in ("rate", "rates") if how[flag] is not None), None)
        return send(
            session,
            form,
            period,
            rates,
            client=client,
            project=project,
            out=how["out"],
            rated=f"--{rated}" if rated else None,
        )
    if how["rate"] or how["rates"]:
        raise UsageProblem("--rate and --rates go with a document", hint="--format pdf")
    if how["out"] is None:
        return _print_report(session, period, project, client)
    from gpuctl.cli.documents import keep_printed

    ending = {"json": ".json", "csv": ".csv"}.get(session.output, ".txt")
    return keep_printed(
        session,
        how["out"],
        period,
        ending,
        lambda: _print_report(session, period, project, client),
    )


def _print_report(
    session: Session, period: "Period", project: str | None, client: str | None
) -> int:
    from gpuctl.app import money
    from gpuctl.cli.money_shapes import account_shape
    from gpuctl.core.span import format_time

    known = money.facts(session.ledger, period)
    made = money.statement(
        known,
        period,
        session.now(),
        session.lenient_config.settings,
        project=project,
        client=client,
    )
    figures = made.report
    extra: dict[str, Any] = {
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
    quotes = _quotes(session, known.events, period, [a.project for a in made.accounts])
    if quotes:
        from gpuctl.cli.quoted import quote_shapes

        extra["quotes"] = quote_shapes(quotes)
    records = [account_shape(account) for account in made.accounts]
    if session.output == "table":
        from gpuctl.cli.statement import print_statement

        print_statement(session, made, period, filtered=project is not None or client is not None)
        if quotes:
            from gpuctl.cli.quoted import print_quotes

            print_quotes(session, quotes)
        click.echo(f"ledger {session.ledger.head[:16]}", err=True)
    else:
        emit(session, "report", "projects", records, [], extra=extra)
    for problem in made.problems:
        click.echo(problem, err=True)
    return 0


def _quotes(
    session: Session, events: "Sequence[Event]", period: "Period", projects: "Collection[str]"
) -> "Sequence[Actual]":
    """Those of these projects; nothing is loaded for a ledger without any."""
    from gpuctl.core.events import Quoted

    if not any(isinstance(event, Quoted) for event in events):
        return ()
    from gpuctl.app.quoted import in_period

    found = in_period(events, session.ledger.events_about, period.shown, session.now())
    return [one for one in found if one.quote.project in projects]
