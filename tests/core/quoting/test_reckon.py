"""P50, P90 and ceiling: their order, what moves them, and that on-demand bounds them."""

import random
from fractions import Fraction
from itertools import pairwise

import pytest

from gpuctl.core.quoting import jobs
from gpuctl.core.quoting.jobs import Terms, ZonePrices, futures, on_demand_only
from gpuctl.core.quoting.outlook import UNKNOWN, Stretch, outlook
from gpuctl.core.quoting.reckon import Around, at, reckon

CHEAP, DEAR = 300, 1000
NOTHING = Around(Fraction(0), Fraction(0))
CALM = outlook([Stretch("a", there=True, since=-2000, until=0)], ["a"])
NEVER = outlook([Stretch("a", there=False, since=-2000, until=0)], ["a"])
UNSEEN = {"a": UNKNOWN}


def terms(**more):
    values = {
        "on_demand": DEAR,
        "zones": [ZonePrices("a", CHEAP)],
        "overhead": 720,
        "interval": 900,
    }
    return Terms(**(values | more))


def made(asked, beliefs=UNSEEN, hours=(25, 40), around=NOTHING, seed=1, samples=60):
    return reckon(asked, hours, beliefs, around, Fraction(1), random.Random(seed).random, samples)


def test_the_same_draws_give_the_same_and_figures_stand_in_order():
    one = made(terms(deadline=52))
    assert one == made(terms(deadline=52))
    assert one.usd.p50 <= one.usd.p90 <= one.usd.ceiling == DEAR * Fraction(402, 10)
    assert one.finish_p50 <= one.finish_p90 <= 52 * 3600


def test_a_calm_market_costs_its_spot_price():
    found = made(terms(deadline=72), CALM)
    assert found.usd.p50 / (CHEAP * Fraction(327, 10)) == pytest.approx(1, abs=0.1)
    assert not found.on_demand


def test_where_there_is_no_spot_it_is_on_demand_and_says_so():
    found = made(terms(deadline=45, highest=CHEAP - 1), CALM)
    assert found.on_demand
    assert found.usd.p90 <= found.usd.ceiling
    assert found.usd.p90 == pytest.approx(float(DEAR * Fraction(387, 10)), rel=0.01)
    assert made(terms(zones=[])).on_demand


def test_the_highest_price_that_is_paid_is_still_paid():
    assert not made(terms(deadline=45, highest=CHEAP), CALM).on_demand


def test_hours_that_are_known_are_a_narrower_quote():
    wide, narrow = made(terms(), CALM), made(terms(), CALM, (32, 33))
    assert narrow.usd.p90 - narrow.usd.p50 < wide.usd.p90 - wide.usd.p50


def test_disks_cost_while_it_waits_and_addresses_while_it_runs():
    bare = made(terms())
    disk = made(terms(), around=Around(Fraction(0), Fraction(7)))
    address = made(terms(), around=Around(Fraction(7), Fraction(0)))
    assert bare.usd.ceiling + 7 * Fraction(402, 10) == disk.usd.ceiling == address.usd.ceiling
    assert disk.usd.p90 > address.usd.p90 > bare.usd.p90


def test_without_a_deadline_it_waits_or_falls_back():
    waits, falls = made(terms()), made(terms(fallback=True))
    assert waits.finish_p90 > falls.finish_p90
    assert waits.usd.p50 < falls.usd.p50


def test_a_market_without_spot_has_no_finish(monkeypatch):
    monkeypatch.setattr(jobs, "LONGEST", 48)
    found = list(futures(terms(), (25, 40), NEVER, random.Random(1).random, 10))
    assert any(one.seconds is None for one in found)


def test_more_zones_are_no_dearer():
    two = [ZonePrices("a", CHEAP), ZonePrices("b", CHEAP)]
    one = made(terms(deadline=52), samples=120)
    both = made(terms(deadline=52, zones=two), {"a": UNKNOWN, "b": UNKNOWN}, samples=120)
    assert both.usd.p50 < one.usd.p50


def test_prices_go_on_as_they_went():
    rising = [CHEAP + i for i in range(100)]
    flat = made(terms(zones=[ZonePrices("a", CHEAP, [CHEAP] * 100)]), CALM)
    found = made(terms(zones=[ZonePrices("a", CHEAP, rising)]), CALM)
    assert flat.usd.p50 < found.usd.p50
    assert flat.finish_p50 == found.finish_p50


def test_quantiles_are_the_least_value_that_covers():
    assert [at(range(1, 11), share) for share in (0.05, 0.5, 0.9, 0.91, 1)] == [1, 5, 9, 10, 10]
    assert at([7], 0.5) == 7


def test_rows_of_a_future_are_made_once_and_can_be_read_again():
    market = jobs._Future(terms(deadline=5), UNSEEN, random.Random(3).random).market
    rows = [market.available[i] for i in (7, 3, 7)]
    assert rows[0] == rows[2]
    assert list(market.prices[0:3]) == [(CHEAP,)] * 3
    assert len(market.available) == 21


def test_on_demand_is_charged_by_the_second():
    costs = [on_demand_only(terms(), hours).cost for hours in (1, 2, 3)]
    assert costs == [1200, 2200, 3200]
    assert all(later > sooner for sooner, later in pairwise(costs))
