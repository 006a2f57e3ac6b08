"""`switch`, `assign`, `split`, `adjust`: whose a cost is."""

import re
from datetime import datetime
from decimal import Decimal

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import machines, projects
from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

_NUMBER = r"[+-]?[0-9]{1,9}(\.[0-9]{1,20})?"


@click.command()
@click.argument("name", shell_complete=machines)
@click.argument("project", shell_complete=projects)
@click.option("--at", metavar="T", help="From that moment on; now without it.")
@command
def switch(session: Session, name: str, project: str, at: str | None) -> int:
    """From now on a machine, with its disk and address, runs for another project."""
    from gpuctl.app.attribute import switch as verb
    from gpuctl.core.span import format_time

    since = _begun(session, "--at", at, f"gpuctl switch {name} {project}") or session.now()
    events = verb(session.app, name, project, since)
    if not events:
        click.echo(f"{name} runs for {project} already: nothing is written", err=True)
        return 0
    when = f" from {format_time(since)} on" if at else ""
    click.echo(f"{len(events)} resources of {name} run for {project}{when}", err=True)
    return 0


@click.command()
@click.argument("resource")
@click.argument("project", shell_complete=projects)
@click.option("--from", "start", metavar="T", help="From then on; from its first run without it.")
@click.option("--to", "end", metavar="T", help="Until then; afterwards it is whose it was.")
@command
def assign(
    session: Session, resource: str, project: str, start: str | None, end: str | None
) -> int:
    """Say whose a resource's cost is: a volume, an address, an instance, a snapshot."""
    from gpuctl.app.attribute import assign as verb

    since = _begun(session, "--from", start, f"gpuctl assign {resource} {project}")
    events = verb(session.app, resource, project, since, _moment(end))
    click.echo(f"{resource} is {project}'s ({len(events)} facts)", err=True)
    return 0


@click.command()
@click.argument("target", metavar="MACHINE|RESOURCE")
@click.argument("shares", nargs=-1, required=True, metavar="PROJECT=SHARE...")
@click.option("--from", "start", metavar="T", required=True, help="From then on.")
@click.option("--to", "end", metavar="T", required=True, help="Until then.")
@click.option("--idle", metavar="SHARE", default="0", help="The share that is nobody's.")
@click.option(
    "--idle-to",
    type=click.Choice(["absorbed", "proportional"]),
    default="absorbed",
    show_default=True,
    help="Who bears the idle share.",
)
@command
def split(
    session: Session,
    target: str,
    shares: tuple[str, ...],
    start: str,
    end: str,
    idle: str,
    idle_to: str,
) -> int:
    """Share a machine's cost: gpuctl split vision-1 acme/vision=150 borealis/nlp=60 …"""
    from gpuctl.app.attribute import split as verb

    since, until = _moment(start), _moment(end)
    if since is None or until is None or until <= since:
        raise UsageProblem("--to is not after --from")
    unused = _amount(idle)
    if unused < 0:
        raise UsageProblem(f"--idle {idle}: a share is not negative")
    events = verb(
        session.app,
        target,
        _shares(shares),
        idle=unused,
        idle_absorbed=idle_to == "absorbed",
        start=since,
        end=until,
    )
    click.echo(f"{len(events)} resources of {target} are shared", err=True)
    return 0


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("project", shell_complete=projects)
@click.argument("amount", metavar="USD")
@click.option("--note", required=True, help="Why, in words the client will read.")
@click.option("--at", metavar="T", help="When it counts; now without it.")
@command
def adjust(session: Session, project: str, amount: str, note: str, at: str | None) -> int:
    """A correction by hand: gpuctl adjust acme/vision -1.20 --note "credit"."""
    from gpuctl.app.attribute import adjust as verb

    if not note.strip():
        raise UsageProblem("a correction needs its reason", hint='--note "credit for the outage"')
    usd = _amount(amount)
    if not usd:
        raise UsageProblem("a correction of nothing", hint="gpuctl adjust PROJECT -1.20 --note …")
    fact = verb(session.app, project, usd, note, _moment(at) or session.now())
    click.echo(f"{project} {fact.usd:+f} USD: {fact.note}", err=True)
    if closed := _closed_month(session, project, fact.at):
        client = project.partition("/")[0]
        click.echo(
            f"{closed} is closed for {client}: this is a correction in {client}'s next open month",
            err=True,
        )
    return 0


def _closed_month(session: Session, project: str, at: datetime) -> str | None:
    """The month of `at`, where the project's client has closed it."""
    from gpuctl.app.close import closings
    from gpuctl.core.rules import billing_zone
    from gpuctl.core.span import Month

    month = str(Month.of(at, billing_zone(None)))
    client = project.partition("/")[0]
    there = any(one.client == client and one.month == month for one in closings(session.app.ledger))
    return month if there else None


def _moment(text: str | None) -> datetime | None:
    from gpuctl.core.span import parse_moment

    try:
        return None if text is None else parse_moment(text)
    except ValueError as error:
        raise UsageProblem(str(error)) from None


def _begun(session: Session, flag: str, text: str | None, bare: str) -> datetime | None:
    """A moment from which something is another's. UsageProblem for one that is still to come."""
    from gpuctl.core.span import format_time

    moment, now = _moment(text), session.now()
    if moment is not None and moment > now:
        raise UsageProblem(
            f"{flag} {text} is {format_time(moment)}, which is still to come: "
            "who has it then is not known before",
            hint=f"{bare} {flag} {format_time(now.replace(microsecond=0))}, or once that moment "
            "is there",
        )
    return moment


def _shares(pairs: tuple[str, ...]) -> dict[str, Decimal]:
    shares: dict[str, Decimal] = {}
    for pair in pairs:
        project, equals, share = pair.partition("=")
        if not equals or project in shares:
            reason = "is named twice" if project in shares else "is not PROJECT=SHARE"
            raise UsageProblem(f"{pair!r} {reason}", hint="acme/vision=60 borealis/nlp=40")
        shares[project] = _amount(share)
        if shares[project] < 0:
            raise UsageProblem(f"{pair!r}: a share is not negative")
    if not any(shares.values()):
        raise UsageProblem("at least one share must be above zero")
    return shares


def _amount(text: str) -> Decimal:
    """A number as people write it, and as the ledger can keep it: no exponent, no separators."""
    bare = text.replace("$", "", 1)
    if not re.fullmatch(_NUMBER, bare, re.ASCII):
        raise UsageProblem(
            f"{text!r} is not a number such as 1.20",
            hint="digits with a point: at most 9 before it, 20 after it",
        )
    return Decimal(bare)
