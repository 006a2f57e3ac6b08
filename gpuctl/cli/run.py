"""`run`, `logs`, `push`, `pull`: work on a machine."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import asks, command
from gpuctl.cli.session import Session
from gpuctl.cli.words import BehindDashes, below_the_tree, job_option, words_of
from gpuctl.core.errors import GpuctlError, RemoteFailed, UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.sync import Synced
    from gpuctl.core.model import Machine

_DETACHED = 130


@click.command(cls=BehindDashes, context_settings={"ignore_unknown_options": True})
@click.argument("name", required=False)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED, metavar="-- CMD...")
@click.option("--name", "job", metavar="JOB", callback=job_option, help="What to call the job.")
@click.option("--up", "bring", is_flag=True, help="Start a machine first where none runs.")
@click.option("-p", "--project", help="With --up: whom it is for.")
@click.option("-t", "--template", help="With --up: the recipe.")
@click.option(
    "--resume", type=click.Choice(["auto", "never"]), help="After an interruption go on elsewhere."
)
@click.option("--attempts", type=click.IntRange(1), metavar="N", help="Machines at most: 20.")
@click.option("--budget", metavar="USD", help="For all machines of the job together.")
@click.option("--deadline", metavar="T", help='Be done by then, at least cost: "Fri 18:00", +30h.')
@click.option(
    "--job-hours", metavar="H", help="With --deadline: hours of computing, without stops."
)
@click.option("--explain", is_flag=True, help="With --deadline: say why at each decision.")
@click.option("--no-push", is_flag=True, help="Do not copy the working tree first.")
@click.option("--pull", metavar="DIR", help="Copy this remote directory back at the end.")
@click.option("--down", is_flag=True, help="End the machine when the job has ended.")
@click.option("--detach", is_flag=True, help="Start it and return.")
@click.option("--no-restore", is_flag=True, help="Begin without the newest checkpoint.")
@asks
@command
def run(session: Session, *, name: str | None, argv: tuple[str, ...], **flags: Any) -> int:
    """Push the working tree, run a command, follow its log.

    The job goes on when this terminal closes. Where the template has a checkpoint table, its
    checkpoints are kept under --name (without it, a name made of the command), and the newest one
    is restored into an empty directory first. Its exit code is passed on; 7 when the cloud took
    the machine back, 125 when gpuctl itself failed.

    With --resume auto the next machine is started then, in another zone first, and the job goes on
    from its newest checkpoint: as long as this runs, or `gpuctl watch` does, anywhere. With
    --deadline it is also decided when to wait for spot and when to pay for on-demand.
    """
    if flags["pull"] is not None:
        below_the_tree(flags["pull"])
    if flags["deadline"] is None:
        for flag in ("job_hours", "explain"):
            if flags[flag]:
                word = flag.replace("_", "-")
                raise UsageProblem(f"--{word} goes with --deadline", hint="gpuctl run --help")
    pursued = flags["deadline"] or flags["resume"] == "auto"
    for flag in () if pursued else ("attempts", "budget"):
        if flags[flag] is not None:
            raise UsageProblem(f"--{flag} goes with --resume auto", hint="gpuctl run --help")
    if pursued:
        from gpuctl.cli.pursuit import run_to_the_end

        try:
            return run_to_the_end(session, name, argv, flags)
        except GpuctlError as error:
            raise _ours(error) from error
    return _run_once(session, name, argv, flags)


def _run_once(
    session: Session, name: str | None, argv: tuple[str, ...], flags: dict[str, Any]
) -> int:
    from gpuctl.app import checkpoints as kept
    from gpuctl.app import job as verb
    from gpuctl.app.record import record
    from gpuctl.app.sync import sync
    from gpuctl.cli.remote import machine_and_argv

    # What is lacking here is told before a machine is started for it.
    environ = _environ(session)
    source = None if flags["no_push"] else tree_of(session)
    if flags["bring"]:
        argv = words_of(name, argv)
        name = bring(session, argv, flags)
    synced = sync(session.app)
    machine, words = machine_and_argv(synced.machines, name, argv)
    if not words:
        raise UsageProblem("run what?", hint="gpuctl run -- python train.py")
    wanted = verb.Job(
        name=flags["job"] or f"job-{session.app.new_id()[:6]}",
        argv=after_setup(session, words),
        directory=_directory(machine),
        source=source,
        exclude=session.settings.sync.exclude,
        environ=environ,
        keep=kept.keep_of(
            session.app, machine, flags["job"], words, restore=not flags["no_restore"]
        ),
    )
    try:
        verb.start(session.app, synced, machine, wanted)
    except GpuctlError as error:
        raise _ours(error) from error
    noted = record(session.app, synced, machine, wanted, words, **_commit(source))
    try:
        click.echo(f"job {wanted.name} runs on {machine.name}; Ctrl-C detaches", err=True)
        if flags["detach"]:
            return 0
        code = _follow(session, synced, machine, wanted.name)
    except verb.Interrupted as error:
        noted.interrupted(error.message)
        raise
    except GpuctlError as error:
        raise _ours(error) from error
    if code != _DETACHED:
        noted.ended(code)
    if flags["pull"] is not None:
        pull_back(session, machine, f"{wanted.directory}/{flags['pull']}", flags["pull"])
    if flags["down"]:
        _down(session, machine)
    return code


def _ours(error: GpuctlError) -> GpuctlError:
    """1 is what the user's command may end with: what gpuctl could not do is 125."""
    if error.exit_code != 1:
        return error
    return RemoteFailed(error.message, hint=error.hint, detail=error.detail)


