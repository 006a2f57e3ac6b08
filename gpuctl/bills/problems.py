"""What was read leniently or left out, in words for people, each with its number of rows."""

from collections.abc import Iterator

from gpuctl.bills.engine import Engine
from gpuctl.bills.grouping import Grouped
from gpuctl.bills.meaning import category
from gpuctl.bills.shapes import FEED, Shape

_ASSUMED = {
    "currency": "no column names the currency: USD is assumed",
    "provider": "no column names the provider: none of its days can be compared with the ledger",
    "line": "no column tells usage from taxes and credits: every row is taken for usage",
    "resource": "no column names resources: costs can only be compared by kind and day",
    "end": "no column tells when a charge ends: its start stands for it",
}


def problems(engine: Engine, shape: Shape, grouped: Grouped, where: str) -> Iterator[str]:
    """The most consequential first."""
    yield from _undated(engine)
    yield from _left_out(grouped)
    if grouped.superseded:
        yield f"{_rows(grouped.superseded)} left out: issued again later for the same hour"
    if where:
        yield from _outside(engine, where)
    if grouped.absent:
        yield f"{_rows(grouped.absent)} of other than usage without an amount: counted as 0"
    if grouped.unread:
        yield f"{_rows(grouped.unread)} with a quantity that is no number: left out of quantities"
    for line, rows in _unknown(engine, shape):
        yield f"{_rows(rows)} of an unknown type ({line or 'empty'}): counted as other"
    yield from _long(engine, shape)
    if shape is not FEED:
        for field, words in _ASSUMED.items():
            names = shape.fields.get(field)
            if names and names[0] in grouped.lacking:
                yield words
    yield from _no_currency(engine, shape, grouped)


def _left_out(grouped: Grouped) -> Iterator[str]:
    for count, why in (
        (grouped.earlier, "earlier versions of the same report, by its manifest"),
        (grouped.copies, "the same, byte for byte, as another in that folder"),
    ):
        if count:
            yield f"{'1 file' if count == 1 else f'{count:,} files'} left out: {why}"


def _undated(engine: Engine) -> Iterator[str]:
    rows = _count(engine, "WHERE undated")
    if rows:
        yield (
            f"{_rows(rows)} without a date that can be read: in the totals, on the first day of "
            "the billing period, compared with nothing, and no day that may lack one is settled"
        )


def _outside(engine: Engine, where: str) -> Iterator[str]:
    rows = _count(engine, "") - _count(engine, where)
    if rows:
        yield f"{_rows(rows)} outside the days asked for: left out"


def _unknown(engine: Engine, shape: Shape) -> Iterator[tuple[str | None, int]]:
    for line, part, rows in engine.connection.execute(
        "SELECT line, part, sum(facts)::BIGINT FROM days JOIN words ON id = words "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        if category(shape, line, part) is None:
            yield line, rows


def _long(engine: Engine, shape: Shape) -> Iterator[str]:
    rows = sum(
        rows
        for line, part, rows in engine.connection.execute(
            "SELECT line, part, sum(facts)::BIGINT FROM days JOIN words ON id = words "
            "WHERE last > first + INTERVAL 25 HOUR GROUP BY ALL"
        ).fetchall()
        if category(shape, line, part) == "usage"
    )
    if rows:
        yield f"{_rows(rows)} of usage for longer than a day: all of it stands on the first"


def _no_currency(engine: Engine, shape: Shape, grouped: Grouped) -> Iterator[str]:
    names = shape.fields.get("currency", ("",))
    rows = 0 if names[0] in grouped.lacking else _count(engine, "WHERE currency IS NULL")
    if rows:
        yield f"{_rows(rows)} without a currency: USD is assumed"


def _count(engine: Engine, where: str) -> int:
    row = engine.connection.execute(
        f"SELECT coalesce(sum(facts), 0)::BIGINT FROM days JOIN words ON id = words {where}"
    ).fetchone()
    return int(row[0]) if row else 0


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
