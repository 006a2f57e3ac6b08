"""`ps`, `down`, `ssh`, `extend`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.completions import machines, projects
from gpuctl.cli.render import Column, Record, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import ago, dollars, project_text, rate, until
from gpuctl.cli.words import BehindDashes
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.gather import Silence


@click.command()
@click.argument("name", required=False, shell_complete=machines)
@click.option("-p", "--project", shell_complete=projects, help="Only this project's machines.")
@click.option("--cached", is_flag=True, help="As last seen: ask no cloud.")
@click.option("-a", "--all", "everything", is_flag=True, help="Those that are gone, too.")
@click.option("-w", "--watch", is_flag=True, help="Again every 5 seconds, until Ctrl-C.")
@command
def ps(
    session: Session,
    name: str | None,
    project: str | None,
    cached: bool,
    everything: bool,
    watch: bool,
) -> int:
    """Machines, their state and their cost.

    NAME is a machine's name, a unique prefix, or its id in the cloud.
    """
    while True:
        code = _list(session, name, project, cached=cached, everything=everything)
        if not watch:
            return code
        session.app.sleep(5)


def _list(
    session: Session, name: str | None, project: str | None, *, cached: bool, everything: bool
) -> int:
    from gpuctl.app import fleet
    from gpuctl.cli.shapes import incomplete, machine_shape
    from gpuctl.core.books import books
    from gpuctl.core.kinds import State

    silent: Sequence[Silence] = ()
    if cached:
        known = books(session.ledger.events())
        machines = list(fleet.cached(known))
    else:
        from gpuctl.app.sync import sync

        if not session.app.clouds.accounts():
            click.echo("no cloud account is in use: gpuctl init", err=True)
        synced = sync(session.app)
        known, silent = synced.books, synced.silent
        machines = list(synced.machines)
        if not everything:
            machines = [machine for machine in machines if machine.state is not State.GONE]
    if name is not None:
        machines = [fleet.pick(machines, name)]
    shown = fleet.show(session.ledger.events(), known, machines, session.now())
    if project is not None:
        shown = [item for item in shown if item.project == project]
    now = session.now()
    columns = [
        Column("MACHINE", lambda r: r["name"]),
        Column("PROJECT", lambda r: project_text(r["project"])),
        Column("TYPE", lambda r: r["type"]),
        Column("GPU", lambda r: f"{r['gpus']}x {r['gpu']}" if r["gpu"] else "-"),
        Column("MARKET", lambda r: r["market"]),
        Column("ZONE", lambda r: r["zone"]),
        Column("STATE", lambda r: r["state"]),
        Column("UP", lambda r: _since(r, now)),
        Column("ENDS IN", lambda r: _left(r, now)),
        Column("$/H", lambda r: rate(r["hourly"]), right=True),
        Column("SO FAR", lambda r: dollars(r["cost"]), right=True),
    ]
    records = [machine_shape(item) for item in shown]
    emit(session, "ps", "machines", records, columns, extra=incomplete(silent), empty="no machines")
    for item in silent:
        click.echo(f"{item.provider} could not be listed: {item.reason}", err=True)
    return 1 if silent else 0


def _since(record: Record, now: datetime) -> str:
    from gpuctl.core.span import parse_time

    if record["state"] not in ("running", "starting") or record["launched_at"] is None:
        return "-"
    return ago(parse_time(record["launched_at"]), now)


def _left(record: Record, now: datetime) -> str:
    from gpuctl.core.span import parse_time

    if record["state"] not in ("running", "starting") or record["deadline"] is None:
        return "-"
    return until(parse_time(record["deadline"]), now)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=machines)
@click.option("--all", "everything", is_flag=True, help="Every machine that costs.")
@click.option(
    "-p",
    "--project",
    shell_complete=projects,
    help="This project's machines (with --all where several run).",
)
@click.option("--delete", is_flag=True, help="Also remove the VM and its disks (Google).")
@click.option("--dry-run", is_flag=True, help="Say what would be ended, and end nothing.")
@asks
@command
def down(
    session: Session,
    names: tuple[str, ...],
    everything: bool,
    project: str | None,
    delete: bool,
    dry_run: bool,
) -> int:
    """End what costs, and print the receipt.

    Terminates on AWS; stops on Google, where the disk stays (and costs) until --delete.
    """
    from gpuctl.app import down as verb
    from gpuctl.app.sync import sync
    from gpuctl.cli.receipts import print_ended
    from gpuctl.core.model import Down

    if names and (everything or project is not None):
        flag = "--all" if everything else "--project"
        raise UsageProblem(f"{flag} and a name contradict each other", hint=f"leave out {flag}")
    how = Down.DELETE if delete else Down.END
    app, ledger = session.stubborn()
    synced = sync(app)
    machines = verb.chosen(synced, names, project, everything=everything, how=how)
    listed = ", ".join(machine.name for machine in machines)
    if dry_run:
        click.echo(f"would end: {listed}", err=True)
        if session.output == "json":
            from gpuctl.app.fleet import show
            from gpuctl.cli.render import emit_json
            from gpuctl.cli.shapes import machine_shape

            shown = show(session.ledger.events(), synced.books, machines, session.now())
            emit_json("down", {"machines": [machine_shape(one) for one in shown], "dry_run": True})
        return 0
    if delete and not confirmed(session, f"Delete {listed} with all disks?", destroys=True):
        return 1
    if everything and not delete and not confirmed(session, f"End {listed}?"):
        return 1
    print_ended(session, verb.down(app, synced, machines, how))
    if ledger.error is not None:
        raise ledger.error
    return 0


@click.command(cls=BehindDashes, context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False, shell_complete=machines)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD]")
@command
def ssh(session: Session, name: str | None, argv: tuple[str, ...]) -> int:
    r"""A shell or a command on a machine.

    \b
    gpuctl ssh                    the only machine
    gpuctl ssh vision-1 -- nvidia-smi
    """
    from gpuctl.app.door import shell
    from gpuctl.app.sync import sync
    from gpuctl.cli.remote import machine_and_argv

    synced = sync(session.app)
    machine, words = machine_and_argv(synced.machines, name, argv)
    return shell(session.app, synced, machine, words)


@click.command()
@click.argument("name", required=False, shell_complete=machines)
@click.option("--by", metavar="D", help="So much later than it ends now: 2h.")
@click.option("--until", "moment", metavar="T", help="At this moment: 2026-11-22T18:00:00Z.")
@command
def extend(session: Session, name: str | None, by: str | None, moment: str | None) -> int:
    """Move the moment at which a machine ends itself."""
    from gpuctl.app import extend as verb
    from gpuctl.app.fleet import lease_of, pick
    from gpuctl.app.sync import sync
    from gpuctl.core.span import format_time, parse_duration, parse_moment

    if (by is None) == (moment is None):
        raise UsageProblem("say --by or --until", hint="gpuctl extend NAME --by 2h")
    try:
        more = timedelta() if by is None else parse_duration(by)
        at = None if moment is None else parse_moment(moment)
    except ValueError as error:
        raise UsageProblem(f"{'--until' if by is None else '--by'} {error}") from None
    synced = sync(session.app)
    machine = pick(synced.machines, name)
    lease = lease_of(synced.books, machine)
    deadline = at or ((lease.deadline if lease else session.now()) + more)
    now_set = verb.extend(session.app, synced, machine, deadline)
    click.echo(f"{machine.name} ends itself at {format_time(now_set)}", err=True)
    return 0
