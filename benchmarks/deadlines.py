"""Deadlines: one decision, and a thousand jobs on nine zones, each under our policy."""

import os
import random
import time
from collections.abc import Iterator, Sequence

from benchmarks.table import Row
from gpuctl.core.deadline.compare import first_intervals, on_demand_only
from gpuctl.core.deadline.plan import plans
from gpuctl.core.deadline.policy import decide
from gpuctl.core.deadline.simulate import Market, run_job
from gpuctl.core.deadline.view import Decision, Job, Observation

TITLE = "Jobs with a deadline, CPU of this process, with the policy's tables made anew"
JOBS = int(os.environ.get("BENCH_JOBS", "1000"))

_ZONES = tuple(f"zone-{number}" for number in range(9))
_INTERVAL = 600
_DAYS = 60
_JOB = Job(work=60 * 3600, deadline=75 * 3600, overhead=720, interval=_INTERVAL)


def measure() -> Sequence[Row]:
    """About half a minute."""
    market = _market(random.Random(11))
    slowest = [0.0]

    def timed(view: Observation) -> Decision:
        begun = time.process_time()
        decision = decide(view)
        slowest[0] = max(slowest[0], time.process_time() - begun)
        return decision

    plans.cache_clear()
    begun = time.process_time()
    share = late = 0.0
    only = on_demand_only(_JOB, market)
    for first in first_intervals(_JOB, market, JOBS):
        run = run_job(_JOB, market, first, timed)
        share += run.cost / only / JOBS
        late += run.late
    taken = time.process_time() - begun
    work = f"{_JOB.work // 3600} h of work in {_JOB.deadline // 3600} h"
    return [
        Row(
            name=f"{JOBS:,} jobs on nine zones",
            unit="s",
            value=taken,
            goal=60.0,
            note=f"{work}; cost {share:.0%} of on-demand, {late:.0f} late",
        ),
        Row(
            name="the slowest decision",
            unit="ms",
            value=slowest[0] * 1e3,
            goal=50.0,
            note="it makes the tables for its prices",
        ),
    ]


def _market(chance: random.Random) -> Market:
    """Zones that come and go on their own, young stretches sooner; prices that drift by the day."""
    steps = _DAYS * 24 * 3600 // _INTERVAL
    columns = [list(_comes_and_goes(chance, steps)) for _ in _ZONES]
    prices = [_drifts(chance, steps) for _ in _ZONES]
    rows = list(zip(*prices, strict=True))
    return Market(
        zones=_ZONES,
        interval=_INTERVAL,
        available=list(zip(*columns, strict=True)),
        prices=rows,
        shares=[tuple(price / 1000 for price in row) for row in rows],
        on_demand=1000,
    )


def _comes_and_goes(chance: random.Random, steps: int) -> Iterator[bool]:
    there, age = chance.random() < 0.5, 0  # noqa: PLR2004 - as likely as not
    for _ in range(steps):
        yield there
        age += 1
        if chance.random() < 0.5 / (age + 2):
            there, age = not there, 0


def _drifts(chance: random.Random, steps: int) -> Sequence[int]:
    by_day = [chance.randrange(300, 600) for _ in range(_DAYS + 1)]
    return [by_day[step * _INTERVAL // 86_400] for step in range(steps)]
