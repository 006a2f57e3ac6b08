"""All rows of a bill added up, once, by DuckDB: tables of words, and of resources and days."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from gpuctl.bills.amounts import absent
from gpuctl.bills.engine import Engine
from gpuctl.bills.facts import WORDS, facts, said_by
from gpuctl.bills.locating import first_bad
from gpuctl.bills.meaning import category
from gpuctl.bills.shapes import FEED, Shape
from gpuctl.bills.tables import Table
from gpuctl.core.billed import Category

_EPOCH = date(1970, 1, 1)


class Grouped(NamedTuple):
    """What is known once all rows were added up into the table `days`."""

    rows: int
    superseded: int
    """Rows of the spot feed that a later issue of the same hour replaces."""
    absent: int
    """Amounts that are not there, of rows that are not usage."""
    unread: int
    """Quantities that are no number."""
    lacking: tuple[str, ...]
    """Known columns that no file has."""
    earlier: int = 0
    """Files left out: earlier versions of the same report."""
    copies: int = 0
    """Files left out: the same, byte for byte, as another in their folder."""


# As the tables are made: raw words first (`grouped`, one pass over the files); then the words
# cleaned and rows without a date placed (`cleaned`); then each combination of words once
# (`words`), and what is of one combination, resource and day added up again (`days`).
_GROUP = """
CREATE TABLE grouped AS
SELECT part, day, {words}, label, CASE WHEN day IS NULL THEN period END AS period,
    count(*) AS facts, count(f.high) AS amounts, sum(f.high) AS high, sum(f.low) AS low,
    sum(f.quantity) AS quantity, count(f.quantity) AS quantities,
    count(f.quantity_text) AS measured, min(f.started) AS started, max(f.ended) AS ended
FROM (SELECT * FROM ({facts}) {distinct}) AS f
GROUP BY ALL
"""

# The feed is issued again for an hour that was incomplete: the largest version counts.
_LATEST = """QUALIFY resource IS NULL OR started IS NULL OR row_number() OVER (
    PARTITION BY resource, started ORDER BY TRY_CAST(version AS BIGINT) DESC NULLS LAST) = 1"""

_BEGIN = """CASE WHEN regexp_full_match(period, '[0-9]{6}')
    THEN TRY_CAST(left(period, 4) || '-' || right(period, 2) || '-01' AS DATE)
    ELSE TRY_CAST(TRY_CAST(period AS TIMESTAMPTZ)::TIMESTAMP AS DATE) END"""
"""The first day of a billing period."""

_CLEAN = """
CREATE TABLE cleaned AS
SELECT * REPLACE (resource_id(resource) AS resource, tagged_project(tag) AS tag)
FROM (SELECT part, day IS NULL AS undated, day IS NULL AND {begin} IS NOT NULL AS placed,
    {words}, said(label) AS label, coalesce(day, {begin}, DATE '{fallback}') AS day,
    facts, high, low, quantity, quantities,
    date_trunc('second', started::TIMESTAMP) AS started,
    date_trunc('second', ended::TIMESTAMP) AS ended
FROM grouped)
"""

_WORDS = """
CREATE TABLE words AS
SELECT row_number() OVER (ORDER BY {names}) AS id, * FROM (SELECT DISTINCT {names} FROM cleaned)
"""

_DAYS = """
CREATE TABLE days AS
SELECT w.id AS words, c.resource AS resource, c.day AS day,
    sum(c.facts)::BIGINT AS facts, sum(c.high) AS high, sum(c.low) AS low,
    CASE WHEN sum(c.quantities) > 0 THEN sum(c.quantity) END AS quantity,
    coalesce(min(c.started), min(c.day)::TIMESTAMP) AS first,
    greatest(coalesce(max(c.ended), min(c.started), min(c.day)::TIMESTAMP + INTERVAL 1 DAY),
        coalesce(min(c.started), min(c.day)::TIMESTAMP)) AS last
FROM cleaned AS c JOIN words AS w ON {same} GROUP BY w.id, c.resource, c.day
"""

SAID = (
    "sku", "part", "undated", "placed", "label",
    *(w for w in WORDS if w not in ("sku", "resource")),
)  # fmt: skip
"""The columns of `words`, in the order by which its rows are numbered."""


def group(engine: Engine, shape: Shape, tables: Sequence[Table]) -> Grouped:
    """Make the tables `words` and `days`. ConfigError names the first cost that cannot be read."""
    run = engine.connection.execute
    union = " UNION ALL BY NAME ".join(facts(shape, table, table.files) for table in tables)
    distinct = _LATEST if shape is FEED else ""
    words = said_by(shape, tables)
    run(_GROUP.format(words=", ".join(words), facts=union, distinct=distinct))
    rows, amounts, all_facts, measured, quantities, first = _one(
        engine,
        "SELECT coalesce(sum(facts) FILTER (part = 0), 0), coalesce(sum(amounts), 0), "
        "coalesce(sum(facts), 0), coalesce(sum(measured), 0), coalesce(sum(quantities), 0), "
        "min(day) FROM grouped",
    )
    missing = _check(engine, shape, tables, union) if amounts < all_facts else 0
    superseded = 0
    if shape is FEED:
        every = sum(_one(engine, f"SELECT count(*) FROM {t.scan(t.files)}")[0] for t in tables)
        superseded, rows = every - rows, every
    unread = 0
    if measured > quantities:
        (unread,) = _one(
            engine,
            f"SELECT count(*) FROM ({union}) "
            "WHERE quantity IS NULL AND said(quantity_text) IS NOT NULL",
        )
    _clean(engine, words, first or _EPOCH)
    lacking = tuple(
        names[0] for names in shape.fields.values() if not any(t.find(names) for t in tables)
    )
    return Grouped(int(rows), int(superseded), missing, int(unread), lacking)


def _clean(engine: Engine, words: Sequence[str], fallback: date) -> None:
    run = engine.connection.execute
    said = ", ".join(
        f"{f'said({name})' if name in words else 'NULL::VARCHAR'} AS {name}" for name in WORDS
    )
    run(_CLEAN.format(words=said, begin=_BEGIN, fallback=fallback.isoformat()))
    run("DROP TABLE grouped")
    run(_WORDS.format(names=", ".join(SAID)))
    run(_DAYS.format(same=" AND ".join(f"c.{name} IS NOT DISTINCT FROM w.{name}" for name in SAID)))
    run("DROP TABLE cleaned")


def _one(engine: Engine, sql: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = engine.connection.execute(sql).fetchone()
    return row or ()


def _check(engine: Engine, shape: Shape, tables: Sequence[Table], union: str) -> int:
    """How many amounts are absent where they may be; ConfigError for the first that may not."""
    unreadable = engine.connection.execute(
        f"SELECT amount, said(line), part, count(*) FROM ({union}) WHERE high IS NULL GROUP BY ALL"
    ).fetchall()

    def may_be_absent(line: str | None, part: int) -> bool:
        return category(shape, line, part) is not Category.USAGE

    if all(absent(text) and may_be_absent(line, part) for text, line, part, _ in unreadable):
        return sum(count for *_, count in unreadable)
    raise first_bad(engine, shape, tables, may_be_absent)
