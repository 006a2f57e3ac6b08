"""Sums drawn as bars, one line each, within the terminal's width."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from fractions import Fraction

from gpuctl.cli.marks import bar, cut
from gpuctl.cli.render import plain, room, say
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars

_WIDTH = 80
_LONGEST = 32


def print_bars(session: Session, sums: Mapping[str, Fraction], *, every_day: bool) -> None:
    """The largest sum has the longest bar; a credit has none. `every_day`: names are days."""
    if not sums:
        say(session, "no charges")
        return
    rows = dict(_days(sums)) if every_day else dict(sums)
    most = max(rows.values())
    names = min(_LONGEST, max(len(plain(name)) for name in rows))
    costs = {name: dollars(cost, 2) for name, cost in rows.items()}
    figures = max(map(len, costs.values()))
    width = max(10, (room(session) or _WIDTH) - names - figures - 4)
    for name, cost in rows.items():
        drawn = bar(cost / most, width).rstrip("░.") if most > 0 else ""
        label = cut(plain(name), names)
        say(session, f"{label:<{names}}  {costs[name]:>{figures}}  {drawn}".rstrip())


def _days(sums: Mapping[str, Fraction]) -> Iterator[tuple[str, Fraction]]:
    """Days without a charge too: a gap in time is a gap in the picture."""
    day, last = (date.fromisoformat(name) for name in (min(sums), max(sums)))
    while day <= last:
        yield day.isoformat(), sums.get(day.isoformat(), Fraction(0))
        day += timedelta(days=1)
