"""Paths -> a bill that was understood, or an error that names the file and what is wrong."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path

from gpuctl.bills.engine import Engine
from gpuctl.bills.files import FEED, File, find, one_newline, refused
from gpuctl.bills.grouping import Grouped, group
from gpuctl.bills.ours import written_by
from gpuctl.bills.reading import Reading
from gpuctl.bills.shapes import FEED as FEED_SHAPE
from gpuctl.bills.shapes import SHAPES, Shape
from gpuctl.bills.tables import Table, plain, tables
from gpuctl.core.billed import Bill
from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.ports import Progress

_LIKELY = 3
"""So many known columns, and a file without the needed ones is told which it lacks."""


def open_bill(
    paths: Sequence[Path],
    *,
    progress: Progress | None = None,
    day_from: date | None = None,
    day_to: date | None = None,
) -> Bill:
    """Read files (or folders) of one export, of one form, into resources, kinds and days.

    `day_from` and `day_to` (half open, the provider's days) leave out rows; how many is told in
    `problems`. UsageProblem when nothing is found, two forms are mixed or DuckDB is not
    installed; ConfigError with file, line and column for what cannot be read as it must be.
    """
    engine = Engine()
    files, earlier, copies = find(paths)
    size = sum(file.path.stat().st_size for file in files)
    told = progress.step(f"Reading {_said(files)} ({_bytes(size)})") if progress else nullcontext()
    with told:
        shape, grouped = _grouped(engine, files)
        source, window = f"{shape.title}: {_said(files)}", (day_from, day_to)
        return Reading(
            engine,
            shape,
            grouped._replace(earlier=earlier, copies=copies),
            source=source,
            window=window,
        )


def _grouped(engine: Engine, files: Sequence[File]) -> tuple[Shape, Grouped]:
    try:
        return _understood(engine, files)
    except engine.failures as error:
        copies = [one_newline(file, engine.scratch) for file in files]
        if copies == files:
            raise _failure(error, files) from error
    try:
        return _understood(engine, copies)
    except engine.failures as error:
        raise _failure(error, copies) from error


def _understood(engine: Engine, files: Sequence[File]) -> tuple[Shape, Grouped]:
    found = tables(files, engine)
    shapes = {shape.name: (shape, table) for table in found for shape in [recognised(table)]}
    if len(shapes) > 1:
        named = "; ".join(
            f"{table.files[0].named.name} is {shape.title}" for shape, table in shapes.values()
        )
        raise UsageProblem(
            f"two kinds of bill at once: {named}", hint="read the files of one export at a time"
        )
    shape, _ = next(iter(shapes.values()))
    return shape, group(engine, shape, found)


def recognised(table: Table) -> Shape:
    """The form of a table by its columns. ConfigError says what it lacks, or that we wrote it."""
    if command := written_by(table):
        raise refused(
            table.files[0].named,
            f"is no bill: it is what gpuctl {command} writes, and the ledger always agrees with "
            "itself",
            hint="name the provider's own export: a Cost and Usage Report, FOCUS, BigQuery's",
        )
    if table.files[0].form == FEED:
        shapes: tuple[Shape, ...] = (FEED_SHAPE,)
    else:
        shapes = tuple(shape for shape in SHAPES if shape is not FEED_SHAPE)
    for shape in shapes:
        if not _lacking(shape, table):
            return shape
    path = table.files[0].named
    best = max(shapes, key=lambda shape: _known(shape, table))
    if _known(best, table) >= _LIKELY or len(shapes) == 1:
        lacking = ", ".join(_lacking(best, table))
        raise refused(path, f"looks like {best.title}, but has no {lacking}")
    forms = ", ".join(f"{shape.title} ({shape.cost})" for shape in SHAPES)
    raise refused(path, f"is no bill that can be read: its columns fit none of {forms}")


def _lacking(shape: Shape, table: Table) -> list[str]:
    needed = (shape.cost, shape.start)
    return [f"column {name}" for name in needed if plain(name) not in table.columns]


def _known(shape: Shape, table: Table) -> int:
    return sum(1 for names in shape.fields.values() if table.find(names))


def _failure(error: Exception, files: Sequence[File]) -> GpuctlError:
    """DuckDB's own words -> ours, with file and line where it tells them."""
    said = str(error)
    path = next((f.named for f in files if str(f.path) in said), files[0].named)
    line = re.search(r"CSV Error on Line: (\d+)", said)
    expected = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    if expected:
        reason = f"has {expected[2]} values where the header has {expected[1]} columns"
    elif "unicode" in said:
        reason = "is not UTF-8"
    elif "unterminated quote" in said:
        reason = "has a quote that does not end"
    else:
        reason = f"cannot be read: {_first_line(said)}"
    problem = refused(path, reason, line=int(line[1]) if line else None)
    problem.detail = said
    return problem


def _first_line(said: str) -> str:
    return said.strip().partition("\n")[0].removeprefix("Invalid Input Error: ")


def _said(files: Sequence[File]) -> str:
    first = files[0].path.name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"


def _bytes(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "KB", "MB"):
        if value < 1_000:  # noqa: PLR2004 - the next unit
            return f"{value:.0f} {unit}"
        value /= 1_000
    return f"{value:.1f} GB"
