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

from gpuctl.core.deadline.regimes import FLAPPING, REGIMES, SETTLING, searched

STEPS = 80
"""Beyond these many steps from the deadline, slack counts in proportion to the time left: further
tables decide alike (measured), and cost time."""
LEAST_STEP = 0.2
"""Hours. Shorter steps decide alike (measured)."""
AGES = (0.0, 0.3, 1.0, 4.0)
"""Hours at which the classes of age begin; the last has no end."""
_MIDDLES = (0.15, 0.65, 2.5, 8.0)
_NEVER = 1e3
"""Costs more than any job here, in hours of on-demand: what is not safe."""
_MOST = 2.0
"""Savings are cut to this, so that what is not safe has no weight in between."""

Row = Sequence[float]


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
    return tuple(
        _solve(price, overhead, step, _chances(ends, 1.0, step), _chances(comes, faster, step))
        for ends, comes in REGIMES
    )


def value(plan: Plan, rows: Sequence[Row], age: float, slack: float) -> float:
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
        return row[-1]
    return row[at] + (slack - at) * (row[at + 1] - row[at])


def _chances(rate: float, faster: float, step: float) -> list[tuple[float, float, float]]:
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
    on: list[tuple[float, float, float]],
    off: list[tuple[float, float, float]],
) -> Plan:
    """Backwards from the deadline. Index of each row: slack in steps, from none to all of it."""
    whole = int(overhead / step + 1e-9)
    part = overhead / step - whole
    least = whole + (part > 1e-9)  # noqa: PLR2004 - rounding
    blocked, wide = [_NEVER] * least, STEPS + 2

    def started(row: list[float]) -> list[float]:
        """The cost when a start comes first: its overhead of slack is gone."""
        if part > 1e-9:  # noqa: PLR2004 - rounding
            row = [(1 - part) * a + part * b for a, b in zip(row[1:], row, strict=False)]
        return (blocked + row)[:wide]

    classes = range(len(AGES))
    nothing = [0.0] * wide
    spot = [nothing for _ in classes]
    idle = [nothing for _ in classes]
    gone = [nothing for _ in classes]  # on on-demand, no spot to be had
    there = [nothing for _ in classes]  # on on-demand, spot could be had
    waits: list[list[Row]] = [[[0.0]] * len(AGES)]
    moves: list[list[Row]] = [[[0.0]] * len(AGES)]
    for left in range(1, STEPS + 1):
        done = [0.0] * (wide - left)

        def stepped(
            now: list[list[float]],
            at: int,
            chances: tuple[float, float, float],
            turned: list[float],
            paid: float,
            done: list[float] = done,
            left: int = left,
        ) -> list[float]:
            stay, older, turn = chances
            after = now[min(at + 1, len(now) - 1)]
            return [
                paid + stay * a + older * b + turn * c
                for a, b, c, _ in zip(now[at], after, turned, range(left), strict=False)
            ] + done

        spot_now = [stepped(spot, at, on[at], idle[0], price * step) for at in classes]
        keep = [stepped(there, at, on[at], gone[0], step) for at in classes]
        gone_now = [stepped(gone, at, off[at], there[0], step) for at in classes]
        taken = started(spot[0])
        taken[: 2 * least] = [_NEVER] * (2 * least)
        taken = list(map(min, taken, started(there[0])))
        move_rows: list[Row] = []
        wait_rows: list[Row] = []
        there_now, idle_now = [], []
        for at in classes:
            moved = started(spot_now[at])
            moved[: 2 * least] = [_NEVER] * (2 * least)
            move_rows.append(_saved(keep[at], moved, left))
            there_now.append(list(map(min, keep[at], moved)))
            waited = [_NEVER, *stepped(idle, at, off[at], taken, 0.0, done, left - 1)]
            waited[: least + 1] = [_NEVER] * (least + 1)
            begun = started(gone_now[at])
            wait_rows.append(_saved(begun, waited, left))
            idle_now.append(list(map(min, waited[:left], begun)) + done)
        spot, idle, gone, there = spot_now, idle_now, gone_now, there_now
        waits.append(wait_rows)
        moves.append(move_rows)
    return Plan(step, waits, moves)


def _saved(cost: list[float], instead: list[float], left: int) -> Row:
    """What `instead` saves, by slack, as far as there is work left."""
    return [
        max(-_MOST, min(_MOST, a - b)) for a, b, _ in zip(cost, instead, range(left), strict=False)
    ]
