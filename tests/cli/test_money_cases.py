"""The worked cases through the real program: import the file, ask `spend` and `report`."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from gpuctl.cli import main
from gpuctl.cli.session import Session

BILLING = Path(__file__).parents[3] / "shared/data/billing"
CASES = BILLING / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the worked cases are not here")


@pytest.fixture
def gpuctl(tmp_path):
    """The program in a home of its own; gives stdout and fails on any other exit code than 0."""

    def run(*argv):
        session = Session(
            {"GPUCTL_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)},
            tmp_path,
            stdin_is_terminal=False,
            stderr_is_terminal=False,
        )
        result = CliRunner().invoke(main, [str(arg) for arg in argv], obj=session)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    return run


def answers():
    if not CASES.is_dir():
        return []
    whole = {"from": "2025-01-01", "to": "2026-01-01"}
    return [
        pytest.param(name, window, id=f"{name}{label and '-'}{label}")
        for name, case in json.loads((CASES / "expected.json").read_text())["cases"].items()
        for label, window in case.get("windows", {"": whole | case}).items()
    ]


def sums(charges, key):
    found = {}
    for charge in charges:
        found[charge[key]] = found.get(charge[key], Decimal(0)) + Decimal(charge["cost"])
    return found


def shown(value, like):
    """Rounded to the decimals that the answer has, ten at most."""
    places = max(1, len(str(like).partition(".")[2]))
    return value.quantize(Decimal(1).scaleb(-places), rounding="ROUND_HALF_UP")


@pytest.mark.parametrize(("name", "window"), answers())
def test_spend_is_exact(gpuctl, name, window):
    gpuctl("ledger", "import", CASES / f"{name}.jsonl")
    period = ("--from", window["from"], "--to", window["to"])
    spent = json.loads(gpuctl("spend", "-o", "json", *period))
    assert spent["schema"] == "gpuctl.spend/1"
    assert spent["currency"] == "USD"
    if "total" in window:
        assert shown(Decimal(spent["total"]), "0.0123456789") == Decimal(window["total"])
    for kind, cost in window.get("by_kind", {}).items():
        assert shown(sums(spent["charges"], "kind")[kind], "0.0123456789") == Decimal(cost)
    for project, cost in window.get("by_project", {}).items():
        assert shown(sums(spent["charges"], "project")[project], cost) == Decimal(cost)
    egress = [charge for charge in spent["charges"] if charge["kind"] == "egress"]
    for project, cost in window.get("egress_by_project", {}).items():
        assert sums(egress, "project")[project] == Decimal(cost)
    for charge in spent["charges"]:
        assert charge["from"].endswith("Z")
        exact = Decimal(charge["amount"]) * Decimal(charge["rate"])
        assert abs(exact - Decimal(charge["cost"])) < Decimal("1e-18")


@pytest.mark.parametrize(
    ("name", "window"), [case for case in answers() if "report_cents" in case.values[1]]
)
def test_report_prints_the_cents_and_they_add_up(gpuctl, name, window):
    gpuctl("ledger", "import", CASES / f"{name}.jsonl")
    period = ("--from", window["from"], "--to", window["to"])
    told = json.loads(gpuctl("report", "-o", "json", *period))
    cents = {project["project"]: project["cost"] for project in told["projects"]}
    cents["absorbed"] = told["total_absorbed"]
    for project, cost in window["report_cents"].items():
        assert cents[project] == cost
    assert sum(map(Decimal, cents.values())) == Decimal(told["total"]) == Decimal("12.30")
    for project in told["projects"]:
        lines = sum(Decimal(line["cost"]) for line in project["lines"])
        assert lines == Decimal(project["cost"])


@pytest.mark.parametrize("client", ["acme", "borealis"])
def test_one_client_sees_the_same_cents(gpuctl, client):
    gpuctl("ledger", "import", CASES / "09a.jsonl")
    period = ("--from", "2025-03-01", "--to", "2025-04-01")
    everyone = json.loads(gpuctl("report", "-o", "json", *period))["projects"]
    alone = json.loads(gpuctl("report", "-o", "json", "--client", client, *period))["projects"]
    assert alone == [project for project in everyone if project["client"] == client]


def test_spend_as_aws_prints_it(gpuctl, tmp_path):
    rows = json.loads((BILLING / "cases.json").read_text())["real_bill_rows"]
    start = datetime(2024, 9, 10, 14, tzinfo=UTC)
    records = []
    for number, row in enumerate(rows):
        kind, unit, size = "compute", "hour", "1"
        if "IPv4" in row["what"]:
            kind = "ipv4"
        elif "GB" in row["what"]:
            kind, unit, size = "disk", "month", "100"
        thing = {"v": 1, "provider": "aws", "region": "us-east-1", "kind": kind, "sku": f"{number}"}
        end = start + timedelta(seconds=row.get("seconds", 3600))
        run = {"type": "usage", "id": f"u{number}", "account": "1", "resource": f"r{number}"}
        run |= {"market": "on-demand", "quantity": size, "project": None, "ended_by": None}
        run |= {"start": start.isoformat(), "end": end.isoformat()}
        price = {"type": "price", "id": f"p{number}", "unit": unit, "usd": row["rate"]}
        records += [thing | run, thing | price | {"from": "2024-01-01T00:00:00Z"}]
    file = tmp_path / "bill.jsonl"
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    gpuctl("ledger", "import", file)
    period = ("--from", "2024-09-01", "--to", "2024-10-01")
    charges = json.loads(gpuctl("spend", "-o", "json", "--view", "cur", *period))["charges"]
    printed = {charge["sku"]: (charge["amount"], charge["cost"]) for charge in charges}
    assert printed == {
        str(number): (row["quantity"], row["cost"]) for number, row in enumerate(rows)
    }


def test_importing_twice_adds_nothing_and_export_gives_it_back(gpuctl, tmp_path):
    gpuctl("ledger", "import", CASES / "09b.jsonl")
    out = tmp_path / "out.jsonl"
    gpuctl("ledger", "export", out)
    assert json.loads(gpuctl("ledger", "import", "-o", "json", out))["added"] == 0
    given = [json.loads(line) for line in (CASES / "09b.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in out.read_text().splitlines()] == given
    assert json.loads(gpuctl("ledger", "verify", "-o", "json"))["ok"] is True


def test_sustained_use_is_a_credit_beside_the_list_price(gpuctl, tmp_path):
    """Worked case 7: 400 hours of an N1 machine with a T4, in a month of 720."""
    told = json.loads((BILLING / "cases.json").read_text())
    book, expected = told["pricebook_gcp"], told["cases"][6]["expect"]
    things = [("vcpu", "n1-core", "8", book["n1_core_h"]), ("ram", "n1-ram", "30", "0.004237")]
    things.append(("gpu", "nvidia-tesla-t4", "1", book["t4_h"]))
    records = []
    for kind, sku, size, usd in things:
        thing = {"v": 1, "provider": "gcp", "region": "us-central1", "kind": kind, "sku": sku}
        run = {"type": "usage", "id": f"u/{sku}", "account": "freelance-ml", "resource": "vm-1"}
        run |= {"market": "on-demand", "quantity": size, "project": "acme/vision"}
        run |= {"start": "2025-04-03T00:00:00Z", "end": "2025-04-19T16:00:00Z"}
        price = {"type": "price", "id": f"p/{sku}", "unit": "hour", "usd": usd}
        records += [thing | run, thing | price | {"from": "2024-01-01T00:00:00Z"}]
    file = tmp_path / "ledger.jsonl"
    file.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    gpuctl("ledger", "import", file)
    spent = json.loads(gpuctl("spend", "-o", "json", "--month", "2025-04"))
    assert Decimal(spent["total"]) == Decimal(expected["net"])
    kinds = sums(spent["charges"], "kind")
    assert kinds.pop("discount") == Decimal(expected["credit"])
    assert sum(kinds.values()) == Decimal(expected["list"])
    taken = [charge for charge in spent["charges"] if charge["kind"] == "discount"]
    assert {charge["note"] for charge in taken} == {"sustained use"}
    assert {charge["project"] for charge in taken} == {"acme/vision"}
    weeks = [("2025-04-01", "2025-04-11"), ("2025-04-11", "2025-05-01")]
    parts = [json.loads(gpuctl("spend", "-o", "json", "--from", a, "--to", b)) for a, b in weeks]
    assert sum(Decimal(part["total"]) for part in parts) == Decimal(expected["net"])
    (project,) = json.loads(gpuctl("report", "-o", "json", "--month", "2025-04"))["projects"]
    assert project["cost"] == expected["cents"]
    assert sum(Decimal(line["cost"]) for line in project["lines"]) == Decimal(expected["cents"])
    assert Decimal(project["hours"]) == 400
