"""Policies side by side on the same jobs, against the exact optimum."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import sqrt
from typing import NamedTuple

from gpuctl.core.deadline.optimum import least_cost
from gpuctl.core.deadline.simulate import Market, run_job
from gpuctl.core.deadline.view import Job, Policy

_GOLDEN = Fraction(sqrt(5) - 1) / 2


class Result(NamedTuple):
    """One policy over all jobs. Ratios are of the on-demand-only cost; exact."""

    policy: str
    jobs: int
    mean_cost_ratio: Fraction
    deadline_misses: int
    gap_to_optimum: Fraction
    preemptions: int


def first_intervals(job: Job, market: Market, jobs: int, seed: int = 0) -> list[int]:
    """Where the jobs begin: evenly spaced over all beginnings that leave room for the deadline.

    Another seed shifts them all by another part of their distance. ValueError where the market
    is recorded for less than the deadline.
    """
    last = market.length - job.decisions
    if last < 0:
        raise ValueError("the market is recorded for less than the deadline")
    if seed == 0:
        return [at * last // max(1, jobs - 1) for at in range(jobs)]
    shift = seed * _GOLDEN % 1
    return [int((at + shift) * (last + 1) / jobs) for at in range(jobs)]


def on_demand_only(job: Job, market: Market) -> int:
    """What the job costs on on-demand from the first moment on, in the market's unit."""
    return -(-(job.work + job.overhead) // job.interval) * market.on_demand


def compare(
    job: Job,
    market: Market,
    firsts: Sequence[int],
    policies: Sequence[tuple[str, Policy | None]],
    *,
    sees_all: bool = False,
    tell: Callable[[str, int], None] = lambda _name, _done: None,
) -> Iterator[Result]:
    """One result a policy, in their order; None stands for the optimum itself.

    `tell` is called before each job with what is reckoned and how many are done.
    """
    only = on_demand_only(job, market)
    least = []
    for done, first in enumerate(firsts):
        tell("optimum", done)
        least.append(least_cost(job, market, first))
    best = Fraction(sum(least), only * len(firsts))
    for name, policy in policies:
        if policy is None:
            yield Result(name, len(firsts), best, 0, Fraction(0), 0)
            continue
        cost = late = preemptions = 0
        for done, first in enumerate(firsts):
            tell(name, done)
            run = run_job(job, market, first, policy, sees_all=sees_all)
            cost += run.cost
            late += run.late
            preemptions += run.preemptions
        mean = Fraction(cost, only * len(firsts))
        yield Result(name, len(firsts), mean, late, mean - best, preemptions)
