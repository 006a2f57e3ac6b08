"""Every sample of a real bill is read: rows and sums as plain Python has them, days adding up."""

import csv
import gzip
import json
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import duckdb
import pytest

from gpuctl.bills import open_bill
from gpuctl.core.billed import Category
from gpuctl.core.errors import ConfigError
from gpuctl.core.kinds import Kind, Market
from tests.bills.samples import (
    COSTS,
    DATA,
    FEED,
    needs_samples,
    of_days,
    plain_totals,
    rows,
    totals,
)

pytestmark = needs_samples

by_sample = pytest.mark.parametrize("name", sorted(COSTS))


ONE_OF_EACH = (
    "nise_aws_cur_p3_2025-03.csv",
    "focus_sample_1.0.csv",
    "gcp_bq_export_koku_2020-11.csv",
)
FORMS = [
    *((name, form) for name in sorted(COSTS) for form in ("parquet", "jsonl")),
    *((name, form) for name in ONE_OF_EACH for form in ("csv.gz", "crlf", "json", "bom", "tabs")),
]


@cache
def read(name):
    """A sample, opened once: reading it again gives the same."""
    return open_bill([DATA / name])


@by_sample
def test_a_sample_has_the_rows_and_sums_of_its_file(name):
    bill = read(name)
    assert bill.rows == len(rows(DATA / name))
    assert totals(bill) == plain_totals(name)
    assert of_days(bill) == totals(bill)
    assert name in bill.source


def test_reading_again_gives_the_same():
    name = "focus_sample_1.0.csv"
    assert list(read(name).days()) == list(read(name).days())
    assert list(open_bill([DATA / name]).days()) == list(read(name).days())


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_sample_reads_the_same_in_every_form(tmp_path, name, form):
    copy = written(name, form, tmp_path)
    bill = open_bill([copy])
    assert bill.rows == read(name).rows
    assert bill.totals == read(name).totals
    assert list(bill.days()) == list(read(name).days())


def written(name, form, folder):
    """A sample copied into another form, every value as it stands."""
    source, data = DATA / name, rows(DATA / name)
    target = folder / f"bill.{form}"
    match form:
        case "parquet":
            duckdb.connect().execute(
                f"COPY (SELECT * FROM read_csv('{source}', all_varchar = true, header = true)) "
                f"TO '{target}' (FORMAT parquet)"
            )
        case "csv.gz":
            target.write_bytes(gzip.compress(source.read_bytes()))
        case "crlf":
            target.write_bytes(b"\r\n".join(source.read_bytes().splitlines()))
        case "bom":
            target.write_bytes(b"\xef\xbb\xbf" + source.read_bytes())
        case "tabs":
            with target.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, data[0], delimiter="\t")
                writer.writeheader()
                writer.writerows(data)
        case "jsonl":
            target.write_text("\n".join(json.dumps(row) for row in data))
        case "json":
            target.write_text(json.dumps(data, indent=2))
    return target


def test_parts_of_one_export_are_one_bill(tmp_path):
    name = "aws_cur_anonymised_focus_converters.csv"
    lines = (DATA / name).read_text().splitlines(keepends=True)
    (tmp_path / "part-1.csv").write_text("".join(lines[:500]))
    (tmp_path / "part-2.csv.gz").write_bytes(
        gzip.compress("".join([lines[0], *lines[500:]]).encode())
    )
    (tmp_path / "report-Manifest.json").write_text("{}")
    (tmp_path / "README.md").write_text("not a bill")
    whole = read(name)
    for paths in ([tmp_path], sorted(tmp_path.glob("part-*")), [tmp_path, tmp_path / "part-1.csv"]):
        bill = open_bill(paths)
        assert (bill.rows, bill.totals) == (whole.rows, whole.totals)
        assert list(bill.days()) == list(whole.days())


def test_other_providers_rows_are_counted_and_mean_nothing_to_us():
    days = list(read("focus_sample_1.0.csv").days())
    assert sum(day.rows for day in days if day.provider == "azure") == 51
    assert sum(day.rows for day in days if day.provider == "oracle") == 7
    assert {day.kind for day in days if day.provider != "aws"} == {None}


