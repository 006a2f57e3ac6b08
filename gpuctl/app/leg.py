"""One leg of a job: its machine, the start of its command there, what became of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app import job as verb
from gpuctl.app.door import open_door
from gpuctl.app.plan import Plan
from gpuctl.app.sync import Synced
from gpuctl.config.template import Template
from gpuctl.core.bill import bill, fixed
from gpuctl.core.books import books
from gpuctl.core.checkpoints import Store, found
from gpuctl.core.errors import GpuctlError, LedgerError, NotFound, RemoteFailed
from gpuctl.core.events import Ended as RunEnded
from gpuctl.core.events import Event, Intent, JobNote, Leased, Usage
from gpuctl.core.jobs import CLAIMED, Begun, Claim, Ended, Fact, Job, Leg, jobs, note, remote_name
from gpuctl.core.keeping import Keep, code_key, root_of
from gpuctl.core.kinds import EndedBy, Kind, MarketPolicy, State
from gpuctl.core.model import Machine
from gpuctl.core.span import Span, parse_time
from gpuctl.core.tally import total

_BY_ITSELF = ("Client.InstanceInitiatedShutdown", "compute.instances.guestTerminate")
_FAILED = "compute.instances.hostError"
_NEAR = timedelta(minutes=3)
"""A machine tells its job to end two minutes before its own deadline."""
_TOLD_TO_END = ("deadline", "idle", "spot", "preempted")
_MINIMUM = timedelta(minutes=1)
_SAVES_WITHIN = timedelta(minutes=5)
"""On a machine that nobody takes away there is time to upload what was saved."""


class Actor(NamedTuple):
    """A process that pursues jobs. `name` is its own and nobody else's, ever.

    `alive` tells whether the process of that name lives, None where that cannot be told: it is
    another computer's. `confirm` is asked before a machine is started.
    """

    name: str
    host: str
    environ: Mapping[str, str]
    alive: Callable[[str], bool | None] = lambda _: None
    confirm: Callable[[Plan], bool] = lambda _: True
    explain: Callable[[str], None] = lambda _: None
    """Told why, at each decision of a job with a deadline."""


class Fate(NamedTuple):
    """How a machine ended. `how` as in `core.jobs.Ended`."""

    at: datetime
    how: str


def put(app: App, job: str, *facts: Fact) -> bool:
    """Write them, all or none; False when another process had written one of them before."""
    notes = [note(job, fact, getattr(fact, "at", app.clock())) for fact in facts]
    try:
        app.ledger.append(notes)
    except LedgerError:
        there = {event.id for event in app.ledger.events() if isinstance(event, JobNote)}
        if not there & {one.id for one in notes}:
            raise
        return False
    return True


def find(app: App, job: str) -> Job:
    """By its id. NotFound."""
    known = jobs(app.ledger.events()).get(job)
    if known is None:
        raise NotFound(f"there is no job {job}", hint="gpuctl jobs")
    return known


def claim(app: App, actor: Actor, leg: int, turn: int, machine: str) -> Claim:
    """A claim from now on."""
    now = app.clock()
    return Claim(leg, turn, actor.name, now, now + CLAIMED, machine)


def held_by_other(app: App, actor: Actor, held: Claim) -> bool:
    """Whether somebody else is acting, as far as can be told."""
    if held.by == actor.name:
        return False
    return app.clock() < held.until and actor.alive(held.by) is not False


def template_for(app: App, job: Job, held: Claim | None = None) -> Template:
    """The job's template: what is left of its budget, and the place where one was decided."""
    template = app.settings.template(job.wanted.template)
    left = budget_left(app, job)
    if left is not None:
        own = template.budget
        most = Decimal(int(left * 10_000)) / 10_000
        template = replace(template, budget=most if own is None else min(own, most))
    if job.wanted.deadline is not None:
        rest = job.wanted.deadline - app.clock() + timedelta(minutes=10)
        template = replace(template, ttl=max(template.ttl, rest))
    if held is not None and held.market is not None:
        market = MarketPolicy(held.market)
        template = replace(template, market=market, zones=held.zones or template.zones)
        if market is MarketPolicy.ON_DEMAND:
            # `max_price` bounds what spot may cost; the deadline is to be kept.
            template = replace(template, max_price=None)
        if held.type is not None:
            template = replace(template, type=held.type, fallbacks=())
    return template


def budget_left(app: App, job: Job) -> Fraction | None:
    """USD that the job may still cost; None = it has no budget."""
    if job.wanted.budget is None:
        return None
    return Fraction(job.wanted.budget) - spent(app, job)


def spent(app: App, job: Job) -> Fraction:
    """USD that its machines cost until now, those that never began included."""
    return total(
        charge._replace(payer=None)
        for charge in bill(
            app.ledger.events(), fixed(Span(job.at, app.clock() + _MINIMUM)), app.clock()
        ).charges
        if charge.session in set(leases(app, job))
    )


def leases(app: App, job: Job) -> Iterator[str]:
    """The leases of its legs."""
    events = app.ledger.events()
    for leg in job.legs:
        yield from leases_of(events, leg)


def leases_of(events: Iterable[Event], leg: Leg) -> Iterator[str]:
    """The leases of a leg: what was ordered under its machine's name since it was claimed."""
    if leg.begun is not None and leg.claim.existing:
        yield leg.begun.lease
        return
    until = None if leg.ended is None else leg.ended.at
    for event in events:
        if isinstance(event, Leased) and event.name == leg.claim.machine:
            mine = event.at >= leg.claims[0].at and (until is None or event.at <= until)
            if mine or (leg.begun is not None and event.id == leg.begun.lease):
                yield event.id


