"""Charts of a statement: spend by day, machines over the period, the price during a session.

Places in a drawing are floats: they are pixels, not money. Every label is exact.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gpuctl.core.rounding import decimal_text
from gpuctl.core.statement import PriceStep
from gpuctl.documents.drawing import SERIES, Drawing, across, element, fill, titled
from gpuctl.documents.formats import MINUS, clip, duration, money, short_day, short_moment

_DAILY, _WEEKLY = 62, 434
"""Days that are still drawn one by one, and by the week; a longer period goes by the month."""
_LEFT = 44
_PLOT, _TOP, _FOOT = 180, 12, 22
_ROW, _STRIP = 30, 9
_MOST_MACHINES = 16
_THIN = 0.004
_LABEL = 44
"""Letters of a machine's name that fit on a phone."""
_STEPS = (Decimal(1), Decimal(2), Decimal(5), Decimal(10), Decimal(20))


class Series(NamedTuple):
    """One project's amounts by day."""

    label: str
    days: Mapping[date, Decimal]


class Stay(NamedTuple):
    """A session as a stretch of the period, both ends between 0 and 1. `series` is its project."""

    machine: str
    start: float
    end: float
    seconds: int
    series: int
    interrupted: bool
    words: str


def spend(name: str, days: Sequence[date], series: Sequence[Series], currency: str) -> Drawing:
    """Stacked bars: a bar a day (a week, a month), a part a project. Credits hang below zero."""
    buckets = _buckets(days)
    series = _fewer(series)
    parts = [_sums(one.days, buckets) for one in series]
    high = max((sum(p[i] for p in parts if p[i] > 0) for i in range(len(buckets))), default=0)
    low = min((sum(p[i] for p in parts if p[i] < 0) for i in range(len(buckets))), default=0)
    scale = _Scale(Decimal(low), Decimal(high))
    body = scale.grid()
    wide = 1 / max(len(buckets), 1)
    for i, bucket in enumerate(buckets):
        up = down = Decimal(0)
        for k, one in enumerate(series):
            part = parts[k][i]
            if not part:
                continue
            base = up if part > 0 else down
            top, bottom = scale.y(max(base, base + part)), scale.y(min(base, base + part))
            body += titled(
                "rect",
                f"{_span(bucket)}: {one.label}, {money(part, currency)}",
                x=across((i + 0.12) * wide),
                width=across(0.76 * wide),
                y=_px(top),
                height=_px(max(bottom - top, 2.0)),
                **fill(name, k),
            )
            up, down = (up + part, down) if part > 0 else (up, down + part)
    body += _dates(buckets, _TOP + _PLOT + 16)
    return Drawing(name, body, _TOP + _PLOT + _FOOT, _LEFT, series=len(series))


def machines(
    name: str, days: Sequence[date], stays: Sequence[Stay], hours: Mapping[date, Decimal]
) -> Drawing:
    """A strip a machine with its sessions, and below, machine-hours a day."""
    rows: dict[str, list[Stay]] = {}
    for stay in stays:
        rows.setdefault(stay.machine, []).append(stay)
    if len(rows) > _MOST_MACHINES:
        kept = list(rows)[: _MOST_MACHINES - 1]
        rest = [stay for machine in list(rows)[_MOST_MACHINES - 1 :] for stay in rows[machine]]
        more = f"{len(rows) - len(kept)} more machines"
        rows = {machine: rows[machine] for machine in kept} | {more: rest}
    body = ""
    for i, (machine, found) in enumerate(rows.items()):
        y = _TOP + i * _ROW
        ran = duration(sum(stay.seconds for stay in found))
        body += element("text", clip(machine, _LABEL), class_="strong", x=0, y=y)
        body += element("text", ran, class_="end", x="100%", y=y)
        body += element("rect", class_="track", x=0, width="100%", y=y + 5, height=_STRIP)
        for stay in found:
            start, end = _within(stay)
            body += titled(
                "rect",
                stay.words,
                x=across(start),
                width=across(end - start),
                y=y + 5,
                height=_STRIP,
                **fill(name, stay.series),
            )
        for stay in found:
            if stay.interrupted:
                at = across(_within(stay)[1])
                body += element("line", class_="cut", x1=at, x2=at, y1=y + 2, y2=y + 17)
    below = len(rows) * _ROW + 14
    buckets = _buckets(days)
    sums = _sums(hours, buckets)
    scale = _Scale(Decimal(0), max(sums, default=Decimal(0)), top=_TOP + below, plot=60, most=2)
    body += element("text", "Machine-hours a day", class_="strong", x=0, y=_TOP + below - 8)
    body += scale.grid()
    wide = 1 / max(len(buckets), 1)
    for i, bucket in enumerate(buckets):
        if sums[i]:
            top = scale.y(sums[i])
            body += titled(
                "rect",
                f"{_span(bucket)}: {duration(round(sums[i] * 3600))}",
                class_="hours",
                x=across((i + 0.12) * wide),
                width=across(0.76 * wide),
                y=_px(top),
                height=_px(max(scale.y(Decimal(0)) - top, 0.5)),
            )
    body += _dates(buckets, _TOP + below + 60 + 16)
    return Drawing(
        name,
        body,
        _TOP + below + 60 + _FOOT,
        _LEFT,
        series=max((stay.series + 1 for stay in stays), default=0),
    )


