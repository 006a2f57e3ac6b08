"""A statement as a sales invoice that Xero imports: a line for each thing of each project.

Column names are those of Xero's own template for sales invoices; Xero finds them by name.
Source: Xero Central, "Import sales invoices and quotes" (`*` = required).
"""

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.config.model import Xero
from gpuctl.core.cells import cell
from gpuctl.core.report import spread
from gpuctl.core.rounding import decimal_text, minor_units
from gpuctl.core.statement import ProjectStatement, Statement, StatementLine
from gpuctl.documents.books import day_of, name_of
from gpuctl.documents.entries import coins
from gpuctl.documents.formats import clip, plain
from gpuctl.documents.lines import amount_of, details_of, kind_of

COLUMNS = (
    "*ContactName",
    "*InvoiceNumber",
    "Reference",
    "*InvoiceDate",
    "*DueDate",
    "*Description",
    "*Quantity",
    "*UnitAmount",
    "*AccountCode",
    "*TaxType",
    "TaxAmount",
    "TrackingName1",
    "TrackingOption1",
    "Currency",
)

_LONGEST = {"*ContactName": 255, "*InvoiceNumber": 255, "Reference": 255, "*Description": 4_000}
"""Xero's limits; the whole import fails above them."""

_DATES = {"DD/MM/YYYY": "%d/%m/%Y", "MM/DD/YYYY": "%m/%d/%Y"}

DEFAULTS = Xero()


class Item(NamedTuple):
    """One line of the invoice, before VAT."""

    text: str
    amount: Decimal
    project: str | None = None


def draw(statement: Statement, terms: Xero = DEFAULTS) -> bytes:
    """The invoice's lines with a header. Quantities are 1, so that unit amounts are exact.

    They add up to `net` and their `TaxAmount` to `vat`, shared by largest remainder.
    """
    found = list(items(statement))
    taxes = _taxes(statement, found)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for item, tax in zip(found, taxes, strict=True):
        cells = {**_head(statement, terms), **_line(statement, terms, item, tax)}
        writer.writerow([_cell(name, cells[name]) for name in COLUMNS])
    return out.getvalue().encode()


def items(statement: Statement) -> Iterator[Item]:
    """What is asked for: lines that are not zero, adding up to `net`."""
    for project in statement.projects:
        for item in _of_project(project):
            if item.amount:
                yield item
    for text, amount in (("Monthly fee", statement.fee), ("Rounding", statement.rounding)):
        if amount:
            yield Item(text, amount)


def _of_project(project: ProjectStatement) -> Iterator[Item]:
    name = project.title or project.project
    for line in project.lines:
        yield Item(f"{name}: {_what(line)}", line.cost, project.project)
    yield Item(f"{name}: included or not charged", -project.absorbed, project.project)
    share = decimal_text(project.markup_rate * 100)
    yield Item(f"{name}: markup {share} %", project.markup, project.project)


def _what(line: StatementLine) -> str:
    return ", ".join(filter(None, (kind_of(line), *details_of(line), amount_of(line))))


def _taxes(statement: Statement, found: list[Item]) -> list[Decimal | None]:
    """Each line's VAT; None where the statement has none."""
    if statement.vat_rate is None:
        return [None] * len(found)
    exact = {
        f"{place:06d}": Fraction(item.amount) * Fraction(statement.vat_rate)
        for place, item in enumerate(found)
    }
    places = minor_units(statement.currency)
    return list(spread(exact, places, statement.vat).values())


def _head(statement: Statement, terms: Xero) -> dict[str, str]:
    day, dates = day_of(statement), _DATES[terms.dates]
    tax = terms.tax_type or ("Tax Exempt" if statement.vat_rate is None else "Tax on Sales")
    return {
        "*ContactName": statement.receiver.name or statement.client,
        "*InvoiceNumber": name_of(statement),
        "Reference": f"cloud costs {statement.month or ''}".strip(),
        "*InvoiceDate": day.strftime(dates),
        "*DueDate": (day + timedelta(days=terms.due_days)).strftime(dates),
        "*AccountCode": terms.account,
        "*TaxType": tax,
        "Currency": statement.currency,
    }


def _line(statement: Statement, terms: Xero, item: Item, tax: Decimal | None) -> dict[str, str]:
    places = minor_units(statement.currency)
    tracked = terms.tracking if item.project else None
    return {
        "*Description": item.text,
        "*Quantity": "1",
        "*UnitAmount": coins(item.amount, places),
        "TaxAmount": "" if tax is None else coins(tax, places),
        "TrackingName1": tracked or "",
        "TrackingOption1": (item.project or "") if tracked else "",
    }


def _cell(name: str, text: str) -> str:
    return clip(cell(plain(text)), _LONGEST.get(name, 255))
