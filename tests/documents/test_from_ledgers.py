"""Documents of ledgers with two clients: they add up, and tell nothing of the other one."""

import csv
import io
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed
from gpuctl.core.rounding import decimal_text
from gpuctl.documents import draw
from gpuctl.documents.focus import draw_focus
from tests.core.stories import now, stories, whole
from tests.core.test_statements import anybodys_terms, made, rated

CLIENTS = ("acme", "borealis")


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@given(
    stories(),
    anybodys_terms,
    st.sampled_from(["USD", "EUR", "JPY"]),
    st.none() | st.just(Decimal("0.21")),
)
@settings(max_examples=30, deadline=None)
def test_each_client_s_documents_add_up_and_name_no_other(story, terms, currency, vat):
    loader = pytest.importorskip("beancount.loader", reason="beancount is not installed")
    base, events = story
    rate = None if currency == "USD" else rated(currency)
    for client, other in (CLIENTS, reversed(CLIENTS)):
        statement = made(
            events,
            client,
            rate=rate,
            terms=lambda _: terms,
            span=whole(base),
            now=now(base),
            vat_rate=vat,
        )
        drawn = {form: draw(statement, form).decode() for form in ("csv", "xero", "beancount")}
        listed = [row for row in rows(drawn["csv"]) if row["row"] != "total"]
        # Empty where a price is missing.
        known = [Decimal(row["amount"]) for row in listed if row["amount"]]
        assert sum(known, Decimal(0)) == statement.total
        lines = rows(drawn["xero"])
        assert sum((Decimal(line["*UnitAmount"]) for line in lines), Decimal(0)) == statement.net
        found, errors, _ = loader.load_string(drawn["beancount"])
        assert errors == []
        claims = [
            posting.units.number
            for entry in found
            for posting in getattr(entry, "postings", ())
            if posting.account.startswith("Assets:")
        ]
        assert sum(claims, Decimal(0)) == statement.total
        for form in ("md", "hledger"):
            drawn[form] = draw(statement, form).decode()
        for form, text in drawn.items():
            assert other not in text.lower(), form


@given(stories())
@settings(max_examples=60, deadline=None)
def test_focus_adds_up_to_what_spend_says(story):
    base, events = story
    found = bill(events, fixed(whole(base)), now(base))
    listed = rows("".join(draw_focus(found.charges)))
    billed = sum((Fraction(row["BilledCost"]) for row in listed), Fraction(0))
    assert billed == Fraction(decimal_text(found.total))
