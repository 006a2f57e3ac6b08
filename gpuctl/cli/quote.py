"""`quote`: what a job will cost and when it will be done, before it begins."""

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import asks, command
from gpuctl.cli.completions import has_ledger, projects, templates
from gpuctl.cli.quoted import hours_text, moment_text
from gpuctl.cli.render import emit, emit_json, say
from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.core.quoting.actual import Actual
    from gpuctl.core.quoting.quote import Quote

_MOST_HOURS = 1_000


@click.group(invoke_without_command=True)
@click.option("-p", "--project", shell_complete=projects, help="Whom it is for: client/project.")
@click.option("--hours", metavar="H|A..B", help="Hours of computing: 30, or 25..40.")
@click.option(
    "--deadline", metavar="T", help='Done by then: "Fri 18:00" here, 5d from now, 2026-03-06.'
)
@click.option("-t", "--template", shell_complete=templates, help="The machine it runs on.")
@click.option("--cached", is_flag=True, help="Ask no cloud: the ledger's prices alone.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html", "pdf"]),
    help="One page for the client: html or pdf.",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Where to.")
@click.option("--rate", metavar="R", help="The client's currency for one USD: 0.92, or 1/1.0842.")
@click.option(
    "--rates", metavar="FILE", type=click.Path(path_type=Path), help="A file of the ECB's rates."
)
@asks
@command
def quote(
    session: Session,
    project: str | None,
    hours: str | None,
    deadline: str | None,
    template: str | None,
    form: str | None,
    **how: Any,
) -> int:
    """What a job will cost and when it will be done, before it begins.

    gpuctl quote -p acme/vision --hours 25..40 --deadline "Fri 18:00" --format pdf

    P50 and P90 are sampled from prices, from what the ledger saw of spot, and from measured
    starts; the ceiling is on demand from start to end. The quote is kept in the ledger.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    if hours is None:
        raise UsageProblem("how many hours of computing?", hint="gpuctl quote --hours 25..40")
    if form == "json":
        session.flag(output="json")
    from gpuctl.app.quote import make_quote
    from gpuctl.app.quote_words import Asked
    from gpuctl.cli.documents import rates_of
    from gpuctl.cli.moment import in_words, moment
    from gpuctl.wiring.chance import chance

    session.flag(project=project, template=template)
    name = session.project(project)
    asked = Asked(
        project=name,
        template=session.settings.template(session.config.template_name(name)),
        hours=_hours(hours),
        deadline=None if deadline is None else moment(deadline, session.now()),
        cached=how["cached"],
    )
    if asked.deadline is not None:
        click.echo(f"done by {in_words(asked.deadline)}", err=True)
    rates = rates_of(session, how["rate"], how["rates"])
    made = make_quote(session.app, asked, chance, rates)
    for note in made.notes:
        click.echo(note, err=True)
    if form in ("html", "pdf") or how["out"] is not None:
        from gpuctl.cli.quote_page import send

        return send(session, made, form or "text", how["out"])
    return show(session, made)


@quote.command("ls")
@click.option("-p", "--project", shell_complete=projects, help="Only this project's.")
@command
def list_(session: Session, project: str | None) -> int:
    """Quotes, oldest first, with what each has come to so far.

    A quote's costs are all that its project costs from then until the next quote of the project,
    or until two weeks after its P90 finish.
    """
    from gpuctl.cli.quoted import COLUMNS, quote_shapes

    found: Sequence[Actual] = ()
    if has_ledger(session):
        from gpuctl.core.quoting.actual import actuals

        wanted = None if project is None else [project]
        found = list(actuals(session.ledger.events(), session.now(), wanted))
    empty = "no quotes. Next: gpuctl quote -p CLIENT/PROJECT --hours 25..40"
    emit(session, "quote.ls", "quotes", quote_shapes(found), COLUMNS, empty=empty)
    for one in found:
        if one.missing:
            click.echo(f"{one.quote.id}: some of it has no price, and is not counted", err=True)
    return 0


def show(session: Session, made: "Quote") -> int:
    """The quote on the terminal, as JSON, or as a row."""
    from gpuctl.core.quoting.quote import quote_shape

    shape = quote_shape(made)
    if session.output == "json":
        emit_json("quote", shape)
        return 0
    if session.output == "csv":
        emit(session, "quote", "quotes", [shape], [])
        return 0
    for line in text(made):
        say(session, line)
    return 0


def text(made: "Quote") -> Sequence[str]:
    """The quote as a person reads it."""
    from gpuctl.core.span import format_time

    basis = made.basis
    until = f", done by {format_time(made.deadline)}" if made.deadline else ""
    hours = hours_text([f"{each:f}" for each in made.hours])
    rows = [
        ("P50", "as likely less as more", made.price.p50, made.finish_p50),
        ("P90", "in nine of ten cases at most", made.price.p90, made.finish_p90),
        ("ceiling", "on demand from start to end", made.price.ceiling, None),
    ]
    width = max(len(f"{price:,}") for _, _, price, _ in rows)
    lines = [f"{made.project}: {hours} h of computing on {basis.type}{until} ({made.way})"]
    for name, words, price, finish in rows:
        when = (
            ""
            if name == "ceiling"
            else f"  {moment_text(None if not finish else format_time(finish))}"
        )
        lines.append(f"  {name:<7}  {made.currency} {price:>{width},}{when:<20}  {words}".rstrip())
    if made.vat_rate is not None:
        lines.append("  without VAT")
    if made.exchange is not None:
        rate = made.exchange
        lines.append(f"  at {rate.quoted} ({rate.source}, {rate.day})")
    lines.append(
        f"from {basis.price_days} days of prices; sessions: {basis.sessions}, "
        f"interruptions: {basis.interruptions}, measured starts: {basis.starts}"
    )
    lines += [f"- {one}" for one in basis.assumed]
    lines.append(
        f"valid until {format_time(made.valid_until)}; kept in the ledger: gpuctl quote ls"
    )
    return lines


def _hours(words: str) -> tuple[Decimal, Decimal]:
    """`25..40`, or `30` for both."""
    match = re.fullmatch(
        r"(\d{1,6}(?:\.\d{1,3})?)(?:\.\.(\d{1,6}(?:\.\d{1,3})?))?", words, re.ASCII
    )
    if match is None:
        raise UsageProblem(f"--hours {words!r} is not hours", hint="--hours 30, or --hours 25..40")
    least = Decimal(match.group(1))
    most = Decimal(match.group(2) or match.group(1))
    if least > most:
        raise UsageProblem(
            f"--hours {words}: the least comes first", hint=f"--hours {most}..{least}"
        )
    if not 0 < least <= most <= _MOST_HOURS:
        raise UsageProblem(f"--hours {words}: from above 0 to {_MOST_HOURS}", hint="--hours 25..40")
    return least, most
