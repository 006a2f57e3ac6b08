"""Recorded spot markets: the public trace form, read strictly."""

import json
from decimal import Decimal
from typing import NamedTuple

from gpuctl.core.errors import ConfigError, Problem

LONGEST_INTERVAL = 24 * 3600
_DECIMALS = 10
"""Prices are kept to this many decimals, so that sums are whole numbers."""


class Trace(NamedTuple):
    """One file: a zone's availability, one value every `interval` seconds, and its prices.

    `on_demand` and `prices` are per hour; None where the file has none.
    """

    zone: str
    file: str
    interval: int
    available: tuple[bool, ...]
    on_demand: Decimal | None
    prices: tuple[Decimal, ...] | None


def read_trace(name: str, text: str) -> Trace:
    """The trace in a file called `name` (`ZONE_….json`). ConfigError names file and field."""
    try:
        data = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        reason = f"is no JSON: {getattr(error, 'msg', None) or error}"
        raise ConfigError([Problem(name, line, None, reason)]) from None
    except RecursionError:
        raise ConfigError([Problem(name, None, None, "is nested too deep")]) from None
    problems: list[Problem] = []

    def wrong(field: str, reason: str) -> None:
        problems.append(Problem(name, None, field, reason))

    if not isinstance(data, dict):
        raise ConfigError([Problem(name, None, None, 'is no object with "metadata" and "data"')])
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        wrong("metadata", "is missing" if metadata is None else "is no object")
        metadata = {}
    interval = _interval(metadata, wrong) if not problems else 0
    available = _numbers(data, "data", wrong)
    prices = _numbers(data, "prices", wrong) if data.get("prices") is not None else None
    if prices is not None:
        if not all(price > 0 for price in prices):
            place = next(at for at, price in enumerate(prices) if price <= 0)
            wrong(f"prices[{place}]", "is not above 0")
        if available and len(prices) != len(available):
            wrong("prices", f"has {len(prices)} values, data has {len(available)}")
    on_demand = _price(metadata, wrong)
    if problems:
        raise ConfigError(problems)
    return Trace(
        zone=name.replace("\\", "/").rpartition("/")[2].removesuffix(".json").partition("_")[0],
        file=name,
        interval=interval,
        available=tuple(value > 0 for value in available),
        on_demand=on_demand,
        prices=None if prices is None else tuple(Decimal(price) for price in prices),
    )
