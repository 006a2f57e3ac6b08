"""Parquet as the clouds write it: doubles, decimals, timestamps, maps and nested columns."""

import random
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuctl.bills import open_bill
from gpuctl.core.billed import Category
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.rounding import EXACT
from tests.bills.samples import of_days, totals


def write(path, sql):
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")


CUR_2 = """SELECT
    TIMESTAMP '2025-03-10 14:00:00' AS line_item_usage_start_date,
    TIMESTAMP '2025-03-10 15:00:00' AS line_item_usage_end_date,
    'Usage' AS line_item_line_item_type, '111122223333' AS line_item_usage_account_id,
    'SpotUsage:p3.2xlarge' AS line_item_usage_type, 'AmazonEC2' AS line_item_product_code,
    'i-0abc' AS line_item_resource_id, 1.0::DOUBLE AS line_item_usage_amount,
    {cost} AS line_item_unblended_cost, 'USD' AS line_item_currency_code,
    MAP {{'user_gpuctl_project': 'acme/vision', 'user_team': 'x'}} AS resource_tags,
    MAP {{'region': 'us-east-1'}} AS product, 'us-east-1' AS product_region_code"""


@pytest.mark.parametrize(
    ("cost", "exact"),
    [
        ("0.1::DOUBLE + 0.2::DOUBLE", "0.30000000000000004"),
        ("1.1e-07::DOUBLE", "0.00000011"),
        ("0.918::FLOAT", "0.918"),
        ("0.9180000001::DECIMAL(20, 10)", "0.9180000001"),
        ("0.12345678901234567890123::DECIMAL(38, 23)", "0.12345678901234567890123"),
        ("12::BIGINT", "12"),
        ("'0.918'", "0.918"),
    ],
)
def test_a_cost_of_any_type_is_exact(tmp_path, cost, exact):
    write(tmp_path / "cur.parquet", CUR_2.format(cost=cost))
    bill = open_bill([tmp_path])
    (day,) = bill.days()
    assert day.cost == Decimal(exact)
    assert totals(bill) == {(Category.USAGE, "USD"): (Decimal(exact), 1)}
    assert (day.kind, day.market, day.project) == (Kind.COMPUTE, Market.SPOT, "acme/vision")
    assert (day.day, day.start) == (date(2025, 3, 10), datetime(2025, 3, 10, 14, tzinfo=UTC))
    assert (day.resource, day.account, day.region) == ("i-0abc", "111122223333", "us-east-1")
    assert (day.quantity, bill.problems) == (Decimal(1), ())


def test_parts_of_different_types_never_meet_as_doubles(tmp_path):
    write(tmp_path / "a.parquet", CUR_2.format(cost="0.12345678901234567::DECIMAL(38, 17)"))
    write(tmp_path / "b.parquet", CUR_2.format(cost="0.1::DOUBLE"))
    (day,) = open_bill([tmp_path]).days()
    assert (day.cost, day.rows) == (Decimal("0.22345678901234567"), 2)


billed = st.floats(-1e6, 1e6).filter(lambda cost: cost == 0 or abs(cost) > 1e-24)


@given(costs=st.lists(billed, min_size=1, max_size=30))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_doubles_add_up_as_the_decimals_they_print(tmp_path, costs):
    values = ", ".join(f"({cost!r}::DOUBLE)" for cost in costs)
    write(
        tmp_path / "cur.parquet",
        f"SELECT c AS line_item_unblended_cost, DATE '2025-03-10' AS line_item_usage_start_date "
        f"FROM (VALUES {values}) t(c)",
    )
    expected = Decimal(0)
    for cost in costs:
        expected = EXACT.add(expected, Decimal(repr(cost)))
    assert totals(open_bill([tmp_path])) == {(Category.USAGE, "USD"): (expected, len(costs))}


GOOGLE = """SELECT 'B-1' AS billing_account_id,
    {'id': 'S', 'description': 'Nvidia Tesla T4 GPU running in Americas'} AS sku,
    {'id': '6F81', 'description': 'Compute Engine'} AS service,
    TIMESTAMPTZ '2025-03-10 06:30:00+00' AS usage_start_time,
    TIMESTAMPTZ '2025-03-10 07:00:00+00' AS usage_end_time,
    {'id': 'demo', 'labels': [{'key': 'gpuctl-project', 'value': 'other'}]} AS project,
    [{'key': 'team', 'value': 'x'}, {'key': 'gpuctl-project', 'value': 'acme__vision'}] AS labels,
    {'region': 'us-central1', 'zone': 'us-central1-a'} AS location,
    0.35::DOUBLE AS cost, 'EUR' AS currency, 0.9215::DOUBLE AS currency_conversion_rate,
    {'amount_in_pricing_units': 0.5::DOUBLE, 'pricing_unit': 'hour'} AS usage,
    [{'name': '}, {', 'amount': -0.1::DOUBLE, 'type': 'SUSTAINED_USAGE_DISCOUNT'},
     {'name': 'b', 'amount': -0.2::DOUBLE, 'type': 'PROMOTION'}] AS credits,
    {'month': '202503'} AS invoice, 'regular' AS cost_type,
    {'name': 'gpu-1', 'global_name': '//x/instances/42'} AS resource"""


