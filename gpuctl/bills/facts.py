"""Rows of any form of bill as rows of one form: the SQL that reads a table as facts.

A fact is one amount: a row's cost, or (Google) one entry of its credits. Words stay as they
are; `reading` cleans them once a group, since there are far fewer groups than rows.
"""

from collections.abc import Sequence

from gpuctl.bills.amounts import with_amounts
from gpuctl.bills.files import File
from gpuctl.bills.shapes import FEED, Shape
from gpuctl.bills.tables import Column, Table, Type

WORDS = (
    "provider", "account", "resource", "sku", "detail", "service", "line", "purchase", "unit",
    "currency", "per_usd", "tag", "region", "invoice",
)  # fmt: skip
"""What tells groups apart, besides the day."""

_NOTHING = "NULL::VARCHAR"

_TAG_KEYS = ("user_gpuctl_project", "user:gpuctl:project", "user_gpuctl:project",
             "gpuctl:project", "gpuctl_project", "gpuctl-project")  # fmt: skip


def facts(shape: Shape, table: Table, files: Sequence[File], *, numbered: bool = False) -> str:
    """SELECT with part, amount, high, low, started, ended, day, quantity…, and `WORDS`.

    `numbered` adds `file_row`, counted from 1, for which the files must be one.
    """
    row = ", file_row" if numbered else ""
    entries = f"SELECT {_entry(shape, table)}, {_columns(shape, table)}{row} FROM "
    if numbered:
        entries += f"(SELECT *, row_number() OVER () AS file_row FROM {table.scan(files)})"
    else:
        entries += table.scan(files)
    credited = bool(table.find(shape.fields.get("credits", ())))
    measured = "CASE WHEN entry.part = 0 THEN quantity_text END" if credited else "quantity_text"
    named = f"""
        SELECT entry.part AS part, entry.amount AS amount, entry.label AS label, exact,
            {", ".join(WORDS)}{row}, started, ended, period, version, {_day(shape)} AS day,
            {measured} AS quantity_text, TRY_CAST({measured} AS DECIMAL(38, 15)) AS quantity
        FROM ({entries})"""
    if not _is_decimal(shape, table):
        return with_amounts(named)
    return f"SELECT *, exact AS high, NULL::DECIMAL(38, 30) AS low FROM ({named})"


def said_by(shape: Shape, tables: Sequence[Table]) -> tuple[str, ...]:
    """Those of `WORDS` that any of the tables has."""
    return tuple(
        name for name in WORDS if any(_word(shape, table, name) != _NOTHING for table in tables)
    )


def _columns(shape: Shape, table: Table) -> str:
    quantity = table.find(shape.fields.get("quantity", ()))
    return ", ".join(
        f"{sql} AS {name}"
        for name, sql in (
            *((name, _word(shape, table, name)) for name in WORDS),
            ("started", _time(table, shape.fields["start"])),
            ("ended", _end(shape, table)),
            ("period", _text(table, shape.fields.get("period", ()))),
            ("version", _text(table, shape.fields.get("version", ()))),
            ("quantity_text", _as_text(quantity[0]) if quantity else "NULL::VARCHAR"),
        )
    )


def _is_decimal(shape: Shape, table: Table) -> bool:
    """Whether the file holds decimals: they need no text in between."""
    has_credits = bool(table.find(shape.fields.get("credits", ())))
    return table.find(shape.fields["cost"])[0].type is Type.DECIMAL and not has_credits


def _entry(shape: Shape, table: Table) -> str:
    """`entry`: the cost (part 0) and, a row each, the credits (part 1); `exact`: a decimal cost."""
    cost = table.find(shape.fields["cost"])[0]
    amount = f"split_part({cost.sql}, ' ', 1)" if shape is FEED else _as_text(cost)
    own = f"{{'part': 0, 'amount': {amount}, 'label': NULL::VARCHAR}}"
    exact = f"TRY_CAST({cost.sql} AS DECIMAL(38, 18))" if _is_decimal(shape, table) else "NULL"
    credited = table.find(shape.fields.get("credits", ()))
    entry = f"unnest(list_concat([{own}], {_credits(credited[0])}))" if credited else own
    return f"{entry} AS entry, {exact} AS exact"


