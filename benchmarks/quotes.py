"""Are quotes right? On recorded markets, jobs against the quote made before each began."""

import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Row
from gpuctl.core.deadline.simulate import Market, run_job
from gpuctl.core.deadline.traces import market_of, read_trace
from gpuctl.core.deadline.view import Job
from gpuctl.core.quoting.jobs import (
    LONGEST,
    Terms,
    ZonePrices,
    on_demand_only,
    patient,
    policy_of,
    run_once,
)
from gpuctl.core.quoting.outlook import Stretch, outlook
from gpuctl.core.quoting.reckon import Around, reckon

TITLE = "Quotes on recorded markets: jobs at or below their P50 and P90 (goal: 50 %, 90 %)"
TRACES = Path(__file__).parents[2] / "shared/data/traces"
STARTS = int(os.environ.get("QUOTE_STARTS", "2"))
SAMPLES = int(os.environ.get("QUOTE_SAMPLES", "40"))
HOURS = (25.0, 40.0)
DEADLINES: Sequence[float | None] = (52.0, 72.0, None)
OVERHEAD = 720
DAYS_BEFORE = 4
"""So long before did the job begin that the ledger knows of."""
HOUR = 3600
NOTHING = Around(Fraction(0), Fraction(0))


class Case(NamedTuple):
    """A job: where, by when, and from which interval of the record on."""

    name: str
    deadline: float | None
    first: int


class Scored(NamedTuple):
    """A job that ran beside its quote: the share of the quote's sample below what came of it."""

    case: Case
    cost: float
    finish: float
    within: tuple[bool, bool]
    """Whether it cost at most P50, and at most P90."""
    in_time: tuple[bool, bool]
    """Whether it was done by the P50 and the P90 of the finish."""
    ratio: float
    """Its cost, of P50."""


def markets(folder: str, *, sets: bool = True) -> dict[str, Market]:
    """Each zone by itself, and together those of a region, and all."""
    traces = {
        path.name.partition("_")[0]: read_trace(path.name, path.read_text("utf-8"))
        for path in sorted((TRACES / folder).glob("*.json"))
    }
    groups = {zone: [zone] for zone in traces}
    if sets:
        for zone in traces:
            groups.setdefault(zone[:-1], []).append(zone)
        groups["all"] = list(traces)
    ratio = Decimal("0.3")
    return {
        name: market_of([traces[zone] for zone in zones], ratio) for name, zones in groups.items()
    }


def before(market: Market, first: int) -> Iterator[Stretch]:
    """What was to be seen of each zone until then."""
    step = market.interval / HOUR
    for at, zone in enumerate(market.zones):
        begun = 0
        for i in range(1, first + 1):
            if i == first or market.available[i][at] != market.available[begun][at]:
                yield Stretch(
                    zone,
                    market.available[begun][at],
                    (begun - first) * step,
                    (i - first) * step,
                    i < first,
                )
                begun = i


def tried(market: Market, first: int) -> Iterator[Stretch]:
    """What a ledger saw of it: the sessions and hourly refusals of one job in the days before."""
    step = market.interval / HOUR
    start = max(0, first - int(DAYS_BEFORE * 24 / step))
    job = Job(30 * HOUR, int((first - start) * market.interval), OVERHEAD, market.interval)
    if job.decisions < 1:
        return
    places = run_job(job, market, start, patient).places
    begun = 0
    for i in range(1, len(places) + 1):
        if i < len(places) and places[i] == places[begun]:
            continue
        held = places[begun]
        since, until = ((start + each - first) * step for each in (begun, i))
        if held >= 0:
            turned = i < len(places)
            yield Stretch(market.zones[held], there=True, since=since, until=until, turned=turned)
        else:
            for hours in range(int(until - since) + 1):
                at = since + hours
                yield from (Stretch(z, there=False, since=at, until=at) for z in market.zones)
        begun = i


PASTS: Mapping[str, Callable[[Market, int], Iterable[Stretch]]] = {
    "all seen before": before,
    "one job before": tried,
    "nothing seen before": lambda _market, _first: (),
}


def terms_of(market: Market, first: int, deadline: float | None) -> Terms:
    """Prices until then, hourly."""
    hourly = HOUR / market.interval
    hours = [int(i * hourly) for i in range(int(first / hourly) + 1)]
    return Terms(
        on_demand=market.on_demand,
        zones=[
            ZonePrices(zone, market.prices[first][at], [market.prices[i][at] for i in hours])
            for at, zone in enumerate(market.zones)
        ],
        overhead=OVERHEAD,
        interval=900,
        deadline=deadline,
    )


def score(market: Market, case: Case, samples: int, past: str = "all seen before") -> Scored | None:
    """None where the record ends before the job does."""
    terms = terms_of(market, case.first, case.deadline)
    chance = random.Random(f"{case}")
    hours = HOURS[0] + (HOURS[1] - HOURS[0]) * chance.random()
    beliefs = outlook(PASTS[past](market, case.first), market.zones)
    made = reckon(terms, HOURS, beliefs, NOTHING, Fraction(1), chance.random, samples)
    try:
        real = (
            on_demand_only(terms, hours)
            if made.on_demand
            else run_once(terms, hours, market, policy_of(terms), case.first)
        )
    except IndexError:
        return None
    seconds = LONGEST * HOUR + 1 if real.seconds is None else real.seconds
    ends = [
        LONGEST * HOUR + 1 if end is None else end for end in (made.finish_p50, made.finish_p90)
    ]
    return Scored(
        case,
        sum(one < real.cost for one in made.costs) / samples,
        sum(one < seconds for one in made.ends) / samples,
        (real.cost <= made.usd.p50, real.cost <= made.usd.p90),
        (seconds <= ends[0], seconds <= ends[1]),
        real.cost / float(made.usd.p50),
    )


def scores(
    folder: str,
    starts: int,
    samples: int,
    deadlines: Sequence[float | None] = DEADLINES,
    past: str = "all seen before",
) -> Iterator[Scored]:
    """Jobs that begin evenly spaced, from six hours into the record on."""
    for name, market in markets(folder).items():
        for deadline in deadlines:
            room = market.length - int((deadline or 60) * HOUR / market.interval) - 1
            least = int(6 * HOUR / market.interval)
            for number in range(starts):
                first = least + int((number + 0.5) / starts * (room - least))
                found = score(market, Case(name, deadline, first), samples, past)
                if found is not None:
                    yield found


def covered(flags: Sequence[bool]) -> float:
    """How many are true, of a hundred."""
    return 100 * sum(flags) / max(1, len(flags))


def measure() -> Sequence[Row]:
    rows: list[Row] = []
    for folder in ("p3-2023-02", "p3-2022-10"):
        if not (TRACES / folder).exists():
            rows.append(Row(name=f"{folder}: not at hand", unit="%", value=None))
            continue
        for past in PASTS:
            found = list(scores(folder, STARTS, SAMPLES, past=past))
            label = f"{folder}, {past}"
            rows += _rows(f"{label}, deadline", [s for s in found if s.case.deadline])
            rows += _rows(f"{label}, no deadline", [s for s in found if not s.case.deadline])
    return rows


def _rows(label: str, found: Sequence[Scored]) -> Iterator[Row]:
    for what, flags in (("cost", "within"), ("finish", "in_time")):
        for place, name in enumerate(("P50", "P90")):
            yield Row(
                name=f"{label}: {what} {name}",
                unit="%",
                value=covered([getattr(one, flags)[place] for one in found]),
                note=f"of {len(found)} jobs; {name[1:]} wanted",
            )