def test_googles_nested_columns(tmp_path):
    write(tmp_path / "google.parquet", GOOGLE)
    bill = open_bill([tmp_path])
    assert totals(bill) == of_days(bill) == {
        (Category.USAGE, "EUR"): (Decimal("0.35"), 1),
        (Category.CREDIT, "EUR"): (Decimal("-0.3"), 2),
    }  # fmt: skip
    usage = next(day for day in bill.days() if day.category is Category.USAGE)
    assert (usage.kind, usage.market, usage.resource) == (Kind.GPU, Market.ON_DEMAND, "42")
    assert (usage.project, usage.account, usage.invoice) == ("acme/vision", "demo", "202503")
    assert (usage.per_usd, usage.quantity, usage.unit) == (
        Decimal("0.9215"), Decimal("0.5"), "hour",
    )  # fmt: skip
    # 06:30 UTC is half past eleven of the day before in Los Angeles, in summer time.
    assert (usage.day, usage.region) == (date(2025, 3, 9), "us-central1")
    assert (bill.rows, bill.problems) == (1, ())


def test_focus_with_tags_as_a_map(tmp_path):
    write(
        tmp_path / "focus.parquet",
        "SELECT 0.918::DECIMAL(30, 15) AS BilledCost, 'USD' AS BillingCurrency, "
        "TIMESTAMP '2025-03-10 14:00:00' AS ChargePeriodStart, "
        "TIMESTAMP '2025-03-10 15:00:00' AS ChargePeriodEnd, 'Usage' AS ChargeCategory, "
        "'Amazon Web Services' AS ServiceProviderName, 'SpotUsage:p3.2xlarge' AS x_UsageType, "
        "'anything' AS ChargeDescription, 'i-0abc' AS ResourceId, "
        "MAP {'gpuctl:project': 'acme/vision'} AS Tags",
    )
    (day,) = open_bill([tmp_path]).days()
    assert (day.provider, day.kind, day.market) == ("aws", Kind.COMPUTE, Market.SPOT)
    assert (day.project, day.cost) == ("acme/vision", Decimal("0.918"))


def test_focus_from_google_has_days_of_los_angeles(tmp_path):
    (tmp_path / "focus.csv").write_text(
        "BilledCost,BillingCurrency,ChargePeriodStart,ChargePeriodEnd,ChargeCategory,ProviderName,"
        "ChargeDescription,ResourceId,PricingCategory\n"
        "0.1,USD,2025-03-10T06:30:00Z,2025-03-10T07:00:00Z,Usage,Google Cloud,"
        "N1 Predefined Instance Ram running in Iowa,//x/instances/42,Dynamic\n"
    )
    (day,) = open_bill([tmp_path]).days()
    assert (day.provider, day.day, day.resource) == ("gcp", date(2025, 3, 9), "42")
    assert (day.kind, day.market) == (Kind.RAM, Market.SPOT)


def test_a_bill_larger_than_what_may_be_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("gpuctl.bills.engine._MEMORY", "128MiB")
    monkeypatch.setattr("gpuctl.bills.engine._THREADS", 2)
    count = random.Random(7).randrange(300_000, 300_100)
    write(
        tmp_path / "cur.parquet",
        "SELECT TIMESTAMP '2025-03-01' + to_hours((n % 744)::INT) AS line_item_usage_start_date, "
        "'Usage' AS line_item_line_item_type, 'SpotUsage:p3.2xlarge' AS line_item_usage_type, "
        "'i-' || md5(n::VARCHAR) || md5((n + 1)::VARCHAR) AS line_item_resource_id, "
        "'0.000001' AS line_item_unblended_cost, 'USD' AS line_item_currency_code "
        f"FROM range({count}) t(n)",
    )
    bill = open_bill([tmp_path])
    assert totals(bill) == {(Category.USAGE, "USD"): (count * Decimal("0.000001"), count)}
    assert sum(1 for _ in bill.days()) == count
