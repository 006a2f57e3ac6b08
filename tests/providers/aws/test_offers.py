"""What can be had, in as many round trips as one region needs."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gpuctl.core import errors
from gpuctl.core.kinds import Market
from gpuctl.core.model import Offer, Want
from gpuctl.providers.aws import offers
from tests.providers.aws.rig import Rig


def want(*types: str, **changes: Any) -> Want:
    given: dict[str, Any] = {"types": types, "markets": (Market.SPOT,)}
    return Want(**{**given, **changes})


def only(found_ones: Any, **which: Any) -> Offer:
    (found,) = [
        one for one in found_ones if all(getattr(one, key) == value for key, value in which.items())
    ]
    return found


def test_a_few_calls_whatever_the_number_of_types(rig: Rig) -> None:
    provider = rig.provider()
    assert provider.account == "123456789012"
    rig.sent.clear()
    provider.offers(want("g4dn.xlarge", "g5.xlarge", "g6.xlarge", "p3.2xlarge"))
    assert rig.sent == {
        "DescribeInstanceTypeOfferings": 2,
        "DescribeInstanceTypes": 2,
        "DescribeSpotPriceHistory": 2,
        "GetProducts": 1,
    }


def test_an_offer_tells_gpu_price_and_rank(rig: Rig) -> None:
    rig.cloud.market.spot_price("g5.xlarge", "us-east-1a", "0.4321")
    found = rig.provider().offers(want("g4dn.xlarge", "g5.xlarge"))
    offer = only(found, type="g5.xlarge", zone="us-east-1a")
    assert offer.hourly == Decimal("0.4321")
    assert offer.on_demand_hourly == Decimal("1.006")
    assert (offer.gpu, offer.gpus, offer.vcpus, offer.rank) == ("A10G", 1, 4, 1)
    assert offer.memory_gib == Decimal(16)
    assert offer.gpu_memory_gib is not None
    assert 22 < offer.gpu_memory_gib < 23
    assert offer.source == "spot-history"
    assert offer.available


def test_both_markets_are_offered(rig: Rig) -> None:
    found = rig.provider().offers(
        want("g4dn.xlarge", markets=(Market.SPOT, Market.ON_DEMAND), zones=("us-east-1a",))
    )
    spot, on_demand = only(found, market=Market.SPOT), only(found, market=Market.ON_DEMAND)
    assert spot.hourly is not None
    assert on_demand.hourly == Decimal("0.526")
    assert spot.hourly < on_demand.hourly
    assert on_demand.source == "price-list"


def test_a_retired_type_says_when_and_what_happens_instead(rig: Rig) -> None:
    offer = only(rig.provider().offers(want("p3.2xlarge", "g4dn.xlarge")), type="p3.2xlarge")
    assert not offer.available
    assert offer.reason is not None
    assert "retired P3 (V100)" in offer.reason
    assert "2025-12-20" in offer.reason
    assert "next type of the template is used instead" in offer.reason
    assert (offer.gpu, offer.gpus, offer.hourly) == ("V100", 1, None)


def test_an_account_that_can_still_have_p3_gets_it(rig: Rig) -> None:
    rig.cloud.market.offer("p3.2xlarge", ["us-west-2b"])
    found = rig.provider().offers(want("p3.2xlarge"))
    assert [(one.zone, one.available) for one in found] == [("us-west-2b", True)]


def test_a_type_sold_in_other_zones_names_them(rig: Rig) -> None:
    rig.cloud.market.offer("g6.xlarge", ["us-east-1c", "us-west-2a"])
    found = rig.provider().offers(want("g6.xlarge", zones=("us-east-1a",)))
    assert only(found).reason == "not sold in us-east-1a, but in us-east-1c, us-west-2a"


def test_what_nobody_ever_sold_is_simply_not_sold(rig: Rig) -> None:
    offer = only(rig.provider().offers(want("g99.huge")))
    assert (offer.available, offer.gpus) == (False, 0)
    assert offer.reason == "not sold in us-east-1, us-west-2"


def test_over_the_maximum_is_unavailable_with_both_prices(rig: Rig) -> None:
    rig.cloud.market.spot_price("g4dn.xlarge", "us-east-1a", "0.30")
    found = rig.provider().offers(
        want("g4dn.xlarge", zones=("us-east-1a",), max_hourly=Decimal("0.25"))
    )
    offer = only(found)
    assert not offer.available
    assert offer.reason == "0.3 $/h is over the maximum of 0.25 $/h"


def test_a_region_that_does_not_answer_is_left_out(rig: Rig) -> None:
    rig.cloud.market.fault("DescribeInstanceTypes", code="OptInRequired", count=1)
    found = rig.provider().offers(want("g4dn.xlarge"))
    assert len({one.region for one in found}) == 1


def test_no_region_that_answers_is_an_error(rig: Rig) -> None:
    rig.cloud.market.fault("DescribeInstanceTypes", code="OptInRequired", count=2)
    with pytest.raises(errors.Denied):
        rig.provider().offers(want("g4dn.xlarge"))


def test_without_the_price_list_the_bundled_prices_are_used(rig: Rig) -> None:
    rig.cloud.market.deny("GetProducts")
    found = rig.provider().offers(
        want("g4dn.xlarge", markets=(Market.ON_DEMAND,), zones=("us-east-1a",))
    )
    offer = only(found)
    assert offer.hourly == Decimal("0.526")
    assert offer.source is not None
    assert offer.source.startswith("bundled 20")


def test_a_configured_subnet_leaves_one_zone(rig: Rig) -> None:
    found = rig.raw().describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}]
    )
    provider = rig.provider(
        regions=("us-east-1",), subnets={"us-east-1": found["Subnets"][0]["SubnetId"]}
    )
    sold = provider.offers(want("g4dn.xlarge"))
    assert [one.zone for one in sold if one.available] == ["us-east-1b"]
    assert "subnet lies in us-east-1b" in str(only(sold, zone="us-east-1a").reason)


def test_a_captive_portal_sells_nothing_and_says_so(rig: Rig) -> None:
    provider = rig.provider(regions=("us-east-1",))
    assert provider.account
    rig.cloud.market.fault("*", html=True, count=50)
    with pytest.raises(errors.Busy, match="not one of AWS's"):
        provider.offers(want("g4dn.xlarge"))


def test_the_newest_price_of_a_zone_is_its_price() -> None:
    def row(minute: int, usd: str) -> dict[str, Any]:
        at = datetime(2026, 3, 1, 12, minute, tzinfo=UTC)
        return {
            "AvailabilityZone": "us-east-1a",
            "InstanceType": "g5.xlarge",
            "SpotPrice": usd,
            "Timestamp": at,
        }

    rows = [row(10, "0.2"), row(30, "0.4"), row(20, "0.3")]
    assert offers.latest(rows)["us-east-1a", "g5.xlarge"].usd == Decimal("0.4")
