"""What becomes of a leg: whether its command runs, with what it ended, how its machine went."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app.door import open_door
from gpuctl.app.sync import Synced
from gpuctl.core.books import books
from gpuctl.core.checkpoints import Store, found
from gpuctl.core.errors import GpuctlError, NotFound, RemoteFailed
from gpuctl.core.events import Ended as RunEnded
from gpuctl.core.events import Intent, Usage
from gpuctl.core.jobs import Begun, Ended, Job
from gpuctl.core.keeping import code_key, ended_key, root_of
from gpuctl.core.kinds import EndedBy, Kind, State
from gpuctl.core.model import Machine
from gpuctl.core.span import parse_time

_BY_ITSELF = ("Client.InstanceInitiatedShutdown", "compute.instances.guestTerminate")
_FAILED = "compute.instances.hostError"
_NEAR = timedelta(minutes=3)
"""A machine tells its job to end two minutes before its own deadline."""
_TOLD_TO_END = ("deadline", "idle", "spot", "preempted")
_SAVES_WITHIN = timedelta(minutes=5)
"""On a machine that nobody takes away there is time to upload what was saved."""


class Fate(NamedTuple):
    """How a machine ended. `how` as in `core.jobs.Ended`."""

    at: datetime
    how: str


def save_and_end(app: App, job: Job, begun: Begun, machine: Machine) -> int | None:
    """Have the job save itself and end, as before an interruption; its code, None = it did not.

    Waits for as long as an upload may take: the keeper ends after that.
    """
    table = app.settings.template(job.wanted.template).checkpoint
    signal = "TERM" if table is None else table.signal.removeprefix("SIG")
    with app.progress.step(f"{job.wanted.name} saves itself on {machine.name}"):
        if table is not None and table.command is not None:
            words = f'cd "$1" && export GPUCTL_CHECKPOINTS="$2" && {table.command}'
            where = (job.wanted.directory, table.dir)
            app.reach.run(machine, ["sh", "-c", words, "save", *where])
        app.reach.signal_job(machine, begun.remote, signal)
        until = app.clock() + _SAVES_WITHIN
        while app.clock() < until:
            code = app.reach.job_code(machine, begun.remote)
            if code is not None:
                return code
            app.sleep(2.0)
    return None


def machine_of(synced: Synced, begun: Begun) -> Machine | None:
    """As the cloud shows it now; a name that is used again is another machine."""
    return next(
        (m for m in synced.machines if str(m.id) == begun.machine and m.lease == begun.lease), None
    )


def is_up(machine: Machine | None) -> bool:
    """Whether it may be computing."""
    return machine is not None and machine.state in (State.STARTING, State.RUNNING)


def code_of(app: App, synced: Synced, job: Job, begun: Begun, machine: Machine) -> int | None:
    """With which code the command ended; None while it runs, or when that cannot be told.

    NotFound when it left none: the machine was started anew under it.
    """
    try:
        phase = app.reach.job_phase(machine, begun.remote)
    except RemoteFailed:
        told = stored_code(app, job, begun)
        if told is not None or _store(app, job) is not None:
            return told
        # No other way to learn it: let this computer in, though that lets another one out.
        open_door(app, synced, machine)
        phase = app.reach.job_phase(machine, begun.remote)
    if phase == "lost":
        raise NotFound(f"the job {begun.remote} left no exit code on {machine.name}")
    return app.reach.job_code(machine, begun.remote) if phase == "ended" else None


def told_to_end(app: App, job: Job, machine: Machine) -> str | None:
    """Which notice made the command end, as the machine's keeper says; None = none did."""
    if machine.deadline is not None and machine.deadline - app.clock() <= _NEAR:
        return "deadline"
    if job.wanted.keep is None:
        return None
    path = f".gpuctl/checkpoints/{job.wanted.keep}/state.json"
    try:
        code, said = app.reach.run(machine, ["cat", path])
        kind = json.loads(said).get("notice") if code == 0 else None
    except (RemoteFailed, ValueError, AttributeError):
        return None
    return kind if kind in _TOLD_TO_END else None


def fate(app: App, job: Job, begun: Begun) -> Fate | None:
    """How its machine ended; None while the cloud has not said so."""
    run = run_of(app, begun)
    if run is None or run.end is None:
        return None
    return Fate(run.end, _how(app, job, begun, run, run.end))


