"""Quotes in a statement: what was quoted, beside what it has come to."""

from collections.abc import Sequence

from gpuctl.core.statement import QuoteLine
from gpuctl.documents.formats import amount, day, plain
from gpuctl.documents.sheet import Cell, Column, Row, Table


def table(quotes: Sequence[QuoteLine]) -> Table:
    """Without VAT, in the currency of the quotes, at the rate that they were made with."""
    currencies = sorted({quote.currency for quote in quotes})
    currency = currencies[0] if len(currencies) == 1 else ""
    columns = [
        Column("Project"),
        *(Column(name, currency, number=True) for name in ("Likely", "Prudent", "Ceiling")),
        Column("So far", currency, number=True),
    ]
    return Table("quotes", "Quoted, without VAT", tuple(columns), tuple(map(_row, quotes)))


def _row(quote: QuoteLine) -> Row:
    least, most = quote.hours[0], quote.hours[-1]
    hours = f"{least:f}" if least == most else f"{least:f} to {most:f}"
    state = "" if quote.open else "over"
    return Row(
        (
            Cell(plain(quote.project), f"{day(quote.at.date())}, {hours} h"),
            *(Cell(amount(each, quote.currency)) for each in (quote.p50, quote.p90, quote.ceiling)),
            Cell(amount(quote.spent, quote.currency), state),
        )
    )
