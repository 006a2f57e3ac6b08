"""Seeing a job through: one step at a time, by whoever is there to take it.

`step` looks at the ledger and the clouds, does what is due, and says what it did. It may be
called by several processes at once and killed at any moment: what it is about to do is claimed in
the ledger first, a leg has one machine name for good (which `up` starts once at most), and a
machine takes a job's name once.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app import leg as legs
from gpuctl.app.launch import NothingStarted
from gpuctl.app.leg import Actor, find, put
from gpuctl.app.ready import NotReady, set_up
from gpuctl.app.sync import Synced, sync
from gpuctl.app.up import Asked, next_name, up
from gpuctl.core.errors import BudgetExceeded, GpuctlError, NotFound, RemoteFailed, UnknownOutcome
from gpuctl.core.events import JobNote, Leased
from gpuctl.core.jobs import Begun, Claim, Ended, Job, Leg, Over, Wanted, jobs, note
from gpuctl.core.kinds import State as MachineState
from gpuctl.core.model import Down, Machine

LOOK_S = 30.0
"""Between two looks at a job that runs, or at a market that has nothing."""
SOON_S = 5.0


class State(StrEnum):
    """What is to be done next about a job."""

    RUNNING = "running"
    WAITING = "waiting"
    AGAIN = "again"
    OVER = "over"


class Step(NamedTuple):
    """What a step found or did. `says` is for people; `again_s` when to look again."""

    state: State
    says: str
    code: int | None = None
    machine: Machine | None = None
    remote: str | None = None
    again_s: float = LOOK_S


def step(app: App, job_id: str, actor: Actor) -> Step:
    """Do what is due for a job. Errors are those of the clouds; nothing is lost by them."""
    job = find(app, job_id)
    if job.over is not None:
        return _told(job.over)
    template = app.settings.template(job.wanted.template)
    ref = app.clouds.of(template.provider, job.wanted.project)
    synced = sync(app, refs=[ref])
    if synced.silent:
        return Step(State.WAITING, f"{synced.silent[0].provider} could not be listed")
    job = find(app, job_id)
    leg = job.leg
    if job.over is not None:
        return _told(job.over)
    if leg is None or leg.ended is not None:
        return _next(app, synced, job, actor)
    if leg.begun is None:
        return _begin(app, synced, job, leg, actor)
    return _look(app, synced, job, leg.begun)


def _told(over: Over) -> Step:
    return Step(State.OVER, over.why, code=over.code)


def give_up(app: App, job: Job, code: int, why: str) -> Step:
    """The job is over, whoever says so first."""
    put(app, job.id, Over(app.clock(), code, why))
    return _told(find(app, job.id).over or Over(app.clock(), code, why))


# --- a leg that runs ------------------------------------------------------------------------


def _look(app: App, synced: Synced, job: Job, begun: Begun) -> Step:
    machine = legs.machine_of(synced, begun)
    if machine is not None and legs.is_up(machine):
        return _running(app, synced, job, begun, machine)
    fate = legs.fate(app, job, begun)
    if fate is None:
        return Step(
            State.WAITING,
            f"what became of {begun.name} is not known yet",
            again_s=SOON_S,
        )
    code = legs.stored_code(app, job, begun)
    if code is not None:
        return _finish(app, synced, job, begun, code, None)
    over = legs.ended(app, job, begun, fate.at, fate.how)
    put(app, job.id, over)
    if fate.how == "stopped":
        return give_up(app, job, 125, f"{begun.name} was ended before the job was done")
    lost = "" if over.lost_s is None else f"; {over.lost_s} s of work are lost"
    says = {
        "interrupted": f"the cloud took {begun.name} back{lost}",
        "lease": f"{begun.name} ended at the end of its lease{lost}",
    }.get(fate.how, f"{begun.name} has ended{lost}")
    return Step(State.AGAIN, says)


def _running(app: App, synced: Synced, job: Job, begun: Begun, machine: Machine) -> Step:
    runs = Step(
        State.RUNNING,
        f"{job.wanted.name} runs on {machine.name}",
        machine=machine,
        remote=begun.remote,
    )
    try:
        code = legs.code_of(app, synced, job, begun, machine)
        notice = None if code is None else legs.told_to_end(app, job, machine)
    except NotFound as error:
        put(app, job.id, legs.ended(app, job, begun, app.clock(), "lost"))
        return Step(State.AGAIN, error.message)
    except RemoteFailed as error:
        return runs._replace(says=f"{machine.name} cannot be reached: {error.message}")
    if code is None:
        return runs
    if notice in ("spot", "preempted"):
        # AWS ends it, and does not charge for a first hour that it cut short.
        return Step(State.WAITING, f"{machine.name} is about to be taken back", again_s=SOON_S)
    if notice is not None:
        put(app, job.id, legs.ended(app, job, begun, app.clock(), "lease"))
        _down(app, synced, machine)
        return Step(State.AGAIN, f"{machine.name} is at the end of its lease")
    return _finish(app, synced, job, begun, code, machine)


def _finish(
    app: App, synced: Synced, job: Job, begun: Begun, code: int, machine: Machine | None
) -> Step:
    now = app.clock()
    over = Over(now, code, f"{job.wanted.name} ended with {code}")
    put(app, job.id, Ended(begun.leg, now, "exit", code=code, lost_s=0), over)
    if machine is not None and job.wanted.down:
        _down(app, synced, machine)
    return _told(find(app, job.id).over or over)._replace(machine=machine, remote=begun.remote)


def _down(app: App, synced: Synced, machine: Machine) -> None:
    from gpuctl.app.down import down  # noqa: PLC0415 - at the end alone

    down(app, synced, [machine], Down.END)


# --- the next leg ---------------------------------------------------------------------------


def _next(app: App, synced: Synced, job: Job, actor: Actor) -> Step:
    why = _bounds(app, job)
    if why is not None:
        return why
    lacks = lacking(app, job, actor)
    if lacks is not None:
        return Step(State.WAITING, lacks)
    number = len(job.legs) + 1
    made = legs.claim(app, actor, number, 1, _name(app, synced, job))
    return _act(app, synced, job, made, actor)


def _bounds(app: App, job: Job) -> Step | None:
    wanted = job.wanted
    if job.attempts >= wanted.attempts:
        return give_up(
            app, job, 7, f"{wanted.name} was interrupted {job.attempts} times, and is given up"
        )
    left = legs.budget_left(app, job)
    if left is not None and left <= 0:
        return give_up(app, job, 6, f"{wanted.name} has used up its {wanted.budget} USD")
    return None


def lacking(app: App, job: Job, actor: Actor) -> str | None:
    """What this computer lacks to go on with a job, and what to do; None = nothing."""
    wanted = job.wanted
    missing = [name for name in wanted.environ if name not in actor.environ]
    if missing:
        given = " ".join(f"{name}=…" for name in missing)
        return f"{wanted.name} needs {', '.join(missing)}, which this shell lacks: export {given}"
    number = len(job.legs) + 1
    there = Leg(number, (), None, None)
    if wanted.tree is None or actor.host == wanted.host or legs.fetches(app, job, there):
        return None
    return (
        f"{wanted.name} began with {wanted.tree} on {wanted.host}: run gpuctl watch there, or name "
        f"a bucket in the checkpoint table of template {wanted.template} before the next job"
    )


def _name(app: App, synced: Synced, job: Job) -> str:
    """The machine that the last leg left running, else the next name that nobody has."""
    last = job.leg.begun if job.leg is not None else None
    if last is not None:
        machine = legs.machine_of(synced, last)
        if machine is not None and machine.state is MachineState.RUNNING:
            return machine.name
    template = app.settings.template(job.wanted.template)
    name = next_name(synced, Asked(project=job.wanted.project, template=template))
    taken = _claimed(app, job)
    stem, _, number = name.rpartition("-")
    while name in taken and stem and number.isdigit():
        number = str(int(number) + 1)
        name = f"{stem}-{number}"
    return name


def _claimed(app: App, job: Job) -> set[str]:
    """Names of machines that other jobs are about to start."""
    return {
        one.leg.claim.machine
        for one in jobs(app.ledger.events()).values()
        if one.id != job.id and one.open and one.leg is not None and one.leg.ended is None
    }


def _act(app: App, synced: Synced, job: Job, made: Claim, actor: Actor) -> Step:
    """Claim, and begin when the claim is ours."""
    if not put(app, job.id, made):
        return Step(State.AGAIN, "another process was first", again_s=SOON_S)
    if _named_before(app, job, made):
        # Two jobs took one name at the same moment: the later one takes another.
        taken = made._replace(turn=made.turn + 1, machine=_name(app, synced, job))
        if not put(app, job.id, taken):
            return Step(State.AGAIN, "another process was first", again_s=SOON_S)
    job = find(app, job.id)
    leg = job.leg
    if leg is None or job.over is not None:
        return Step(State.AGAIN, "another process was first", again_s=SOON_S)
    return _begin(app, synced, job, leg, actor)


def _named_before(app: App, job: Job, made: Claim) -> bool:
    others = {one.id for one in jobs(app.ledger.events()).values() if one.open} - {job.id}
    for event in app.ledger.events():
        if not isinstance(event, JobNote) or event.what != "claim":
            continue
        if event.job == job.id and event.said["leg"] == made.leg:
            return False
        if event.job in others and event.said["machine"] == made.machine:
            leg = find(app, event.job).leg
            if leg is not None and leg.ended is None and leg.claim.machine == made.machine:
                return True
    return False


def _begin(app: App, synced: Synced, job: Job, leg: Leg, actor: Actor) -> Step:
    """The leg's machine, then its command."""
    held = leg.claim
    if legs.held_by_other(app, actor, held):
        return Step(State.WAITING, f"{held.by} is starting leg {leg.number}", again_s=SOON_S)
    taken_over = held.by != actor.name
    if taken_over:
        lacks = lacking(app, job, actor)
        if lacks is not None:
            return Step(State.WAITING, lacks)
        fresh = legs.claim(app, actor, leg.number, held.turn + 1, held.machine)
        fresh = fresh._replace(existing=held.existing, market=held.market, zones=held.zones)
        if not put(app, job.id, fresh):
            return Step(State.AGAIN, "another process was first", again_s=SOON_S)
        held = fresh
    gone = _gone_before(app, synced, leg)
    if gone is not None:
        put(app, job.id, gone)
        return Step(State.AGAIN, f"{held.machine} ended before the job began")
    machine = _running_named(synced, held.machine)
    if machine is None or not held.existing:
        found = _up(app, job, leg, held, actor, again=taken_over)
        if isinstance(found, Step):
            return found
        machine = found
    try:
        begun = legs.start(app, synced, job, leg, actor, machine)
    except RemoteFailed as error:
        return Step(State.WAITING, f"{machine.name}: {error.message}", again_s=SOON_S)
    if begun is None:
        return Step(State.AGAIN, "another process took the leg over", again_s=SOON_S)
    return Step(
        State.RUNNING,
        f"{job.wanted.name} runs on {machine.name}",
        machine=machine,
        remote=begun.remote,
    )


