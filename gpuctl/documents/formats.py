"""How a document for people writes amounts, times and names. English, and the same everywhere."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from gpuctl.core.rounding import decimal_text, minor_units
from gpuctl.core.statement import Exchange

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
"""In a cell without a value: a blank could be an oversight."""
JOIN = "\N{NO-BREAK SPACE}"
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_PROVIDERS = {"aws": "AWS", "gcp": "Google Cloud"}
# Controls, what turns the direction of writing, and halves of characters: no name needs them, and
# they could hide or turn round the figures beside it.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]"
)


def plain(text: str) -> str:
    """A name from outside, on one line, with U+FFFD for what cannot or must not be shown."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


def clip(text: str, most: int) -> str:
    """A name where there is no second line to go on: the end is left out, and that is seen."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def amount(value: Decimal, currency: str) -> str:
    """`1,234.56`: in the currency's own coins, and all digits of a value that is finer."""
    places = max(minor_units(currency), _places(value))
    text = f"{abs(value):,.{places}f}"
    return f"{MINUS}{text}" if value < 0 else text


def exchanged(rate: Exchange) -> str:
    """The rate as its source quotes it, and what that makes of a dollar where it says another."""
    dollar = f"1 USD = {decimal_text(rate.per_usd)} {rate.currency}"
    quoted = plain(rate.quoted)
    where = f"({plain(rate.source)}, {day(rate.day)})"
    return f"{quoted} {where}" if quoted == dollar else f"{quoted} {where}, so {dollar}"


def money(value: Decimal, currency: str) -> str:
    """`EUR 1,234.56`."""
    return f"{currency}{JOIN}{amount(value, currency)}"


def aligned(values: Iterable[Decimal | None], least: int = 0) -> list[str]:
    """A column of exact numbers, with as many decimals each as the longest has; `NONE` for None."""
    column = list(values)
    places = max((_places(value) for value in column if value is not None), default=0)
    places = max(places, least)
    return [NONE if value is None else f"{value:,.{places}f}" for value in column]


def percent(fraction: Decimal) -> str:
    """`15 %` for 0.15."""
    return f"{decimal_text(fraction * 100)}{JOIN}%"


def duration(seconds: int) -> str:
    """`26:05:09`: hours, minutes and seconds, so that a column adds up exactly."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}:{rest:02d}"


def hours(seconds: int) -> str:
    """`26.1 h`, for a sentence."""
    return f"{Decimal(seconds) / 3600:,.1f}{JOIN}h"


def day(when: date) -> str:
    """`3 March 2025`."""
    return f"{when.day}{JOIN}{_MONTHS[when.month - 1]}{JOIN}{when.year}"


def short_day(when: date) -> str:
    """`3 Mar`, where the year is plain."""
    return f"{when.day}{JOIN}{_MONTHS[when.month - 1][:3]}"


def moment(when: datetime) -> str:
    """`3 March 2025, 08:02 UTC`."""
    when = when.astimezone(UTC)
    return f"{day(when)}, {when:%H:%M}{JOIN}UTC"


def short_moment(when: datetime) -> str:
    """`3 Mar 08:02`, in UTC, where the year is plain."""
    when = when.astimezone(UTC)
    return f"{short_day(when)}{JOIN}{when:%H:%M}"


def month(text: str) -> str:
    """`March 2025` for `2025-03`."""
    year, _, number = text.partition("-")
    return f"{_MONTHS[int(number) - 1]}{JOIN}{year}"


def stretch(start: datetime, end: datetime) -> str:
    """The days of a half-open span, both named, `1 March 2025` alone for a day."""
    first = start.astimezone(UTC).date()
    last = max(first, (end.astimezone(UTC) - timedelta(microseconds=1)).date())
    return day(first) if first == last else f"{day(first)} {NONE} {day(last)}"


def provider(name: str) -> str:
    """As people call it."""
    return _PROVIDERS.get(name, plain(name))


def gpu(name: str | None, count: int) -> str:
    """How many of which; the maker's own prefixes are left out."""
    if not name or not count:
        return NONE
    model = re.sub(r"^nvidia-(?:tesla-)?(?=[\w-]+$)", "", name)
    shown = plain(name) if model == name else model.upper()
    return f"{count}{JOIN}\N{MULTIPLICATION SIGN}{JOIN}{shown}"


def _places(value: Decimal) -> int:
    """Decimals that a value needs."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
