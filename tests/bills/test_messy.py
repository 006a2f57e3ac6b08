"""Whatever is not money is read leniently, and told; what is money is exact or an error."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from gpuctl.bills import open_bill
from gpuctl.core.billed import Category
from gpuctl.core.kinds import Kind, Market
from tests.bills.made import CUR_HEAD, FEED, cur, google, hour, line
from tests.bills.samples import of_days, totals
from tests.fakes import Quiet

USAGE = Category.USAGE


@pytest.fixture
def bill(tmp_path):
    def opened(content, name="bill.csv", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_bill([path], **options)

    return opened


def test_hours_of_a_day_are_one_day(bill):
    read = bill(cur(line(), line(start="2025-03-10T15:00:00Z"), line(start="2025-03-11T00:00:00Z")))
    first, second = read.days()
    assert (first.rows, first.cost, first.quantity) == (2, Decimal("1.6096"), Decimal(2))
    assert first.start == datetime(2025, 3, 10, 14, tzinfo=UTC)
    assert (second.day, second.rows) == (date(2025, 3, 11), 1)
    assert read.problems == ()


def test_newlines_quotes_and_blank_lines(bill):
    text = cur(line(said='two\r\nlines, ""quoted""'), "", line(said="plain"), "")
    read = bill("\ufeff" + text.replace("\n", "\r\n"))
    assert totals(read) == {(USAGE, "USD"): (Decimal("1.6096"), 2)}


def test_lines_that_end_in_different_ways(bill):
    lines = cur(line(), line(), line()).split("\n")
    first, last = "\r\n".join(lines[:2]) + "\r\n", "\n".join(lines[2:])
    for content in (f"{first}{last}".encode(), gzip.compress(f"{first}{last}".encode())):
        assert totals(bill(content)) == {(USAGE, "USD"): (Decimal("2.4144"), 3)}


def test_names_of_columns_in_any_case_and_of_either_report(bill):
    old = bill(cur(line()))
    snake = (
        "line_item_line_item_type,line_item_usage_start_date,line_item_usage_end_date,"
        "line_item_usage_type,line_item_resource_id,line_item_usage_amount,"
        "LINE_ITEM_CURRENCY_CODE,line_item_unblended_cost,bill_billing_period_start_date,x"
    )
    new = bill(cur(line(), head=snake), "new.csv")
    assert list(new.days()) == list(old.days())


def test_columns_that_nobody_knows_and_two_hundred_of_them(bill):
    more = [f"product/thing{number}" for number in range(200)]
    read = bill(cur(line() + "," * 200, head=",".join((CUR_HEAD, *more))))
    assert totals(read) == {(USAGE, "USD"): (Decimal("0.8048"), 1)}


def test_rows_without_a_date_keep_their_place_in_the_totals(bill):
    read = bill(cur(line(), line(start="10/03/2025"), line(start="NULL"), line(start="")))
    assert totals(read) == of_days(read) == {(USAGE, "USD"): (Decimal("3.2192"), 4)}
    undated = [day for day in read.days() if day.kind is None]
    assert {day.day for day in undated} == {date(2025, 3, 1)}
    assert sum(day.rows for day in undated) == 3
    assert read.problems[0].startswith("3 rows without a date")


def test_a_row_without_a_date_keeps_its_resource_and_its_billing_period(bill):
    lost = line(start="yesterday")
    periods = ["2025-03-01T00:00:00Z", "2025-04-01", "2025-03-15T00:00:00Z", "soon", ""]
    read = bill(cur(line(), *(lost.replace(periods[0], period) for period in periods)))
    dated, *undated = sorted(read.days(), key=lambda day: day.undated)
    assert (dated.undated, dated.period) == (False, None)
    assert {(d.undated, d.resource) for d in undated} == {(True, "i-0abc")}
    # A period that is no calendar month is not known.
    assert sorted((str(d.period), d.rows) for d in undated) == [
        ("2025-03", 1),
        ("2025-04", 1),
        ("None", 1),
        ("None", 2),
    ]


def test_the_month_of_an_invoice_is_not_the_month_of_the_use(bill):
    row = google(usage_start_time="yesterday")
    (day,) = bill(json.dumps(row) + "\n", "export.jsonl").days()
    assert (day.day, day.undated, day.period) == (date(2025, 3, 1), True, None)


def test_times_with_offsets_fractions_and_without_zones(bill):
    starts = ["2025-03-10T01:30:00+02:00", "2025-03-09 23:30:00", "2025-03-09 23:30:00.25 UTC"]
    (day,) = bill(cur(*(line(start=start) for start in starts))).days()
    assert (day.day, day.rows) == (date(2025, 3, 9), 3)
    assert day.start == datetime(2025, 3, 9, 23, 30, tzinfo=UTC)


def test_an_amount_in_scientific_notation_is_exact(bill):
    read = bill(cur(line(cost="5.6843418860808015e-14"), line(cost="1E+2"), line(cost="-2e-07")))
    expected = Decimal("99.999999800000056843418860808015")
    (day,) = read.days()
    assert day.cost == expected
    assert totals(read) == {(USAGE, "USD"): (expected, 3)}


def test_a_quantity_that_is_no_number_is_left_out_and_told(bill):
    read = bill(cur(line(amount="lots"), line(amount="NULL"), line(amount="2e-1")))
    (day,) = read.days()
    assert day.quantity == Decimal("0.2")
    assert read.problems == ("1 row with a quantity that is no number: left out of quantities",)


def test_kinds_of_rows_are_kept_apart(bill):
    words = {
        "Usage": USAGE,
        "DiscountedUsage": USAGE,
        "savingsplancoveredusage": USAGE,
        "Tax": Category.TAX,
        "Refund": Category.REFUND,
        "RIFee": Category.FEE,
        "EdpDiscount": Category.CREDIT,
        "SavingsPlanNegation": Category.CREDIT,
        "Surprise": Category.OTHER,
    }
    read = bill(cur(*(line(kind=word) for word in words)))
    counted = {total.category: total.rows for total in read.totals}
    assert counted == {c: list(words.values()).count(c) for c in set(words.values())}
    assert of_days(read) == totals(read)
    assert "1 row of an unknown type (Surprise): counted as other" in read.problems
    kinds = {day.category: day.kind for day in read.days()}
    assert kinds[Category.TAX] is kinds[Category.FEE] is kinds[Category.OTHER] is None
    assert kinds[Category.CREDIT] is kinds[Category.REFUND] is Kind.COMPUTE


def test_currencies_never_add_up(bill):
    read = bill(cur(line(), line(currency="EUR"), line(currency="NULL")))
    assert {(t.currency, t.rows) for t in read.totals} == {("USD", 2), ("EUR", 1)}
    assert read.problems == ("1 row without a currency: USD is assumed",)


def test_an_amount_may_be_absent_only_where_nothing_was_used(bill):
    read = bill(cur(line(), line(kind="Tax", cost="NULL"), line(kind="Credit", cost="")))
    assert totals(read)[Category.TAX, "USD"] == (Decimal(0), 1)
    assert read.problems == ("2 rows of other than usage without an amount: counted as 0",)


def test_a_window_leaves_days_out_and_says_so(bill):
    text = cur(*(line(start=f"2025-03-{day:02}T14:00:00Z") for day in (9, 10, 11, 12)))
    read = bill(text, day_from=date(2025, 3, 10), day_to=date(2025, 3, 12))
    assert [day.day.day for day in read.days()] == [10, 11]
    assert totals(read) == of_days(read) == {(USAGE, "USD"): (Decimal("1.6096"), 2)}
    assert read.rows == 4
    assert read.problems == ("2 rows outside the days asked for: left out",)


def test_a_monthly_bill_is_told_as_such(bill):
    text = cur(line()).replace("2025-03-10T15:00:00Z", "2025-04-01T00:00:00Z")
    assert bill(text).problems == (
        "1 row of usage for longer than a day: all of it stands on the first",
    )


def test_a_header_alone_is_an_empty_bill(bill):
    read = bill(cur())
    assert (read.rows, read.totals, list(read.days())) == (0, (), [])


def test_a_file_whose_name_looks_like_a_pattern(bill):
    assert bill(cur(line()), "bill[1]*?.csv").rows == 1


@pytest.mark.parametrize(
    ("type_", "kind", "market"),
    [
        ("SpotUsage:g6.xlarge", Kind.COMPUTE, Market.SPOT),
        ("SpotUsage", Kind.COMPUTE, Market.SPOT),
        ("EUC1-SpotUsage:p3.2xlarge", Kind.COMPUTE, Market.SPOT),
        ("EU-BoxUsage:p3.2xlarge", Kind.COMPUTE, Market.ON_DEMAND),
        ("EBS:VolumeUsage.gp3", Kind.DISK, None),
        ("EBS:VolumeUsage", Kind.DISK, None),
        ("USW2-EBS:VolumeP-IOPS.gp3", Kind.DISK_IOPS, None),
        ("EBS:VolumeP-Throughput.gp3", Kind.DISK_THROUGHPUT, None),
        ("EBS:SnapshotUsage", Kind.SNAPSHOT, None),
        ("USE2-PublicIPv4:InUseAddress", Kind.IPV4, None),
        ("PublicIPv4:IdleAddress", Kind.IPV4, None),
        ("APS3-DataTransfer-Out-Bytes", Kind.EGRESS, None),
        ("DataTransfer-Regional-Bytes", Kind.CROSS_AZ, None),
        ("EBSOptimized:p3.2xlarge", None, None),
        ("UnusedBox:p3.2xlarge", None, None),
        ("USE1-CAN1-AWS-Out-Bytes", None, None),
        ("NatGateway-Hours", None, None),
    ],
)
def test_usage_types(bill, type_, kind, market):
    (day,) = bill(cur(line(type_=type_))).days()
    assert (day.kind, day.market, day.sku) == (kind, market, type_)


@pytest.mark.parametrize(
    ("said", "resource"),
    [
        ("arn:aws:ec2:us-east-1:111122223333:instance/i-0abc", "i-0abc"),
        ("arn:aws-cn:ec2:cn-north-1:111122223333:volume/vol-0abc", "vol-0abc"),
        ("arn:aws:ec2:us-east-1:111122223333:network-interface/eni-0abc", "eni-0abc"),
        ("arn:aws:ec2:us-east-1:111122223333:elastic-ip/eipalloc-0abc", "eipalloc-0abc"),
        ("arn:aws:s3:::my-bucket", "my-bucket"),
        ("arn:aws:elb:us-east-1:1:lb/app/x/50dc6", "arn:aws:elb:us-east-1:1:lb/app/x/50dc6"),
        ("NULL", None),
    ],
)
def test_resources(bill, said, resource):
    (day,) = bill(cur(line(resource=said))).days()
    assert day.resource == resource


@pytest.mark.parametrize(
    ("column", "value", "project"),
    [
        ("resourceTags/user:gpuctl:project", "acme/vision", "acme/vision"),
        ("resourceTags/user:gpuctl_project", "acme/vision", "acme/vision"),
        ("resource_tags", '{"user_gpuctl_project": "acme/vision", "a": "b"}', "acme/vision"),
        ("resource_tags", r'{"user_gpuctl_project":"acme\/vision"}', "acme/vision"),
        ("resource_tags", '{"user_team": "x"}', None),
        ("resourceTags/user:gpuctl:project", "", None),
        ("resourceTags/user:gpuctl:project", "acme__vision", "acme/vision"),
    ],
)
def test_projects_from_tags(bill, column, value, project):
    quoted = '"' + value.replace('"', '""') + '"'
    (day,) = bill(cur(line() + "," + quoted, head=f"{CUR_HEAD},{column}")).days()
    assert day.project == project


def test_the_spot_feed_keeps_the_last_issue_of_an_hour(tmp_path):
    first = FEED + hour("14:05:30", "0.4000000000") + hour("15:05:30", "0.9420000000")
    again = FEED + hour("14:05:30", "0.9180000000", version=2) + hour("14:05:30", "0.1", 1, "i-0z")
    (tmp_path / "111122223333.2025-03-10-14.001.aaaa.gz").write_bytes(gzip.compress(first.encode()))
    (tmp_path / "111122223333.2025-03-10-15.002.bbbb.gz").write_bytes(gzip.compress(again.encode()))
    read = open_bill([tmp_path])
    assert read.rows == 4
    assert totals(read) == of_days(read) == {(USAGE, "USD"): (Decimal("1.96"), 3)}
    assert read.problems == ("1 row left out: issued again later for the same hour",)
    day = next(day for day in read.days() if day.resource == "i-0abc")
    assert (day.account, day.cost, day.market) == ("111122223333", Decimal("1.86"), Market.SPOT)
    assert day.end == datetime(2025, 3, 10, 16, 5, 30, tzinfo=UTC)


def test_bigquery_as_json_keeps_every_digit_of_a_number(bill):
    text = json.dumps(google()).replace('"cost": "0.12"', '"cost": 0.12345678901234567890123')
    read = bill(text + "\n" + json.dumps(google(cost_type="tax", cost=5e-06)), "bill.jsonl")
    usage, tax = sorted(read.days(), key=lambda day: day.category != USAGE)
    assert usage.cost == Decimal("0.12345678901234567890123")
    assert tax.cost == Decimal("0.000005")
    assert (usage.kind, usage.market) == (Kind.VCPU, Market.SPOT)
    assert (usage.resource, usage.account, usage.project) == ("42", "demo", "acme/vision")
    assert (usage.currency, usage.per_usd) == ("EUR", Decimal("0.9215"))
    assert (usage.invoice, usage.region, usage.quantity) == ("202503", "us-central1", Decimal(8))


def test_credits_of_a_row_are_charges_of_their_own(bill):
    credits_ = [
        {"name": "Sustained Usage", "amount": -0.03, "type": "SUSTAINED_USAGE_DISCOUNT"},
        {"name": "Trial {1}, 'odd'", "amount": "-1e-7", "type": "PROMOTION"},
    ]
    for name, rows in (
        ("a.jsonl", [google(credits=credits_)]),
        ("a.json", [google(credits=credits_)]),
    ):
        read = bill(json.dumps(rows[0] if name.endswith("l") else rows), name)
        assert totals(read) == of_days(read) == {
            (USAGE, "EUR"): (Decimal("0.12"), 1),
            (Category.CREDIT, "EUR"): (Decimal("-0.0300001"), 2),
        }  # fmt: skip
        assert read.rows == 1
        sustained = next(day for day in read.days() if (day.sku or "").startswith("SUSTAINED"))
        assert (sustained.kind, sustained.resource) == (Kind.VCPU, "42")


@pytest.mark.parametrize(
    ("sku", "kind", "market"),
    [
        ("N1 Predefined Instance Core running in Americas", Kind.VCPU, Market.ON_DEMAND),
        ("Spot Preemptible N1 Predefined Instance Ram running in Iowa", Kind.RAM, Market.SPOT),
        ("Nvidia Tesla T4 GPU running in Americas", Kind.GPU, Market.ON_DEMAND),
        ("Nvidia L4 GPU attached to Spot Preemptible VMs running in Iowa", Kind.GPU, Market.SPOT),
        ("SSD backed PD Capacity", Kind.DISK, None),
        ("Balanced PD Capacity in Netherlands", Kind.DISK, None),
        ("Storage PD Snapshot in US", Kind.SNAPSHOT, None),
        ("External IP Charge on a Spot Preemptible VM", Kind.IPV4, None),
        ("Static Ip Charge", Kind.IPV4, None),
        ("Network Internet Data Transfer Out from Americas to EMEA", Kind.EGRESS, None),
        ("Network Inter Zone Data Transfer Out", Kind.CROSS_AZ, None),
        ("Network Internet Data Transfer In from EMEA to Americas", None, None),
        ("Licensing Fee for Debian 10 Buster (CPU cost)", None, None),
        ("Commitment v1: Cpu in Americas for 1 Year", None, None),
    ],
)  # fmt: skip
def test_skus_of_google(bill, sku, kind, market):
    (day,) = bill(json.dumps(google(sku={"description": sku})), "bill.json").days()
    assert (day.kind, day.market) == (kind, market)


def test_of_a_report_with_several_versions_the_last_is_read(tmp_path):
    for month in ("20250301-20250401", "20250401-20250501"):
        for version in ("aaaa", "bbbb"):
            folder = tmp_path / "cur" / month / version
            folder.mkdir(parents=True)
            (folder / "cur-00001.csv").write_text(cur(line()))
            keys = {"reportKeys": [f"prefix/cur/{month}/{version}/cur-00001.csv"]}
            (folder / "cur-Manifest.json").write_text(json.dumps(keys))
        (tmp_path / "cur" / month / "cur-Manifest.json").write_text(json.dumps(keys))
    both = open_bill([tmp_path])
    assert (both.rows, both.problems[0].partition(":")[0]) == (2, "2 files left out")
    assert open_bill([tmp_path / "cur" / "20250301-20250401"]).rows == 1
    for manifest in tmp_path.rglob("*-Manifest.json"):
        manifest.write_text("not json")
    assert open_bill([tmp_path]).rows == 4


def test_what_was_fetched_twice_counts_once(tmp_path):
    for name in ("a.csv", "a (1).csv", "a (2).csv"):
        (tmp_path / name).write_text(cur(line(cost="1.25")))
    (tmp_path / "b.csv").write_text(cur(line(cost="1.26")))
    both = open_bill([tmp_path])
    assert (both.rows, both.totals[0].cost) == (2, Decimal("2.51"))
    assert both.problems[0] == (
        "2 files left out: the same, byte for byte, as another in that folder"
    )
    named = open_bill([tmp_path / "a.csv", tmp_path / "a (1).csv"])
    assert (named.rows, named.problems[0].partition(":")[0]) == (1, "1 file left out")


def test_work_is_told_while_it_lasts(tmp_path):
    (tmp_path / "bill.csv").write_text(cur(line()))
    said = Quiet()
    open_bill([tmp_path], progress=said)
    assert any("Reading bill.csv (" in text for text in said.steps)