def _running_named(synced: Synced, name: str) -> Machine | None:
    return next((m for m in synced.machines if m.name == name and legs.is_up(m)), None)


def _up(app: App, job: Job, leg: Leg, held: Claim, actor: Actor, *, again: bool) -> Machine | Step:
    template = legs.template_for(app, job, held)
    avoid = () if job.wanted.deadline is not None else tuple(_avoided(job))
    asked = Asked(project=job.wanted.project, template=template, name=held.machine, avoid=avoid)
    try:
        done = up(app, asked, actor.confirm)
        if done.machine is not None and done.existed and again and not held.existing:
            # Whoever started it may have died before this; a setup can be run twice.
            set_up(app, template, done.machine.machine)
    except NothingStarted as error:
        if leg.number == 1 and not job.decided:
            give_up(app, job, error.exit_code, error.message)
            raise
        return Step(State.WAITING, f"{error.message.splitlines()[0]}")
    except NotReady as error:
        put(app, job.id, Ended(leg.number, app.clock(), "lost", lost_s=0))
        return Step(State.AGAIN, error.message)
    except UnknownOutcome as error:
        return Step(State.WAITING, error.message, again_s=SOON_S)
    except BudgetExceeded as error:
        return give_up(app, job, error.exit_code, error.message)
    if done.machine is None:
        return give_up(app, job, 1, "nothing was started")
    return done.machine.machine


