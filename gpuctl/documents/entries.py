"""A statement as entries of one column: their amounts add up to its total, to the last coin."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from gpuctl.core.statement import ProjectStatement, SessionLine, Statement


class Row(StrEnum):
    """What an entry is for. All but `TOTAL` are summands."""

    SESSION = "session"
    OTHER = "other"
    """Of a project and of no session: snapshots, corrections, adjustments."""
    ABSORBED = "absorbed"
    """Negative: cost that the sender bears."""
    MARKUP = "markup"
    FEE = "fee"
    ROUNDING = "rounding"
    VAT = "vat"
    TOTAL = "total"


class Entry(NamedTuple):
    """`amount` is in the statement's currency; fee, rounding, VAT and total have no project."""

    row: Row
    amount: Decimal
    project: ProjectStatement | None = None
    session: SessionLine | None = None
    note: str = ""


def entries(statement: Statement) -> Iterator[Entry]:
    """Every summand, in the statement's order; of what is zero, sessions and VAT only.

    The total itself is not among them.
    """
    for project in statement.projects:
        yield from _of_project(project)
    for row, amount in ((Row.FEE, statement.fee), (Row.ROUNDING, statement.rounding)):
        if amount:
            yield Entry(row, amount)
    if statement.vat_rate is not None:
        yield Entry(Row.VAT, statement.vat)


def _of_project(project: ProjectStatement) -> Iterator[Entry]:
    for session in project.sessions:
        yield Entry(Row.SESSION, session.cost, project, session)
    if project.other:
        yield Entry(Row.OTHER, project.other, project, note=_why(project))
    if project.absorbed:
        yield Entry(Row.ABSORBED, -project.absorbed, project)
    if project.markup:
        yield Entry(Row.MARKUP, project.markup, project)


def _why(project: ProjectStatement) -> str:
    """What corrections and adjustments there are: the notes of the project's lines."""
    return "; ".join(
        f"{line.kind} {line.cost:f}: {line.note}" for line in project.lines if line.note
    )


def coins(amount: Decimal, places: int) -> str:
    """An amount in plain digits, with at least the currency's decimals: `-1.50`, `300` for JPY.

    Nothing is `0.00`, whatever the sign it was reckoned with.
    """
    exponent = amount.as_tuple().exponent
    needed = -exponent if isinstance(exponent, int) else 0
    return f"{amount or abs(amount):.{max(places, needed)}f}"
