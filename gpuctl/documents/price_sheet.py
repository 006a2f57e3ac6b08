"""What an hour of spot cost during each session, beside what it would have cost on demand."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from gpuctl.core.kinds import Market
from gpuctl.core.rounding import round_half_up
from gpuctl.core.statement import PriceStep, SessionLine, Statement
from gpuctl.documents.axes import pixels
from gpuctl.documents.charts import mark
from gpuctl.documents.drawing import Drawing, across, element
from gpuctl.documents.formats import aligned, clip, plain, short_day, short_moment
from gpuctl.documents.sheet import Figure, Gallery, Key

_MOST = 12
_TOP, _PLOT, _FOOT = 16, 52, 20
_BRIEF_S = 600
"""Of shorter runs the on-demand price an hour cannot be told from rounded cents."""

_Place = tuple[str, str | None, str | None]


def gallery(name: str, sessions: Sequence[SessionLine], statement: Statement) -> Gallery | None:
    """A small chart a spot session, the longest where there are many; None without any."""
    priced = [one for one in sessions if one.market is Market.SPOT and one.prices]
    if not priced:
        return None
    listed = _listed(sessions, statement)
    longest = sorted(range(len(priced)), key=lambda i: -priced[i].seconds)[:_MOST]
    figures = tuple(
        _figure(f"{name}-price-{i}", priced[i], listed.get(_place(priced[i])), statement.as_of)
        for i in sorted(longest)
    )
    words = "USD an hour for the machine itself, from the start of each session to its end."
    if len(priced) > len(figures):
        words += f" The {len(figures)} longest of {len(priced)} spot sessions are drawn."
    keys = [Key(mark(f"{name}-paid", "step"), "paid")]
    if any(_place(priced[i]) in listed for i in longest):
        keys.append(Key(mark(f"{name}-list", "list"), "on demand"))
    return Gallery(f"{name}-prices", "Spot price during each session", words, figures, tuple(keys))


def chart(
    name: str, steps: Sequence[PriceStep], start: datetime, end: datetime, listed: Decimal | None
) -> Drawing:
    """The price in steps from zero up, and the on-demand price as a dashed line."""
    most = max([*(step.usd for step in steps), listed or Decimal(0)]) or Decimal(1)
    whole = max((end - start).total_seconds(), 1.0)
    floor = _TOP + _PLOT

    def y(usd: Decimal) -> float:
        return _TOP + _PLOT * (1 - float(usd / most))

    times = [step.at for step in steps] + [end]
    places = [min(max((at - start).total_seconds() / whole, 0.0), 1.0) for at in times]
    area = line = ""
    for i, step in enumerate(steps):
        left, right, level = places[i], max(places[i + 1], places[i]), y(step.usd)
        area += element(
            "rect",
            class_="area",
            x=across(left),
            width=across(right - left),
            y=pixels(level),
            height=pixels(max(floor - level, 0.0)),
        )
        line += _line("step", left, right, level, level)
        if i:
            line += _line("step", left, left, y(steps[i - 1].usd), level)
    line += _line("zero", 0.0, 1.0, floor, floor)
    if listed is not None:
        line += _line("list", 0.0, 1.0, y(listed), y(listed))
    line += element("text", short_moment(start), x=0, y=floor + 15)
    line += element("text", short_moment(end), class_="end", x="100%", y=floor + 15)
    return Drawing(name, area + line, floor + _FOOT)


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return element("line", class_=kind, x1=across(x1), x2=across(x2), y1=pixels(y1), y2=pixels(y2))


def _figure(name: str, one: SessionLine, listed: Decimal | None, as_of: datetime) -> Figure:
    paid = [step.usd for step in one.prices]
    low, high = aligned((min(paid), max(paid)), 4)
    words = low if low == high else f"{low} to {high}"
    if listed is not None:
        words += f", on demand {round_half_up(listed, 2)}"
    drawing = chart(name, one.prices, one.start, one.end or max(as_of, one.start), listed)
    return Figure(name, f"{clip(plain(one.machine), 40)}, {short_day(one.start)}", words, drawing)


def _place(one: SessionLine) -> _Place:
    return one.provider, one.zone, one.type


def _listed(sessions: Sequence[SessionLine], statement: Statement) -> dict[_Place, Decimal]:
    """USD an hour on demand, from rounded costs: so from all sessions of a type in a zone."""
    per_usd = statement.exchange.per_usd if statement.exchange else Decimal(1)
    found: dict[_Place, tuple[Decimal, int]] = {}
    for one in sessions:
        if one.on_demand is not None:
            cost, seconds = found.get(_place(one), (Decimal(0), 0))
            found[_place(one)] = (cost + one.on_demand, seconds + one.seconds)
    return {
        place: cost / per_usd * 3600 / seconds
        for place, (cost, seconds) in found.items()
        if seconds >= _BRIEF_S
    }
