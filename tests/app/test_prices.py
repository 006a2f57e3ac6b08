"""Prices become facts while they can be had: once each, and asked for again until they are."""

from datetime import timedelta
from fractions import Fraction

import pytest

from gpuctl.core.events import Price, Usage
from tests.app.conftest import ACME, Desk, MakeDesk


def test_prices_are_fetched_and_written_once(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(minutes=5)
    desk.sync()
    before = desk.events(Price)
    desk.clock.tick(minutes=5)
    desk.sync()
    assert desk.events(Price) == before
    assert {price.sku for price in before} == {"p3.2xlarge", "gp3", "in-use"}


def test_a_new_price_is_from_the_next_hour_of_the_machine_on(desk: Desk) -> None:
    launched = desk.clock()
    desk.up()
    desk.aws.changes["p3.2xlarge", "us-east-1a"] = [(launched + timedelta(minutes=50), "1.50")]
    desk.clock.now = launched + timedelta(hours=2)
    desk.aws.terminate("i-000001")
    desk.sync()
    compute = sum((c.cost or 0 for c in desk.bill().charges if c.kind == "compute"), Fraction(0))
    assert compute == Fraction("0.918") + Fraction("1.50")


def test_a_missing_price_is_said_and_never_free(desk: Desk) -> None:
    desk.aws.free_of_price = {"p3.2xlarge"}
    desk.up()
    desk.clock.tick(hours=1)
    desk.sync()
    (charge,) = [c for c in desk.bill().charges if c.kind == "compute"]
    assert (charge.rate, charge.cost) == (None, None)
    assert "no price for compute p3.2xlarge spot in us-east-1a" in desk.bill().problems[0]


@pytest.mark.parametrize("meanwhile", [timedelta(days=1), timedelta(days=60)])
def test_a_price_that_could_not_be_asked_is_asked_again(desk: Desk, meanwhile: timedelta) -> None:
    desk.aws.prices_broken = True
    desk.up()
    desk.clock.tick(hours=1)
    desk.aws.terminate("i-000001")
    desk.sync()
    assert any("the price list did not answer" in note for note in desk.said.notes)
    assert desk.bill().problems
    desk.clock.tick(seconds=meanwhile.total_seconds())
    desk.aws.prices_broken = False
    desk.sync()
    assert {price.sku for price in desk.events(Price)} >= {"p3.2xlarge", "gp3", "in-use"}


def test_a_price_is_given_up_once_no_cloud_tells_it_any_more(desk: Desk) -> None:
    desk.aws.prices_broken = True
    desk.up()
    desk.aws.terminate("i-000001")
    desk.sync()
    desk.clock.tick(days=91)
    desk.aws.prices_broken = False
    desk.aws.calls.clear()
    desk.sync()
    assert [call for call in desk.aws.calls if call.startswith("prices")] == []


def test_a_clients_own_account_is_shown_and_never_billed(make_desk: MakeDesk) -> None:
    desk = make_desk(own=True)
    shown = desk.up().machine
    assert shown is not None
    assert shown.machine.id.account == "444455556666"
    assert shown.hourly
    desk.clock.tick(hours=3)
    (ended,) = desk.down()
    assert ended.receipt.total > 2
    assert {usage.payer for usage in desk.events(Usage)} == {"acme"}
    assert desk.bill().total == 0
    assert desk.spent(ACME) == ended.receipt.total
