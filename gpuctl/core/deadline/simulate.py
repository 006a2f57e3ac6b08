"""One job on one stretch of recorded availability, under one policy."""

from collections.abc import Sequence
from typing import NamedTuple

from gpuctl.core.deadline.view import (
    IDLE,
    ON_DEMAND,
    Decision,
    Job,
    Observation,
    Place,
    Policy,
)


class Market(NamedTuple):
    """What spot was like: one row an interval of `interval` seconds, in it one value a zone.

    `prices` are whole numbers in the same (arbitrary) unit as `on_demand`, for an interval: sums
    are exact. `shares` are the same prices as shares of the on-demand price.
    """

    zones: tuple[str, ...]
    interval: int
    available: Sequence[tuple[bool, ...]]
    prices: Sequence[tuple[int, ...]]
    shares: Sequence[tuple[float, ...]]
    on_demand: int

    @property
    def length(self) -> int:
        """Intervals recorded."""
        return len(self.shares)


class Run(NamedTuple):
    """How a job went. `places` tells where it was in each interval until it was done."""

    cost: int
    late: bool
    preemptions: int
    starts: int
    places: tuple[Place, ...]


def run_job(job: Job, market: Market, first: int, policy: Policy, *, sees_all: bool = False) -> Run:
    """Let the policy decide at each boundary from interval `first` on, until the job is done.

    Time held is charged in whole intervals, the last one too. A job that is not done at its
    deadline is late, and is charged what on-demand costs for the rest.
    """
    held, starting, work, cost = IDLE, 0, job.work, 0
    preemptions = starts = 0
    lost: Place | None = None
    refused: tuple[Place, ...] = ()
    memory: object = None
    places: list[Place] = []
    interval = job.interval
    for step in range(job.decisions):
        now = market.available[first + step]
        lost = None
        if held >= 0 and not now[held]:
            lost, held, starting = held, IDLE, 0
            preemptions += 1
        decision = policy(
            Observation(
                job,
                step * interval,
                work,
                market.shares[first + step],
                held,
                starting,
                lost,
                refused,
                now if sees_all else None,
                memory,
            )
        )
        memory, wanted, refused = decision.memory, decision.place, ()
        if wanted >= 0 and not now[wanted]:
            wanted, refused = _try_others(decision, now, held)
        if wanted != held:
            held, starting = wanted, 0 if wanted == IDLE else job.overhead
            starts += wanted != IDLE
        places.append(held)
        if held == IDLE:
            continue
        cost += market.on_demand if held == ON_DEMAND else market.prices[first + step][held]
        work -= max(0, interval - starting)
        starting = max(0, starting - interval)
        if work <= 0:
            return Run(
                cost, late=False, preemptions=preemptions, starts=starts, places=tuple(places)
            )
    rest = work + (starting if held == ON_DEMAND else job.overhead)
    cost += -(-rest // interval) * market.on_demand
    return Run(cost, late=True, preemptions=preemptions, starts=starts, places=tuple(places))


def _try_others(
    decision: Decision, now: tuple[bool, ...], held: Place
) -> tuple[Place, tuple[Place, ...]]:
    """The first that can be had after a refusal, else what is held; and those that refused."""
    refused = [decision.place]
    for zone in decision.then:
        if now[zone]:
            return zone, tuple(refused)
        refused.append(zone)
    return held, tuple(refused)
