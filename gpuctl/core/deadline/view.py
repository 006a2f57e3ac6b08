"""What a policy sees, and what it answers."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

Place = int
"""Where a machine is held: the index of a spot zone, `ON_DEMAND`, or `IDLE` for none."""

IDLE = -2
ON_DEMAND = -1


class Job(NamedTuple):
    """What is to be done, in whole seconds: `work` of computing, all of it before `deadline`.

    Every start of a machine and every move takes `overhead` without progress (boot, set-up, what
    was computed since the last checkpoint). Decisions fall every `interval`.
    """

    work: int
    deadline: int
    overhead: int
    interval: int

    @property
    def decisions(self) -> int:
        """How many whole intervals there are before the deadline."""
        return self.deadline // self.interval

    @property
    def feasible(self) -> bool:
        """Whether an on-demand machine held from the first moment on is in time."""
        return self.decisions * self.interval >= self.work + self.overhead


class Observation(NamedTuple):
    """All that is known at the boundary of an interval. The same value gives the same decision.

    `held` still runs; what was lost at this boundary is `lost`. `starting` is what the held
    machine has not yet sat out of its overhead. `prices` are those of the spot zones now, each as
    a share of the on-demand price. `refused` are the zones that were tried in the interval before
    and had nothing. `available` is None unless every zone can be seen without trying it.
    `memory` is what the policy itself handed back the last time; None the first time.
    """

    job: Job
    elapsed: int
    work_left: int
    prices: tuple[float, ...]
    held: Place = IDLE
    starting: int = 0
    lost: Place | None = None
    refused: tuple[Place, ...] = ()
    available: tuple[bool, ...] | None = None
    memory: Any = None

    @property
    def slack(self) -> int:
        """Seconds in whole intervals to the deadline beyond the work that is left."""
        job = self.job
        return (job.deadline - self.elapsed) // job.interval * job.interval - self.work_left


class Why(StrEnum):
    """The reason of a decision, in words."""

    ONLY = "this policy uses on-demand alone"
    HOLD = "a spot machine is kept until it is taken back"
    SAFETY = "it is the last moment at which on-demand is sure to be in time"
    TAKE = "spot costs less than on-demand and there is time for its start"
    WAIT = "there is time to wait for spot"
    BEHIND = "the job is behind its plan"
    AHEAD = "the job is ahead of its plan"
    STAY = "a move would not pay for itself"
    CHEAPER = "another zone costs less, and the move pays for itself"


class Decision(NamedTuple):
    """Where to be for the next interval, and why.

    Where `place` is a zone that refuses, those in `then` are tried, in order. When none of them
    has anything, what is held is kept for that interval: a try that fails costs the interval.
    `saves` is what the choice is expected to save against the next best one, in hours of
    on-demand, for a policy that reckons it.
    """

    place: Place
    why: Why
    memory: Any = None
    then: tuple[Place, ...] = ()
    saves: float | None = None


Policy = Callable[[Observation], Decision]
