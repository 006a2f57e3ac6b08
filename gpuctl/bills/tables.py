"""Files of one layout as one relation of DuckDB, with columns found by their names.

A name is known by its letters and digits alone: `lineItem/UnblendedCost` of the legacy CUR and
`line_item_unblended_cost` of CUR 2.0 are one column, and so are `usage.amount` and `usage_amount`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gpuctl.bills.files import CSV, FEED, JSON, PARQUET, File

if TYPE_CHECKING:
    from gpuctl.bills.engine import Engine


class Type(Enum):
    """What an expression yields, as far as reading it differs."""

    TEXT = "text"
    DECIMAL = "decimal, of at most 18 decimals, or integer"
    TIME = "timestamp or date"
    MAP = "map of text to text"
    LIST = "list of structs"
    OTHER = "what can be read as text: doubles, wide decimals, booleans"


class Column(NamedTuple):
    """A column as the file calls it, and how SQL does."""

    name: str
    sql: str
    type: Type
    fields: tuple[str, ...] = ()
    """Names inside the structs of a list."""


class Table(NamedTuple):
    """Files with the same columns. `scan` gives the FROM clause for some of them."""

    files: tuple[File, ...]
    columns: Mapping[str, tuple[Column, ...]]
    scan: Callable[[Sequence[File]], str]

    def find(self, names: Sequence[str]) -> tuple[Column, ...]:
        """The columns that have any of these names, in the order of the names."""
        return tuple(column for name in names for column in self.columns.get(name, ()))


def plain(name: str) -> str:
    """A column's name reduced to what is compared."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def text(value: str) -> str:
    """A literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def tables(files: Sequence[File], engine: "Engine") -> list[Table]:
    """The files grouped by layout, in the order given."""
    groups: dict[tuple[Any, ...], list[File]] = {}
    made: dict[tuple[Any, ...], Callable[[Sequence[File]], Table]] = {}
    for file in files:
        key, make = _READ[file.form](file, engine)
        groups.setdefault(key, []).append(file)
        made.setdefault(key, make)
    return [made[key](group) for key, group in groups.items()]


_Layout = tuple[tuple[Any, ...], Callable[[Sequence[File]], Table]]


def _csv(file: File, engine: "Engine") -> _Layout:
    del engine
    names, delimiter = file.header, file.delimiter
    types = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(names)))
    heading = "header = false, comment = '#', quote = ''" if file.form == FEED else "header = true"
    # Nothing is guessed: DuckDB's sniffer may take a bill's first rows for a preamble.
    options = (
        f"auto_detect = false, columns = {{{types}}}, {heading}, "
        f"delim = {text(delimiter)}, compression = {text('gzip' if file.gzipped else 'none')}"
    )
    if file.form == FEED:
        options += ", filename = true"
    else:
        options += ", quote = '\"', escape = '\"'"

    def scan(some: Sequence[File]) -> str:
        return f"read_csv({_paths(some)}, {options})"

    columns = [Column(name, f"c{number}", Type.TEXT) for number, name in enumerate(names)]
    if file.form == FEED:
        columns.append(Column("filename", "filename", Type.TEXT))
    key = (file.form, file.gzipped, delimiter, names)
    return key, lambda group: Table(tuple(group), _by_name(columns), scan)


def _parquet(file: File, engine: "Engine") -> _Layout:
    relation = engine.connection.sql(f"SELECT * FROM read_parquet({_paths([file])})")
    shape = tuple(zip(relation.columns, map(str, relation.types), strict=True))
    columns = [
        column
        for name, type_ in zip(relation.columns, relation.types, strict=True)
        for column in _leaves(name, quoted(name), type_)
    ]

    def scan(some: Sequence[File]) -> str:
        return f"read_parquet({_paths(some)})"

    return (PARQUET, shape), lambda group: Table(tuple(group), _by_name(columns), scan)


def _leaves(name: str, sql: str, type_: Any) -> list[Column]:
    """A column, or the fields inside it, however deep."""
    if type_.id != "struct":
        kind, fields = _type(type_)
        return [Column(name, sql, kind, fields)]
    return [
        leaf
        for child, inner in type_.children
        for leaf in _leaves(f"{name}.{child}", f"struct_extract({sql}, {text(child)})", inner)
    ]


_INTEGERS = {"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"}


def _type(type_: Any) -> tuple[Type, tuple[str, ...]]:
    name = type_.id
    if name == "varchar":
        return Type.TEXT, ()
    if name == "decimal":
        scale = dict(type_.children)["scale"]
        return (Type.DECIMAL if scale <= 18 else Type.OTHER), ()  # noqa: PLR2004 - DECIMAL(38, 18)
    if name in _INTEGERS:
        return Type.DECIMAL, ()
    if name.startswith("timestamp") or name == "date":
        return Type.TIME, ()
    if name == "map":
        return Type.MAP, ()
    if name == "list" and type_.children[0][1].id == "struct":
        return Type.LIST, tuple(field for field, _ in type_.children[0][1].children)
    return Type.OTHER, ()


# A number in JSON becomes text before DuckDB reads it as a double: `: 0.30,` -> `: "0.30",`. Only
# after a key's closing quote, which no quote inside a text can look like (it has a backslash).
_NUMBER_IN_JSON = r'([^\\]"\s*:\s*)(-?[0-9][0-9.eE+-]*)(\s*[,}\]])'


def _json(file: File, engine: "Engine") -> _Layout:
    def objects(some: Sequence[File]) -> str:
        # Not fewer than what one object may hold; DuckDB's own limit is 16 MiB.
        return (
            f"(SELECT regexp_replace(json::VARCHAR, {text(_NUMBER_IN_JSON)}, "
            rf"""'\1"\2"\3', 'g')::JSON AS j FROM read_json_objects({_paths(some)}, """
            f"format = 'auto', compression = {text('gzip' if file.gzipped else 'none')}))"
        )

    found = engine.connection.execute(
        f"SELECT json_group_structure(j) FROM {objects([file])}"
    ).fetchone()
    import json  # noqa: PLC0415 - for this form alone

    structure = json.loads(found[0]) if found and found[0] else {}
    paths = _json_paths(structure if isinstance(structure, dict) else {})
    wanted = ", ".join(
        text("$" + "".join(f'."{part}"' for part in path)) for path in paths if '"' not in path
    )

    def scan(some: Sequence[File]) -> str:
        values = ", ".join(f"v[{number + 1}] AS c{number}" for number in range(len(paths)))
        return (
            f"(SELECT {values or 'NULL AS c0'} FROM "
            f"(SELECT json_extract_string(j, [{wanted}]) AS v FROM {objects(some)}))"
        )

    columns = [Column(".".join(path), f"c{number}", Type.TEXT) for number, path in enumerate(paths)]
    key = (JSON, file.gzipped, tuple(paths))
    return key, lambda group: Table(tuple(group), _by_name(columns), scan)


def _json_paths(structure: Mapping[str, Any]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, inner in structure.items():
        if isinstance(inner, dict) and inner:
            paths.extend((name, *rest) for rest in _json_paths(inner))
        else:
            paths.append((name,))
    return paths


_READ: dict[str, Callable[[File, "Engine"], _Layout]] = {
    CSV: _csv,
    FEED: _csv,
    PARQUET: _parquet,
    JSON: _json,
}


def _by_name(columns: Sequence[Column]) -> dict[str, tuple[Column, ...]]:
    named: dict[str, tuple[Column, ...]] = {}
    for column in columns:
        name = plain(column.name)
        named[name] = (*named.get(name, ()), column)
    return named


def _paths(files: Sequence[File]) -> str:
    return "[" + ", ".join(text(_unglobbed(file.path)) for file in files) + "]"


def _unglobbed(path: Path) -> str:
    """DuckDB reads `*`, `?` and `[` in a path as a pattern."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))
