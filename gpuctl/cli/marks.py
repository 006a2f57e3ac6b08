"""Bars and sparklines, in ASCII where the terminal speaks nothing else."""

import sys
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

_SPARKS = "▁▂▃▄▅▆▇█"
_ASCII_SPARKS = "_.-~=*#@"


def speaks_unicode() -> bool:
    """Whether stdout takes more than ASCII."""
    return "utf" in (getattr(sys.stdout, "encoding", None) or "ascii").lower()


def bar(share: Fraction, width: int) -> str:
    """A bar that is full at a share of 1; what is more does not fit."""
    full, empty = ("█", "░") if speaks_unicode() else ("#", ".")
    filled = min(width, max(0, int(share * width + Fraction(1, 2))))
    return full * filled + empty * (width - filled)


def sparkline(values: Sequence[Decimal | None]) -> str:
    """One mark a value, from the lowest to the highest; a space where there is none."""
    marks = _SPARKS if speaks_unicode() else _ASCII_SPARKS
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    steps = len(marks) - 1

    def mark(value: Decimal | None) -> str:
        if value is None:
            return " "
        if high == low:
            return marks[0]
        return marks[int((value - low) * steps / (high - low))]

    return "".join(mark(value) for value in values)


def cut(text: str, width: int) -> str:
    """The text in `width` columns, with a mark where something is left out."""
    if len(text) <= width:
        return text
    return text[: width - 1] + ("…" if speaks_unicode() else "~")