# With its quotes, up to the end of the value, so that `-1 USD` is not read as -1.
_AMOUNT = r"""[''"]amount[''"]\s*:\s*((?:Decimal\()?[''"][^''"]*[''"]|[^,}\]]*)"""
_AROUND = r"""^(?:Decimal\()?[''"]|[''"]$"""
_TYPE = r"""[''"]type[''"]\s*:\s*[''"]?([A-Z_]+)"""


def _credits(column: Column) -> str:
    """A list of {part: 1, amount, label}. Text that cannot be taken apart stays, to be refused."""
    if column.type is Type.LIST:
        label = "c.type::VARCHAR" if "type" in column.fields else "NULL::VARCHAR"
        return (
            f"coalesce(list_transform({column.sql}, lambda c: "
            f"{{'part': 1, 'amount': c.amount::VARCHAR, 'label': {label}}}), [])"
        )
    words = _as_text(column)
    amounts, types = (f"regexp_extract_all({words}, '{p}', 1)" for p in (_AMOUNT, _TYPE))
    return f"""CASE
        WHEN said({words}) IS NULL OR {words} = '[]' THEN []
        WHEN len({amounts}) > 0 THEN list_transform(
            list_zip({amounts}, CASE WHEN len({types}) = len({amounts}) THEN {types} ELSE [] END),
            lambda z: {{'part': 1, 'label': z[2],
                'amount': trim(regexp_replace(z[1], '{_AROUND}', '', 'g'))}})
        ELSE [{{'part': 1, 'amount': {words}, 'label': NULL::VARCHAR}}] END"""


def _word(shape: Shape, table: Table, name: str) -> str:
    if shape is FEED and name == "account":
        # ACCOUNT.YYYY-MM-DD-HH.n.UNIQUEID.gz
        return r"regexp_extract(filename, '([0-9]{12})\.[0-9]{4}-[0-9]{2}-[0-9]{2}', 1)"
    if name == "line" and shape.unsaid is None and not table.find(shape.fields["line"]):
        return "'usage'"
    if shape is FEED and name == "currency":
        return f"split_part({table.find(shape.fields['cost'])[0].sql}, ' ', 2)"
    return _text(table, shape.fields.get(name, ()))


def _text(table: Table, names: Sequence[str]) -> str:
    found = [_as_text(column) for column in table.find(names)]
    if not found:
        return _NOTHING
    if len(found) == 1:
        return found[0]
    # The last word needs no look: whatever it says is cleaned later.
    first = (f"nullif(nullif({one}, ''), 'NULL')" for one in found[:-1])
    return f"coalesce({', '.join(first)}, {found[-1]})"


def _as_text(column: Column) -> str:
    if column.type is Type.TEXT:
        return column.sql
    if column.type is Type.MAP:
        values = (f"map_extract_value({column.sql}, '{key}')" for key in _TAG_KEYS)
        return f"coalesce({', '.join(values)})::VARCHAR"
    if column.type is Type.LIST and {"key", "value"} <= set(column.fields):
        keys = ", ".join(f"'{key}'" for key in _TAG_KEYS)
        return f"list_filter({column.sql}, lambda x: x.key IN ({keys}))[1].value::VARCHAR"
    return f"CAST({column.sql} AS VARCHAR)"


def _time(table: Table, names: Sequence[str]) -> str:
    found = table.find(names)
    if not found:
        return "NULL::TIMESTAMPTZ"
    return f"TRY_CAST({found[0].sql} AS TIMESTAMPTZ)"


def _end(shape: Shape, table: Table) -> str:
    if shape is FEED:
        return f"{_time(table, shape.fields['start'])} + INTERVAL 1 HOUR"
    return _time(table, shape.fields.get("end", ()))


def _day(shape: Shape) -> str:
    pacific = "CAST(timezone('America/Los_Angeles', started) AS DATE)"
    if shape.pacific:
        return pacific
    # In UTC, which `CAST` would look up in the table of time zones for each row.
    day = "CASE WHEN isfinite(started) THEN CAST(make_timestamp(epoch_us(started)) AS DATE) END"
    if shape.provider is not None:
        return day
    return f"CASE WHEN contains(lower(provider), 'google') THEN {pacific} ELSE {day} END"
