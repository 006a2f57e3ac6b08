"""A month of three clients on two clouds: every format tells the same, and closed cents stay."""

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from tests.faults.judge import faults
from tests.faults.world import make_world
from tests.story.month import PROJECTS, Teller

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SEED = 7
CLIENTS = ["acme", "borealis", "me"]
DOCUMENTS = ["md", "html", "pdf", "csv", "hledger", "beancount", "xero"]


@pytest.fixture(scope="module")
def teller():
    world = make_world()
    try:
        for cloud in ("aws", "gcp"):
            world.warm(cloud)
        yield Teller(world, SEED)
    finally:
        world.close()


@pytest.fixture(scope="module")
def month(teller):
    return teller.month()


@pytest.fixture(scope="module")
def documents(teller, month, tmp_path_factory):
    """(client, format) -> the bytes of the document."""
    folder = tmp_path_factory.mktemp("documents")
    made = {}
    for client in CLIENTS:
        for form in DOCUMENTS:
            file = folder / f"{client}.{form}"
            report(teller, month, "--client", client, "--format", form, "--out", str(file))
            made[client, form] = file.read_bytes()
    return made


@pytest.fixture(scope="module")
def told(teller, month, documents):
    """The report before anything is closed: tests that need that ask for this, in any order."""
    return figures(teller, month.name)


@pytest.fixture(scope="module")
def spent(teller, month, told):
    """The charges before anything is closed, of everybody and of one client, and as FOCUS."""
    focus = report(teller, month, "--client", "acme", "--format", "focus", "--out", "focus.csv")
    assert "wrote" in focus.err
    return {
        None: teller.data("spend", "--month", month.name),
        "acme": teller.data("spend", "--month", month.name, "--client", "acme"),
    }


@pytest.fixture(scope="module")
def closed(teller, month, told, spent):
    """Borealis' month is closed; then more is found out about it."""
    teller.run(
        "close", "borealis", "--month", month.name, "--invoice", "2026-031", "--rate", "0.92"
    )
    day = f"{month.name}-20"
    teller.run("adjust", "borealis/speech", "0.75", "--note", "a snapshot overlooked", "--at", day)
    teller.run("adjust", "acme/vision", "0.25", "--note", "the same", "--at", day)
    return figures(teller, month.name)


def report(teller, month, *argv):
    return teller.run("report", "--month", month.name, "--rate", "0.92", *argv)


def figures(teller, name):
    return teller.data("report", "--month", name)


def test_the_month_is_worth_telling(month):
    assert month.sessions == 40
    assert month.interrupted >= 4
    assert month.switched >= 4
    assert month.shared >= 2


def test_the_ledger_is_the_clouds_own_truth(teller, month):
    assert faults(teller.world, teller.home) == []


def test_the_report_is_the_charges_added_up(told, spent):
    spent = spent[None]
    assert not [charge for charge in spent["charges"] if charge["cost"] is None]
    by_project = {}
    for charge in spent["charges"]:
        name = "idle" if charge.get("absorbed") else charge["project"]
        by_project[name] = by_project.get(name, Decimal(0)) + Decimal(charge["cost"])
    assert set(by_project) == {*PROJECTS, "idle"}
    for project in told["projects"]:
        exact = by_project[project["project"]]
        assert abs(Decimal(project["cost"]) - exact) < Decimal("0.01")
        assert sum(Decimal(line["cost"]) for line in project["lines"]) == Decimal(project["cost"])
    costs = sum(Decimal(project["cost"]) for project in told["projects"])
    assert costs + Decimal(told["idle"]) + Decimal(told["unattributed"]) == Decimal(told["total"])
    assert abs(Decimal(told["total"]) - Decimal(spent["total"])) <= Decimal("0.005")
    speech = next(p for p in told["projects"] if p["client"] == "borealis")
    assert Decimal(speech["billable"]) == 20, "the cap"
    assert Decimal(speech["absorbed"]) == Decimal(speech["cost"]) - 20


def test_every_document_comes_to_the_same(documents, told):
    rate = {"acme": Decimal(1), "borealis": Decimal("0.92"), "me": Decimal(1)}
    vat = {"borealis": Decimal("1.25")}
    for client in CLIENTS:
        billable = sum(Decimal(p["billable"]) for p in told["projects"] if p["client"] == client)
        total = (billable * rate[client] * vat.get(client, 1)).quantize(Decimal("0.01"))
        rows = list(csv.DictReader(io.StringIO(documents[client, "csv"].decode("utf-8-sig"))))
        (last,) = [row for row in rows if row["row"] == "total"]
        column = "amount" if "amount" in last else "total"
        assert Decimal(last[column]) == total
        for form in ("md", "html"):
            assert f"{total:,.2f}" in documents[client, form].decode(), (client, form)
        assert documents[client, "pdf"].startswith(b"%PDF-")


def test_no_document_names_another_client(documents):
    for (client, form), content in documents.items():
        if form == "pdf":
            continue
        text = content.decode()
        for other in set(CLIENTS) - {client}:
            assert not re.search(rf"\b{other}/", text), (client, form)
        assert "Acme" not in text or client == "acme"
        assert "Borealis" not in text or client == "borealis"


def test_the_charges_as_focus_add_up(teller, spent):
    with (teller.home / "focus.csv").open(newline="") as file:
        billed = [Decimal(row["BilledCost"]) for row in csv.DictReader(file)]
    assert sum(billed) == Decimal(spent["acme"]["total"])


def test_a_closed_month_stays_and_what_comes_late_is_the_next_one_s(teller, month, told, closed):
    before, after = told, closed
    first = month.end.strftime("%Y-%m")
    assert _of(after, "borealis/speech") == _of(before, "borealis/speech")
    cost = Decimal(_of(before, "acme/vision")["cost"])
    assert Decimal(_of(after, "acme/vision")["cost"]) - cost in (Decimal("0.25"), Decimal("0.26"))
    later = _of(figures(teller, first), "borealis/speech")
    (line,) = [line for line in later["lines"] if line["kind"] == "correction"]
    assert (line["cost"], line["note"]) == ("0.75", f"corrects {month.name}")
    again = teller.run("close", "borealis", "--month", month.name, "--rate", "0.92", ok=(1, 2))
    assert "closed" in again.err
    teller.run("ledger", "verify")


def test_the_home_of_the_month_can_be_looked_at(teller, month, tmp_path):
    """Another computer reports the same from an export."""
    exported = teller.run("ledger", "export").out
    (tmp_path / "month.jsonl").write_text(exported)
    other = teller.world.home(("aws", "gcp"))
    config = (teller.home / "config" / "config.toml").read_text()
    (other / "config" / "config.toml").write_text(config)
    done = teller.world.run(other, "ledger", "import", str(tmp_path / "month.jsonl"))
    assert done.code == 0, done
    done = teller.world.run(other, "report", "--month", month.name, "-o", "json")
    told, mine = json.loads(done.out), figures(teller, month.name)
    assert {**told, "ledger_head": None} == {**mine, "ledger_head": None}
    assert Path(other).exists()


def _of(told, name):
    return next(project for project in told["projects"] if project["project"] == name)
