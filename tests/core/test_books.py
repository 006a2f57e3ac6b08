"""What the ledger knows now, computed from its facts in whatever order they stand."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.books import books
from gpuctl.core.events import Armed, Extended, Insured, Intent, Missed, Outcome, Seen, Switch
from gpuctl.core.kinds import Market
from gpuctl.core.model import Access, DataVolume, DiskSpec, Offer, Order
from gpuctl.core.orders import read_order, write_order
from tests.core.cloudstory import MINUTE, START, Notebook, lease, machine

LATER = START + 30 * MINUTE


def minutes(count):
    return START + count * MINUTE


def test_a_lease_with_its_extensions():
    facts = [
        lease(),
        Extended(id="e2", lease="l1", at=minutes(20), deadline=minutes(600)),
        Extended(id="e1", lease="l1", at=minutes(10), deadline=minutes(900)),
        Armed(id="r1", lease="l1", at=minutes(1), deadline=minutes(480)),
        Insured(id="n1", lease="l1", at=minutes(1)),
        lease(id="l2", at=minutes(60)),
    ]
    known = books(facts)
    first = known.leases["l1"]
    assert (first.deadline, first.armed, first.payer) == (minutes(600), minutes(480), None)
    assert (first.heard, first.insured) == (minutes(1), True)
    assert (known.leases["l2"].armed, known.leases["l2"].insured) == (None, False)
    assert known.lease_named("vision-1").id == "l2"
    assert known.lease_named("nobody") is None


def test_an_intent_without_an_outcome_is_unsettled():
    facts = [
        Intent(id="i2", lease="l1", verb="stop", at=minutes(2), machine="m"),
        Intent(id="i1", lease="l1", verb="start", at=minutes(1)),
        Intent(id="i0", lease="l1", verb="start", at=minutes(0)),
        Outcome(id="i0/outcome", intent="i0", at=minutes(1), result="failed"),
    ]
    known = books(facts)
    assert [intent.id for intent in known.unsettled] == ["i1", "i2"]
    assert set(known.intents) == {"i0", "i1", "i2"}


def test_the_latest_sight_of_a_machine_and_misses_since():
    def seen(number, at):
        return Seen(id=f"s{number}", machine="m", at=at, snapshot={"n": number})

    misses = [Missed(id=f"m{n}", machine="m", at=minutes(n)) for n in (1, 5, 6, 8)]
    known = books([seen(2, minutes(5)), *misses, seen(1, minutes(0)), seen(3, minutes(5))])
    assert known.seen["m"].snapshot == {"n": 3}
    assert known.missed == {"m": minutes(6)}
    assert books([*misses, seen(4, minutes(9))]).missed == {}
    assert books(misses).missed == {"m": minutes(1)}


def test_misses_from_before_a_machine_ran_do_not_count():
    book = Notebook(lease())
    book.look(5, machine(since=minutes(3)))
    early = Missed(id="early", machine=str(machine().id), at=minutes(2))
    facts = [fact for fact in book.events if not isinstance(fact, Seen)]
    assert books([*facts, early]).missed == {}


def test_whose_a_run_is():
    book = Notebook(lease())
    book.look(5, machine())
    book.events += [
        Switch(id="s1", resource="i-1", project="borealis/nlp", at=minutes(10)),
        Switch(id="s2", resource="i-1", project=None, at=minutes(20)),
        Switch(id="s0", resource="i-1", project="acme/audio", at=START - MINUTE),
        Switch(id="s9", resource="other", project="acme/audio", at=minutes(10)),
    ]
    known = book.books
    (run,) = [usage for usage in known.open if usage.resource == "i-1"]
    owners = [known.owner(run, minutes(m)) for m in (0, 9, 10, 19, 20)]
    assert owners == ["acme/vision", "acme/vision", "borealis/nlp", "borealis/nlp", None]


@given(st.data())
@settings(max_examples=30)
def test_neither_order_nor_repetition_matters(data):
    book = Notebook(lease(), lease(id="l2", at=LATER))
    book.look(1, machine())
    book.look(3)
    book.look(5, machine())
    book.look(9)
    extension = Extended(id="e", lease="l1", at=LATER, deadline=LATER + timedelta(1))
    facts = [*book.events, extension, Intent(id="i", lease="l1", verb="stop", at=LATER)]
    again = data.draw(st.permutations([*facts, *facts[:3]]))
    one, two = books(facts), books(again)
    assert (one.leases, one.seen, one.missed, one.unsettled, one.intents) == (
        two.leases, two.seen, two.missed, two.unsettled, two.intents,
    )  # fmt: skip
    assert {usage.id: usage for usage in one.usages} == {usage.id: usage for usage in two.usages}


def test_an_order_comes_back_as_it_was_sent():
    offer = Offer(
        provider="gcp", account="p", region="r", zone="z", type="n1", gpu="t4", gpus=1,
        market=Market.SPOT, hourly=None, on_demand_hourly=None, available=True,
    )  # fmt: skip
    access = Access(
        public_key="ssh-ed25519 AAAA", user="gpu", sources=("203.0.113.7/32",), expires=LATER
    )
    plain = Order(
        token="t", lease="l1", install="0" * 32, name="vision-1", project="acme/vision",
        offer=offer, image="img", disk=DiskSpec(gb=100, type="pd-ssd"), access=access,
        deadline=LATER, max_run=timedelta(hours=24), user_data=b"#!/bin/sh",
    )  # fmt: skip
    full = Order(
        **{name: getattr(plain, name) for name in plain.__dataclass_fields__}
        | {
            "data": DataVolume(name="d", disk=DiskSpec(gb=9, type="gp3", iops=4000, throughput=2)),
            "max_hourly": Decimal("1.50"), "subnet": "s", "instance_profile": "ip", "adopt": True,
            "settings": {"a": "b"},
        }
    )  # fmt: skip
    for order in (plain, full):
        assert read_order(write_order(order), order.user_data) == order
        assert read_order(write_order(order)).user_data == b""
