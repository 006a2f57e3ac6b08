"""`reconcile`: the ledger against the real bill."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.completions import clients
from gpuctl.cli.session import Session
from gpuctl.core.errors import ChecksFailed, UsageProblem

if TYPE_CHECKING:
    from gpuctl.core.billed import Bill
    from gpuctl.core.span import Month

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--from", "files", metavar="FILE", multiple=True, type=_FILE, help="The bill.")
@click.argument("more", nargs=-1, type=_FILE, metavar="[FILE]...")
@click.option("--aws", "explorer", is_flag=True, help="Ask AWS Cost Explorer (0.01 USD a request).")
@click.option(
    "--bigquery",
    "table",
    metavar="PROJECT.DATASET.TABLE",
    help="Read Google's billing export there.",
)
@click.option("--month", metavar="M", help="2025-03, this or last: only that month of the bill.")
@click.option("--client", shell_complete=clients, help="Only what ran for this client's projects.")
@click.option("--dry-run", is_flag=True, help="Compare and say; write nothing.")
@click.option(
    "--tolerance",
    metavar="PERCENT",
    default="1%",
    show_default=True,
    help="A larger difference is a finding.",
)
@click.option("--per-usd", metavar="RATE", help="The bill's currency for one USD, if it lacks it.")
@asks
@command
def reconcile(
    session: Session,
    *,
    files: tuple[Path, ...],
    more: tuple[Path, ...],
    explorer: bool,
    table: str | None,
    month: str | None,
    client: str | None,
    dry_run: bool,
    tolerance: str,
    per_usd: str | None,
) -> int:
    """Settle the ledger against the real bill; exit 8 where something of ours does not fit.

    FILE: a Cost and Usage Report, a FOCUS export, a spot data feed or a billing export of
    Google's, as CSV, Parquet or JSON Lines, or a directory of them. Without an export, --aws asks
    for this month or the one named; --bigquery reads Google's where it lies.
    """
    from gpuctl.app.reconcile import month_named, settle
    from gpuctl.cli.reconcile_shapes import csv_rows, reconcile_shape
    from gpuctl.cli.render import as_csv, emit_json
    from gpuctl.core.reconcile import Asking

    limit, rate = _percent(tolerance), _rate(per_usd)
    try:
        asked_month = month_named(month, session.now())
    except ValueError as error:
        raise UsageProblem(str(error), hint="--month 2025-03, this or last") from None
    if explorer:
        opened = _asked(session, (*files, *more), asked_month, client)
        if opened is None:
            return 1
    elif table is not None:
        opened = _queried(session, table, (*files, *more), asked_month)
    else:
        opened = _read(session, (*files, *more))
    asking = Asking(source=opened.source, month=asked_month, client=client, per_usd=rate)
    made = settle(session.ledger, opened, session.now(), asking, dry_run=dry_run)
    match session.output:
        case "json":
            emit_json("reconcile", reconcile_shape(made, rows=opened.rows, dry_run=dry_run))
        case "csv":
            click.echo(as_csv(csv_rows(made)), nl=False)
        case _:
            from gpuctl.cli.reconcile_sheet import print_settled

            print_settled(session, made, rows=opened.rows, dry_run=dry_run)
    for problem in made.problems:
        click.echo(problem, err=True)
    for name, closed in made.closed:
        click.echo(
            f"{name}'s {closed} is closed: what changed in it becomes a correction", err=True
        )
    findings = made.found.findings(limit)
    if findings:
        what = "1 finding" if findings == 1 else f"{findings} findings"
        click.echo(f"{what}: ours on one side alone, or apart by over {tolerance}", err=True)
    return ChecksFailed.exit_code if findings else 0


def _asked(
    session: Session, files: tuple[Path, ...], month: "Month | None", client: str | None
) -> "Bill | None":
    """From the cloud itself, once the user has agreed to what asking costs."""
    from gpuctl.app.reconcile import days_to_ask

    if files:
        raise UsageProblem("--aws asks the cloud: leave out --from")
    span = days_to_ask(month, session.now())
    question = (
        "Cost Explorer costs 0.01 USD a request; this takes three, more for long answers. Ask?"
    )
    if not confirmed(session, question):
        return None
    app = session.app
    ref = app.clouds.of("aws", f"{client}/any" if client else None)
    with app.progress.step(
        f"asking Cost Explorer for {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}"
    ):
        return app.clouds.costs(ref, span)


def _queried(
    session: Session, table: str, files: tuple[Path, ...], month: "Month | None"
) -> "Bill":
    """From BigQuery into a file of this process, and from there like any other export."""
    import tempfile

    from gpuctl.app.reconcile import days_to_ask

    if files:
        raise UsageProblem("--bigquery asks the cloud: leave out --from")
    span = days_to_ask(month, session.now(), "gcp")
    app = session.app
    folder = tempfile.TemporaryDirectory(prefix="gpuctl-export-")
    click.get_current_context().call_on_close(folder.cleanup)
    file = Path(folder.name) / f"{table.replace('/', '_')}.jsonl"
    with app.progress.step(f"asking BigQuery for {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}"):
        lines = app.clouds.export("gcp", table, span)
        with file.open("w", encoding="utf-8") as out:
            count = sum(bool(out.write(f"{line}\n")) for line in lines)
    if not count:
        raise UsageProblem(f"{table} has no usage in that time", hint="--month 2025-03")
    return _read(session, (file,))


def _read(session: Session, files: tuple[Path, ...]) -> "Bill":
    from gpuctl.bills import open_bill
    from gpuctl.cli.progress import progress_for

    if not files:
        raise UsageProblem("which bill? Name its files", hint="--from FILE, or --aws")
    progress = progress_for(session.environ, terminal=session.stderr_is_terminal)
    return open_bill(files, progress=progress)


def _percent(text: str) -> Fraction:
    number = _decimal(text.removesuffix("%"))
    if number is None or number < 0:
        raise UsageProblem(f"--tolerance: {text!r} is not a share such as 1%")
    return Fraction(number) / (100 if text.endswith("%") else 1)


def _rate(text: str | None) -> Decimal | None:
    if text is None:
        return None
    number = _decimal(text)
    if number is None or number <= 0:
        raise UsageProblem(f"--per-usd: {text!r} is not a rate such as 0.92")
    return number


def _decimal(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
