"""`spend` and `report` of somebody: a name that nobody has is an error, never a sum of nothing."""

import csv
import io
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gpuctl.core.events import Adjust

SETTINGS = "[client.acme.project.vision]\n[client.borealis.project.nlp]\n"
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def noted(desk):
    """acme is in the settings and the ledger, gone/old in the ledger alone."""
    desk.user(SETTINGS)
    desk.ledger.append(
        [
            Adjust("a1", "acme/vision", WHEN, Decimal("-0.001"), "rounds to nothing"),
            Adjust("a2", "gone/old", WHEN.replace(month=1), Decimal(3), "before"),
        ]
    )
    return desk


COMMANDS = [("spend",), ("report",), ("report", "--format", "focus"), ("report", "--format", "md")]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nobody_by_that_name(noted, command):
    assert "did you mean acme" in noted.refused(*command, "--client", "acne", code=3)
    assert "acme/vision" in noted.refused(*command, "-p", "acme/vison", code=3)
    said = noted.refused(*command, "-p", "acme/vision", "--client", "borealis")
    assert "acme/vision is not a project of borealis" in said


@pytest.mark.parametrize("command", COMMANDS[:3], ids=" ".join)
def test_who_is_in_the_ledger_alone_is_known_in_every_month(noted, command):
    for whom in (("--client", "gone"), ("-p", "gone/old"), ("--client", "borealis")):
        noted.ok(*command, *whom)


def test_nothing_has_the_decimals_of_its_currency_and_no_sign(noted):
    found = noted.json("report", "--month", "2026-03")
    (account,) = found["projects"]
    for name in ("cost", "absorbed", "markup", "billable", "own_account"):
        assert account[name] == "0.00", name
    for name in ("unattributed", "idle", "total", "total_billable", "total_absorbed"):
        assert found[name] == "0.00", name
    empty = noted.json("report", "--month", "2026-02")
    assert (empty["total"], empty["total_billable"], empty["unattributed"]) == ("0.00",) * 3


def test_a_missing_price_is_shown_as_missing_by_every_report(noted):
    noted.machine("vision-1", "acme/vision", WHEN)
    month = ("--month", "2026-03", "--client", "acme")
    assert re.search(r"compute g6.xlarge +\?", noted.ok("report", *month))
    lines = noted.json("report", *month)["projects"][0]["lines"]
    (compute,) = (line for line in lines if line["kind"] == "compute")
    assert (compute["cost"], compute["rate"], compute["unpriced"]) == (None, None, True)
    told = noted.ok("report", *month, "--format", "md")
    assert re.search(r"Machine: g6.xlarge, spot \| 21 h \| \S \| \? \|", told)
    assert re.search(r"\| vision-1 \|.*\| \? \|\n", told)
    page = noted.ok("report", *month, "--format", "html")
    assert ">not known<" in page
    (row,) = (
        row
        for row in csv.DictReader(io.StringIO(noted.ok("report", *month, "--format", "csv")))
        if row["row"] == "session"
    )
    assert (row["amount"], row["compute"]) == ("", "")
    assert row["note"] == "a price is missing: amount is what is known of it"
    noted.price("0.30", WHEN.replace(hour=20))
    assert re.search(r"compute g6.xlarge +\$3.90 \+ \?", noted.ok("report", *month))


def test_a_currency_without_cents_has_none_anywhere(noted):
    noted.user(SETTINGS + '[client.acme]\ncurrency = "JPY"\n')
    noted.ledger.append([Adjust("a3", "acme/vision", WHEN, Decimal("1.50"), "work")])
    how = ("report", "--month", "2026-03", "--client", "acme", "--rate", "150", "--format")
    amounts = [row["amount"] for row in csv.DictReader(io.StringIO(noted.ok(*how, "csv")))]
    assert amounts == ["225", "225"]
    assert re.search(r"\*\*total\*\* .* \*\*225\*\*", noted.ok(*how, "md"))