def _avoided(job: Job) -> Sequence[str]:
    zone = job._replace(legs=job.legs[:-1]).lost_zone
    return () if zone is None else (zone,)


def _gone_before(app: App, synced: Synced, leg: Leg) -> Ended | None:
    """The end of a leg whose machine was had, and lost before the command began."""
    if leg.claim.existing:
        return None
    first = leg.claims[0].at
    mine = {
        event.id
        for event in app.ledger.events()
        if isinstance(event, Leased) and event.name == leg.claim.machine and event.at >= first
    }
    had = [
        outcome.machine
        for intent in synced.books.intents.values()
        if intent.lease in mine and intent.verb == "start"
        for outcome in (synced.books.outcomes.get(intent.id),)
        if outcome is not None and outcome.result == "done"
    ]
    if not had:
        return None
    alive = {str(machine.id) for machine in synced.machines if legs.is_up(machine)}
    ends = [u.end for u in synced.books.usages if u.session in mine and u.machine in had]
    last = max((end for end in ends if end is not None), default=None)
    if alive & set(had) or last is None or None in ends:
        return None
    return Ended(leg.number, last, "interrupted", lost_s=0)


def open_jobs(app: App) -> Sequence[Job]:
    """Those that somebody is to see through, the oldest first."""
    return [job for job in jobs(app.ledger.events()).values() if job.open]


def ask(app: App, job: str, wanted: Wanted, held: Claim | None = None) -> None:
    """Put a job into the ledger, with its first leg where that has a machine already."""
    facts = [note(job, wanted, app.clock())]
    if held is not None:
        facts.append(note(job, held, held.at))
    app.ledger.append(facts)


def failed(error: GpuctlError) -> Step:
    """An error of the clouds as a step: nothing was lost, the next look may do better."""
    return Step(State.WAITING, error.message)
