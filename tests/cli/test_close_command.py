"""`close` and `report --format` through the real command line, on a real ledger."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from gpuctl.core.events import Adjust, Close, Usage
from gpuctl.core.kinds import Kind, Market
from tests.cli.desk import FixedSession

CSV = "Date,USD,JPY,\n2026-02-27,1.0842,160,\n2026-02-26,1.1,160,\n"
ACME = """
[me]
name = "Me"
[client.acme]
name = "ACME Robotics"
currency = "EUR"
markup = "10%"
vat_rate = "21%"
[client.acme.project.vision]
[client.borealis.project.nlp]
"""


@pytest.fixture
def billed(desk):
    """142.367 USD for acme and 5 for borealis in February; today is 2 March."""
    desk.user(ACME)
    when = datetime(2026, 2, 10, 12, tzinfo=UTC)
    desk.ledger.append(
        [
            Adjust("a1", "acme/vision", when, Decimal("142.367"), "imported"),
            Adjust("a2", "borealis/nlp", when, Decimal(5), "imported"),
        ]
    )
    (desk.cwd / "rates.csv").write_text(CSV)
    return desk


def late(desk, usd, number=1):
    when = datetime(2026, 2, 11, 12, tzinfo=UTC)
    desk.ledger.append([Adjust(f"late{number}", "acme/vision", when, Decimal(usd), "late")])


CLOSE = ("close", "acme", "--month", "2026-02", "--rates", "rates.csv")


def test_who_corrects_a_closed_month_is_told_where_it_goes(billed):
    billed.json(*CLOSE)
    for project, told in (("acme/vision", True), ("borealis/nlp", False)):
        done = billed("adjust", project, "1", "--note", "late", "--at", "2026-02-11")
        assert ("2026-02 is closed for acme" in done.stderr) is told
    done = billed("adjust", "acme/vision", "1", "--note", "now")
    assert "closed" not in done.stderr


def test_a_month_is_closed_and_stays(billed):
    done = billed.json(*CLOSE, "--invoice", "2026-007")
    assert done["schema"] == "gpuctl.close/1"
    assert (done["net"], done["vat"], done["total"], done["currency"]) == (
        "144.44", "30.33", "174.77", "EUR",
    )  # fmt: skip
    assert (done["cost_usd"], done["corrects"], done["dry_run"]) == ("142.367", {}, False)
    assert done["statement"]["exchange"]["quoted"] == "1 EUR = 1.0842 USD"
    late(billed, "10")
    report = billed.json("report", "--month", "2026-02")
    assert [(p["project"], p["cost"]) for p in report["projects"]] == [
        ("acme/vision", "142.37"), ("borealis/nlp", "5.00"),
    ]  # fmt: skip
    assert report["total"] == "147.37"
    [march] = billed.json("report", "--month", "2026-03")["projects"]
    [line] = march["lines"]
    assert (line["kind"], line["sku"], line["cost"]) == ("correction", "2026-02", "10.00")
    assert line["note"] == "corrects 2026-02"
    assert "correction 2026-02" in billed.ok("report", "--month", "2026-03")
    assert Decimal(billed.json("spend", "--month", "2026-02")["total"]) == Decimal("157.367")
    statement = billed.ok("report", "--client", "acme", "--month", "2026-02", "--format", "md")
    assert "174.77" in statement
    assert "2026-007" in statement


def test_closing_as_a_person_sees_it(billed):
    result = billed(*CLOSE)
    assert "total 174.77 EUR" in result.stdout
    assert "acme's 2026-02 is closed" in result.stderr
    assert "gpuctl report --client acme --month 2026-02 --format pdf" in result.stderr
    listed = billed.ok("close", "ls")
    assert listed == billed.ok("close", "--list")
    assert "2026-02  acme    -        2026-03-02  174.77 EUR" in listed
    [one] = billed.json("close", "--list")["closes"]
    assert (one["client"], one["month"], one["total"]) == ("acme", "2026-02", "174.77")
    plain = billed.json("close", "borealis", "--month", "2026-02")
    assert (plain["vat"], plain["total"]) == ("0.00", "5.00")
    assert "was closed at 2026-03-02T09:00:00Z" in billed.refused(*CLOSE)


def test_the_lines_of_a_closing_add_up_to_its_total(billed):
    billed.user(
        ACME.replace("[client.acme.project", 'rounding = "0.05"\n[client.acme.project')
        + '[client.acme.retainer]\nmonth = "100.00"\n'
    )
    printed = billed(*CLOSE, "--dry-run").stdout.splitlines()
    assert printed[1].endswith("144.44 EUR")
    assert printed[2:] == [
        "fee 100.00 EUR", "rounding +0.01 EUR", "net 244.45 EUR", "VAT 21 % 51.33 EUR",
        "total 295.78 EUR",
    ]  # fmt: skip


def test_a_dry_run_closes_nothing(billed):
    assert "would be closed" in billed(*CLOSE, "--dry-run").stderr
    assert billed.json("close", "--list")["closes"] == []


def test_months_that_cannot_be_closed(billed):
    for month in ("this", "2029-07"):
        told = billed.refused("close", "acme", "--month", month, "--rate", "1")
        assert "is not over" in told
        assert "Try: gpuctl close acme --month 2026-02" in told
    assert "is not a month" in billed.refused("close", "acme", "--month", "March")
    assert "whose month" in billed.refused("close")
    assert "whose month" in billed.refused("close", "acme")
    assert "no client" in billed.refused("close", "acmee", "--month", "last", code=3)
    assert "name one" in billed.refused(*CLOSE, "--rate", "0.9")
    assert "no rate" in billed.refused("close", "acme", "--month", "last", "--rate", "1:2")


def test_a_missing_price_keeps_it_open(billed):
    when = datetime(2026, 2, 10, 12, tzinfo=UTC)
    run = Usage("u", "aws", "1", "us-east-2", "us-east-2a", "i-1", Kind.COMPUTE, "x", Market.SPOT,
                Decimal(1), when, when.replace(hour=14), None, "acme/vision")  # fmt: skip
    billed.ledger.append([run])
    told = billed.refused(*CLOSE, code=1)
    assert "no price for compute x in us-east-2a" in told
    assert "--anyway" in told
    assert billed(*CLOSE, "--anyway").exit_code == 0


def test_rates_that_were_fetched_once_are_kept(billed):
    kept = billed.root / "gpuctl/cache/ecb"
    kept.mkdir(parents=True)
    (kept / "eurofxref-hist-90d.xml").write_text(
        '<E xmlns="x"><Cube time="2026-02-27"><Cube currency="USD" rate="1.0842"/></Cube></E>'
    )
    assert billed.json("close", "acme", "--month", "last")["total"] == "174.77"


def test_a_document_for_each_client(billed):
    told = billed.refused("report", "--month", "last", "--format", "md", "--rate", "0.9")
    assert "which client? There are acme, borealis" in told
    how = ("report", "--month", "last", "--format", "csv", "--rate", "1/1.0842")
    billed.ok(*how, "--out", "sent")
    names = sorted(path.name for path in (billed.cwd / "sent").iterdir())
    assert names == ["acme-2026-02.csv", "borealis-2026-02.csv"]
    assert b"borealis" not in (billed.cwd / "sent/acme-2026-02.csv").read_bytes()
    assert "is as it was" in billed(*how, "--out", "sent").stderr


@pytest.mark.parametrize("how", [("--rate", "0.5"), ("--rates", "rates.csv")])
def test_a_closed_month_takes_no_other_rate(billed, how):
    billed.ok(*CLOSE)
    asked = ("report", "--month", "2026-02", "--format", "md")
    sent = billed.ok(*asked, "--client", "acme")
    said = " ".join(billed.refused(*asked, "--client", "acme", *how, "--out", "x.md").split())
    assert f"acme's 2026-02 is closed and stays as it was sent: {how[0]} changes nothing" in said
    assert f"leave out {how[0]}" in said
    billed.refused(*asked, "-p", "acme/vision", *how)
    assert not (billed.cwd / "x.md").exists()
    assert billed.ok(*asked, "--client", "acme") == sent
    # Any other time, and any other client, is as it stands.
    billed.ok("report", "--client", "acme", "--from", "2026-02-01", "--to", "2026-02-28",
              "--format", "md", *how)  # fmt: skip
    billed.ok(*asked, "--client", "borealis", *how)


def test_a_rate_for_several_clients_is_said_to_be_none_for_the_closed_one(billed):
    billed.ok(*CLOSE)
    how = ("report", "--month", "2026-02", "--format", "md", "--out", "sent", "--rate", "0.5")
    said = billed(*how)
    assert said.exit_code == 0, said.output
    assert "acme: the month is closed and stays as it was sent: --rate changes nothing" in (
        " ".join(said.stderr.split())
    )
    assert "borealis: the month is closed" not in said.stderr
    billed.ok("close", "borealis", "--month", "2026-02")
    assert "acme's and borealis's 2026-02 is closed" in billed.refused(*how)


def test_a_file_is_not_overwritten_without_asking(billed):
    (billed.cwd / "x.md").write_text("mine")
    how = ("report", "--client", "borealis", "--month", "last", "--format", "md", "--out", "x.md")
    assert "There is no terminal to ask on" in billed.refused(*how, GPUCTL_YES="1")
    billed.refused(*how, terminal=True, answers="n\n")
    assert (billed.cwd / "x.md").read_text() == "mine"
    assert "wrote" in billed(*how, "--yes").stderr
    assert "Borealis" in (billed.cwd / "x.md").read_text().title()


def test_a_part_of_a_statement_and_of_a_time(billed):
    shown = billed.ok("report", "-p", "acme/vision", "--from", "2026-02-01", "--to", "2026-02-20",
                      "--format", "md", "--rate", "1")  # fmt: skip
    assert "only acme/vision" in shown
    told = billed.refused("report", "-p", "acme/other", "--month", "last", "--format", "md",
                          "--rate", "1", code=3)  # fmt: skip
    assert "there are: acme/vision" in told


def test_focus_is_the_charges_as_they_stand(billed):
    rows = billed.ok("report", "--format", "focus", "--month", "last").splitlines()
    assert len(rows) == 3
    billed.ok("report", "--format", "focus", "--month", "last", "--client", "acme", "--out", "f")
    assert (billed.cwd / "f/acme-2026-02.focus.csv").read_text().count("\n") == 2


def test_the_report_itself_in_both_its_forms(billed):
    plain = billed.ok("report", "--month", "last")
    assert billed.ok("report", "--month", "last", "--format", "text") == plain
    made = json.loads(billed.ok("report", "--month", "last", "--format", "json"))
    assert made == billed.json("report", "--month", "last")
    assert "go with a document" in billed.refused("report", "--rate", "1")


def test_nobody_to_bill(desk):
    result = desk("report", "--month", "last", "--format", "md")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no client has a cost" in result.stderr


def test_corrections_are_told_when_they_are_closed(billed, monkeypatch):
    billed.json(*CLOSE)
    late(billed, "10")
    monkeypatch.setattr(FixedSession, "moment", datetime(2026, 4, 2, 9, tzinfo=UTC))
    done = billed.json("close", "acme", "--month", "2026-03", "--rate", "1")
    assert done["corrects"] == {"2026-02": {"acme/vision": "10"}}
    assert (done["cost_usd"], done["net"]) == ("10", "11.00")


def test_the_sandboxs_documents_say_so(billed, monkeypatch):
    monkeypatch.setattr(FixedSession, "in_sandbox", True)
    shown = billed.ok("report", "--client", "borealis", "--month", "last", "--format", "md")
    assert "nothing of it is real" in shown
    assert "[sandbox]" not in shown


def test_places_that_cannot_be_written_and_stdout_for_a_pdf(billed):
    how = ("report", "--client", "borealis", "--month", "last")
    (billed.cwd / "file").write_text("x")
    assert "cannot be written" in billed.refused(*how, "--format", "md", "--out", "file/x.md")
    pdf = billed(*how, "--format", "pdf", "--out", "-")
    assert pdf.stdout_bytes.startswith(b"%PDF")
    billed.ok(*how, "--format", "pdf")
    assert (billed.cwd / "borealis-2026-02.pdf").read_bytes().startswith(b"%PDF")


def test_a_closing_moves_to_another_ledger_whole(billed):
    billed.json(*CLOSE, "--invoice", "7")
    late(billed, "10")
    figures = [billed.json("report", "--month", month)["projects"] for month in MONTHS]
    sent = billed.ok("report", "--client", "acme", "--month", "2026-02", "--format", "csv")
    moved = str(billed.root / "all.jsonl")
    billed.ok("ledger", "export", moved)
    other = f"sqlite:///{str(billed.root / 'other.db').removeprefix('/')}"
    billed.ok("ledger", "import", moved, GPUCTL_LEDGER=other)
    assert figures == [
        billed.json("report", "--month", month, GPUCTL_LEDGER=other)["projects"] for month in MONTHS
    ]
    assert sent == billed.ok(
        "report", "--client", "acme", "--month", "2026-02", "--format", "csv", GPUCTL_LEDGER=other
    )


MONTHS = ("2026-02", "2026-03")


def test_a_report_without_closings_loads_nothing_of_them(desk):
    code = (
        "import sys\n"
        "from gpuctl.cli import main\n"
        "main(['report', '--month', '2025-03'], standalone_mode=False)\n"
        "names = ('closing', 'overhead', 'statement', 'statements', 'statements_record')\n"
        "print(sorted(name for name in names if f'gpuctl.core.{name}' in sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        env=desk.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert run.stdout.splitlines()[-1] == "[]"


def test_a_closing_without_a_statement_is_listed(billed):
    when = datetime(2026, 3, 1, 9, tzinfo=UTC)
    billed.ledger.append([Close("c", "acme", "2026-02", when, None, {}, {}, {"short": True})])
    [one] = billed.json("close", "ls")["closes"]
    assert (one["client"], one["total"], one["currency"]) == ("acme", None, None)
    assert billed.ok("close", "ls").splitlines()[1].endswith("?")
