"""A bill that was read: its totals, what was read leniently, and its days."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from gpuctl.bills.amounts import joined
from gpuctl.bills.engine import Engine
from gpuctl.bills.facts import WORDS
from gpuctl.bills.grouping import Grouped
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
from gpuctl.core.rounding import EXACT

_BATCH = 5_000
_COMPARED = frozenset({Category.USAGE, Category.CREDIT, Category.REFUND})
"""What can be about one thing that runs; taxes and fees have no kind."""

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
        found = self._engine.connection.cursor().execute(_SELECT.format(where=self._where))
        while rows := found.fetchmany(_BATCH):
            for row in rows:
                yield self._day(_Row(*row))

    def _totals(self) -> Iterator[Total]:
        sums: dict[tuple[Category, str], tuple[Decimal, int]] = {}
        for line, part, currency, high, low, rows in self._engine.connection.execute(
            "SELECT line, part, coalesce(currency, 'USD'), sum(high), sum(low), "
            f"sum(facts)::BIGINT FROM days {self._where} GROUP BY ALL"
        ).fetchall():
            key = (self._category(line, part), currency)
            cost, count = sums.get(key, (Decimal(0), 0))
            sums[key] = (EXACT.add(cost, joined(high, low)), count + rows)
        order = list(Category)
        for key in sorted(sums, key=lambda key: (order.index(key[0]), key[1])):
            yield Total(*key, *sums[key])

    def _category(self, line: str | None, part: int) -> Category:
        return category(self._shape, line, part) or Category.OTHER

    def _day(self, row: "_Row") -> BilledDay:
        said = dict(zip(WORDS, row.words, strict=True))
        provider = self._shape.provider or provider_name(said["provider"])
        category_, sku = self._category(said["line"], row.part), said["sku"]
        found: Meaning | None = None
        if category_ in _COMPARED and not row.undated:
            found = meaning(
                provider, sku, said["detail"], said["service"], said["purchase"], said["unit"]
            )
        quantity = None if row.quantity is None else Decimal(row.quantity)
        if quantity is not None and found is not None and found.times != 1:
            quantity = EXACT.multiply(quantity, Decimal(found.times))
        high = Decimal(row.high or 0)
        return BilledDay(
            provider=provider,
            account=account(said["account"]),
            resource=said["resource"],
            kind=None if found is None else found.kind,
            sku=f"{row.label}: {sku}" if row.label else sku,
            market=None if found is None else found.market,
            category=category_,
            day=row.day,
            start=row.first.replace(tzinfo=UTC),
            end=row.last.replace(tzinfo=UTC),
            quantity=quantity,
            unit=said["unit"] if found is None else found.unit,
            cost=high if row.low is None else joined(high, row.low),
            currency=said["currency"] or "USD",
            per_usd=_rate(said["per_usd"]),
            project=project(said["tag"]),
            region=region(said["region"], sku),
            invoice=said["invoice"],
            rows=row.facts,
        )


class _Row(NamedTuple):
    """A row of `days`, as `_SELECT` has it. Decimals come as text, without padding."""

    words: Sequence[str | None]
    part: int
    day: date
    first: datetime
    last: datetime
    quantity: str | None
    high: str | None
    low: Decimal | None
    facts: int
    label: str | None
    undated: bool


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


_SELECT = f"""
SELECT [{", ".join(WORDS)}], part, day, first, last, {_trimmed("quantity")}, {_trimmed("high")},
    low, facts, label, undated
FROM days {{where}}
ORDER BY day, resource, sku, part, {", ".join(w for w in WORDS if w not in ("resource", "sku"))},
    label, undated
"""
