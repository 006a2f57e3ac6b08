"""Where in its file an amount stands that cannot be read. Slow, and only ever run once."""

from collections.abc import Callable, Sequence

from gpuctl.bills.amounts import absent, amount
from gpuctl.bills.engine import Engine
from gpuctl.bills.facts import facts
from gpuctl.bills.files import File, line_of_row, refused
from gpuctl.bills.shapes import Shape
from gpuctl.bills.tables import Table
from gpuctl.core.errors import ConfigError

MayBeAbsent = Callable[[str | None, int], bool]
"""(word for what the row is, part) -> whether a row like it may have no amount."""


def first_bad(
    engine: Engine, shape: Shape, tables: Sequence[Table], may_be_absent: MayBeAbsent
) -> ConfigError:
    """The error that names file, line, row and column of the first amount that is none."""
    # Rows are counted as they stand in the file.
    engine.connection.execute("SET threads = 1")
    engine.connection.execute("SET preserve_insertion_order = true")
    for table in tables:
        for file in table.files:
            found = engine.connection.execute(
                "SELECT file_row, amount, said(line), part "
                f"FROM ({facts(shape, table, [file], numbered=True)}) "
                "WHERE high IS NULL ORDER BY file_row"
            )
            while row := found.fetchone():
                number, text, line, part = row
                if not (absent(text) and may_be_absent(line, part)):
                    return _refused(shape, table, file, number, text, part)
    raise AssertionError("an amount was refused that nobody finds again")


def _refused(
    shape: Shape, table: Table, file: File, row: int, text: str | None, part: int
) -> ConfigError:
    column = table.find(shape.fields["credits" if part else "cost"])[0].name
    line = line_of_row(file, row)
    reason = _reason(text) if line else f"row {row}: {_reason(text)}"
    return refused(file.named, reason, line=line, key=column)


def _reason(text: str | None) -> str:
    if text is None or absent(text):
        return "a row of usage has no cost"
    try:
        amount(text)
    except ValueError as error:
        return str(error)
    return f"{text!r} is not an amount"
