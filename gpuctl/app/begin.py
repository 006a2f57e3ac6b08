"""Beginning a leg: the claim, the machine, the command; and moving from one machine to the next."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from gpuctl.app import App, fates
from gpuctl.app import leg as legs
from gpuctl.app.launch import NothingStarted
from gpuctl.app.leg import Actor, find, put
from gpuctl.app.ready import NotReady, set_up
from gpuctl.app.steps import SOON_S, State, Step, end_machine, finish, give_up, running_named
from gpuctl.app.sync import Synced, sync
from gpuctl.app.up import Asked, next_name, up
from gpuctl.core.errors import BudgetExceeded, RemoteFailed, UnknownOutcome
from gpuctl.core.events import JobNote, Leased
from gpuctl.core.jobs import CLAIMED, Claim, Ended, Job, Leg, jobs
from gpuctl.core.kinds import State as MachineState
from gpuctl.core.model import Machine


def new_claim(app: App, synced: Synced, job: Job, actor: Actor) -> Claim:
    """The next leg's, not written yet."""
    return legs.claim(app, actor, len(job.legs) + 1, 1, _name(app, synced, job))


def act(app: App, synced: Synced, job: Job, made: Claim, actor: Actor) -> Step:
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
    return begin(app, synced, job, leg, actor)


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


def begin(app: App, synced: Synced, job: Job, leg: Leg, actor: Actor) -> Step:
    """The leg's machine, then its command; unless somebody else is at it."""
    held = _hold(app, job, leg, actor)
    if isinstance(held, Step):
        return held
    had = _had(app, synced, leg)
    if had and not _still_up(synced, had):
        end = _end_of(synced, had)
        if end is None:
            # Another one now would be a second machine of this leg.
            says = f"what became of {held.machine} is not known yet"
            return Step(State.WAITING, says, again_s=SOON_S)
        put(app, job.id, Ended(leg.number, end, "interrupted", lost_s=0))
        return Step(State.AGAIN, f"{held.machine} ended before the job began")
    if job.leaving is not None:
        moved = _leave(app, synced, job, leg, actor)
        if moved is not None:
            return moved
    machine = running_named(synced, held.machine)
    if machine is None or not held.existing:
        again = held.by != leg.claim.by or job.leaving is not None
        found = _up(app, job, leg, held, actor, again=again)
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


def _hold(app: App, job: Job, leg: Leg, actor: Actor) -> Claim | Step:
    """The leg's claim, ours: as it was made, or taken over from who does not act any more."""
    held = leg.claim
    if legs.held_by_other(app, actor, held):
        return Step(State.WAITING, f"{held.by} is starting leg {leg.number}", again_s=SOON_S)
    if held.by == actor.name:
        return held
    lacks = lacking(app, job, actor)
    if lacks is not None:
        return Step(State.WAITING, lacks)
    now = app.clock()
    fresh = held._replace(turn=held.turn + 1, by=actor.name, at=now, until=now + CLAIMED)
    if not put(app, job.id, fresh):
        return Step(State.AGAIN, "another process was first", again_s=SOON_S)
    return fresh


def _leave(app: App, synced: Synced, job: Job, leg: Leg, actor: Actor) -> Step | None:
    """A move: have the next machine, then have the job save itself on this one, and end it.

    None when that is done. Where the next one is refused, the job stays where it is.
    """
    before = job.leaving
    if before is None or before.begun is None:
        return None
    begun = before.begun
    machine = fates.machine_of(synced, begun)
    if machine is None or not fates.is_up(machine):
        fate = fates.fate(app, job, begun)
        if fate is None:
            says = f"what became of {begun.name} is not known yet"
            return Step(State.WAITING, says, again_s=SOON_S)
        put(app, job.id, fates.ended(app, job, begun, fate.at, fate.how))
        return None
    code = fates.code_of(app, synced, job, begun, machine)
    if code is None:
        found = _up(app, job, leg, leg.claim, actor, again=False, detach=True)
        if isinstance(found, Step):
            return found._replace(state=State.AGAIN)
        code = fates.save_and_end(app, job, begun, machine)
    elif fates.told_to_end(app, job, machine) is not None:
        code = None
    if code == 0:
        fresh = sync(app, refs=[synced.ref_of(machine)])
        return finish(app, fresh, job, begun, code, machine)
    put(app, job.id, fates.ended(app, job, begun, app.clock(), "moved"))
    end_machine(app, synced, machine)
    return None


