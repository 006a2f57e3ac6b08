"""The invoice that Xero imports: lines add up to net, their taxes to VAT."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings

from gpuctl.config.model import Xero
from gpuctl.documents import draw
from tests.documents.statements import HOSTILE, march, nothing, retained, statements

REQUIRED = ("ContactName", "InvoiceNumber", "InvoiceDate", "DueDate", "Description", "Quantity")


def rows(made, terms=None):
    text = draw(made, "xero", terms).decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def day(text):
    return date(*(int(part) for part in reversed(text.split("/"))))


def net(found):
    return sum(
        (Decimal(row["*Quantity"]) * Decimal(row["*UnitAmount"]) for row in found), Decimal(0)
    )


def vat(found):
    return sum((Decimal(row["TaxAmount"] or 0) for row in found), Decimal(0))


@pytest.mark.parametrize("make", [march, retained, nothing])
def test_lines_are_net_and_taxes_are_vat(make):
    made = make()
    found = rows(made)
    assert net(found) == made.net
    assert net(found) + vat(found) == made.total


def test_an_invoice_as_xero_wants_it():
    found = rows(march())
    assert {row["*InvoiceNumber"] for row in found} == {"2025-031"}
    first = found[0]
    assert all(first[f"*{name}"] for name in (*REQUIRED, "UnitAmount", "AccountCode", "TaxType"))
    assert first["*ContactName"] == "ACME Robotics & Söhne GmbH"
    assert first["*InvoiceDate"] == "03/04/2025"
    assert first["*DueDate"] == "03/05/2025"
    assert first["*Description"].startswith(
        "Shelf detection, phase 2: Machine, g6.xlarge, spot, 11.3275 h"
    )
    assert (first["*AccountCode"], first["*TaxType"]) == ("200", "Tax on Sales")
    assert first["Currency"] == "EUR"
    assert first["TrackingOption1"] == ""


def test_the_terms_of_an_organisation_are_kept():
    terms = Xero("4000", "20% (VAT on Income)", 14, "MM/DD/YYYY", "Project")
    first = rows(march(), terms)[0]
    assert (first["*AccountCode"], first["*TaxType"]) == ("4000", "20% (VAT on Income)")
    assert (first["*InvoiceDate"], first["*DueDate"]) == ("04/03/2025", "04/17/2025")
    assert (first["TrackingName1"], first["TrackingOption1"]) == ("Project", "acme/vision")
    assert rows(retained(), terms)[-1]["TrackingName1"] == "", "a fee is no project's"


def test_without_vat_nothing_is_said_of_it():
    found = rows(retained())
    assert {row["*TaxType"] for row in found} == {"Tax Exempt"}
    assert {row["TaxAmount"] for row in found} == {""}
    assert {row["*InvoiceNumber"] for row in found} == {"borealis-2025-03"}


@given(statements())
@settings(max_examples=60)
def test_any_statement_is_invoiced_to_the_coin(made):
    found = rows(made)
    assert net(found) == made.net
    if found:
        assert net(found) + vat(found) == made.total
    for row in found:
        assert day(row["*DueDate"]) - day(row["*InvoiceDate"]) == timedelta(days=30)
        assert row["Currency"] == made.currency
        assert Decimal(row["*UnitAmount"]) != 0
        for name, text in row.items():
            assert not text.startswith(("=", "+", "@", "\t", "\r"))
            assert len(text) <= (4_000 if name == "*Description" else 255), name


def test_hostile_names_stay_in_their_cells():
    made = march()
    for name in HOSTILE:
        project = made.projects[0]._replace(title=name)
        receiver = made.receiver._replace(name=name)
        found = rows(made._replace(projects=(project, *made.projects[1:]), receiver=receiver))
        assert net(found) == made.net
        assert len(found) == len(rows(made))
        assert len(found[0]["*ContactName"]) <= 255
