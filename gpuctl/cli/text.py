"""Figures and times as people read them in tables."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.rounding import round_half_up
from gpuctl.core.span import format_duration


def dollars(value: Fraction | Decimal | str | None, places: int = 2) -> str:
    """`$1.23`, `-$0.40`; `?` for a price that is not known."""
    if value is None:
        return "?"
    rounded = round_half_up(Fraction(value), places)
    sign = "-" if rounded < 0 else ""
    return f"{sign}${abs(rounded):,.{places}f}"


def rate(value: Fraction | Decimal | str | None) -> str:
    """An hourly price with the four decimals that spot prices have."""
    return dollars(value, 4)


def ago(since: datetime | None, now: datetime) -> str:
    """How long something has been so: `2h14m`."""
    return "-" if since is None else format_duration(max(now - since, timedelta(seconds=0)))


def until(deadline: datetime | None, now: datetime) -> str:
    """How long is left: `5h46m`, `past` when it is over."""
    if deadline is None:
        return "-"
    return format_duration(deadline - now) if deadline > now else "past"


def project_text(project: str | None) -> str:
    """A project in a table."""
    return project or "unattributed"
