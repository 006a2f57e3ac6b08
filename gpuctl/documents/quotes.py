"""A quote as a document for the client: one page, HTML or PDF."""

from gpuctl.core.quoting.quote import Quote
from gpuctl.documents.quote_sheet import sheet


def draw(quote: Quote, form: str) -> bytes:
    """`html` or `pdf`; the same bytes for the same quote. ValueError for any other form."""
    match form:
        case "html":
            from gpuctl.documents import page  # noqa: PLC0415 - the one that is asked for

            return page.draw_sheet(sheet(quote))
        case "pdf":
            from gpuctl.documents import paper  # noqa: PLC0415

            return paper.draw_sheet(sheet(quote), quote.at, "quote", "gpuctl quote")
    raise ValueError(f"{form!r} is no form of a quote: it is html or pdf")
