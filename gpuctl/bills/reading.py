"""A bill that was read: its totals, what was read leniently, and its days."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from gpuctl.bills.amounts import joined
from gpuctl.bills.engine import Engine
from gpuctl.bills.grouping import SAID, Grouped
from gpuctl.bills.meaning import (
    Meaning,
    account,
    category,
    meaning,
    project,
    provider_name,
    region,
)
from gpuctl.bills.problems import problems
from gpuctl.bills.shapes import Shape
from gpuctl.core.billed import BilledDay, Category, Total
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.rounding import EXACT
from gpuctl.core.span import Month

_BATCH = 5_000
_COMPARED = frozenset({Category.USAGE, Category.CREDIT, Category.REFUND})
"""What can be about one thing that runs; taxes and fees have no kind."""

_USED_IN_PERIOD = frozenset({"aws"})
"""Whose billing period is the month of the use: an invoice of Google's may have late usage of the
month before ("Structure of the Detailed data export": `invoice.month`)."""

Window = tuple[date | None, date | None]


class Reading:
    """`core.billed.Bill`. Holds the engine, and with it the table `days`, while it lives."""

    def __init__(
        self, engine: Engine, shape: Shape, grouped: Grouped, *, source: str, window: Window
    ) -> None:
        self._engine = engine
        self._shape = shape
        self._where = _where(window)
        self.source = source
        self.rows = grouped.rows
        self.totals: Sequence[Total] = tuple(self._totals())
        self.problems: Sequence[str] = tuple(problems(engine, shape, grouped, self._where))

    def days(self) -> Iterator[BilledDay]:
        """In order of days, then of resources. Each call begins anew."""
        words = self._words()
        found = self._engine.cursor().execute(_DAYS.format(where=self._where))
        while rows := found.fetchmany(_BATCH):
            for row in rows:
                yield _day(words[row[0]], *row[1:])

    def _totals(self) -> Iterator[Total]:
        sums: dict[tuple[Category, str], tuple[Decimal, int]] = {}
        for line, part, currency, high, low, rows in self._engine.connection.execute(
            "SELECT line, part, coalesce(currency, 'USD'), sum(high), sum(low), sum(facts)::BIGINT "
            f"FROM days JOIN words ON id = words {self._where} GROUP BY ALL"
        ).fetchall():
            key = (category(self._shape, line, part) or Category.OTHER, currency)
            cost, count = sums.get(key, (Decimal(0), 0))
            sums[key] = (EXACT.add(cost, joined(high, low)), count + rows)
        order = list(Category)
        for key in sorted(sums, key=lambda key: (order.index(key[0]), key[1])):
            yield Total(*key, *sums[key])

    def _words(self) -> dict[int, "_Words"]:
        """What each combination of words means, worked out once."""
        rows = self._engine.connection.execute(f"SELECT id, {', '.join(SAID)} FROM words")
        return {
            row[0]: self._understood(dict(zip(SAID, row[1:], strict=True)))
            for row in rows.fetchall()
        }

    def _understood(self, said: dict[str, Any]) -> "_Words":
        provider = self._shape.provider or provider_name(said["provider"])
        part, sku, unit = said["part"], said["sku"], said["unit"]
        what = category(self._shape, said["line"], part) or Category.OTHER
        found: Meaning | None = None
        if what in _COMPARED and not said["undated"]:
            found = meaning(provider, sku, said["detail"], said["service"], said["purchase"], unit)
        return _Words(
            provider=provider,
            account=account(said["account"]),
            kind=None if found is None else found.kind,
            sku=f"{said['label']}: {sku}" if said["label"] else sku,
            market=None if found is None else found.market,
            category=what,
            unit=unit if found is None else found.unit,
            times=None if found is None or found.times == 1 else Decimal(found.times),
            currency=said["currency"] or "USD",
            per_usd=_rate(said["per_usd"]),
            project=project(said["tag"]),
            region=region(said["region"], sku),
            invoice=said["invoice"],
            undated=said["undated"],
            placed=said["placed"] and provider in _USED_IN_PERIOD,
        )


class _Words(NamedTuple):
    """All of a `BilledDay` that words tell; quantities are in `unit` after `times`."""

    provider: str
    account: str | None
    kind: Kind | None
    sku: str | None
    market: Market | None
    category: Category
    unit: str | None
    times: Decimal | None
    currency: str
    per_usd: Decimal | None
    project: str | None
    region: str | None
    invoice: str | None
    undated: bool
    placed: bool
    """`day` begins the billing period of what is undated, and that is the month of its use."""


def _day(  # noqa: PLR0913, PLR0917 - the columns of `_DAYS`, a million times over
    said: _Words,
    resource: str | None,
    day: date,
    first: datetime,
    last: datetime,
    quantity: str | None,
    high: str | None,
    low: Decimal | None,
    rows: int,
) -> BilledDay:
    amount = None if quantity is None else Decimal(quantity)
    if amount is not None and said.times is not None:
        amount = EXACT.multiply(amount, said.times)
    cost = Decimal(high or 0)
    return BilledDay(
        said.provider,
        said.account,
        resource,
        said.kind,
        said.sku,
        said.market,
        said.category,
        day,
        _aware(first),
        _aware(last),
        amount,
        said.unit,
        cost if low is None else joined(cost, low),
        said.currency,
        said.per_usd,
        said.project,
        said.region,
        said.invoice,
        rows,
        said.undated,
        Month(day.year, day.month) if said.placed and day.day == 1 else None,
    )


@lru_cache(maxsize=4_096)
def _aware(moment: datetime) -> datetime:
    """Of the few moments at which hours begin and end."""
    return moment.replace(tzinfo=UTC)


def _rate(said: str | None) -> Decimal | None:
    try:
        rate = None if said is None else Decimal(said)
    except ArithmeticError:
        return None
    return rate if rate is not None and rate.is_finite() and rate > 0 else None


def _where(window: Window) -> str:
    """Dates make their own SQL: digits and hyphens."""
    start, end = window
    limits = [f"day >= DATE '{start.isoformat()}'"] if start else []
    limits += [f"day < DATE '{end.isoformat()}'"] if end else []
    return f"WHERE {' AND '.join(limits)}" if limits else ""


def _trimmed(column: str) -> str:
    return f"rtrim(rtrim(CAST({column} AS VARCHAR), '0'), '.')"


_DAYS = f"""
SELECT words, resource, day, first, last, {_trimmed("quantity")}, {_trimmed("high")}, low, facts
FROM days {{where}} ORDER BY day, resource, words
"""
