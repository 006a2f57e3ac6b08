"""Outcomes -> P50, P90 and ceiling: exact USD and hours from now."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import NamedTuple, TypeVar

from gpuctl.core.quoting.jobs import (
    HOUR,
    LONGEST,
    Outcome,
    Terms,
    futures,
    on_demand_only,
)
from gpuctl.core.quoting.outlook import Belief, Draw
from gpuctl.core.quoting.quote import Usd

T = TypeVar("T")

SAMPLES = 200
P50, P90 = 0.5, 0.9
WIDER = 0.93
"""The share of the sample below what is called P90: measured, so that 90 % of recorded jobs end
at or below it (docs/quotes.md). The model knows less of the future than it believes."""


class Around(NamedTuple):
    """What is paid for beside the machine, USD an hour."""

    held: Fraction
    """While a machine is held: its address."""
    always: Fraction
    """From the beginning until the job is done: disks."""


class Reckoned(NamedTuple):
    """`finish` are seconds from now; None = not within `LONGEST`."""

    usd: Usd
    finish_p50: int | None
    finish_p90: int | None
    on_demand: bool
    """Spot is expected to save nothing: on-demand from the first moment on."""


def reckon(
    terms: Terms,
    hours: tuple[float, float],
    beliefs: Mapping[str, Belief],
    around: Around,
    unit: Fraction,
    draw: Draw,
    samples: int = SAMPLES,
) -> Reckoned:
    """The quote's figures; `unit` = USD of one unit of the prices in `terms`.

    Where P90 would be above the ceiling, nobody would take the risk: then it is on-demand alone.
    """

    def usd(one: Outcome) -> Fraction:
        lasts = LONGEST * HOUR if one.seconds is None else one.seconds
        return one.cost * unit + (around.held * one.held + around.always * lasts) / HOUR

    top = usd(on_demand_only(terms, hours[1]))
    found = list(futures(terms, hours, beliefs, draw, samples)) if terms.zones else []
    alone = not found or at(sorted(map(usd, found)), WIDER) >= top
    if alone:
        spread = [hours[0] + (hours[1] - hours[0]) * (i + 0.5) / samples for i in range(samples)]
        found = [on_demand_only(terms, each) for each in spread]
    costs = sorted(map(usd, found))
    ends = sorted(LONGEST * HOUR + 1 if one.seconds is None else one.seconds for one in found)
    return Reckoned(
        usd=Usd(at(costs, P50), at(costs, P90 if alone else WIDER), top),
        finish_p50=_within(at(ends, P50)),
        finish_p90=_within(at(ends, P90)),
        on_demand=alone,
    )


def at(values: Sequence[T], share: float) -> T:
    """The least value that so much of a sorted sample is at or below."""
    return values[min(len(values), max(1, ceil(share * len(values) - 1e-9))) - 1]


def _within(seconds: int) -> int | None:
    return None if seconds > LONGEST * HOUR else seconds
