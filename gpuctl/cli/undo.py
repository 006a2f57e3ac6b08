"""`init --undo`: what gpuctl made in the clouds besides machines, listed and removed."""

from collections.abc import Sequence

import click

from gpuctl.cli.command import confirmed
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import State
from gpuctl.core.model import Footprint, Machine
from gpuctl.core.ports import CloudRef

Made = tuple[CloudRef, Footprint]


def undo(session: Session) -> int:
    """Refuses while machines cost money; asks; removes; names what remains. Exit 1 on failures."""
    from gpuctl.app.gather import ask
    from gpuctl.app.sync import sync

    app = session.app
    synced = sync(app)
    _refuse_while_costing(synced.machines)
    answers = ask(app.clouds.accounts(), app.clouds.connect, lambda cloud: cloud.footprint())
    silent = (*synced.silent, *answers.silent)
    for item in dict.fromkeys(silent):
        click.echo(f"{item.provider} could not be looked at: {item.reason}", err=True)
    made = [(ref, thing) for ref, things in answers.by_cloud.items() for thing in things]
    _print(session, made)
    failed = 0
    if made:
        listed = "1 thing" if len(made) == 1 else f"{len(made)} things"
        if not confirmed(session, f"Remove {listed} from the clouds?", destroys=True):
            return 1
        failed = _erase(session, made)
    _say_what_remains(session, synced.machines)
    return 1 if failed or silent else 0


def _refuse_while_costing(machines: Sequence[Machine]) -> None:
    costing = [m.name for m in machines if m.state not in (State.GONE, State.STOPPED)]
    if costing:
        raise GpuctlError(
            f"machines are still there and cost money: {', '.join(sorted(costing))}",
            hint="gpuctl down --all",
        )


def _print(session: Session, made: Sequence[Made]) -> None:
    records = [
        {
            "provider": thing.provider,
            "account": thing.account,
            "region": thing.region,
            "what": thing.what,
            "resource": thing.resource,
        }
        for _, thing in made
    ]
    columns = [
        Column("CLOUD", lambda r: r["provider"]),
        Column("ACCOUNT", lambda r: r["account"]),
        Column("REGION", lambda r: r["region"]),
        Column("WHAT", lambda r: r["what"]),
        Column("ID", lambda r: r["resource"]),
    ]
    emit(session, "init", "footprint", records, columns, empty="nothing of gpuctl's in the clouds")


def _erase(session: Session, made: Sequence[Made]) -> int:
    """How many could not be removed; the others are."""
    failed = 0
    for ref, thing in made:
        cloud = session.app.clouds.connect(ref)
        try:
            with session.app.progress.step(f"removing {thing.what} {thing.resource}"):
                cloud.erase(thing)
        except GpuctlError as error:
            failed += 1
            click.echo(f"{thing.resource} is still there: {error.message}", err=True)
    return failed


def _say_what_remains(session: Session, machines: Sequence[Machine]) -> None:
    for machine in machines:
        if machine.state is State.STOPPED:
            told = f"{machine.name} is stopped, and its disk still costs"
            click.echo(f"{told}: gpuctl down {machine.name} --delete", err=True)
    places = session.paths
    for told, path in (
        ("your settings stay", places.config),
        ("your ledger stays", places.ledger.path),
    ):
        if path is not None and path.exists():
            click.echo(f"{told}: {path}", err=True)
    click.echo("What else may cost: gpuctl audit", err=True)
