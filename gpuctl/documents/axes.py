"""The two axes of a chart: days across, round numbers up. Places are floats: pixels, not money."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from gpuctl.core.rounding import decimal_text
from gpuctl.documents.drawing import across, element, titled
from gpuctl.documents.formats import MINUS, NONE, short_day

_DAILY, _WEEKLY = 62, 434
"""Days that are still drawn one by one, and by the week; a longer period goes by the month."""
_DATES = 5
_STEPS = (Decimal(1), Decimal(2), Decimal(5), Decimal(10), Decimal(20))
_SHARE = 0.76
"""Of a bar's place, what the bar takes."""
_LEAST = 2.0


class Bar(NamedTuple):
    """The first and the last day that a bar stands for."""

    first: date
    last: date

    def __str__(self) -> str:
        first, last = short_day(self.first), short_day(self.last)
        return first if first == last else f"{first} {NONE} {last}"


def bars(days: Sequence[date]) -> list[Bar]:
    """A bar a day, or a week, or a month, as the period's length asks for."""
    made: list[Bar] = []
    for when in days:
        if made and _together(made[-1].first, when, len(days)):
            made[-1] = Bar(made[-1].first, when)
        else:
            made.append(Bar(when, when))
    return made


def sums(days: Mapping[date, Decimal], all_bars: Sequence[Bar]) -> list[Decimal]:
    """What falls to each bar."""
    return [
        sum((value for day, value in days.items() if bar.first <= day <= bar.last), Decimal(0))
        for bar in all_bars
    ]


def dates(all_bars: Sequence[Bar], y: int) -> str:
    """A few dates, each below the middle of its bar."""
    apart = max(-(-len(all_bars) // _DATES), 1)
    return "".join(
        element(
            "text",
            short_day(all_bars[i].first),
            class_="middle",
            x=across((i + 0.5) / len(all_bars)),
            y=y,
        )
        for i in range(0, len(all_bars), apart)
    )


def block(words: str, place: int, places: int, ends: tuple[float, float], **look: str) -> str:
    """A bar or a part of one, at the place-th of so many, at least as high as can be seen.

    `ends` are where it begins, nearer to zero, and where it ends, in pixels down.
    """
    begin, end = ends
    high = max(abs(end - begin), _LEAST)
    return titled(
        "rect",
        words,
        x=across((place + (1 - _SHARE) / 2) / places),
        width=across(_SHARE / places),
        y=pixels(begin if end > begin else begin - high),
        height=pixels(high),
        **look,
    )


def pixels(value: float) -> str:
    """As SVG has it, and the same on every machine."""
    return f"{value:.1f}"


class Scale:
    """Amounts to pixels between `top` and `top + plot`, with at most `most` steps."""

    def __init__(self, low: Decimal, high: Decimal, *, top: int, plot: int, most: int = 4) -> None:
        size = Decimal(10) ** ((high - low) / most or Decimal(1)).adjusted()
        self._step = next(size * k for k in _STEPS if _count(low, high, size * k) <= most)
        self._low = math.floor(low / self._step) * self._step
        self._steps = max(_count(low, high, self._step), 1)
        self._top, self._plot = top, plot

    def y(self, value: Decimal) -> float:
        """How far down an amount is."""
        share = float((value - self._low) / (self._step * self._steps))
        return self._top + self._plot * (1 - share)

    def grid(self) -> str:
        """A line and a number for each step."""
        return "".join(self._line(self._low + i * self._step) for i in range(self._steps + 1))

    def floor(self) -> str:
        """The line at zero, to be drawn over the bars."""
        y = pixels(self.y(Decimal(0)))
        return element("line", class_="zero", x1=0, x2="100%", y1=y, y2=y)

    def _line(self, value: Decimal) -> str:
        y = self.y(value)
        text = f"{Decimal(decimal_text(abs(value))):,}"
        return element(
            "line", class_="grid", x1=0, x2="100%", y1=pixels(y), y2=pixels(y)
        ) + element(
            "text",
            f"{MINUS}{text}" if value < 0 else text,
            class_="end",
            x=-8,
            y=pixels(y + 4),
        )


def _count(low: Decimal, high: Decimal, step: Decimal) -> int:
    """Steps from at or below `low` to at or above `high`."""
    return math.ceil(high / step) - math.floor(low / step)


def _together(first: date, when: date, days: int) -> bool:
    if days <= _DAILY:
        return False
    if days <= _WEEKLY:
        return first - timedelta(first.weekday()) == when - timedelta(when.weekday())
    return (first.year, first.month) == (when.year, when.month)
