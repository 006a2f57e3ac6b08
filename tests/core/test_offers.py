"""Which offer first, and which after a refusal."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.errors import CannotFill, NoZoneCapacity, PriceTooLow, QuotaReached, TypeNotOffered
from gpuctl.core.kinds import Market, MarketPolicy
from gpuctl.core.model import Offer, Want
from gpuctl.core.offers import after, matches, rank

SPOT, ON_DEMAND = Market.SPOT, Market.ON_DEMAND
WANT = Want(types=("p3", "g5"), markets=(SPOT, ON_DEMAND))


def offer(zone="us-east-1a", type_="p3", market=SPOT, hourly="1", available=True):
    price = None if hourly is None else Decimal(hourly)
    return Offer(
        provider="aws", account="1", region=zone[:-1], zone=zone, type=type_, gpu="v100", gpus=1,
        market=market, hourly=price, on_demand_hourly=Decimal(3), available=available,
    )  # fmt: skip


def test_the_cheapest_of_the_most_wanted_type_that_anybody_sells_comes_first():
    offers = [
        offer("eu-west-1a", "g5", hourly="0.2"),
        offer("us-east-1a", "p3", hourly="0.9"),
        offer("us-east-1b", "p3", hourly="0.8"),
        offer("us-west-2a", "p3", hourly="0.7", available=False),
        offer("us-east-1c", "g5", hourly="0.1"),
        offer("us-west-2b", "p3", hourly=None),
        offer("us-east-1a", "p3", ON_DEMAND, hourly="3"),
        offer("us-east-1a", "g6", hourly="0.01"),
    ]
    ranked = [(o.market, o.zone, o.type) for o in rank(offers, WANT)]
    assert ranked == [
        (SPOT, "us-east-1b", "p3"),
        (SPOT, "us-east-1a", "p3"),
        (SPOT, "us-east-1c", "g5"),
        (SPOT, "us-west-2b", "p3"),
        (SPOT, "eu-west-1a", "g5"),
        (ON_DEMAND, "us-east-1a", "p3"),
    ]


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        ({}, True), ({"types": ("g5",)}, False), ({"markets": (ON_DEMAND,)}, False),
        ({"regions": ("eu-west-1",)}, False), ({"regions": ("us-east-1",)}, True),
        ({"zones": ("us-east-1b",)}, False), ({"zones": ("us-east-1a",)}, True),
    ],
    ids=str,
)  # fmt: skip
def test_the_core_filters_again(change, fits):
    assert matches(offer(), replace(WANT, **change)) is fits


offers_drawn = st.lists(
    st.builds(
        offer,
        st.sampled_from(["us-east-1a", "us-east-1b", "eu-west-1a"]),
        st.sampled_from(["p3", "g5", "g6"]),
        st.sampled_from(Market),
        st.sampled_from(["1", "2", None]),
        st.booleans(),
    ),
    unique=True,
)


@given(offers_drawn, st.data())
@settings(max_examples=50)
def test_ranking_drops_only_what_does_not_fit_and_knows_no_order(offers, data):
    ranked = rank(offers, WANT)
    assert set(ranked) == {o for o in offers if o.available and o.type != "g6"}
    shuffled = rank(data.draw(st.permutations(offers)), WANT)
    key = [(o.market, o.region, o.type, o.hourly, o.zone) for o in ranked]
    assert [(o.market, o.region, o.type, o.hourly, o.zone) for o in shuffled] == key


A, B, C = (offer(f"us-east-1{zone}") for zone in "abc")
G5, FAR, DEAR = offer(type_="g5"), offer("eu-west-1a"), offer("us-east-1b", market=ON_DEMAND)


def test_what_is_still_worth_trying():
    rest = [B, C, G5, DEAR, FAR]
    assert after(rest, A, QuotaReached("no", code="L-1")) == [G5, DEAR, FAR]
    assert after(rest, A, TypeNotOffered("no", code="x")) == [G5, FAR]
    assert after(rest, A, NoZoneCapacity("no", code="x")) == rest
    assert after(rest, A, PriceTooLow("no", code="x")) == rest
    hint = CannotFill("no", code="x", zones=["us-east-1c", "eu-west-1a"])
    assert after(rest, A, hint) == [C, B, G5, DEAR, FAR]


def test_policies_are_markets_in_order():
    assert MarketPolicy.SPOT_THEN_ON_DEMAND.markets == (SPOT, ON_DEMAND)
    assert MarketPolicy.SPOT.markets == (SPOT,)