def test_real_descriptions_have_their_kinds():
    days = list(read("focus_sample_1.0.csv").days())
    kinds = {kind: sum(d.rows for d in days if d.kind is kind) for kind in Kind}
    data = [r for r in rows(DATA / "focus_sample_1.0.csv") if r["ProviderName"] == "AWS"]

    def rows_with(unit, words):
        return sum(r["PricingUnit"] == unit and words in r["ChargeDescription"] for r in data)

    assert kinds[Kind.COMPUTE] == rows_with("Hours", "On Demand Linux") == 26
    assert kinds[Kind.DISK] == rows_with("GB-Months", "provisioned storage")
    assert kinds[Kind.DISK_IOPS] == rows_with("IOPS-Months", "") == 9
    assert kinds[Kind.DISK_THROUGHPUT] == rows_with("GiB/Second-Months", "") == 7
    assert kinds[Kind.IPV4] == rows_with("Hours", "public IPv4 address")
    assert kinds[Kind.SNAPSHOT] == rows_with("GB-Months", "napshot")
    assert kinds[Kind.CROSS_AZ] == rows_with("GB", "regional data transfer")


def test_throughput_is_counted_in_mib_as_it_is_priced():
    days = [day for day in read("focus_sample_1.0.csv").days() if day.kind is Kind.DISK_THROUGHPUT]
    for day in days:
        price = Decimal(day.sku.split()[0].lstrip("$"))
        assert day.unit == "MiBps-Mo"
        assert abs(day.quantity * price - day.cost) < Decimal("1e-6")


def test_the_spot_feed_says_whose_and_where():
    (day,) = open_bill([DATA / FEED]).days()
    assert (day.account, day.region) == ("111122223333", "us-east-2")
    assert (day.resource, day.kind, day.market) == (
        "i-0c3e0c0b046e050df", Kind.COMPUTE, Market.SPOT,
    )  # fmt: skip
    assert (day.cost, day.currency, day.day) == (Decimal("0.0142"), "USD", date(2023, 12, 9))
    assert day.start.isoformat() == "2023-12-09T07:13:47+00:00"
    assert day.end - day.start == timedelta(hours=1)


def test_resources_and_projects_are_named_as_the_ledger_does():
    cur = {(d.resource, d.kind): d for d in read("nise_aws_cur_p3_2025-03.csv").days()}
    compute = cur["i-0abc1234def567890", Kind.COMPUTE]
    assert (compute.market, compute.project) == (Market.ON_DEMAND, "acme-vision")
    assert ("vol-0123456789abcdef0", Kind.DISK) in cur
    focus = {d.resource: d for d in read("gpuctl_minimal_focus_1.2.csv").days()}
    assert focus["i-0abc"].market is Market.SPOT
    assert focus["vol-0abc"].kind is Kind.DISK
    assert focus["i-0abc"].account == "111122223333"
    google = {d.resource for d in read("nise_gcp_export_2025-03.csv").days()}
    assert google == {"1234567890", "987654321"}


def test_days_on_google_are_days_in_los_angeles():
    bill = read("nise_gcp_export_2025-03.csv")
    # The hours of 1 March UTC: the first eight are still February in Los Angeles.
    assert {day.day for day in bill.days()} == {date(2025, 2, 28), date(2025, 3, 1)}
    assert all(day.start.tzinfo is not None for day in bill.days())


def test_credits_are_kept_apart_from_what_they_are_on():
    days = list(read("gcp_bq_export_koku_2020-11.csv").days())
    credits_ = [day for day in days if day.category is Category.CREDIT]
    assert sum(day.rows for day in credits_) == 8
    assert {day.sku for day in credits_} == {"PROMOTION: Event Threat Detection Log Ingest Bytes"}
    assert {day.quantity for day in credits_} == {None}
    assert {day.per_usd for day in days} == {Decimal(1)}


@pytest.mark.parametrize("name", ["cases.json", "gcp_catalog_skus_opencost.json"])
def test_what_is_no_bill_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=f"{name}: is no bill that can be read"):
        open_bill([DATA / name])
