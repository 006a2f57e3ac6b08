"""A measurement, and how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing measured. `value` and `baseline` are in `unit`; None = it could not be run.

    `goal` bounds value / baseline where there is a baseline, else the value itself.
    """

    name: str
    unit: str
    value: float | None
    baseline: float | None = None
    against: str = ""
    goal: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the baseline."""
        if self.value is None or not self.baseline:
            return None
        return self.value / self.baseline

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal or a measurement."""
        measured = self.value if self.baseline is None else self.ratio
        if self.goal is None or measured is None:
            return None
        return measured <= self.goal


HEAD = ("", "value", "unit", "ratio", "goal", "", "against")


def _cells(row: Row) -> tuple[str, ...]:
    word = {True: "met", False: "missed", None: ""}[row.met]
    return (
        row.name,
        "-" if row.value is None else f"{row.value:.1f}",
        row.unit,
        "" if row.ratio is None else f"{row.ratio:.2f}x",
        "" if row.goal is None else f"<= {row.goal:g}",
        word,
        " ".join(part for part in (row.against, row.note) if part),
    )


def table(title: str, rows: Sequence[Row]) -> str:
    """Plain text, columns aligned, numbers to the right."""
    lines = [HEAD, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    numbers = {1, 3}

    def text(line: tuple[str, ...]) -> str:
        cells = [
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([title, *(f"  {text(line)}" for line in lines)])