# --- the start ------------------------------------------------------------------------------


def start(
    app: App, synced: Synced, job: Job, leg: Leg, actor: Actor, machine: Machine
) -> Begun | None:
    """Put the tree there and start the command, unless it runs there already.

    None when another process took the leg over meanwhile. `RemoteFailed` when it is not there.
    """
    wanted = job.wanted
    remote = begun_as(job, leg)
    open_door(app, synced, machine)
    if remote not in app.reach.jobs(machine):
        fetched = fetches(app, job, leg)
        source = None if fetched or wanted.tree is None else Path(wanted.tree)
        if fetched:
            app.reach.run(machine, ["mkdir", "-p", "--", wanted.directory])
        what = verb.Job(
            name=remote,
            argv=wanted.argv,
            directory=wanted.directory,
            source=source,
            exclude=wanted.exclude,
            environ={name: actor.environ[name] for name in wanted.environ},
            keep=_keep(app, job, leg, fetch=fetched),
        )
        if not renewed(app, job, leg, actor):
            return None
        try:
            verb.start(app, synced, machine, what)
        except GpuctlError:
            # Somebody whose claim had run out may have started it in this very moment.
            if remote not in app.reach.jobs(machine):
                raise
    begun = begun_on(machine, leg.number, remote, app.clock())
    put(app, job.id, begun)
    return begun


def begun_on(machine: Machine, leg: int, remote: str, at: datetime) -> Begun:
    """That a leg's command runs on that machine."""
    return Begun(
        leg=leg,
        at=at,
        machine=str(machine.id),
        name=machine.name,
        lease=machine.lease or "",
        zone=machine.id.zone,
        region=machine.id.region,
        type=machine.type,
        market=machine.market.value,
        remote=remote,
    )


def begun_as(job: Job, leg: Leg) -> str:
    """What its command is called on its machine."""
    return remote_name(job.wanted.name, leg.number)


def renewed(app: App, job: Job, leg: Leg, actor: Actor) -> bool:
    """Whether the leg is still ours, for as long again as a claim holds."""
    now = find(app, job.id)
    fresh = now.legs[leg.number - 1]
    if now.over is not None or fresh.ended is not None or fresh.claim.by != actor.name:
        return False
    held = fresh.claim
    return put(
        app,
        job.id,
        held._replace(turn=held.turn + 1, at=app.clock(), until=app.clock() + CLAIMED),
    )


def fetches(app: App, job: Job, leg: Leg) -> bool:
    """Whether the machine has the tree from the bucket: each leg after one that began."""
    table = app.settings.template(job.wanted.template).checkpoint
    bucket = table is not None and table.bucket is not None and job.wanted.keep is not None
    return bucket and any(one.begun is not None for one in job.legs[: leg.number - 1])


def _keep(app: App, job: Job, leg: Leg, *, fetch: bool) -> Keep | None:
    wanted = job.wanted
    table = app.settings.template(wanted.template).checkpoint
    if table is None or wanted.keep is None:
        return None
    first = not any(one.begun is not None for one in job.legs[: leg.number - 1])
    return Keep(
        job=wanted.keep,
        root=root_of(table.bucket, wanted.project, wanted.keep),
        dir=table.dir,
        bucket=table.bucket,
        command=table.command,
        signal=table.signal,
        interval_s=int(table.interval.total_seconds()),
        restore=wanted.restore or not first,
        tree=None if table.bucket is None else job.id,
        fetch=fetch,
    )


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


# --- what became of it ----------------------------------------------------------------------


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
    import json  # noqa: PLC0415 - only jobs that have ended

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
    """A leg's end with what was lost: from the newest checkpoint, or its beginning, to the end."""
    before = kept(job)
    saved = newest_saved(app, job)
    since = begun.at if saved is None or saved < begun.at else min(saved, at)
    knows = job.wanted.keep is None or saved is not None
    return Ended(
        leg=begun.leg,
        at=at,
        how=how,
        lost_s=max(0, int((at - since).total_seconds())) if knows else None,
        kept_s=before + max(0, int((since - begun.at).total_seconds())),
    )


def kept(job: Job) -> int:
    """Seconds of work that were safe when the last leg ended."""
    known = [leg.ended.kept_s for leg in job.legs if leg.ended is not None]
    return max((seconds for seconds in known if seconds is not None), default=0)


def newest_saved(app: App, job: Job) -> datetime | None:
    """When its newest complete checkpoint was saved; None without one, or where nobody tells."""
    store, root = _store(app, job), _root(app, job)
    if store is None or root is None:
        return None
    try:
        for one in found(store, root):
            if one.problem is None and one.manifest is not None:
                return parse_time(one.manifest.saved_at)
    except (GpuctlError, OSError, ValueError) as error:
        app.progress.note(f"when {job.wanted.name} was saved last cannot be told: {error}")
    return None


def stored_code(app: App, job: Job, begun: Begun) -> int | None:
    """The code that the machine's keeper left in the bucket; None without one."""
    store, root = _store(app, job), _root(app, job)
    if store is None or root is None:
        return None
    try:
        said = b"".join(store.read(code_key(root, job.id, begun.lease)))
        return int(said)
    except (GpuctlError, OSError, ValueError):
        return None


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