def price(
    name: str, steps: Sequence[PriceStep], start: datetime, end: datetime, listed: Decimal | None
) -> Drawing:
    """What an hour cost while a session ran, in steps, below the dashed on-demand price."""
    top, plot = 16, 52
    most = max([step.usd for step in steps] + [listed or Decimal(0)])
    whole = max((end - start).total_seconds(), 1.0)

    def x(when: datetime) -> float:
        return min(max((when - start).total_seconds() / whole, 0.0), 1.0)

    def y(usd: Decimal) -> float:
        return top + plot * (1 - float(usd / most)) if most else float(top + plot)

    body = ""
    ends = [step.at for step in steps[1:]] + [end]
    for step, until in zip(steps, ends, strict=True):
        left, right, level = x(step.at), x(until), _px(y(step.usd))
        body += element(
            "rect",
            class_="area",
            x=across(left),
            width=across(right - left),
            y=level,
            height=_px(top + plot - y(step.usd)),
        )
    for i, (step, until) in enumerate(zip(steps, ends, strict=True)):
        left, right, level = across(x(step.at)), across(x(until)), _px(y(step.usd))
        body += element("line", class_="step", x1=left, x2=right, y1=level, y2=level)
        if i:
            before = _px(y(steps[i - 1].usd))
            body += element("line", class_="step", x1=left, x2=left, y1=before, y2=level)
    body += element("line", class_="zero", x1=0, x2="100%", y1=top + plot, y2=top + plot)
    if listed is not None:
        level = _px(y(listed))
        body += element("line", class_="list", x1=0, x2="100%", y1=level, y2=level)
    body += element("text", short_moment(start), x=0, y=top + plot + 15)
    body += element("text", short_moment(end), class_="end", x="100%", y=top + plot + 15)
    return Drawing(name, body, top + plot + 20)


def swatch(name: str, series: int) -> Drawing:
    """The colour and texture of one series."""
    body = element("rect", width=14, height=14, **fill(name, series))
    return Drawing(name, body, 14, width=14, series=min(series, SERIES - 1) + 1)


def mark(name: str, kind: str) -> Drawing:
    """What a line means: `cut` an interruption, `step` the price paid, `list` on demand."""
    if kind == "cut":
        return Drawing(name, element("line", class_=kind, x1=7, x2=7, y1=0, y2=14), 14, width=14)
    return Drawing(name, element("line", class_=kind, x1=0, x2=22, y1=7, y2=7), 14, width=22)


def _fewer(series: Sequence[Series]) -> list[Series]:
    """What is too much to be told apart is one series, the last."""
    if len(series) <= SERIES:
        return list(series)
    rest: dict[date, Decimal] = {}
    for one in series[SERIES - 1 :]:
        for when, cost in one.days.items():
            rest[when] = rest.get(when, Decimal(0)) + cost
    return [*series[: SERIES - 1], Series(f"{len(series) - SERIES + 1} more projects", rest)]


def _buckets(days: Sequence[date]) -> list[tuple[date, date]]:
    """First and last day of each bar."""
    made: list[tuple[date, date]] = []
    for when in days:
        if made and _together(made[-1][0], when, len(days)):
            made[-1] = (made[-1][0], when)
        else:
            made.append((when, when))
    return made


def _within(stay: Stay) -> tuple[float, float]:
    """Its place, at least as wide as can be seen, and all of it in the drawing."""
    start = min(max(stay.start, 0.0), 1.0 - _THIN)
    return start, min(max(stay.end, start + _THIN), 1.0)


def _together(first: date, when: date, days: int) -> bool:
    if days <= _DAILY:
        return False
    if days <= _WEEKLY:
        return first - timedelta(first.weekday()) == when - timedelta(when.weekday())
    return (first.year, first.month) == (when.year, when.month)


def _sums(days: Mapping[date, Decimal], buckets: Sequence[tuple[date, date]]) -> list[Decimal]:
    return [
        sum((value for when, value in days.items() if first <= when <= last), Decimal(0))
        for first, last in buckets
    ]


def _span(bucket: tuple[date, date]) -> str:
    first, last = bucket
    return short_day(first) if first == last else f"{short_day(first)} – {short_day(last)}"


def _dates(buckets: Sequence[tuple[date, date]], y: int) -> str:
    apart = -(-len(buckets) // 5)
    return "".join(
        element(
            "text",
            short_day(buckets[i][0]),
            class_="middle",
            x=across((i + 0.5) / len(buckets)),
            y=y,
        )
        for i in range(0, len(buckets), max(apart, 1))
    )


def _px(value: float) -> str:
    return f"{value:.1f}"


class _Scale:
    """Amounts to pixels, with a few round numbers beside."""

    def __init__(
        self, low: Decimal, high: Decimal, *, top: int = _TOP, plot: int = _PLOT, most: int = 4
    ) -> None:
        size = Decimal(10) ** ((high - low) / most or Decimal(1)).adjusted()
        self._step = next(size * k for k in _STEPS if _count(low, high, size * k) <= most)
        self._low = math.floor(low / self._step) * self._step
        self._count = max(_count(low, high, self._step), 1)
        self._top, self._plot = top, plot

    def y(self, value: Decimal) -> float:
        share = float((value - self._low) / (self._step * self._count))
        return self._top + self._plot * (1 - share)

    def grid(self) -> str:
        made = ""
        for i in range(self._count + 1):
            value = self._low + i * self._step
            y = self.y(value)
            kind = "zero" if value == 0 else "grid"
            text = f"{Decimal(decimal_text(abs(value))):,}"
            made += element("line", class_=kind, x1=0, x2="100%", y1=_px(y), y2=_px(y))
            made += element(
                "text",
                f"{MINUS}{text}" if value < 0 else text,
                class_="end",
                x=-8,
                y=_px(y + 4),
            )
        return made


def _count(low: Decimal, high: Decimal, step: Decimal) -> int:
    """Steps from at or below `low` to at or above `high`."""
    return math.ceil(high / step) - math.floor(low / step)
