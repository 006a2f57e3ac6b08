"""Which price holds: the most specific key that has begun, whatever its age."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.events import Price
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.meter import hourly, priced
from gpuctl.core.pricebook import PriceBook, PriceConflict
from tests.core.docledger import NOW, at, ledger, read

START = at("03-10", "09:00")
THING = Priced(
    provider="aws", region="us-east-1", zone="us-east-1a", kind=Kind.COMPUTE, sku="g5",
    market=Market.SPOT, unit=Unit.HOUR,
)  # fmt: skip


def price(usd, hours=0, **changes):
    fields = {
        "id": f"p/{usd}/{hours}/{sorted(changes.items())}",
        "provider": "aws", "region": None, "zone": None, "kind": Kind.COMPUTE, "sku": "g5",
        "market": Market.SPOT, "unit": Unit.HOUR, "usd": Decimal(usd),
        "since": START + timedelta(hours=hours),
    }  # fmt: skip
    return Price(**fields | changes)


IN_ZONE = {"region": "us-east-1", "zone": "us-east-1a"}
IN_REGION = {"region": "us-east-1"}


def test_the_most_specific_key_wins_whatever_its_age():
    book = PriceBook([price("1", **IN_ZONE), price("2", 1, **IN_REGION), price("3", 2)])
    assert [book.at(THING, START + timedelta(hours=h)).usd for h in range(4)] == [1, 1, 1, 1]
    elsewhere = THING._replace(zone="us-east-1b")
    found = [book.at(elsewhere, START + timedelta(hours=h)) for h in range(4)]
    assert [p and p.usd for p in found] == [None, 2, 2, 2]
    assert book.at(THING._replace(region="eu-west-1", zone=None), START) is None


def test_a_specific_key_that_has_not_begun_leaves_it_to_the_wider():
    book = PriceBook([price("3"), price("2", 1, **IN_REGION), price("1", 2, **IN_ZONE)])
    steps = book.changes(THING, START - timedelta(hours=1), START + timedelta(hours=3))
    assert steps == [
        (START - timedelta(hours=1), None),
        (START, 3),
        (START + timedelta(hours=1), 2),
        (START + timedelta(hours=2), 1),
    ]


def test_neighbours_of_one_price_are_one_step():
    book = PriceBook([price("1"), price("1.0", 1), price("1", 2, **IN_ZONE)])
    assert book.changes(THING, START, START + timedelta(hours=9)) == [(START, 1)]


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "gcp"}, {"kind": Kind.GPU}, {"sku": "g6"}, {"unit": Unit.GB},
        {"market": Market.ON_DEMAND}, {"region": "eu-west-1"}, {"zone": "us-east-1b"},
    ],
    ids=str,
)  # fmt: skip
def test_every_part_of_the_key_counts(change):
    book = PriceBook([price("1", **IN_ZONE)])
    assert book.at(THING, START) is not None
    assert book.at(THING._replace(**change), START) is None


@pytest.mark.parametrize("kind", Kind)
def test_disks_addresses_and_traffic_know_no_market(kind):
    book = PriceBook([price("1", kind=kind, market=Market.ON_DEMAND)])
    found = book.at(THING._replace(kind=kind, market=Market.SPOT), START)
    known = {Kind.COMPUTE, Kind.VCPU, Kind.RAM, Kind.GPU}
    assert (found is None) is (kind in known)


def test_two_amounts_for_the_same_thing_from_the_same_instant_contradict():
    with pytest.raises(PriceConflict, match=r"says 2 where .* says 1 for the same thing") as caught:
        PriceBook([price("1"), price("1.00"), price("2")])
    assert (caught.value.first.usd, caught.value.second.usd) == (1, 2)
    assert PriceBook([price("1"), price("2", **IN_ZONE), price("2", 1)]).at(THING, START).usd == 2


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([{}, IN_REGION, IN_ZONE]))), st.data())
@settings(max_examples=60)
def test_changes_tell_the_same_as_asking_at_each_moment(drawn, data):
    prices = {}
    for hours, place in drawn:
        usd = str(data.draw(st.integers(1, 3)))
        prices.setdefault((hours, *place), price(usd, hours, **place))
    book = PriceBook(data.draw(st.permutations(list(prices.values()))))
    steps = dict(book.changes(THING, START, START + timedelta(hours=10)))
    assert START in steps
    current = None
    for hours in range(10):
        moment = START + timedelta(hours=hours)
        current = steps.get(moment, current)
        found = book.at(THING, moment)
        assert current == (found.usd if found else None)


@ledger
def test_what_runs_now_costs_so_much_an_hour(events, charges):
    """
    01-01 00:00            price aws compute g5 on-demand 1.20
    01-01 00:00            price aws disk gp3 on-demand 0.08
    01-01 00:00            price aws egress internet on-demand 0.09
    2026-03-02 08:00       open i-1 aws compute g5 on-demand x2 acme/vision
    2026-03-02 08:00       open vol-1 aws disk gp3 on-demand x93 acme/vision
    2026-03-02 08:00       open net-1 aws egress internet on-demand x1 acme/vision
    2026-03-02 07:00       open i-2 aws compute g5 on-demand x1 acme/vision
    2026-03-02 08:00       close i-2 user
    = acme/vision 3.61
    """
    runs = [event for event in events if not isinstance(event, Price)]
    book = PriceBook(event for event in events if isinstance(event, Price))
    assert hourly(runs, book, NOW) == Decimal("2.40") + Decimal("0.01")
    assert hourly(runs, PriceBook([]), NOW) is None
    assert priced(runs[0]).zone is None


def test_the_ledger_in_a_docstring_refuses_what_it_does_not_know():
    with pytest.raises(AssertionError, match="not a line of a ledger"):
        read("03-10 09:00 burn i-1 now")
