"""`simulate --draw`: one job on its market, under each policy, as a picture or as data."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from gpuctl.cli.marks import cut, speaks_unicode
from gpuctl.cli.render import plain, room, say
from gpuctl.cli.session import Session

if TYPE_CHECKING:
    from gpuctl.core.deadline.simulate import Market, Run
    from gpuctl.core.deadline.view import Job, Policy

_WIDTH = 80
_LABEL = 16
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_IDLE, _ON_DEMAND, _OTHER = ".", "$", "*"


class Drawn(NamedTuple):
    """One job, the interval of the market at which it begins, and its runs by policy."""

    number: int
    job: "Job"
    market: "Market"
    first: int
    runs: "dict[str, Run]"
    on_demand_only: int
    optimum: int


def drawn(
    number: int,
    job: "Job",
    market: "Market",
    first: int,
    policies: "Sequence[tuple[str, Policy | None]]",
    *,
    sees_all: bool,
) -> Drawn:
    """Run that job under each policy. None stands for the optimum, which has a cost alone."""
    from gpuctl.core.deadline.compare import on_demand_only
    from gpuctl.core.deadline.optimum import least_cost
    from gpuctl.core.deadline.simulate import run_job

    runs = {
        name: run_job(job, market, first, policy, sees_all=sees_all)
        for name, policy in policies
        if policy is not None
    }
    best = least_cost(job, market, first)
    return Drawn(number, job, market, first, runs, on_demand_only(job, market), best)


def timeline_record(what: Drawn) -> dict[str, Any]:
    """The same as data: who was where for how many intervals.

    A place is a zone's name,
    `on-demand`, or null for none.
    """
    zones = what.market.zones
    names = {-2: None, -1: "on-demand", **dict(enumerate(zones))}
    return {
        "job": what.number,
        "first_interval": what.first,
        "interval_seconds": what.job.interval,
        "optimum_cost_ratio": _ratio(what, what.optimum),
        "policies": [
            {
                "policy": name,
                "cost_ratio": _ratio(what, run.cost),
                "preemptions": run.preemptions,
                "stays": [
                    {"place": names[place], "intervals": len(list(stay))}
                    for place, stay in groupby(run.places)
                ],
            }
            for name, run in what.runs.items()
        ],
    }


def draw(session: Session, what: Drawn) -> None:
    """A line a zone: when it had spot. A line a policy: where it was, and what that cost."""
    job, market = what.job, what.market
    steps = job.decisions
    width = min(steps, (room(session) or _WIDTH) - _LABEL - 2 - 6)
    each = steps * job.interval / width / 60
    say(session, "")
    say(
        session,
        f"job {what.number}: {job.work / 3600:g} h of work in {job.deadline / 3600:g} h; "
        f"a mark is {each:.0f} min",
    )
    full = "█" if speaks_unicode() else "#"
    window = market.available[what.first : what.first + steps]
    for zone, letter in zip(range(len(market.zones)), _LETTERS, strict=False):
        there = _marks([now[zone] for now in window], width, lambda had: full if had else " ")
        _line(session, f"{letter} {plain(market.zones[zone])}", there, "")
    for name, run in what.runs.items():
        marks = _marks(run.places, width * len(run.places) // steps, _mark)
        _line(session, name, marks.ljust(width), f"{_ratio(what, run.cost):.0%}")
    _line(session, "optimum", " " * width, f"{_ratio(what, what.optimum):.0%}")
    say(
        session,
        f"letters: spot in that zone   {_ON_DEMAND} on-demand   {_IDLE} no machine   "
        "%: of on-demand alone",
    )


def _line(session: Session, label: str, marks: str, figure: str) -> None:
    say(session, f"{cut(label, _LABEL):<{_LABEL}}  {marks}{figure:>6}".rstrip())


def _ratio(what: Drawn, cost: int) -> float:
    return round(cost / what.on_demand_only, 6)


def _marks(values: Sequence[Any], width: int, mark: Callable[[Any], str]) -> str:
    """The commonest value of each column's share of the values."""
    return "".join(mark(max(set(part), key=part.count)) for part in _parts(values, width))


def _parts(values: Sequence[Any], width: int) -> Iterator[Sequence[Any]]:
    for column in range(width):
        start, end = (len(values) * at // width for at in (column, column + 1))
        yield values[start : max(end, start + 1)]


def _mark(place: int) -> str:
    if place < 0:
        return _ON_DEMAND if place == -1 else _IDLE
    return _LETTERS[place] if place < len(_LETTERS) else _OTHER
