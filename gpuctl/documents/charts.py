"""Two charts of the period: cost by day and project, and which machine ran when."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from gpuctl.documents.axes import Scale, bars, block, dates, sums
from gpuctl.documents.drawing import SERIES, Drawing, across, element, fill, titled
from gpuctl.documents.formats import clip, duration, money

_LEFT = 44
_TOP, _FOOT = 12, 22
_COSTS, _HOURS = 180, 60
_ROW, _STRIP = 30, 9
_MOST_MACHINES = 16
_THIN = 0.006
"""Of the width: a shorter session would not be seen."""
_LABEL = 30
"""Letters of a machine's name that fit on a phone."""


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
    series, across_days = _fewer(series), bars(days)
    parts = [sums(one.days, across_days) for one in series]
    columns = list(zip(*parts, strict=True))
    ups = [sum((part for part in column if part > 0), Decimal(0)) for column in columns]
    downs = [sum((part for part in column if part < 0), Decimal(0)) for column in columns]
    scale = Scale(
        min(downs, default=Decimal(0)), max(ups, default=Decimal(0)), top=_TOP, plot=_COSTS
    )
    body = scale.grid()
    for i, (bar, column) in enumerate(zip(across_days, columns, strict=True)):
        above = below = Decimal(0)
        for k, part in enumerate(column):
            if not part:
                continue
            base = above if part > 0 else below
            body += block(
                f"{bar}: {series[k].label}, {money(part, currency)}",
                i,
                len(columns),
                (scale.y(base), scale.y(base + part)),
                **fill(name, k),
            )
            above, below = (above + part, below) if part > 0 else (above, below + part)
    body += scale.floor() + dates(across_days, _TOP + _COSTS + 16)
    return Drawing(name, body, _TOP + _COSTS + _FOOT, _LEFT, series=len(series))


def machines(
    name: str, days: Sequence[date], stays: Sequence[Stay], hours: Mapping[date, Decimal]
) -> Drawing:
    """A strip a machine with its sessions, and below, machine-hours a day."""
    rows = _rows(stays)
    body = "".join(
        _strip(name, machine, found, _TOP + i * _ROW)
        for i, (machine, found) in enumerate(rows.items())
    )
    top = _TOP + len(rows) * _ROW + 14
    across_days = bars(days)
    ran = sums(hours, across_days)
    scale = Scale(Decimal(0), max(ran, default=Decimal(0)), top=top, plot=_HOURS, most=2)
    body += element("text", "Machine-hours a day", class_="strong", x=0, y=top - 8)
    body += scale.grid()
    for i, (bar, value) in enumerate(zip(across_days, ran, strict=True)):
        if value:
            words = f"{bar}: {duration(round(value * 3600))}"
            ends = (scale.y(Decimal(0)), scale.y(value))
            body += block(words, i, len(ran), ends, class_="hours")
    body += scale.floor() + dates(across_days, top + _HOURS + 16)
    series = max((stay.series + 1 for stay in stays), default=0)
    return Drawing(name, body, top + _HOURS + _FOOT, _LEFT, series=series)


def swatch(name: str, series: int) -> Drawing:
    """The colour and texture of one series."""
    body = element("rect", width=14, height=14, **fill(name, series))
    return Drawing(name, body, 14, width=14, series=min(series, SERIES - 1) + 1)


def mark(name: str, kind: str) -> Drawing:
    """What a line means: `cut` an interruption, `step` the price paid, `list` on demand."""
    if kind == "cut":
        return Drawing(name, element("line", class_=kind, x1=7, x2=7, y1=0, y2=14), 14, width=14)
    return Drawing(name, element("line", class_=kind, x1=0, x2=22, y1=7, y2=7), 14, width=22)


def labels(series: Sequence[Series]) -> list[str]:
    """The names of the series that are told apart."""
    return [one.label for one in _fewer(series)]


def _fewer(series: Sequence[Series]) -> list[Series]:
    """What is too much to be told apart is one series, the last."""
    if len(series) <= SERIES:
        return list(series)
    rest: dict[date, Decimal] = {}
    for one in series[SERIES - 1 :]:
        for when, cost in one.days.items():
            rest[when] = rest.get(when, Decimal(0)) + cost
    return [*series[: SERIES - 1], Series(f"{len(series) - SERIES + 1} more projects", rest)]


def _rows(stays: Sequence[Stay]) -> dict[str, list[Stay]]:
    """Each machine's sessions; where there are too many machines, the briefest share a row."""
    rows: dict[str, list[Stay]] = {}
    for stay in stays:
        rows.setdefault(stay.machine, []).append(stay)
    if len(rows) <= _MOST_MACHINES:
        return rows
    longest = sorted(rows, key=lambda machine: -_seconds(rows[machine]))[: _MOST_MACHINES - 1]
    kept = {machine: found for machine, found in rows.items() if machine in longest}
    rest = [stay for stay in stays if stay.machine not in kept]
    return kept | {f"{len(rows) - len(kept)} more machines": rest}


def _strip(name: str, machine: str, found: Sequence[Stay], y: int) -> str:
    body = element("text", clip(machine, _LABEL), class_="strong", x=0, y=y)
    body += element("text", duration(_seconds(found)), class_="end", x="100%", y=y)
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
            **fill(name, stay.series, ""),
        )
    for at in (across(_within(stay)[1]) for stay in found if stay.interrupted):
        body += element("line", class_="cut", x1=at, x2=at, y1=y + 2, y2=y + 17)
    return body


def _seconds(stays: Sequence[Stay]) -> int:
    return sum(stay.seconds for stay in stays)


def _within(stay: Stay) -> tuple[float, float]:
    """Its place, at least as wide as can be seen, and all of it in the drawing."""
    start = min(max(stay.start, 0.0), 1.0 - _THIN)
    return start, min(max(stay.end, start + _THIN), 1.0)
