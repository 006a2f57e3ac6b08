"""`ledger rebuild`."""

from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import project_text
from gpuctl.core.errors import GpuctlError, UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.rebuild import Found, Rebuilt
    from gpuctl.core.events import Leased
    from gpuctl.core.model import Machine


@click.command()
@click.option("--install", metavar="ID", help="The lost installation's id, where several fit.")
@click.option("--dry-run", is_flag=True, help="Show what would come back, and write nothing.")
@asks
@command
def rebuild(session: Session, install: str | None, dry_run: bool) -> int:
    """Make a lost ledger again from what the clouds still tell.

    On a new computer, after `init`: machines that run or are stopped come back with their leases,
    projects and true start, what has ended as far as the clouds list it, and prices for 90 days.
    The new ledger takes over the installation's id from the machines' tags, so that `ps`, `down`
    and `audit --fix` work on them again. A ledger that holds something already is only added to.
    """
    from gpuctl.app import rebuild as verb
    from gpuctl.app.draft import DraftLedger
    from gpuctl.cli.shapes import incomplete

    if not session.app.clouds.accounts():
        raise UsageProblem(
            "no cloud account is in use, so there is nobody to ask", hint="gpuctl init"
        )
    own = session.ledger.install
    found = verb.installations(session.app)
    chosen = verb.choose(session.ledger, found, install)
    if chosen != own and install is None and not dry_run:
        _agreed(session, found, chosen)
    draft = DraftLedger(session.ledger, install=chosen)
    made = verb.rebuild(session.on(draft))
    if not dry_run:
        if chosen != own:
            session.ledger.take_over(chosen)
        session.ledger.append(made.added)
    emit(
        session,
        "ledger.rebuild",
        "leases",
        [_shape(lease, machine) for lease, machine in made.leases],
        _COLUMNS,
        extra=_extra(made, found, own, dry_run=dry_run) | incomplete(made.silent),
        empty="no lease that this ledger does not know",
    )
    _say(made, found, own, dry_run=dry_run)
    return 1 if made.silent else 0


_COLUMNS = (
    Column("NAME", lambda r: r["name"]),
    Column("PROJECT", lambda r: project_text(r["project"])),
    Column("ID", lambda r: r["id"]),
    Column("WHERE", lambda r: r["zone"]),
    Column("STATE", lambda r: r["state"]),
    Column("SINCE", lambda r: r["launched_at"] or "-"),
    Column("DEADLINE", lambda r: r["deadline"]),
    Column("TEMPLATE", lambda r: r["template"] or "?"),
)


def _agreed(session: Session, found: "Found", chosen: str) -> None:
    names = ", ".join(sorted({machine.name for machine in found.machines[chosen]}))
    click.echo(f"installation {chosen}: {names}", err=True)
    question = "Take over its id? Do so only if its own ledger is lost."
    if not confirmed(session, question):
        raise GpuctlError("nothing was written", hint="gpuctl ledger rebuild --dry-run")


def _shape(lease: "Leased", machine: "Machine") -> dict[str, Any]:
    from gpuctl.app.rebuild import UNKNOWN
    from gpuctl.cli.shapes import time_or_none

    return {
        "lease": lease.id,
        "name": lease.name,
        "project": lease.project,
        "provider": lease.provider,
        "account": lease.account,
        "region": machine.id.region,
        "zone": machine.id.zone,
        "id": machine.id.native,
        "state": machine.state.value,
        "launched_at": time_or_none(machine.launched_at),
        "deadline": time_or_none(lease.deadline),
        "template": None if lease.template == UNKNOWN else lease.template,
    }


def _extra(made: "Rebuilt", found: "Found", own: str, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "install": made.install,
        "install_before": own,
        "installations": [
            {"id": install, "machines": sorted({machine.name for machine in machines})}
            for install, machines in found.machines.items()
        ],
        "runs": {
            "open": sum(run.end is None for run in made.runs),
            "ended": sum(run.end is not None for run in made.runs),
        },
        "events": len(made.added),
        "not_restored": list(made.lost),
    }


def _say(made: "Rebuilt", found: "Found", own: str, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    if made.install != own:
        click.echo(f"installation {made.install} {would}taken over", err=True)
    for install, machines in found.machines.items():
        if install != made.install:
            names = ", ".join(sorted({machine.name for machine in machines}))
            click.echo(f"left alone, of installation {install}: {names}", err=True)
    ended = sum(run.end is not None for run in made.runs)
    click.echo(
        f"{would}restored: {len(made.leases)} leases, {len(made.runs) - ended} open runs and "
        f"{ended} ended ones, {len(made.added)} facts in all",
        err=True,
    )
    for line in made.lost:
        click.echo(f"not restored: {line}", err=True)
    for item in made.silent:
        click.echo(f"{item.provider} could not be looked at: {item.reason}", err=True)
