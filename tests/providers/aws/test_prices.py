"""Prices begin at or before the span; where none is known there is none, never zero."""

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.model import PricePoint
from gpuctl.core.span import Span
from gpuctl.providers.aws import prices
from gpuctl.providers.aws.client import Clients
from tests.providers.aws.rig import Rig

RECORDED = (
    Path(__file__).parents[4] / "shared/data/recorded/aws/spot_prices_p2_p3_2019-12_to_2020-02.csv"
)
START = datetime(2026, 3, 1, tzinfo=UTC)


def priced(kind: Kind, sku: str, **changes: Any) -> Priced:
    given: dict[str, Any] = {
        "provider": "aws",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "kind": kind,
        "sku": sku,
        "market": Market.ON_DEMAND,
        "unit": Unit.MONTH if kind in (Kind.DISK, Kind.DISK_IOPS, Kind.DISK_THROUGHPUT,
                                       Kind.SNAPSHOT) else Unit.HOUR,
    }  # fmt: skip
    return Priced(**{**given, **changes})


def test_spot_history_includes_the_change_before_the_span(rig: Rig) -> None:
    rig.cloud.market.spot_price("g4dn.xlarge", "us-east-1a", "0.20")
    at = rig.now()
    rig.clock.advance(timedelta(hours=5))
    start = rig.now()
    rig.cloud.market.spot_price("g4dn.xlarge", "us-east-1a", "0.30")
    rig.clock.advance(timedelta(hours=1))
    thing = priced(Kind.COMPUTE, "g4dn.xlarge", market=Market.SPOT)
    found = rig.provider().prices(thing, Span(start - timedelta(hours=2), rig.now()))
    assert [point.usd for point in found] == [Decimal("0.200000"), Decimal("0.300000")]
    assert found[0].at == at
    assert {point.source for point in found} == {"spot-history"}


def test_a_spot_price_is_one_zones(rig: Rig) -> None:
    thing = priced(Kind.COMPUTE, "g4dn.xlarge", market=Market.SPOT, zone=None)
    assert rig.provider().prices(thing, Span(rig.now(), rig.now())) == ()
    assert rig.sent.total() == 0


