"""Seeing a job through: one step at a time, by whoever is there to take it.

`step` looks at the ledger and the clouds, does what is due, and says what it did. It may be
called by several processes at once and killed at any moment: what it is about to do is claimed in
the ledger first, a leg has one machine name for good (which `up` starts once at most), and a
machine takes a job's name once.
"""

from collections.abc import Sequence
from datetime import timedelta

from gpuctl.app import App, fates, timely
from gpuctl.app import leg as legs
from gpuctl.app.begin import act, begin, lacking, new_claim
from gpuctl.app.leg import Actor, find, put
from gpuctl.app.steps import LOOK_S, SOON_S, State, Step, end_machine, finish, give_up, told
from gpuctl.app.sync import Synced, sync
from gpuctl.core.errors import GpuctlError, ListingIncomplete, NotFound, RemoteFailed
from gpuctl.core.jobs import Begun, Claim, Decided, Job, Leg, Wanted, jobs, note
from gpuctl.core.model import Machine

__all__ = ["LOOK_S", "SOON_S", "State", "Step", "ask", "failed", "give_up", "open_jobs", "step"]

FIRST = "another process was first"


def step(app: App, job_id: str, actor: Actor) -> Step:
    """Do what is due for a job. Errors are those of the clouds; nothing is lost by them."""
    job = find(app, job_id)
    if job.over is not None:
        return told(job.over)
    template = app.settings.template(job.wanted.template)
    ref = app.clouds.of(template.provider, job.wanted.project)
    try:
        synced = sync(app, refs=[ref])
    except ListingIncomplete as error:
        return failed(error)
    job = find(app, job_id)
    leg = job.leg
    if job.over is not None:
        return told(job.over)
    done = next(
        (one for one in job.legs if one.ended is not None and one.ended.how == "exit"), None
    )
    if done is not None and done.begun is not None and done.ended is not None:
        machine = fates.machine_of(synced, done.begun)
        up = machine if fates.is_up(machine) else None
        return finish(app, synced, job, done.begun, done.ended.code or 0, up)
    if leg is None or leg.ended is not None:
        return _next(app, synced, job, actor)
    if leg.begun is None:
        return begin(app, synced, job, leg, actor)
    return _look(app, synced, job, leg.begun, actor)


# --- a leg that runs ------------------------------------------------------------------------


def _look(app: App, synced: Synced, job: Job, begun: Begun, actor: Actor) -> Step:
    machine = fates.machine_of(synced, begun)
    if machine is not None and fates.is_up(machine):
        done = _running(app, synced, job, begun, machine)
        if done.state is State.RUNNING and job.wanted.deadline is not None:
            return _stay_or_move(app, synced, job, actor, done)
        return done
    fate = fates.fate(app, job, begun)
    if fate is None:
        return Step(
            State.WAITING,
            f"what became of {begun.name} is not known yet",
            again_s=SOON_S,
        )
    code = fates.stored_code(app, job, begun)
    if code is not None:
        return finish(app, synced, job, begun, code, None)
    over = fates.ended(app, job, begun, fate.at, fate.how)
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
        code = fates.code_of(app, synced, job, begun, machine)
        notice = None if code is None else fates.told_to_end(app, job, machine)
    except NotFound as error:
        put(app, job.id, fates.ended(app, job, begun, app.clock(), "lost"))
        return Step(State.AGAIN, error.message)
    except RemoteFailed as error:
        return runs._replace(says=f"{machine.name} cannot be reached: {error.message}")
    if code is None:
        return runs
    if notice in ("spot", "preempted"):
        # AWS ends it, and does not charge for a first hour that it cut short.
        return Step(State.WAITING, f"{machine.name} is about to be taken back", again_s=SOON_S)
    if notice is not None:
        put(app, job.id, fates.ended(app, job, begun, app.clock(), "lease"))
        end_machine(app, synced, machine)
        return Step(State.AGAIN, f"{machine.name} is at the end of its lease")
    return finish(app, synced, job, begun, code, machine)


