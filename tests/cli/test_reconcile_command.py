"""A month in the ledger, a bill in files: the real program settles one against the other."""

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from gpuctl.core.bill import fixed
from gpuctl.core.ledger_days import ledger_days
from gpuctl.core.ports import CloudRef
from gpuctl.core.rounding import round_half_up
from gpuctl.core.span import Span
from gpuctl.ledger.jsonl import read_file
from tests.cli.curfile import cur_row, google_row, write_cur, write_google
from tests.cli.desk import NOW
from tests.cli.program import Program
from tests.core.billdays import billed
from tests.providers.aws.cost_world import Fact, explorer

CASES = Path(__file__).parents[3] / "shared/data/billing/cases"
ALWAYS = Span(datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
YEAR = ("--from", "2025-01-01", "--to", "2026-01-01")

MARCH = ("--month", "2025-03")

RUN = {
    "v": 1, "type": "usage", "id": "u1", "provider": "aws", "account": "111122223333",
    "region": "us-east-1", "zone": "us-east-1a", "resource": "i-1", "kind": "compute",
    "sku": "p3.2xlarge", "market": "on-demand", "quantity": "1", "start": "2025-03-10T14:00:00Z",
    "end": "2025-03-10T16:00:00Z", "ended_by": "user", "project": "acme/vision",
}  # fmt: skip
PRICE = {
    "v": 1, "type": "price", "id": "p1", "provider": "aws", "kind": "compute",
    "sku": "p3.2xlarge", "unit": "hour", "usd": "1", "from": "2025-01-01T00:00:00Z",
}  # fmt: skip
ROW = {"start": "2025-03-10T14:00:00Z", "end": "2025-03-10T16:00:00Z", "resource": "i-1"}

LOST = {"type": "EBS:VolumeUsage.gp3", "cost": "0.25", "project": "acme/vision"}
FEED = (
    "Timestamp", "UsageType", "Operation", "InstanceID", "MyBidID", "MyMaxPrice", "MarketPrice",
    "Charge", "Version",
)  # fmt: skip
ALIEN = {"resource": "i-9", "cost": "7"}


@pytest.fixture
def two_hours(desk):
    """A desk whose ledger has two hours at one dollar."""
    bring(desk, RUN, PRICE)
    return desk


def bring(desk, *records):
    file = desk.root / "records.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    desk.ok("ledger", "import", str(file))


def cur(desk, *rows, name="cur.csv"):
    return str(write_cur(desk.root / name, *rows))


# The worked cases, against bills that ask something else for every day of everything.


def cases():
    if not CASES.is_dir():
        return [pytest.param("-", marks=pytest.mark.skip(reason="the worked cases are not here"))]
    return sorted(file.stem for file in CASES.glob("*.jsonl"))


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("factor", ["1", "0.93"])
def test_afterwards_spend_says_what_the_bill_asks(desk, name, factor):
    file = CASES / f"{name}.jsonl"
    events = [event for _, event in read_file(file)]
    days = ledger_days(events, fixed(ALWAYS), NOW).days.values()
    costs = {day.key: round_half_up(day.cost * Fraction(factor), 10) for day in days}
    if {day.provider for day in days} == {"aws"}:
        rows = [cur_row(day, costs[day.key]) for day in days]
        bill = write_cur(desk.root / "cur.csv", *rows)
    else:
        rows = [google_row(day, costs[day.key], rate=Decimal("0.9")) for day in days]
        bill = write_google(desk.root / "export.jsonl", *rows)
    desk.ok("ledger", "import", str(file))
    asked = sum(costs.values()) if bill.suffix == ".csv" else sum(costs.values()) / Decimal("0.9")
    before = desk.json("spend", *YEAR)
    result = desk("reconcile", "--from", str(bill), "--tolerance", "100%", "--json")
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert (made["schema"], made["matched"], made["settled"]) == (
        "gpuctl.reconcile/1", len(days), len(days),
    )  # fmt: skip
    assert made["unmatched"] == []
    after = desk.json("spend", *YEAR)
    assert abs(Decimal(after["total"]) - asked) < Decimal("1e-18")
    # Whose it is stays, and what each paid moves together.
    assert {c["project"] for c in after["charges"]} == {c["project"] for c in before["charges"]}
    assert {c["basis"] for c in after["charges"]} == {"settled"}
    assert abs(Decimal(made["bill_total"]) - asked) < Decimal("1e-18")
    again = desk.json("reconcile", "--from", str(bill))
    assert (again["settled"], again["gap"], again["projects"]) == (0, "0", [])


# What it prints.


def test_everything_is_said_in_json(two_hours):
    bill = cur(
        two_hours,
        ROW | {"cost": "2.5", "amount": "2", "unit": "Hrs", "invoice": "INV-7"},
        LOST | {"resource": "vol-9"},
        {"resource": "i-9", "cost": "7"},
        {"line": "Tax", "type": "", "cost": "0.42"},
        {"line": "Credit", "cost": "-1"},
    )  # fmt: skip
    result = two_hours("reconcile", "--from", bill, "--json")
    assert result.exit_code == 8
    made = json.loads(result.stdout)
    assert made["source"] == "AWS Cost and Usage Report: cur.csv"
    assert (made["rows"], made["matched"], made["settled"], made["currency"]) == (5, 1, 1, "USD")
    assert (made["ledger_total"], made["bill_total"], made["gap"]) == ("2", "9.17", "7.17")
    assert made["gap_ratio"] == "0.781897"
    assert made["breakdown"] == {
        "matched": "0.5", "not_in_ledger": "0.25", "not_ours": "7", "not_on_bill": "0",
        "credits": "-1", "refunds": "0", "taxes": "0.42", "fees": "0", "other": "0",
    }  # fmt: skip
    (apart,) = made["differences"]
    assert (apart["estimate"], apart["billed"], apart["difference"]) == ("2", "2.5", "0.5")
    assert apart["reason"] == "price: 1.25 billed, 1 in the ledger"
    assert [(u["side"], u["resource"], u["ours"], u["cost"]) for u in made["unmatched"]] == [
        ("bill", "vol-9", True, "0.25"),
        ("bill", None, False, "7"),
    ]
    assert made["ledger_total_after"] == "2.5"
    assert made["projects"] == [{"project": "acme/vision", "before": "2", "after": "2.5"}]
    assert "2 findings" in result.stderr


def test_a_table_fits_eighty_columns_and_says_why(two_hours):
    bill = cur(
        two_hours,
        ROW | {"cost": "2.5"},
        LOST | {"resource": "vol-0123456789abcdef0"},
        {"resource": "i-9", "cost": "7"},
    )  # fmt: skip
    result = two_hours("reconcile", bill)
    assert result.exit_code == 8
    assert max(map(len, result.stdout.splitlines())) <= 80
    for said in (
        "on both, and different",
        "ours, on the bill alone",
        "not gpuctl's",
        "price, or how long it ran",
        "came and went between two looks",
        "1 resource-day settled; ledger $2.0000 -> $2.5000",
        "acme/vision: $2.0000 -> $2.5000",
    ):
        assert said in " ".join(result.stdout.split())
    assert "Reading cur.csv" in result.stderr


def test_only_the_largest_are_shown_and_csv_has_all(desk):
    runs = [
        RUN | {"id": f"u{n}", "resource": f"i-{n}", "project": None if n else "acme/vision"}
        for n in range(13)
    ]
    bring(desk, *runs, PRICE)
    bill = cur(desk, *(ROW | {"resource": f"i-{n}", "cost": f"2.{n + 10}"} for n in range(13)))
    shown = desk("reconcile", "--from", bill, "--dry-run").stdout
    assert "different: 13, the 10 largest (all: -o csv)" in shown
    assert "13 resource-days would be settled" in shown
    assert "unattributed: $24" in shown
    rows = list(csv.DictReader(io.StringIO(desk("reconcile", bill, "-o", "csv").stdout)))
    assert len(rows) == 13
    assert (rows[0]["resource"], rows[0]["from"], rows[0]["billed"]) == ("i-0", "2025-03-10", "2.1")
    assert {row["side"] for row in rows} == {"both"}


def test_what_is_not_ours_is_said_in_few_lines(two_hours):
    rows = [ALIEN | {"type": f"BoxUsage:m{n}.large", "cost": f"{n}"} for n in range(1, 8)]
    shown = two_hours.ok("reconcile", cur(two_hours, ROW | {"cost": "2"}, *rows))
    assert "not gpuctl's: 7, the 5 largest (all: -o csv)" in shown
    assert shown.count("no tag of ours") == 1
    assert "2025-03-10  compute  $7.0000" in shown
    assert "$2.0000\n  not" not in shown


def test_csv_has_what_only_one_side_knows(two_hours):
    bill = cur(two_hours, {"resource": "i-9", "cost": "7"})
    rows = list(csv.DictReader(io.StringIO(two_hours("reconcile", bill, "-o", "csv").stdout)))
    assert [(r["side"], r["ledger"], r["billed"]) for r in rows] == [
        ("ledger", "2", ""),
        ("bill", "", "7"),
    ]


# What it writes.


def test_a_dry_run_changes_nothing(two_hours):
    bill = cur(two_hours, ROW | {"cost": "2.004"})
    head = two_hours.ledger.head
    made = two_hours.json("reconcile", "--from", bill, "--dry-run")
    assert (made["settled"], made["dry_run"]) == (1, True)
    assert two_hours.ledger.head == head
    assert two_hours.json("spend", *YEAR)["charges"][0]["basis"] == "estimated"


def test_again_writes_nothing_and_another_bill_is_the_new_truth(two_hours):
    first, second = (
        cur(two_hours, ROW | {"cost": cost}, name=f"{cost}.csv") for cost in ("2.004", "1.996")
    )
    two_hours.ok("reconcile", "--from", first)
    head = two_hours.ledger.head
    assert "nothing new to settle" in two_hours.ok("reconcile", "--from", first)
    assert two_hours.ledger.head == head
    assert two_hours.json("reconcile", "--from", second)["settled"] == 1
    assert two_hours.json("spend", *YEAR)["total"] == "1.996"


def test_several_files_are_one_bill(two_hours):
    one = cur(two_hours, ROW | {"cost": "1.5"})
    other = cur(two_hours, ROW | {"cost": "0.5"}, name="more.csv")
    assert two_hours.json("reconcile", "--from", one, "--from", other)["settled"] == 1
    assert two_hours.json("reconcile", "--from", one, other)["settled"] == 0
    assert two_hours.json("spend", *YEAR)["total"] == "2"


def test_export_and_import_keep_what_was_settled(two_hours, tmp_path):
    bill = cur(two_hours, ROW | {"cost": "2.004", "invoice": "INV-7"})
    two_hours.ok("reconcile", "--from", bill)
    exported = two_hours.ok("ledger", "export")
    (record,) = [json.loads(line) for line in exported.splitlines() if '"settle"' in line]
    assert record | {"id": "", "at": ""} == {
        "v": 1, "type": "settle", "id": "", "provider": "aws", "account": "111122223333",
        "resource": "i-1", "kind": "compute", "from": "2025-03-10T00:00:00Z",
        "to": "2025-03-11T00:00:00Z", "billed": "2.004", "at": "",
        "source": "AWS Cost and Usage Report: cur.csv", "currency": "USD", "per_usd": "1",
        "invoice": "INV-7",
    }  # fmt: skip
    file = tmp_path / "all.jsonl"
    file.write_text(exported)
    other = Program(tmp_path / "other", {"HOME": str(tmp_path)})
    (tmp_path / "other").mkdir()
    other("ledger", "import", str(file))
    spent = other("spend", *YEAR, "--json").json
    assert spent == two_hours.json("spend", *YEAR)
    assert other("ledger", "export").out == exported
    assert other("ledger", "import", str(file)).err.startswith("0 new records")
    assert other("reconcile", "--from", bill, "--json").json["settled"] == 0


def test_spend_and_report_show_the_settled_figure(two_hours):
    two_hours("reconcile", "--from", cur(two_hours, ROW | {"cost": "3"}))
    shown = two_hours.ok("spend", *YEAR)
    assert "settle compute" in shown
    assert "total $3.0000\n  settled against the bill $3.0000\n  estimated $0.0000" in shown
    assert "compute p3.2xlarge" in shown
    report = two_hours.json("report", "--month", "2025-03")
    (project,) = report["projects"]
    assert (project["cost"], report["total"]) == ("3.00", "3.00")
    assert [(line["kind"], line["cost"]) for line in project["lines"]] == [
        ("compute", "2.00"),
        ("settle", "1.00"),
    ]
    assert report["basis"] == "settled"
    assert "2025-03, in USD, settled against the bill" in two_hours.ok(
        "report", "--month", "2025-03"
    )
    later = RUN | {"id": "u2", "resource": "i-2"}
    bring(two_hours, later)
    assert two_hours.json("report", "--month", "2025-03")["basis"] == "mixed"
    assert two_hours.json("report", "--month", "2025-04")["basis"] == "estimated"
    assert "settled against the bill in part" in two_hours.ok("report", "--month", "2025-03")
    by_kind = two_hours.ok("spend", *YEAR, "--by", "kind")
    assert "settle" in by_kind


def test_what_a_bill_rounds_is_settled_and_clutters_nothing(two_hours):
    shown = two_hours.ok("reconcile", "--from", cur(two_hours, ROW | {"cost": "2.0000000001"}))
    assert "different" not in shown.replace("on both, and different", "")
    assert "1 resource-day settled" in shown
    assert "settle" not in two_hours.ok("report", "--month", "2025-03").replace("settled", "")
    assert two_hours.json("spend", *YEAR)["total"] == "2.0000000001"


def test_a_closed_month_stays_and_what_a_bill_changes_is_a_correction(two_hours):
    two_hours.user("[client.acme]\n[client.acme.project.vision]\n")
    two_hours.ok("close", "acme", "--month", "2025-03")
    result = two_hours("reconcile", "--from", cur(two_hours, ROW | {"cost": "3"}))
    assert "acme's 2025-03 is closed" in result.stderr
    assert two_hours.json("report", "--month", "2025-03")["total"] == "2.00"
    assert two_hours.json("report", "--month", "2025-04")["total"] == "1.00"


def test_a_day_is_not_settled_where_a_row_of_its_resource_has_no_date(two_hours):
    hours = [
        ROW | {"start": f"2025-03-10T{h}:00:00Z", "end": f"2025-03-10T{h + 1}:00:00Z", "cost": "1"}
        for h in (14, 15)
    ]
    bill = cur(two_hours, hours[0], hours[1] | {"start": "yesterday"})
    result = two_hours("reconcile", bill, "--json")
    assert result.exit_code == 8
    made = json.loads(result.stdout)
    assert (made["settled"], made["gap"]) == (0, "0")
    said = "the bill has a row of it without a readable date"
    assert [(d["resource"], d["settled"], d["reason"]) for d in made["differences"]] == [
        ("i-1", False, said)
    ]
    assert [(u["side"], u["resource"], u["reason"]) for u in made["unmatched"]] == [
        ("bill", "i-1", said)
    ]
    assert two_hours.json("spend", *YEAR)["total"] == "2"
    shown = " ".join(two_hours("reconcile", bill).stdout.split())
    assert shown.count(said) == 2
    assert "nothing new to settle" in shown


def test_where_the_bill_agrees_as_far_as_it_has_dates_the_reason_is_shown_all_the_same(two_hours):
    lost = ROW | {"start": "yesterday", "cost": "1"}
    result = two_hours("reconcile", cur(two_hours, ROW | {"cost": "2"}, lost), "--json")
    (day,) = json.loads(result.stdout)["differences"]
    assert (day["difference"], day["settled"]) == ("0", False)


# What it is told.


def test_a_month_is_compared_whole(two_hours):
    bill = cur(
        two_hours,
        ALIEN | {"start": "2025-03-01T00:00:00Z", "end": "2025-03-02T00:00:00Z"},
        ALIEN | {"start": "2025-04-01T00:00:00Z", "end": "2025-04-02T00:00:00Z"},
    )
    whole = json.loads(two_hours("reconcile", bill, "--json", "--dry-run").stdout)
    assert (whole["bill_total"], whole["ledger_total"]) == ("14", "2")
    march = two_hours("reconcile", bill, "--month", "2025-03", "--json")
    assert march.exit_code == 8
    made = json.loads(march.stdout)
    assert (made["bill_total"], made["ledger_total"], made["gap"]) == ("7", "2", "5")
    assert made["to"] == {"aws": "2025-04-01T00:00:00Z"}


def test_a_client_is_settled_alone(two_hours):
    bring(two_hours, RUN | {"id": "u2", "resource": "i-2", "project": "borealis/nlp"})
    bill = cur(two_hours, ROW | {"cost": "3"}, ROW | {"resource": "i-2", "cost": "4"})
    made = json.loads(two_hours("reconcile", bill, "--client", "borealis", "--json").stdout)
    assert (made["matched"], made["bill_total"], made["settled"]) == (1, "4", 1)
    assert two_hours.json("spend", *YEAR)["total"] == "6"
    assert "nothing of a client nobody" in two_hours.refused(
        "reconcile", bill, "--client", "nobody", code=3
    )


@pytest.mark.parametrize(
    ("cost", "tolerance", "code"),
    [("2.02", "1%", 0), ("2.1", "1%", 8), ("2.1", "10%", 0), ("2.1", "0.1", 0), ("2.1", "0.01", 8)],
)
def test_beyond_the_tolerance_it_exits_8(two_hours, cost, tolerance, code):
    bill = cur(two_hours, ROW | {"cost": cost})
    assert two_hours("reconcile", bill, "--tolerance", tolerance).exit_code == code


def test_a_bill_in_another_currency_needs_its_rate(two_hours):
    bill = cur(two_hours, ROW | {"cost": "1.8", "currency": "EUR"})
    said = two_hours.refused("reconcile", bill)
    assert "is in EUR" in said
    assert "--per-usd" in said
    made = two_hours.json("reconcile", bill, "--per-usd", "0.9")
    assert (made["bill_total"], made["gap"]) == ("2", "0")


@pytest.mark.parametrize(
    "argv",
    [
        ("report", *MARCH, "--format", "focus"),
        ("report", *MARCH, "--format", "focus", "--out", "focus.csv"),
        ("report", *MARCH, "--format", "csv"),
        ("report", *MARCH, "-o", "csv"),
        ("report", *MARCH, "-o", "json"),
        ("spend", *MARCH, "-o", "csv"),
        ("spend", *MARCH, "-o", "json"),
        ("spend", *MARCH, "--view", "cur", "-o", "csv"),
        ("ledger", "export"),
    ],
    ids=" ".join,
)
def test_what_gpuctl_wrote_itself_is_no_bill(two_hours, argv):
    made = two_hours.cwd / "focus.csv"
    printed = two_hours.ok(*argv)
    file = made if made.exists() else two_hours.cwd / "printed"
    if not made.exists():
        file.write_text(printed)
    head = two_hours.ledger.head
    said = two_hours.refused("reconcile", "--from", str(file))
    assert f"{file}: is no bill: it is what gpuctl {argv[0]}" in said
    assert "the provider's own export" in said
    assert two_hours.ledger.head == head


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "which bill?"),
        (["--from", "absent.csv"], "absent.csv"),
        (["--from", "BILL", "--month", "March"], "'March' is not a month"),
        (["--from", "BILL", "--month", "2024-01"], "there is no usage of 2024-01"),
        (["--from", "BILL", "--tolerance", "much"], "--tolerance: 'much'"),
        (["--from", "BILL", "--tolerance", "-1%"], "--tolerance: '-1%'"),
        (["--from", "BILL", "--tolerance", "nan"], "--tolerance: 'nan'"),
        (["--from", "BILL", "--per-usd", "0"], "--per-usd: '0'"),
        (["--from", "BILL", "--per-usd", "x"], "--per-usd: 'x'"),
        (["--from", "NO-BILL"], "no-bill.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(two_hours, argv, said):
    bill = cur(two_hours, ROW | {"cost": "3"})
    other = two_hours.root / "no-bill.csv"
    other.write_text("a,b\n1,2\n")
    names = {"BILL": bill, "NO-BILL": str(other)}
    head = two_hours.ledger.head
    result = two_hours("reconcile", *(names.get(word, word) for word in argv))
    assert result.exit_code in (2, 3), result.output
    assert said in result.stderr
    assert two_hours.ledger.head == head


def test_a_feed_of_spot_machines_settles_those(desk):
    spot = RUN | {"market": "spot"}
    disk = RUN | {"id": "u2", "resource": "vol-1", "kind": "disk", "sku": "gp3"}
    bring(desk, spot, disk, PRICE | {"market": "spot"})
    feed = desk.root / "111122223333.2025-03-10-14.001.b959dbc6.gz"
    lines = [
        "#Version: 1.0",
        f"#Fields: {' '.join(FEED)}",
        *(
            "\t".join([f"2025-03-10 {hour}:00:00 UTC", "SpotUsage:p3.2xlarge", "RunInstances:SV002",
                       "i-1", "sir-1", "3.06 USD", "0.99 USD", "0.9900000000 USD", "1"])
            for hour in (14, 15)
        ),
    ]  # fmt: skip
    feed.write_bytes(gzip.compress("\n".join(lines).encode()))
    made = desk.json("reconcile", "--from", str(feed), "--tolerance", "5%")
    assert (made["matched"], made["unmatched"], made["bill_total"]) == (1, [], "1.98")
    spent = desk.json("spend", *YEAR)
    assert spent["total"] == "1.98"


def test_the_program_itself_does_it(tmp_path):
    program = Program(tmp_path / "home", {"HOME": str(tmp_path)})
    (tmp_path / "home").mkdir()
    records = tmp_path / "records.jsonl"
    records.write_text(json.dumps(RUN) + "\n" + json.dumps(PRICE) + "\n")
    program("ledger", "import", str(records))
    bill = write_cur(tmp_path / "cur.csv", ROW | {"cost": "2.5"})
    done = program("reconcile", "--from", str(bill), "--json", code=8)
    assert done.json["settled"] == 1
    assert "Reading cur.csv" in done.err
    assert program("spend", *YEAR, "--json").json["total"] == "2.5"
    assert program("ledger", "verify").code == 0
    assert program("reconcile", "--from", str(bill)).out.rstrip().endswith("nothing new to settle")


# Cost Explorer, for an account without an export.


@pytest.fixture
def last_month(tmp_path):
    """The program beside a Cost Explorer; two hours ran on the fifth of last month."""
    today = datetime.now(UTC).date()
    fifth = (today.replace(day=1) - timedelta(days=1)).replace(day=5)
    with explorer(today) as (world, url):
        keys = {
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        (tmp_path / "home").mkdir()
        program = Program(tmp_path / "home", keys)
        records = tmp_path / "records.jsonl"
        times = {"start": f"{fifth}T14:00:00Z", "end": f"{fifth}T16:00:00Z"}
        records.write_text(json.dumps(RUN | times) + "\n" + json.dumps(PRICE) + "\n")
        program("ledger", "import", str(records))
        world.facts = [
            Fact(fifth, "2.5", "BoxUsage:p3.2xlarge", "i-1", "acme/vision", quantity="2"),
            Fact(fifth, "0.3", record="Tax"),
        ]
        yield program, world


class Told:
    """Clouds that were asked what was billed."""

    def __init__(self):
        self.asked = []

    def of(self, provider, project):
        return CloudRef(provider, project.partition("/")[0] if project else None)

    def costs(self, ref, span):
        self.asked.append((ref, span))
        return Answer()


class Answer:
    source, rows, totals, problems = "AWS Cost Explorer: 1", 1, (), ("2 days are still estimated",)

    def days(self):
        return [billed("2.5", None, project="acme/vision", account=None)]


def test_the_price_of_asking_is_agreed_to_first(two_hours):
    two_hours.clouds = Told()
    march = ("reconcile", "--aws", "--month", "2025-03")
    no = two_hours(*march, terminal=True, answers="n\n")
    assert (no.exit_code, two_hours.clouds.asked) == (1, [])
    assert "0.01 USD a request" in no.stderr
    yes = two_hours(*march, "--client", "acme", terminal=True, answers="y\n")
    assert yes.exit_code == 8
    assert "2 days are still estimated" in yes.stderr
    ((ref, span),) = two_hours.clouds.asked
    assert ref == CloudRef("aws", "acme")
    assert (span.start.day, span.end.month) == (1, 4)
    assert two_hours.json("spend", *YEAR)["total"] == "2.5"
    both = two_hours.refused("reconcile", "--aws", "--from", "cur.csv", "--yes")
    assert "leave out --from" in both


def test_cost_explorer_settles_by_the_tag(last_month):
    program, _ = last_month
    done = program("reconcile", "--aws", "--month", "last", "--yes", "--json", code=8)
    assert (done.json["matched"], done.json["settled"]) == (1, 1)
    assert (done.json["bill_total"], done.json["breakdown"]["taxes"]) == ("2.8", "0.3")
    assert done.json["differences"][0]["by"] == "tag"
    assert done.json["source"].startswith("AWS Cost Explorer: 111122223333")
    assert "asking Cost Explorer" in done.err
    spent = program("spend", "--month", "last", "--json").json
    assert spent["total"] == "2.5"
    again = program("reconcile", "--aws", "--month", "last", "--yes", "--json").json
    assert (again["settled"], again["gap"]) == (0, "0.3")


def test_nobody_is_made_to_pay_without_being_asked(last_month):
    program, world = last_month
    refused = program("reconcile", "--aws", "--month", "last", code=2)
    assert "0.01 USD a request" in refused.err
    assert world.asked == []
    assert "leave out --from" in program("reconcile", "--aws", "--from", "x.csv", "-y", code=2).err
    assert "has not begun" in program("reconcile", "--aws", "--month", "2999-01", "-y", code=2).err
    world.enabled = False
    denied = program("reconcile", "--aws", "--month", "last", "-y", code=4)
    assert "User not enabled" in denied.err
