"""The rows that a client can check: they add up, and nothing in them runs."""

import csv
import io
from decimal import Decimal

from hypothesis import given, settings

from gpuctl.documents import draw
from gpuctl.documents.formats import plain
from tests.documents.statements import HOSTILE, march, nothing, retained, statements

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def rows(statement):
    text = draw(statement, "csv").decode()
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def total(found):
    return sum((Decimal(row["amount"]) for row in found if row["row"] != "total"), Decimal(0))


def test_rows_add_up_to_the_total():
    for made in (march(), retained(), nothing()):
        found = rows(made)
        assert total(found) == made.total
        assert [row["amount"] for row in found if row["row"] == "total"] == [f"{made.total:.2f}"]


def test_a_session_can_be_checked():
    row = next(row for row in rows(march()) if row["session"] == "vision-2-101405")
    expected = {
        "row": "session",
        "project": "acme/vision",
        "period_start": "2025-03-01T00:00:00Z",
        "period_end": "2025-04-01T00:00:00Z",
        "zone": "us-east-1a",
        "type": "p3.2xlarge",
        "gpu": "nvidia-v100",
        "market": "spot",
        "start": "2025-03-10T14:05:30Z",
        "end": "2025-03-10T16:18:50Z",
        "seconds": "8000",
        "price_low_usd": "0.918",
        "price_high_usd": "0.9615",
        "compute": "1.88",
        "other": "0.03",
        "amount": "1.91",
        "currency": "EUR",
        "fx_per_usd": "0.9223390518",
        "fx_date": "2025-03-31",
        "fx_quoted": "1 EUR = 1.0842 USD",
        "markup_rate": "0.15",
        "vat_rate": "0.21",
        "status": "estimated",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["ledger"].startswith("9f86d0")


def test_each_provider_has_its_own_period():
    periods = {row["provider"]: row["period_start"] for row in rows(march()) if row["provider"]}
    assert periods == {"aws": "2025-03-01T00:00:00Z", "gcp": "2025-03-01T08:00:00Z"}


def test_a_free_run_and_a_correction_say_why():
    notes = {row["note"] for row in rows(march())}
    assert "interrupted in the first hour: the machine is not billed" in notes
    assert any(note.startswith("correction -1.37: 2025-02") for note in notes)


def test_the_form_is_rfc_4180_in_utf_8():
    data = draw(march(), "csv")
    lines = data.split(b"\r\n")
    assert lines[-1] == b""
    assert b"\n" not in b"".join(lines)
    assert "ß".encode() not in data  # no address of a party has a column
    assert "Überblick".encode() in data


@given(statements())
@settings(max_examples=60)
def test_any_statement_adds_up_and_nothing_in_it_runs(made):
    found = rows(made)
    assert total(found) == made.total
    assert len(found) == draw(made, "csv").count(b"\r\n") - 1, "a header, then a row a line"
    for row in found:
        for name, text in row.items():
            if text.startswith(FORMULA):
                assert Decimal(text) <= 0, (name, text)
            assert text == plain(text)
        assert row["client"] == made.client
        assert row["project"] in ("", *(project.project for project in made.projects))
        if row["row"] == "session":
            assert Decimal(row["compute"]) + Decimal(row["other"]) == Decimal(row["amount"])


def test_nothing_has_no_sign():
    made = nothing()._replace(net=Decimal("-0"), total=Decimal("-0"))
    assert rows(made)[-1]["amount"] == "0.00"


def test_hostile_names_stay_in_their_cells():
    made = march()
    for name in HOSTILE:
        session = made.projects[0].sessions[0]._replace(machine=name, session=name, zone=name)
        project = made.projects[0]._replace(
            sessions=(session, *made.projects[0].sessions[1:]), title=name
        )
        found = rows(made._replace(projects=(project, *made.projects[1:]), invoice=name))
        assert len(found) == len(rows(made))
        assert total(found) == made.total
        shown = found[0]["machine"]
        assert shown.removeprefix("'") == plain(name)
