"""`run`, `logs`, `push`, `pull`: work on a machine."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli.command import command
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, RemoteFailed, UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.sync import Synced
    from gpuctl.core.model import Machine

_DETACHED = 130


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD...")
@click.option("--name", "job", metavar="JOB", help="What to call the job.")
@click.option("--no-push", is_flag=True, help="Do not copy the working tree first.")
@click.option("--pull", metavar="DIR", help="Copy this remote directory back at the end.")
@click.option("--down", is_flag=True, help="End the machine when the job has ended.")
@click.option("--detach", is_flag=True, help="Start it and return.")
@click.option("--no-restore", is_flag=True, help="Begin without the newest checkpoint.")
@command
def run(
    session: Session,
    *,
    name: str | None,
    argv: tuple[str, ...],
    job: str | None,
    no_push: bool,
    pull: str | None,
    down: bool,
    detach: bool,
    no_restore: bool,
) -> int:
    """Push the working tree, run a command, follow its log.

    The job goes on when this terminal closes. Where the template has a checkpoint table, its
    checkpoints are kept under --name (without it, a name made of the command), and the newest one
    is restored into an empty directory first. Its exit code is passed on; 7 when the cloud took
    the machine back, 125 when gpuctl itself failed.
    """
    from gpuctl.app import checkpoints as kept
    from gpuctl.app import job as verb
    from gpuctl.app.sync import sync
    from gpuctl.cli.remote import machine_and_argv

    synced = sync(session.app)
    machine, words = machine_and_argv(synced.machines, name, argv)
    if not words:
        raise UsageProblem("run what?", hint="gpuctl run -- python train.py")
    source = None if no_push else _tree(session)
    wanted = verb.Job(
        name=job or f"job-{session.app.new_id()[:6]}",
        argv=_after_setup(session, words),
        directory=_directory(machine),
        source=source,
        exclude=session.settings.sync.exclude,
        environ=_environ(session),
        keep=kept.keep_of(session.app, machine, job, words, restore=not no_restore),
    )
    try:
        verb.start(session.app, synced, machine, wanted)
        click.echo(f"job {wanted.name} runs on {machine.name}; Ctrl-C detaches", err=True)
        if detach:
            return 0
        code = _follow(session, synced, machine, wanted.name)
    except GpuctlError as error:
        if error.exit_code == 1:
            raise RemoteFailed(error.message, hint=error.hint, detail=error.detail) from error
        raise
    if pull is not None:
        session.app.reach.pull(machine, f"{wanted.directory}/{pull}", Path(session.cwd, pull), ())
    if down:
        _down(session, machine)
    return code


def _after_setup(session: Session, words: Sequence[str]) -> tuple[str, ...]:
    """The command, behind the project's own `[run] setup` where there is one."""
    setup = session.settings.run.setup
    if setup is None:
        return tuple(words)
    return ("sh", "-c", f'set -e\n{setup}\nexec "$@"', "sh", *words)


def _follow(session: Session, synced: "Synced", machine: "Machine", job: str) -> int:
    from gpuctl.app import job as verb

    try:
        return verb.follow(session.app, synced, machine, job, _write)
    except KeyboardInterrupt:
        click.echo(
            f"\nDetached: job {job} goes on. gpuctl logs {machine.name} --job {job}", err=True
        )
        return _DETACHED


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


def _down(session: Session, machine: "Machine") -> None:
    from gpuctl.app import down as verb
    from gpuctl.app.sync import sync
    from gpuctl.cli.receipts import print_ended
    from gpuctl.core.model import Down

    app, ledger = session.stubborn()
    synced = sync(app)
    chosen = verb.chosen(synced, [machine.name], None, everything=False, how=Down.END)
    print_ended(session, verb.down(app, synced, chosen, Down.END))
    if ledger.error is not None:
        raise ledger.error


def _tree(session: Session) -> Path:
    """The project file's directory where there is one, else the current one."""
    file = session.paths.project_file
    return file.parent if file is not None else session.cwd


def _directory(machine: "Machine") -> str:
    return "work/" + (machine.project or "nobody/nothing").partition("/")[2]


def _environ(session: Session) -> dict[str, str]:
    """Values of the variables that `[run] env` names, from this shell; they are never stored."""
    names = session.settings.run.env
    missing = [name for name in names if name not in session.environ]
    if missing:
        raise UsageProblem(
            f"[run] env names {', '.join(missing)}, which this shell does not have",
            hint=f"export {missing[0]}=…",
        )
    return {name: session.environ[name] for name in names}


@click.command()
@click.argument("name", required=False)
@click.option("--job", help="Which job; the only one without it.")
@command
def logs(session: Session, name: str | None, job: str | None) -> int:
    """Follow a job's log; its exit code is passed on."""
    from gpuctl.app import job as verb
    from gpuctl.app.door import open_door

    synced, machine = _running(session, name)
    open_door(session.app, synced, machine)
    chosen = job or verb.newest(session.app.reach.jobs(machine))
    return _follow(session, synced, machine, chosen)


@click.command()
@click.argument("name", required=False)
@click.argument("source", required=False, type=click.Path(exists=True, path_type=Path))
@command
def push(session: Session, name: str | None, source: Path | None) -> int:
    """Copy the working tree (or SOURCE) to a machine: what git would add, less .gpuctlignore."""
    from gpuctl.app.door import open_door

    synced, machine = _running(session, name)
    open_door(session.app, synced, machine)
    tree = source or _tree(session)
    exclude = session.settings.sync.exclude
    with session.app.progress.step(f"pushing {tree.name or tree} to {machine.name}"):
        done = session.app.reach.push(machine, tree, _directory(machine), exclude)
    click.echo(f"{done.files} files, {done.bytes:,} bytes", err=True)
    return 0


@click.command()
@click.argument("name", required=False)
@click.argument("path", required=False)
@click.option("--to", "directory", type=click.Path(path_type=Path), help="Into this directory.")
@command
def pull(session: Session, name: str | None, path: str | None, directory: Path | None) -> int:
    """Copy PATH (below the pushed tree) from a machine; without PATH what [sync] pull names."""
    from gpuctl.app.door import open_door

    synced, machine = _running(session, name)
    open_door(session.app, synced, machine)
    paths = [path] if path else list(session.settings.sync.pull)
    if not paths:
        raise UsageProblem("pull what?", hint="gpuctl pull NAME runs/")
    for each in paths:
        with session.app.progress.step(f"pulling {each} from {machine.name}"):
            target = directory or Path(_tree(session), each if each.endswith("/") else "").resolve()
            done = session.app.reach.pull(machine, f"{_directory(machine)}/{each}", target, ())
        click.echo(f"{done.files} files, {done.bytes:,} bytes into {target}", err=True)
    return 0


def _running(session: Session, name: str | None) -> "tuple[Synced, Machine]":
    from gpuctl.app.fleet import pick
    from gpuctl.app.sync import sync
    from gpuctl.core.kinds import State

    synced = sync(session.app)
    machine = pick(synced.machines, name)
    if machine.state is not State.RUNNING:
        raise UsageProblem(f"{machine.name} is {machine.state}", hint=f"gpuctl up {machine.name}")
    return synced, machine
