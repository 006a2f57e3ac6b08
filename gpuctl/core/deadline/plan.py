"""What waiting, on-demand and spot are worth: a dynamic programme over time left and slack.

One table a regime, for a job that has been cut into steps: the least expected cost (in hours of
on-demand) of finishing, by the steps left, the slack, where the machine is, and for how long spot
has been there or gone. Only differences are kept: what it saves to wait, and what it saves to
move from on-demand to spot.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import exp
from typing import NamedTuple

from gpuctl.core.deadline.regimes import FLAPPING, REGIMES, SETTLING, another, searched

STEPS = 60
"""Beyond these many steps from the deadline, slack counts in proportion to the time left: further
tables decide alike (measured), and cost time."""
LEAST_STEP = 0.2
"""Hours. Shorter steps decide alike (measured)."""
AGES = (0.0, 0.3, 1.0, 3.0)
"""Hours at which the classes of age begin; the last has no end."""
_MIDDLES = (0.15, 0.65, 2.0, 7.0)
_NEVER = 1e3
"""Costs more than any job here, in hours of on-demand: what is not safe."""
_MOST = 2.0
"""Savings are cut to this, so that what is not safe has no weight in between."""

Row = Sequence[float]
_Chances = tuple[float, float, float]


class Plan(NamedTuple):
    """`wait` and `move` by steps left and class of age: hours of on-demand saved, by slack."""

    step: float
    wait: Sequence[Sequence[Row]]
    move: Sequence[Sequence[Row]]


@lru_cache(maxsize=64)
def plans(price: float, overhead: float, zones: int) -> tuple[Plan, ...]:
    """One plan a regime; `price` as a share of on-demand, `overhead` in hours."""
    step = max(LEAST_STEP, overhead / 2)
    faster = searched(zones)
    made = []
    for regime in REGIMES:
        on, off = _chances(regime[0], 1.0, step), _chances(regime[1], faster, step)
        made.append(_solve(price, overhead, step, on, off, another(regime, zones)))
    return tuple(made)


def value(rows: Sequence[Row], age: float, slack: float) -> float:
    """The table between its points; `slack` in steps."""
    for at in range(1, len(_MIDDLES)):
        if age < _MIDDLES[at] or at == len(_MIDDLES) - 1:
            low, high = _MIDDLES[at - 1], _MIDDLES[at]
            part = min(1.0, max(0.0, (age - low) / (high - low)))
            first = _between(rows[at - 1], slack)
            return first + part * (_between(rows[at], slack) - first) if part else first
    raise AssertionError  # pragma: no cover - the last class has no end


def _between(row: Row, slack: float) -> float:
    at = int(slack)
    if at >= len(row) - 1:
        return _cut(row[-1])
    low = _cut(row[at])
    return low + (slack - at) * (_cut(row[at + 1]) - low)


def _cut(saved: float) -> float:
    return max(-_MOST, min(_MOST, saved))


def _chances(rate: float, faster: float, step: float) -> list[_Chances]:
    """By class of age: the chances to stay in it, to grow older, and to turn, within a step."""
    chances = []
    for at, middle in enumerate(_MIDDLES):
        turns = 1 - exp(-faster * (FLAPPING / (middle + SETTLING) + rate) * step)
        older = 0.0
        if at + 1 < len(AGES):
            older = (1 - turns) * (1 - exp(-step / (AGES[at + 1] - AGES[at])))
        chances.append((1 - turns - older, older, turns))
    return chances


def _solve(
    price: float,
    overhead: float,
    step: float,
    on: Sequence[_Chances],
    off: Sequence[_Chances],
    elsewhere: float,
) -> Plan:
    """Backwards from the deadline. Index of each row: slack in steps, from none to all of it.

    `elsewhere` is the chance that spot which is lost is there in another zone at once.
    """
    whole = int(overhead / step + 1e-9)
    part = overhead / step - whole
    least = whole + (part > 1e-9)  # noqa: PLR2004 - rounding
    blocked = [_NEVER] * least

    def started(row: list[float], left: int) -> list[float]:
        """The cost when a start comes first: its overhead of slack is gone."""
        if part > 1e-9:  # noqa: PLR2004 - rounding
            row = [(1 - part) * a + part * b for a, b in zip(row[1:left], row, strict=False)]
        return (blocked + row)[:left]

    def stepped(
        rows: list[list[float]], at: int, chances: _Chances, turned: list[float], paid: float
    ) -> list[float]:
        """The cost of staying for a step, and of what may come of it."""
        stay, older, turn = chances
        after = rows[at + 1] if at + 1 < len(rows) else rows[at]
        return [
            paid + stay * a + older * b + turn * c
            for a, b, c in zip(rows[at], after, turned, strict=False)
        ]

    classes = range(len(AGES))
    spot = idle = gone = there = [[0.0] for _ in classes]
    waits: list[list[Row]] = [[[0.0]] * len(AGES)]
    moves: list[list[Row]] = [[[0.0]] * len(AGES)]
    for left in range(1, STEPS + 1):
        again = _safe(started(spot[0], left), 2 * least)
        lost = [a + elsewhere * (min(a, b) - a) for a, b in zip(idle[0], again, strict=True)]
        now_spot = [stepped(spot, at, on[at], lost, price * step) for at in classes]
        # On on-demand, `gone` is without and `there` with spot in sight.
        now_gone = [stepped(gone, at, off[at], there[0], step) for at in classes]
        keep = [stepped(there, at, on[at], gone[0], step) for at in classes]
        found = list(map(min, again, started(there[0], left)))
        moved = [_safe(started(row, left), 2 * least) for row in now_spot]
        begun = [started(row, left) for row in now_gone]
        waited = [
            _safe([_NEVER, *stepped(idle, at, off[at], found, 0.0)][:left], least + 1)
            for at in classes
        ]
        moves.append([_saved(a, b) for a, b in zip(keep, moved, strict=True)])
        waits.append([_saved(a, b) for a, b in zip(begun, waited, strict=True)])
        # With as much slack as there is time, the work is done.
        spot, gone = [[*row, 0.0] for row in now_spot], [[*row, 0.0] for row in now_gone]
        there = [[*map(min, a, b), 0.0] for a, b in zip(keep, moved, strict=True)]
        idle = [[*map(min, a, b), 0.0] for a, b in zip(begun, waited, strict=True)]
    return Plan(step, waits, moves)


def _safe(row: list[float], least: int) -> list[float]:
    """The costs with those of too little slack blocked."""
    least = min(least, len(row))
    row[:least] = [_NEVER] * least
    return row


def _saved(cost: list[float], instead: list[float]) -> Row:
    """What `instead` saves, by slack."""
    return [a - b for a, b in zip(cost, instead, strict=True)]
