"""What the ledger has seen: sessions, refusals and measured starts, of the right machines alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gpuctl.core.events import Armed, Intent, Outcome, Usage
from gpuctl.core.kinds import EndedBy, Kind, Market
from gpuctl.core.quoting.seen import seen

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def ago(hours):
    return NOW - timedelta(hours=hours)


def run(name, start, end, *, by=EndedBy.USER, **more):
    values = {
        "id": name,
        "provider": "aws",
        "account": "1",
        "region": "us-east-2",
        "zone": "us-east-2a",
        "resource": name,
        "kind": Kind.COMPUTE,
        "sku": "g6.xlarge",
        "market": Market.SPOT,
        "quantity": Decimal(1),
        "start": ago(start),
        "end": None if end is None else ago(end),
        "ended_by": None if end is None else by,
        "project": "acme/vision",
    }
    return Usage(**(values | more))


def order(name, hours, *, lease="l1", **more):
    order = {
        "provider": "aws", "type": "g6.xlarge", "gpu": "L4", "zone": "us-east-2a",
        "market": "spot",
    }  # fmt: skip
    return Intent(name, lease, "start", ago(hours), order=order | more)


def answer(name, hours, result="failed", code="InsufficientInstanceCapacity"):
    return Outcome(f"o-{name}", name, ago(hours), result, code=None if result == "done" else code)


def look(*events):
    return seen(events, "aws", {"g6.xlarge"}, ["us-east-2a"], NOW)


def test_an_empty_ledger_has_seen_nothing():
    found = look()
    assert found == ((), 0, 0, 0, ())
    assert found.usable_s is None


def test_sessions_are_stretches_of_spot_that_end_or_are_only_left():
    found = look(
        run("a", 50, 40, by=EndedBy.PROVIDER), run("b", 30, 20), run("c", 5, None)
    )  # fmt: skip
    assert [(one.since, one.until, one.turned) for one in found.stretches] == [
        (-50, -40, True), (-30, -20, False), (-5, 0, False),
    ]  # fmt: skip
    assert (found.sessions, found.interruptions, found.attempts) == (3, 1, 3)


@pytest.mark.parametrize(
    "other",
    [
        {"sku": "g5.xlarge"}, {"zone": "us-west-2a"}, {"market": Market.ON_DEMAND},
        {"kind": Kind.DISK}, {"provider": "gcp"},
    ],
)  # fmt: skip
def test_other_machines_say_nothing(other):
    assert look(run("a", 50, 40, **other)).sessions == 0


def test_what_is_older_than_ninety_days_is_left_out():
    assert look(run("a", 24 * 95, 24 * 91)).sessions == 0
    [one] = look(run("a", 24 * 95, 24 * 89)).stretches
    assert one.since == -24 * 90


def test_refusals_for_capacity_count_once_an_hour():
    events = []
    for number, hours in enumerate((9.0, 8.9, 8.5, 2.0)):
        events += [order(f"i{number}", hours), answer(f"i{number}", hours)]
    found = look(*events)
    assert [one.since for one in found.stretches] == [-9, -2]
    assert all(not one.there and one.since == one.until for one in found.stretches)
    assert found.attempts == 2


@pytest.mark.parametrize(
    ("intent", "outcome"),
    [
        (order("i", 3), answer("i", 3, code="MaxSpotInstanceCountExceeded")),
        (order("i", 3, market="on-demand"), answer("i", 3)),
        (order("i", 3, type="g5.xlarge"), answer("i", 3)),
        (order("i", 3, zone="us-west-2a"), answer("i", 3)),
        (order("i", 24 * 91), answer("i", 24 * 91)),
    ],
    ids=["quota", "on-demand", "type", "zone", "old"],
)
def test_what_says_nothing_of_spot_is_left_out(intent, outcome):
    assert look(intent, outcome).stretches == ()


def test_attached_gpus_are_told_by_their_own_name():
    gpu = run("a", 5, 3, provider="gcp", kind=Kind.GPU, sku="nvidia-tesla-t4", zone="us-central1-a")
    found = seen([gpu], "gcp", {"nvidia-tesla-t4"}, ["us-central1-a"], NOW)
    assert found.sessions == 1


def test_starts_are_measured_from_the_order_to_the_first_word():
    def start(name, hours, took, **more):
        armed = ago(hours) + timedelta(seconds=took)
        return [
            order(name, hours, lease=name, **more),
            answer(name, hours, "done"),
            Armed(f"a-{name}", name, armed, NOW),
            Armed(f"b-{name}", name, armed + timedelta(hours=1), NOW),
        ]

    found = look(*start("a", 9, 100), *start("b", 8, 300), *start("c", 7, 140))
    assert sorted(found.starts) == [100, 140, 300]
    assert found.usable_s == 140
    assert look(*start("d", 5, 4000)).starts == ()
    assert look(*start("e", 5, 100, provider="gcp")).starts == ()
    assert look(order("f", 5), answer("f", 5, "done")).starts == ()
