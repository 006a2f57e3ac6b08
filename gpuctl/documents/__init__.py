"""What a client or an accountant gets: a statement, drawn in one of several formats.

Nothing here reckons: every amount is the statement's own, and the formats' sums are its sums.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.config.model import Xero
    from gpuctl.core.statement import Statement

FORMATS = ("md", "csv", "html", "pdf", "hledger", "beancount", "xero")

_SUFFIX = {"hledger": ".journal", "xero": ".xero.csv"}


def suffix(format: str) -> str:  # noqa: A002 - the word users type
    """How a file of that format is named: `.pdf`, `.journal`. ValueError for no format of ours."""
    if format not in FORMATS:
        raise ValueError(f"{format!r} is no format: it is one of {', '.join(FORMATS)}")
    return _SUFFIX.get(format, f".{format}")


def draw(statement: "Statement", format: str, xero: "Xero | None" = None) -> bytes:  # noqa: A002
    """The statement in that format, the same bytes for the same statement. Text is UTF-8.

    ValueError for no format of ours. `xero` = how a Xero organisation files its sales.
    """
    # A format's module is loaded when it is asked for: most commands draw none.
    # ruff: noqa: PLC0415
    match format:
        case "md":
            from gpuctl.documents import markdown

            return markdown.draw(statement)
        case "csv":
            from gpuctl.documents import listing

            return listing.draw(statement)
        case "html":
            from gpuctl.documents import page

            return page.draw(statement)
        case "pdf":
            from gpuctl.documents import paper

            return paper.draw(statement)
        case "hledger":
            from gpuctl.documents import hledger

            return hledger.draw(statement)
        case "beancount":
            from gpuctl.documents import beancount

            return beancount.draw(statement)
        case "xero":
            from gpuctl.documents import xero as invoice

            return invoice.draw(statement) if xero is None else invoice.draw(statement, xero)
        case _:
            raise ValueError(f"{format!r} is no format: it is one of {', '.join(FORMATS)}")
