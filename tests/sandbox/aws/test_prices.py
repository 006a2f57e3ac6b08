"""Spot price history, on-demand prices, and the Price List."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.sandbox.aws.prices import ON_DEMAND, SpotPrices, on_demand
from gpuctl.sandbox.world import SandboxClock

NOW = SandboxClock().now()


def history(aws, **params):
    pages = aws.ec2.get_paginator("describe_spot_price_history").paginate(**params)
    return [row for page in pages for row in page["SpotPriceHistory"]]


def test_the_last_change_before_the_start_comes_too(aws):
    now = aws.clock.now()
    start = now - timedelta(days=2)
    rows = history(
        aws,
        InstanceTypes=["g6.xlarge"],
        AvailabilityZone="us-east-1a",
        ProductDescriptions=["Linux/UNIX"],
        StartTime=start,
        EndTime=now,
    )
    times = [row["Timestamp"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert times[-1] <= start < times[-2]
    assert 4 <= len(rows) <= 10
    assert {row["AvailabilityZone"] for row in rows} == {"us-east-1a"}
    assert {row["ProductDescription"] for row in rows} == {"Linux/UNIX"}


def test_a_point_in_time_gives_one_price_per_zone(aws):
    now = aws.clock.now()
    rows = history(aws, InstanceTypes=["g6.xlarge", "g5.xlarge"], StartTime=now, EndTime=now)
    assert len(rows) == len({(row["InstanceType"], row["AvailabilityZone"]) for row in rows})
    prices = [Decimal(row["SpotPrice"]) for row in rows if row["InstanceType"] == "g6.xlarge"]
    assert len(set(prices)) > 1
    assert all(Decimal("0.2") < price < Decimal("0.65") for price in prices)


def test_the_past_does_not_change_while_time_goes_on(aws):
    end = aws.clock.now()
    query = {
        "InstanceTypes": ["g6.xlarge"], "StartTime": end - timedelta(days=5), "EndTime": end,
    }  # fmt: skip
    before = history(aws, **query)
    aws.clock.advance(timedelta(days=10))
    assert history(aws, **query) == before


def test_ninety_days_are_kept(aws):
    rows = history(aws, InstanceTypes=["g6.xlarge"], AvailabilityZone="us-east-1a")
    oldest = min(row["Timestamp"] for row in rows)
    edge = aws.clock.now() - timedelta(days=90)
    assert edge - timedelta(days=1) < oldest <= edge


def test_filters_wildcards_and_products_are_honoured(aws):
    now = aws.clock.now()
    at = {"StartTime": now, "EndTime": now}
    names = [{"Name": "instance-type", "Values": ["g6.?xlarge"]}]
    assert {row["InstanceType"] for row in history(aws, Filters=names, **at)} == {
        "g6.2xlarge", "g6.4xlarge", "g6.8xlarge",
    }  # fmt: skip
    product = [{"Name": "product-description", "Values": ["Linux/UNIX"]}]
    zone = [{"Name": "availability-zone", "Values": ["us-east-1b"]}]
    found = history(aws, InstanceTypes=["g6.xlarge"], Filters=product + zone, **at)
    assert [row["AvailabilityZone"] for row in found] == ["us-east-1b"]
    assert history(aws, InstanceTypes=["g6.xlarge"], ProductDescriptions=["Windows"], **at) == []
    assert history(aws, InstanceTypes=["p3.2xlarge"], **at) == []


def test_pages_follow_each_other(aws):
    query = {"InstanceTypes": ["g6.xlarge"], "StartTime": aws.clock.now() - timedelta(days=8)}
    one = history(aws, **query)
    small = history(aws, **query, PaginationConfig={"PageSize": 20})
    assert small == one
    assert len(one) > 60


def test_a_set_price_holds_from_then_on(aws):
    aws.market.spot_price("g6.xlarge", "us-east-1a", "0.5")
    aws.clock.advance(timedelta(days=9))
    now = aws.clock.now()
    (row,) = history(
        aws, InstanceTypes=["g6.xlarge"], AvailabilityZone="us-east-1a", StartTime=now, EndTime=now
    )
    assert row["SpotPrice"] == "0.500000"


@given(
    seed=st.integers(0, 1000),
    name=st.sampled_from(sorted(ON_DEMAND)),
    zone=st.sampled_from(["us-east-1a", "us-east-2b", "us-west-2c", "eu-west-1a"]),
    back=st.integers(0, 90 * 24),
)
def test_prices_are_a_function_of_seed_type_zone_and_time(seed, name, zone, back):
    start = NOW - timedelta(hours=back)
    points = SpotPrices(seed).points(name, zone, start, NOW)
    assert points == SpotPrices(seed).points(name, zone, start, NOW)
    assert points[0].at <= start
    assert [point.at for point in points] == sorted(point.at for point in points)
    ceiling = on_demand(name, zone[:-1])
    assert all(Decimal(0) < point.usd < ceiling for point in points)
    later = SpotPrices(seed).points(name, zone, NOW - timedelta(hours=back // 2), NOW)
    assert set(later) <= set(points)


def products(aws, code="AmazonEC2", **fields):
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in fields.items()]
    pages = (
        aws.client("pricing")
        .get_paginator("get_products")
        .paginate(ServiceCode=code, Filters=filters)
    )
    return [json.loads(one) for page in pages for one in page["PriceList"]]


def usd(product):
    (term,) = product["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    return Decimal(dimension["pricePerUnit"]["USD"]), dimension["unit"]


EXACT = {
    "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA",
    "capacitystatus": "Used", "licenseModel": "No License required",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "region", "price"),
    [
        ("g6.xlarge", "us-east-1", "0.8048"),
        ("p3.2xlarge", "us-west-2", "3.06"),
        ("p3.2xlarge", "eu-west-1", "3.3048"),
    ],
)
def test_the_price_list_has_exactly_one_product_for_an_exact_question(aws, name, region, price):
    (one,) = products(aws, instanceType=name, regionCode=region, **EXACT)
    assert usd(one) == (Decimal(price), "Hrs")


def test_a_sloppy_question_hits_near_misses(aws):
    found = products(aws, instanceType="g6.xlarge", regionCode="us-east-1")
    assert len(found) > 3
    assert Decimal(0) in {usd(one)[0] for one in found}


def test_disks_snapshots_and_addresses_have_prices(aws):
    where = {"regionCode": "us-east-1"}
    (gp3,) = products(aws, productFamily="Storage", volumeApiName="gp3", **where)
    (iops,) = products(aws, productFamily="System Operation", group="EBS IOPS",
                       volumeApiName="gp3", **where)  # fmt: skip
    (speed,) = products(aws, productFamily="Provisioned Throughput", volumeApiName="gp3", **where)
    (snap,) = products(
        aws, productFamily="Storage Snapshot", usagetype="EBS:SnapshotUsage", **where
    )
    (ipv4,) = products(aws, "AmazonVPC", usagetype="PublicIPv4:InUseAddress", **where)
    assert [usd(one) for one in (gp3, iops, speed, snap, ipv4)] == [
        (Decimal("0.08"), "GB-Mo"),
        (Decimal("0.005"), "IOPS-Mo"),
        (Decimal("40.96"), "GiBps-mo"),
        (Decimal("0.05"), "GB-Mo"),
        (Decimal("0.005"), "Hrs"),
    ]
    assert len(products(aws, productFamily="Storage", volumeApiName="io2", **where)) == 1


def test_the_price_list_pages_and_knows_its_services(aws, refused):
    everything = products(aws)
    assert len(everything) > 200
    assert len({one["product"]["sku"] for one in everything}) == len(everything)
    pricing = aws.client("pricing")
    assert refused(pricing.get_products, ServiceCode="Banana")[0] == "InvalidParameterException"
