"""A statement on A4, a PDF set by typst: for archives (PDF/A) and for reading aloud (PDF/UA)."""

import json
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.statement import Statement
from gpuctl.documents.drawing import Drawing, standalone
from gpuctl.documents.sheet import Gallery, Row, Sheet
from gpuctl.documents.statement_sheet import sheet

FONTS = ("Libertinus Serif", "New Computer Modern", "DejaVu Sans Mono")
"""Inside typst itself, so that a statement looks the same wherever it is set."""
_WIDE, _SMALL = 680, 212
"""Pixels of a chart across the page, and of one of three: letters then come out at 8 points."""
_STANDARDS = ("a-2a", "ua-1")


class _Way(NamedTuple):
    """Fonts to look in, and what the file promises."""

    system_fonts: bool = False
    standards: tuple[str, ...] = _STANDARDS
    note: str = ""


_WAYS = (
    _Way(),
    _Way(system_fonts=True),  # a name has letters that typst's own fonts lack
    _Way(
        system_fonts=True,
        standards=(),
        note="Some letters of names are in no font of the machine that set this.",
    ),
)


def draw(statement: Statement) -> bytes:
    """The same bytes for the same statement: no clock, no network, no font of the machine.

    Only where a text has letters that typst's own fonts lack (Chinese, Korean) are the machine's
    fonts asked. `UsageProblem` where the extra `pdf` is not installed.
    """
    return draw_sheet(sheet(statement), statement.closed_at or statement.as_of)


def draw_sheet(
    made: Sheet, at: datetime, what: str = "statement", command: str = "gpuctl report"
) -> bytes:
    """Any sheet as such a paper, made `at`; for errors, what it is and which command drew it."""
    data, moment = _data(made), at.astimezone(UTC)
    typst = _typst()
    for way in _WAYS:
        try:
            return bytes(
                typst.compile(
                    _template(),
                    sys_inputs={"sheet": json.dumps(data | {"note": way.note})},
                    font_paths=typst.Fonts(include_system_fonts=way.system_fonts),
                    ignore_system_fonts=not way.system_fonts,
                    pdf_standards=list(way.standards),
                    timestamp=moment,
                    format="pdf",
                )
            )
        except typst.TypstError as error:
            if way.standards and error.message.startswith("PDF/"):
                continue
            raise GpuctlError(
                f"typst could not set the {what}: {error.message}",
                hint=f"{command} --format html",
                detail=error.diagnostic,
            ) from error
    raise AssertionError("the last way asks for no standard")


def _typst() -> Any:
    try:
        import typst
    except ImportError as error:
        raise UsageProblem(
            "a PDF is set by typst, which is not installed",
            hint="pip install 'gpuctl[pdf]', or take --format html and print that",
        ) from error
    return typst


@cache
def _template() -> bytes:
    return resources.files(__package__).joinpath("paper.typ").read_bytes()


def _data(made: Sheet) -> dict[str, Any]:
    """What the template reads: the sheet's own names, `is` for the kind of a block."""
    return {
        **_plain(made),
        "name": made.name,
        "author": made.sender.name if made.sender else "",
        "fonts": FONTS,
    }


def _plain(value: Any, width: int = _WIDE) -> Any:
    if isinstance(value, Drawing):
        return standalone(value, width)
    if not isinstance(value, tuple):
        return value
    if not hasattr(value, "_asdict"):
        return [_plain(one, width) for one in value]
    if isinstance(value, Gallery):
        width = _SMALL
    fields = {
        ("svg" if name == "drawing" else name): _plain(one, width)
        for name, one in value._asdict().items()
    }
    if isinstance(value, Row):
        fields["brief"] = value.brief
    return {"is": type(value).__name__.lower(), **fields}