# --- where a job with a deadline is ---------------------------------------------------------


def _stay_or_move(app: App, synced: Synced, job: Job, actor: Actor, runs: Step) -> Step:
    """Decide when it is time; a move asks for the next machine before this one is left."""
    leg, machine = job.leg, runs.machine
    if leg is None or leg.begun is None or machine is None:
        return runs
    now = app.clock()
    pause = (timely.due(job, held=True) - now).total_seconds()
    if pause > 0:
        return runs._replace(again_s=max(pause, SOON_S))
    held = leg.begun.zone if leg.begun.market == "spot" else timely.ON_DEMAND
    done = timely.progress_s(app, job, machine)
    choice = timely.choose(app, job, held, None, done)
    if not put(app, job.id, choice.decided):
        return Step(State.AGAIN, FIRST, again_s=SOON_S)
    actor.explain(choice.explains)
    runs = runs._replace(explains=choice.explains)
    stays = choice.decided.place in (held, timely.IDLE)
    if stays or lacking(app, job, actor) is not None or not app.reach.answers(machine):
        return runs
    job = find(app, job.id)
    made = _placed(new_claim(app, synced, job, actor), choice.decided)
    return act(app, synced, job, made, actor)._replace(explains=choice.explains)


def _placed(made: Claim, decided: Decided) -> Claim:
    if decided.place == timely.ON_DEMAND:
        return made._replace(market="on-demand", type=decided.type)
    zones = tuple(zone for zone in (decided.place, *decided.then) if zone != decided.held)
    return made._replace(market="spot", zones=zones, type=decided.type)


def _next_place(app: App, synced: Synced, job: Job, actor: Actor) -> Step:
    """No machine is held: decide where to go, or go on with what was decided."""
    now = app.clock()
    last = job.decided[-1] if job.decided else None
    ends = [leg for leg in job.legs if leg.had_machine and _ended_since(leg, last)]
    explains = None
    if last is None or ends or now >= timely.due(job, held=False):
        done = timely.progress_s(app, job, None)
        choice = timely.choose(app, job, timely.IDLE, _lost(ends), done)
        if not put(app, job.id, choice.decided):
            return Step(State.AGAIN, FIRST, again_s=SOON_S)
        last, explains = choice.decided, choice.explains
        actor.explain(explains)
    elif last.place != timely.ON_DEMAND and any(_ended_since(leg, last) for leg in job.legs):
        # Spot was refused: the next try is at the next decision.
        return _wait(app, job, last, f"spot is refused in {', '.join((last.place, *last.then))}")
    if last.place == timely.IDLE:
        says = f"{job.wanted.name} waits: {last.why}"
        return _wait(app, job, last, says)._replace(explains=explains)
    made = _placed(new_claim(app, synced, job, actor), last)
    return act(app, synced, job, made, actor)._replace(explains=explains)


def _ended_since(leg: Leg, last: Decided | None) -> bool:
    return leg.ended is not None and (last is None or leg.ended.at >= last.at)


def _lost(ends: Sequence[Leg]) -> str | None:
    """The spot zone that took the last machine back."""
    for leg in reversed(ends):
        taken = leg.ended is not None and leg.ended.how == "interrupted"
        if taken and leg.begun is not None and leg.begun.market == "spot":
            return leg.begun.zone
    return None


def _wait(app: App, job: Job, last: Decided, says: str) -> Step:
    until = last.at + timedelta(seconds=job.wanted.interval_s)
    return Step(State.WAITING, says, again_s=max(1.0, (until - app.clock()).total_seconds()))


# --- the next leg ---------------------------------------------------------------------------


def _next(app: App, synced: Synced, job: Job, actor: Actor) -> Step:
    why = _bounds(app, job)
    if why is not None:
        return why
    lacks = lacking(app, job, actor)
    if lacks is not None:
        return Step(State.WAITING, lacks)
    if job.wanted.deadline is not None:
        return _next_place(app, synced, job, actor)
    return act(app, synced, job, new_claim(app, synced, job, actor), actor)


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
