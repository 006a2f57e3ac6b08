"""One command on a machine: push, start detached, follow, pass its end on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuctl.app import App
from gpuctl.app.door import open_door
from gpuctl.app.sync import Synced, sync
from gpuctl.core.errors import GpuctlError, NotFound, RemoteFailed
from gpuctl.core.keeping import Keep
from gpuctl.core.kinds import EndedBy, State
from gpuctl.core.model import Machine

_RECONNECTS = 5
_RECONNECT_S = 2.0


class Interrupted(GpuctlError):
    """The cloud took the machine back while the job ran."""

    exit_code = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run. `directory` is relative to the remote home; `source` None = push nothing."""

    name: str
    argv: tuple[str, ...]
    directory: str
    source: Path | None = None
    exclude: tuple[str, ...] = ()
    environ: Mapping[str, str] | None = None
    keep: Keep | None = None
    """How its checkpoints are kept; None = they are not."""


def start(app: App, synced: Synced, machine: Machine, job: Job) -> None:
    """Push the tree and start the job, detached from this terminal."""
    open_door(app, synced, machine)
    if job.source is not None:
        with app.progress.step(f"pushing {job.source.name or job.source} to {machine.name}"):
            app.reach.push(machine, job.source, job.directory, job.exclude)
    argv = job.argv if job.keep is None else app.reach.keep(machine, job.keep, job.argv)
    app.reach.start_job(machine, job.name, argv, job.directory, job.environ or {})


def follow(
    app: App, synced: Synced, machine: Machine, name: str, write: Callable[[bytes], None]
) -> int:
    """Its log until it ends; its exit code.

    A lost connection is taken up again. `Interrupted` (7) when the cloud took the machine
    back, `NotFound` when there is no such job.
    """
    seen = tries = 0
    while True:
        try:
            for piece in app.reach.follow_job(machine, name, seen):
                write(piece)
                seen, tries = seen + len(piece), 0
            return _code(app, machine, name)
        except RemoteFailed:
            _raise_if_gone(app, synced, machine)
            tries += 1
            if tries > _RECONNECTS:
                raise
            app.sleep(_RECONNECT_S)


def _code(app: App, machine: Machine, name: str) -> int:
    code = app.reach.job_code(machine, name)
    if code is None:
        raise RemoteFailed(f"the job {name} left no exit code", hint=f"gpuctl logs {machine.name}")
    return code


def _raise_if_gone(app: App, synced: Synced, machine: Machine) -> None:
    """Say who ended it, when it ended."""
    provider = app.clouds.connect(synced.ref_of(machine))
    try:
        now = provider.get(machine.id)
        if now.state in (State.RUNNING, State.STARTING):
            return
        ending = now.ending
    except NotFound:
        ending = provider.ending(machine.id)
    sync(app, refs=[synced.ref_of(machine)])
    if ending is not None and ending.by is EndedBy.USER:
        raise RemoteFailed(f"{machine.name} was ended: {ending.reason}", hint="gpuctl ps")
    raise Interrupted(
        f"the cloud took {machine.name} back while the job ran",
        hint=f"gpuctl up -p {machine.project}, then the same again",
    )


def newest(names: Sequence[str]) -> str:
    """The job meant where none is named: the only one. NotFound otherwise."""
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names) or "none"
    raise NotFound(f"which job? There are: {listed}", hint="gpuctl logs NAME --job JOB")
