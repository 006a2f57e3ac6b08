"""Recorded spot markets: the public trace form, read strictly."""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from gpuctl.core.deadline.simulate import Market
from gpuctl.core.errors import ConfigError, Problem

LONGEST_INTERVAL = 24 * 3600
DECIMALS = 10
"""Prices are kept to this many decimals, as whole numbers: sums are exact."""

_Wrong = Callable[[str, str], None]


class Trace(NamedTuple):
    """One file: a zone's availability, one value every `interval` seconds, and its prices.

    `on_demand` and `prices` are USD per hour; None where the file has none.
    """

    zone: str
    file: str
    interval: int
    available: tuple[bool, ...]
    on_demand: Decimal | None
    prices: tuple[Decimal, ...] | None


def read_trace(file: str, text: str) -> Trace:
    """The trace in a file (`ZONE_….json`). ConfigError names the file and every wrong field."""
    data = _parsed(file, text)
    problems: list[Problem] = []

    def wrong(field: str, reason: str) -> None:
        problems.append(Problem(file, None, field, reason))

    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        wrong("metadata", "is missing" if metadata is None else "is no object")
        metadata = None
    available = _numbers(data, "data", wrong)
    prices = None if data.get("prices") is None else _numbers(data, "prices", wrong)
    if prices and available and len(prices) != len(available):
        wrong("prices", f"has {len(prices)} values, data has {len(available)}")
    for at, price in enumerate(prices or ()):
        if price <= 0:
            wrong(f"prices[{at}]", f"is {price}, not above 0")
            break
    interval = 0 if metadata is None else _interval(metadata, wrong)
    on_demand = None if metadata is None else _on_demand(metadata, wrong)
    if problems:
        raise ConfigError(problems)
    return Trace(
        zone=file.replace("\\", "/").rpartition("/")[2].removesuffix(".json").partition("_")[0],
        file=file,
        interval=interval,
        available=tuple(value > 0 for value in available),
        on_demand=on_demand,
        prices=None if prices is None else tuple(prices),
    )


def market_of(traces: Sequence[Trace], spot_ratio: Decimal) -> Market:
    """The zones side by side, as far as all are recorded; they begin at the same moment.

    A zone without prices, or without the on-demand price that they are compared with, has spot
    at `spot_ratio` of on-demand. The on-demand price is the least of those given. ConfigError
    where two files have one zone, or other intervals.
    """
    first = traces[0]
    problems = [
        Problem(trace.file, None, "metadata.gap_seconds", f"is {trace.interval}, not "
                f"{first.interval} as in {first.file}")
        for trace in traces
        if trace.interval != first.interval
    ]  # fmt: skip
    files: dict[str, str] = {}
    for trace in traces:
        if trace.zone in files:
            reason = f"is of zone {trace.zone}, as {files[trace.zone]} is"
            problems.append(Problem(trace.file, None, None, reason))
        files.setdefault(trace.zone, trace.file)
    if problems:
        raise ConfigError(problems)
    on_demand = min((t.on_demand for t in traces if t.on_demand is not None), default=Decimal(1))
    length = min(len(trace.available) for trace in traces)
    unit = Decimal(10) ** DECIMALS
    columns = [
        [int(price * unit) for price in _prices(trace, on_demand, spot_ratio)[:length]]
        for trace in traces
    ]
    whole = int(on_demand * unit)
    prices = list(zip(*columns, strict=True))
    known: dict[tuple[int, ...], tuple[float, ...]] = {}
    for row in prices:
        if row not in known:
            known[row] = tuple(price / whole for price in row)
    return Market(
        zones=tuple(trace.zone for trace in traces),
        interval=first.interval,
        available=list(zip(*(trace.available[:length] for trace in traces), strict=True)),
        prices=prices,
        shares=[known[row] for row in prices],
        on_demand=whole,
    )


def _prices(trace: Trace, on_demand: Decimal, spot_ratio: Decimal) -> Sequence[Decimal]:
    if trace.prices is not None and trace.on_demand is not None:
        return trace.prices
    return [spot_ratio * (trace.on_demand or on_demand)] * len(trace.available)


def _parsed(file: str, text: str) -> Mapping[str, Any]:
    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no number of JSON")

    try:
        data = json.loads(text, parse_float=Decimal, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ConfigError([Problem(file, error.lineno, None, f"is no JSON: {error.msg}")]) from None
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise ConfigError([Problem(file, None, None, f"is no JSON: {error}")]) from None
    if not isinstance(data, dict):
        reason = 'is no object with "metadata" and "data"'
        raise ConfigError([Problem(file, None, None, reason)])
    return data


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _numbers(data: Mapping[str, Any], field: str, wrong: _Wrong) -> list[Decimal]:
    values = data.get(field)
    if not isinstance(values, list) or not values:
        wrong(field, "is missing" if values is None else "is no list of numbers, one an interval")
        return []
    for at, value in enumerate(values):
        if not _is_number(value) or value < 0:
            wrong(f"{field}[{at}]", f"is {json.dumps(value, default=str)}, no number of at least 0")
            return []
    return [Decimal(value) for value in values]


def _interval(metadata: Mapping[str, Any], wrong: _Wrong) -> int:
    value = metadata.get("gap_seconds")
    if value is None:
        wrong("metadata.gap_seconds", "is missing")
    elif not _is_number(value) or value != int(value) or not 0 < value <= LONGEST_INTERVAL:
        shown = json.dumps(value, default=str)
        wrong("metadata.gap_seconds", f"is {shown}, no whole number of seconds from 1 to a day")
    else:
        return int(value)
    return 0


def _on_demand(metadata: Mapping[str, Any], wrong: _Wrong) -> Decimal | None:
    value = metadata.get("on_demand_price")
    if value is None:
        return None
    try:
        price = Decimal(value) if _is_number(value) or isinstance(value, str) else Decimal("NaN")
    except ArithmeticError:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 < price < 10**DECIMALS:
        shown = json.dumps(value, default=str)
        wrong("metadata.on_demand_price", f"is {shown}, no price in USD per hour above 0")
        return None
    return price
