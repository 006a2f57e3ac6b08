"""Values -> a table, JSON or CSV. Data goes to stdout; everything else to stderr."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from gpuctl.cli.marks import cut
from gpuctl.cli.session import Session

Record = Mapping[str, Any]

_LEAST = 8
"""A name is not cut shorter than this, whatever the terminal."""

_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"


class Column(NamedTuple):
    """A column of the table: its title, what it shows of a record, and its side."""

    title: str
    show: Callable[[Record], str]
    right: bool = False


def emit(
    session: Session,
    name: str,
    key: str,
    records: Sequence[Record],
    columns: Sequence[Column],
    *,
    extra: Record | None = None,
    empty: str = "nothing",
) -> None:
    """Print records in the form that was asked for.

    JSON: one object with `schema`, the records under `key`, and `extra`. CSV: the records alone.
    """
    match session.output:
        case "json":
            emit_json(name, {key: list(records), **(extra or {})})
        case "csv":
            click.echo(as_csv(records), nl=False)
        case _:
            say(session, as_table(records, columns, room(session)) if records else empty)


def say(session: Session, text: str) -> None:
    """Text for people on stdout; each line says so where nothing of it is real."""
    prefix = _prefix(session)
    for line in text.split("\n"):
        click.echo(f"{prefix}{line}")


def _prefix(session: Session) -> str:
    return "[sandbox] " if session.in_sandbox else ""


def emit_json(name: str, data: Record) -> None:
    """One object on stdout with its schema."""
    click.echo(json.dumps({"schema": f"gpuctl.{name}/1", **data}, indent=2, ensure_ascii=False))


def room(session: Session) -> int | None:
    """Columns that a line may take; None off a terminal, where whole names are wanted."""
    if not session.stdout_is_terminal:
        return None
    import shutil  # slow to load, and every command prints

    return shutil.get_terminal_size((80, 24)).columns - len(_prefix(session))


def as_table(records: Sequence[Record], columns: Sequence[Column], width: int | None = None) -> str:
    """Aligned columns, two spaces between; nothing a cloud said can move the cursor.

    In `width` columns names are cut, the longest first; figures never are.
    """
    rows = [[plain(column.show(record)) for column in columns] for record in records]
    titles = [column.title for column in columns]
    widths: Sequence[int] = [max(map(len, c)) for c in zip(titles, *rows, strict=True)]
    if width is not None:
        names = [place for place, column in enumerate(columns) if not column.right]
        widths = fit(widths, names, width)
    lines = []
    for row in [titles, *rows]:
        cells = [
            cell.rjust(size) if column.right else cut(cell, size).ljust(size)
            for cell, size, column in zip(row, widths, columns, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def fit(widths: Sequence[int], names: Sequence[int], width: int) -> Sequence[int]:
    """Narrow the columns `names` until a line with two spaces between fits, the longest first."""
    narrowed = list(widths)
    while names and sum(narrowed) + 2 * (len(narrowed) - 1) > width:
        longest = max(names, key=lambda place: narrowed[place])
        if narrowed[longest] <= _LEAST:
            break
        narrowed[longest] -= 1
    return narrowed


def as_csv(records: Sequence[Record]) -> str:
    """RFC 4180 with a header; cells that a spreadsheet would run as formulas are quoted off."""
    import csv
    import io

    from gpuctl.core.cells import cell

    out = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for record in records:
        writer.writerow([cell(_text(record.get(name))) for name in names])
    return out.getvalue()


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return plain(str(value))


def plain(text: str) -> str:
    """Without control characters: a name or message from outside cannot drive the terminal."""
    return re.sub(_CONTROL, "", text)