def run_of(app: App, begun: Begun) -> Usage | None:
    """The run of its machine, as the ledger knows it."""
    return next(
        (
            usage
            for usage in books(app.ledger.events()).usages
            if usage.machine == begun.machine
            and usage.session == begun.lease
            and usage.kind in (Kind.COMPUTE, Kind.VCPU)
        ),
        None,
    )


def _how(app: App, job: Job, begun: Begun, run: Usage, at: datetime) -> str:
    if run.ended_by is EndedBy.PROVIDER:
        return "interrupted"
    if job.leaving is not None and job.leaving.number == begun.leg:
        return "moved"
    events = app.ledger.events()
    reasons = [e.reason for e in events if isinstance(e, RunEnded) and e.usage == run.id]
    ours = any(
        isinstance(e, Intent) and e.verb != "start" and e.lease == begun.lease for e in events
    )
    if not ours and any(reason in (*_BY_ITSELF, _FAILED) for reason in reasons):
        return "lease"
    due = _deadline(app, begun)
    return "lease" if not ours and due is not None and at >= due - _NEAR else "stopped"


def _deadline(app: App, begun: Begun) -> datetime | None:
    lease = books(app.ledger.events()).leases.get(begun.lease)
    return None if lease is None else lease.deadline


def ended(app: App, job: Job, begun: Begun, at: datetime, how: str) -> Ended:
    """A leg's end with what was lost: from the newest checkpoint, or its beginning, to the end.

    To the end of the job where that ended first: it saved itself at a notice.
    """
    computed = min(at, _computed_until(app, job, begun) or at)
    since = _safe_until(app, job, begun, at)
    safe = begun.at if since is None else since
    return Ended(
        leg=begun.leg,
        at=at,
        how=how,
        lost_s=None if since is None else max(0, int((computed - since).total_seconds())),
        kept_s=kept(job) + max(0, int((safe - begun.at).total_seconds())),
    )


def _safe_until(app: App, job: Job, begun: Begun, at: datetime) -> datetime | None:
    """Up to when its work is safe; its beginning where nothing of it is. None = nobody tells."""
    if job.wanted.keep is None:
        return begun.at
    try:
        saved = newest_saved(app, job)
    except (GpuctlError, OSError, ValueError) as error:
        app.progress.note(f"when {job.wanted.name} was saved last cannot be told: {error}")
        return None
    return begun.at if saved is None or saved < begun.at else min(saved, at)


def kept(job: Job) -> int:
    """Seconds of work that were safe when the last leg ended."""
    known = [leg.ended.kept_s for leg in job.legs if leg.ended is not None]
    return max((seconds for seconds in known if seconds is not None), default=0)


def newest_saved(app: App, job: Job) -> datetime | None:
    """When the upload of its newest complete checkpoint began: what came after is not in it.

    None without one, and without a bucket: those of a machine's own disk end with it. Raises what
    the bucket does.
    """
    store, root = _store(app, job), _root(app, job)
    if store is None or root is None:
        return None
    for one in found(store, root):
        if one.problem is None and one.manifest is not None:
            took = timedelta(seconds=one.manifest.milliseconds // 1000)
            return parse_time(one.manifest.saved_at) - took
    return None


def stored_code(app: App, job: Job, begun: Begun) -> int | None:
    """The code that the machine's keeper left in the bucket; None without one."""
    try:
        return int(_left(app, job, begun, code_key))
    except (GpuctlError, OSError, ValueError):
        return None


def _computed_until(app: App, job: Job, begun: Begun) -> datetime | None:
    """Since when the job had ended before its machine did, as the machine's keeper left it."""
    try:
        return parse_time(_left(app, job, begun, ended_key).strip())
    except (GpuctlError, OSError, ValueError):
        return None


def _left(app: App, job: Job, begun: Begun, key: Callable[[str, str, str], str]) -> str:
    store, root = _store(app, job), _root(app, job)
    if store is None or root is None:
        return ""
    return b"".join(store.read(key(root, job.id, begun.lease))).decode()


def _root(app: App, job: Job) -> str | None:
    template = app.settings.templates.get(job.wanted.template)
    table = None if template is None else template.checkpoint
    if table is None or table.bucket is None or job.wanted.keep is None:
        return None
    return root_of(table.bucket, job.wanted.project, job.wanted.keep)


def _store(app: App, job: Job) -> Store | None:
    template = app.settings.templates.get(job.wanted.template)
    if template is None or template.checkpoint is None or template.checkpoint.bucket is None:
        return None
    payer = app.clouds.of(template.provider, job.wanted.project).payer
    return app.clouds.bucket(template.checkpoint.bucket, payer)