@pytest.mark.parametrize(
    ("kind", "sku", "usd"),
    [
        (Kind.COMPUTE, "g4dn.xlarge", "0.526"),
        (Kind.DISK, "gp3", "0.08"),
        (Kind.DISK_IOPS, "gp3", "0.005"),
        (Kind.DISK_THROUGHPUT, "gp3", "0.04"),
        (Kind.SNAPSHOT, "standard", "0.05"),
        (Kind.IPV4, "in-use", "0.005"),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_list_prices_with_and_without_the_price_list(
    rig: Rig, kind: Kind, sku: str, usd: str, listed: bool
) -> None:
    if not listed:
        rig.cloud.market.deny("GetProducts")
    span = Span(rig.now(), rig.now() + timedelta(hours=1))
    found = rig.provider().prices(priced(kind, sku), span)
    assert [point.usd for point in found] == [Decimal(usd)]
    assert found[0].at <= span.start
    assert found[0].source == "price-list" if listed else found[0].source.startswith("bundled 20")


@pytest.mark.parametrize(
    ("sku", "usd"), [("io2", "0.065"), ("io2.tier2", "0.0455"), ("io2.tier3", "0.03185")]
)
def test_each_tier_of_io2_has_its_own_price(rig: Rig, sku: str, usd: str) -> None:
    span = Span(rig.now(), rig.now() + timedelta(hours=1))
    found = rig.provider().prices(priced(Kind.DISK_IOPS, sku), span)
    assert [point.usd for point in found] == [Decimal(usd)]


@pytest.mark.parametrize("market", Market)
def test_what_is_no_plain_linux_machine_has_no_price(rig: Rig, market: Market) -> None:
    thing = priced(Kind.COMPUTE, "g4dn.xlarge SUSE Linux", market=market)
    assert rig.provider().prices(thing, Span(rig.now(), rig.now())) == ()
    assert rig.sent.total() == 0


def test_before_the_price_list_begins_the_bundled_file_speaks(rig: Rig) -> None:
    early = Span(START - timedelta(days=2000), rig.now())
    found = rig.provider().prices(priced(Kind.DISK, "gp3"), early)
    assert found[0].at <= early.start or found[0].source.startswith("bundled")
    assert found[-1].source == "price-list"


@pytest.mark.parametrize("kind", [Kind.VCPU, Kind.GPU, Kind.OBJECT_STORAGE])
def test_what_aws_does_not_sell_has_no_price(rig: Rig, kind: Kind) -> None:
    assert rig.provider().prices(priced(kind, "n1-core"), Span(rig.now(), rig.now())) == ()


def test_what_is_in_no_region_is_looked_up_nowhere(rig: Rig) -> None:
    thing = priced(Kind.EGRESS, "internet", region=None, zone=None, unit=Unit.GB)
    assert rig.provider().prices(thing, Span(rig.now(), rig.now())) == ()
    assert rig.sent.total() == 0


class History:
    """EC2 that answers DescribeSpotPriceHistory from recorded rows, as AWS does."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def describe_spot_price_history(self, **request: Any) -> dict[str, Any]:
        start, end = request["StartTime"], request["EndTime"]
        fitting = [
            row
            for row in self.rows
            if row["InstanceType"] in request["InstanceTypes"]
            and row["AvailabilityZone"] == request["AvailabilityZone"]
            and row["Timestamp"] <= end
        ]
        before = [row for row in fitting if row["Timestamp"] <= start][-2:]
        return {"SpotPriceHistory": [*[r for r in fitting if r["Timestamp"] > start], *before]}


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded prices are not here")
def test_recorded_history_is_told_oldest_first_and_as_it_was() -> None:
    with RECORDED.open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        row["Timestamp"] = datetime.fromisoformat(row["Timestamp"])
    rows.sort(key=lambda row: row["Timestamp"])
    clients = Clients(lambda *_: History(rows))
    pools = Counter((row["AvailabilityZone"], row["InstanceType"]) for row in rows)
    (zone, sku), _ = pools.most_common(1)[0]
    thing = priced(Kind.COMPUTE, sku, zone=zone, region=zone[:-1], market=Market.SPOT)
    span = Span(datetime(2020, 1, 10, tzinfo=UTC), datetime(2020, 1, 20, tzinfo=UTC))
    found = prices.price_points(clients, thing, span, lambda: span.end)
    mine = [row for row in rows if (row["AvailabilityZone"], row["InstanceType"]) == (zone, sku)]
    at_start = [row for row in mine if row["Timestamp"] <= span.start][-1]
    assert found[0].usd == Decimal(at_start["SpotPrice"])
    assert found[0].at <= span.start < found[1].at
    assert [p.at for p in found] == sorted(p.at for p in found)
    assert len(found) == 1 + sum(span.start < row["Timestamp"] < span.end for row in mine)


def test_both_names_of_one_product_are_one_price() -> None:
    def row(product: str, usd: str) -> dict[str, Any]:
        return {
            "InstanceType": "g5.xlarge",
            "AvailabilityZone": "us-east-1a",
            "ProductDescription": product,
            "SpotPrice": usd,
            "Timestamp": START,
        }

    rows = [row("Linux/UNIX", "0.40"), row("Linux/UNIX (Amazon VPC)", "0.41")]
    thing = priced(Kind.COMPUTE, "g5.xlarge", market=Market.SPOT)
    span = Span(START, START + timedelta(hours=1))
    for order in (rows, rows[::-1]):
        clients = Clients(lambda *_, order=order: History(order))
        (point,) = prices.price_points(clients, thing, span, lambda: span.end)
        assert point.usd == Decimal("0.40")


minutes = st.integers(0, 10_000).map(lambda count: START + timedelta(minutes=count))


@given(st.lists(minutes, unique=True), minutes, st.integers(0, 5000))
def test_a_price_is_cut_to_its_span_and_the_point_before(
    moments: list[datetime], start: datetime, length: int
) -> None:
    span = Span(start, start + timedelta(minutes=length))
    points = [PricePoint(at=at, usd=Decimal(1), source="x") for at in sorted(moments)]
    cut = prices._within(points, span)
    assert sum(point.at <= span.start for point in cut) == (
        1 if points and points[0].at <= span.start else 0
    )
    assert all(point.at < span.end or point.at <= span.start for point in cut)
    if cut and cut[0].at <= span.start:
        assert not any(cut[0].at < point.at <= span.start for point in points)


def test_the_bundled_file_is_dated_and_holds_money_as_text() -> None:
    source, entries = prices._bundle()
    assert source == "bundled 2026-11-01"
    assert all(isinstance(entry[-1], Decimal) and entry[-1] > 0 for entry in entries)
    assert all(entry[4] < START for entry in entries)