def _up(
    app: App, job: Job, leg: Leg, held: Claim, actor: Actor, *, again: bool, detach: bool = False
) -> Machine | Step:
    template = legs.template_for(app, job, held)
    avoid = held.zones[1:] if job.wanted.deadline is not None else _avoided(job)
    asked = Asked(
        project=job.wanted.project,
        template=template,
        name=held.machine,
        avoid=avoid,
        detach=detach,
    )
    try:
        done = up(app, asked, actor.confirm)
        if done.machine is not None and done.existed and again and not (held.existing or detach):
            # Whoever started it may have died before this; a setup can be run twice.
            set_up(app, template, done.machine.machine)
    except NothingStarted as error:
        if job.wanted.deadline is not None:
            put(app, job.id, Ended(leg.number, app.clock(), "refused", lost_s=0))
            return Step(State.WAITING, error.message.splitlines()[0], again_s=SOON_S)
        if leg.number == 1:
            give_up(app, job, error.exit_code, error.message)
            raise
        return Step(State.WAITING, f"{error.message.splitlines()[0]}")
    except NotReady as error:
        put(app, job.id, Ended(leg.number, app.clock(), "lost", lost_s=0))
        return Step(State.AGAIN, error.message)
    except UnknownOutcome as error:
        return Step(State.WAITING, error.message, again_s=SOON_S)
    except BudgetExceeded as error:
        if job.leaving is not None:
            # Two at once are not allowed, or not paid for: the job stays where it is.
            put(app, job.id, Ended(leg.number, app.clock(), "refused", lost_s=0))
            return Step(State.WAITING, error.message, again_s=SOON_S)
        return give_up(app, job, error.exit_code, error.message)
    if done.machine is None:
        return give_up(app, job, 1, "nothing was started")
    return done.machine.machine


def _avoided(job: Job) -> tuple[str, ...]:
    before = job._replace(legs=tuple(leg for leg in job.legs if leg.ended is not None))
    return () if before.lost_zone is None else (before.lost_zone,)


class _Had(NamedTuple):
    """A machine that a leg was given before its command began: the cloud's id, and its lease."""

    machine: str
    lease: str


def _had(app: App, synced: Synced, leg: Leg) -> list[_Had]:
    """Those that anybody has seen: of the others nothing will ever be known."""
    if leg.claim.existing:
        return []
    first = leg.claims[0].at
    mine = {
        event.id
        for event in app.ledger.events()
        if isinstance(event, Leased) and event.name == leg.claim.machine and event.at >= first
    }
    found = []
    seen = {usage.machine for usage in synced.books.usages} | {str(m.id) for m in synced.machines}
    for intent in synced.books.intents.values():
        outcome = synced.books.outcomes.get(intent.id)
        if intent.lease not in mine or intent.verb != "start" or outcome is None:
            continue
        if outcome.result == "done" and outcome.machine is not None and outcome.machine in seen:
            found.append(_Had(outcome.machine, intent.lease))
    return found


def _still_up(synced: Synced, had: Sequence[_Had]) -> bool:
    alive = {str(machine.id) for machine in synced.machines if fates.is_up(machine)}
    return any(one.machine in alive for one in had)


def _end_of(synced: Synced, had: Sequence[_Had]) -> datetime | None:
    """When the last of them ended; None while that is not known of one."""
    gone = {str(machine.id) for machine in synced.machines if machine.state is MachineState.GONE}
    last: datetime | None = None
    for one in had:
        ends = [
            usage.end
            for usage in synced.books.usages
            if _Had(usage.machine or "", usage.session or "") == one
        ]
        if not ends and one.machine in gone:
            ends = [synced.at]  # It was gone before anybody saw it run.
        for end in ends or [None]:
            if end is None:
                return None
            last = end if last is None else max(last, end)
    return last


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
    last = job.leg.begun if job.leg is not None and job.leg.ended is not None else None
    if last is not None:
        machine = fates.machine_of(synced, last)
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