def bring(session: Session, argv: Sequence[str], flags: dict[str, Any]) -> str:
    """`--up`: the machine that is there or was started; its name."""
    from gpuctl.app.up import up
    from gpuctl.cli.up import ask_for, confirm_plan

    if not argv:
        raise UsageProblem("run what?", hint="gpuctl run --up -- python train.py")
    asked = ask_for(session, flags["project"], flags["template"])
    done = up(session.app, asked, lambda plan: confirm_plan(session, plan, asked))
    if done.machine is None:
        raise UsageProblem("nothing was started, and so nothing is run")
    return done.machine.machine.name


def pull_back(session: Session, machine: "Machine", path: str, local: str) -> None:
    """A directory of the machine into the one of the same name here."""
    session.app.reach.pull(machine, path, Path(session.cwd, local), ())


def _commit(source: Path | None) -> "dict[str, Any]":
    from gpuctl.wiring.here import commit

    if source is None:
        return {"commit": None, "dirty": False}
    found = commit(source)
    return {"commit": found.id, "dirty": found.dirty}


def after_setup(session: Session, words: Sequence[str]) -> tuple[str, ...]:
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


def tree_of(session: Session) -> Path:
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
@click.option("--job", "wanted", callback=job_option, help="Which job; the only one without it.")
@command
def logs(session: Session, name: str | None, wanted: str | None) -> int:
    """Follow a job's log; its exit code is passed on."""
    from gpuctl.app import job as verb
    from gpuctl.app.door import open_door

    synced, machine = _running(session, name)
    open_door(session.app, synced, machine)
    chosen = wanted or verb.newest(session.app.reach.jobs(machine))
    return _follow(session, synced, machine, chosen)


@click.command()
@click.argument("name", required=False)
@click.argument(
    "source", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@command
def push(session: Session, name: str | None, source: Path | None) -> int:
    """Copy the working tree (or SOURCE) to a machine: what git would add, less .gpuctlignore."""
    from gpuctl.app.door import open_door

    synced, machine = _running(session, name)
    open_door(session.app, synced, machine)
    tree = source or tree_of(session)
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

    paths = list(session.settings.sync.pull) if path is None else [path]
    if not paths:
        raise UsageProblem("pull what?", hint="gpuctl pull NAME runs/")
    for each in paths:
        below_the_tree(each)
    synced, machine = _running(session, name)
    open_door(session.app, synced, machine)
    for each in paths:
        with session.app.progress.step(f"pulling {each} from {machine.name}"):
            target = (
                directory or Path(tree_of(session), each if each.endswith("/") else "").resolve()
            )
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
