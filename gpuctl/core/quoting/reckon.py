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
COST_P90 = 0.91
"""The share of the sample at or below what is called the P90 of the cost. Measured: so read, 90 %
of recorded jobs end at or below it; at 0.9 it was 88 % (docs/quotes.md)."""


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
    costs: tuple[Fraction, ...] = ()
    """The sample itself, sorted."""
    ends: tuple[int, ...] = ()


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

    Where spot saves nothing on average, or P90 would be above the ceiling, it is on-demand alone.
    """

    def usd(one: Outcome) -> Fraction:
        lasts = LONGEST * HOUR if one.seconds is None else one.seconds
        return one.cost * unit + (around.held * one.held + around.always * lasts) / HOUR

    top = usd(on_demand_only(terms, hours[1]))
    spread = [hours[0] + (hours[1] - hours[0]) * (i + 0.5) / samples for i in range(samples)]
    listed = [on_demand_only(terms, each) for each in spread]
    found = list(futures(terms, hours, beliefs, draw, samples)) if terms.zones else listed
    alone = (
        sum(map(usd, found)) >= sum(map(usd, listed)) or at(sorted(map(usd, found)), COST_P90) > top
    )
    if alone:
        found = listed
    costs = sorted(map(usd, found))
    ends = sorted(LONGEST * HOUR + 1 if one.seconds is None else one.seconds for one in found)
    return Reckoned(
        usd=Usd(at(costs, P50), at(costs, P90 if alone else COST_P90), top),
        finish_p50=_within(at(ends, P50)),
        finish_p90=_within(at(ends, P90)),
        on_demand=alone,
        costs=tuple(costs),
        ends=tuple(ends),
    )


def at(values: Sequence[T], share: float) -> T:
    """The least value that so much of a sorted sample is at or below."""
    return values[min(len(values), max(1, ceil(share * len(values) - 1e-9))) - 1]


def _within(seconds: int) -> int | None:
    return None if seconds > LONGEST * HOUR else seconds
