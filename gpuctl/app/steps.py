"""What a step of a job found or did, and how a job ends."""

from enum import StrEnum
from typing import NamedTuple

from gpuctl.app import App, fates
from gpuctl.app.leg import find, put
from gpuctl.app.sync import Synced
from gpuctl.core.jobs import Begun, Ended, Job, Over
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
    explains: str | None = None
    """Why a job with a deadline is where it is, where that was decided in this step."""


def told(over: Over) -> Step:
    """That a job is over."""
    return Step(State.OVER, over.why, code=over.code)


def give_up(app: App, job: Job, code: int, why: str) -> Step:
    """The job is over, whoever says so first."""
    put(app, job.id, Over(app.clock(), code, why))
    return told(find(app, job.id).over or Over(app.clock(), code, why))


def finish(
    app: App, synced: Synced, job: Job, begun: Begun, code: int, machine: Machine | None
) -> Step:
    """The command ended by itself: so did the job. What was started for it and runs is ended.

    The leg's end is written first and the job's last: who is killed between the two has left
    a job that is open, and the next look ends its machine.
    """
    now = app.clock()
    put(app, job.id, Ended(begun.leg, now, "exit", code=code, lost_s=0))
    if machine is not None and job.wanted.down:
        end_machine(app, synced, machine)
    for leg in job.legs[begun.leg :]:
        # The job ended while it was about to move: what was started for it has no use.
        ready = running_named(synced, leg.claim.machine)
        if leg.ended is None and ready is not None and not leg.claim.existing:
            end_machine(app, synced, ready)
    over = Over(now, code, f"{job.wanted.name} ended with {code}")
    put(app, job.id, over)
    return told(find(app, job.id).over or over)._replace(machine=machine, remote=begun.remote)


def end_machine(app: App, synced: Synced, machine: Machine) -> None:
    """As `down` does."""
    from gpuctl.app.down import down  # noqa: PLC0415 - at the end alone

    down(app, synced, [machine], Down.END)


def running_named(synced: Synced, name: str) -> Machine | None:
    """The machine of that name that may be computing."""
    return next((m for m in synced.machines if m.name == name and fates.is_up(m)), None)
