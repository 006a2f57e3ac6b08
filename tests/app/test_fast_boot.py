"""A disk that is filled at a bought rate: ordered, written down, and told with its price."""

from datetime import timedelta

from gpuctl.app.up import Asked, up
from gpuctl.cli.plans import _filling
from gpuctl.core.boots import boots, smoke, times
from gpuctl.core.events import Intent
from gpuctl.core.model import DiskSpec
from gpuctl.core.orders import read_order
from tests.changed import changed
from tests.fake_images import NAME, stored

FAST = DiskSpec(gb=100, type="gp3", init_rate=300)


def planned(desk, disk, name="v100"):
    template = changed(desk.app.settings.template(name), disk=disk)
    asked = Asked(project="acme/vision", template=template, dry_run=True)
    return up(desk.app, asked, lambda _: True).plan


def test_the_plan_tells_what_it_costs_at_most_and_how_long_it_takes(desk):
    plan = planned(desk, FAST)
    told = _filling(plan, 100, 300)
    assert "whole in 6 min at the latest; at most $0.36 once, on top (fake)" in told
    assert planned(desk, changed(FAST, init_rate=None)).filling is None
    assert plan.hourly == planned(desk, changed(FAST, init_rate=None)).hourly


def test_where_its_price_is_not_known_that_is_said(desk):
    desk.aws.spot = {key: usd for key, usd in desk.aws.spot.items() if "west" in key[1]}
    plan = planned(desk, FAST)
    assert plan.offers[0].region == "us-west-2"
    assert "its price here is not known" in _filling(plan, 100, 300)


def test_it_is_in_the_order_and_in_the_ledger(desk):
    template = changed(desk.app.settings.template("v100"), disk=FAST)
    up(desk.app, Asked(project="acme/vision", template=template), lambda _: True)
    [order] = [event.order for event in desk.events(Intent)]
    assert read_order(order).disk == FAST
    assert desk.aws.vms[0].order.disk.init_rate == 300


def test_how_long_a_start_took_is_told_by_the_ledger(desk):
    assert times(()) is None
    for wait in (30, 90, 50, 40):
        desk.aws.booting = timedelta(seconds=wait)
        machine = desk.machine()
        desk.clock.tick(minutes=30)
        desk.down(machine.name)
        desk.clock.tick(hours=2)
    found = boots(desk.events())
    assert [boot.template for boot in found] == ["v100"] * 4
    assert [boot.seconds // 10 for boot in found] == [3, 9, 5, 4]
    middle = times(boot.seconds for boot in found)
    assert (middle.starts, middle.p50) == (4, sorted(boot.seconds for boot in found)[1])


def test_what_was_not_waited_for_or_started_again_is_no_measure(desk):
    desk.machine(detach=True)
    desk.clock.tick(minutes=25)
    desk.up()
    assert boots(desk.events()) == []
    machine = desk.machine(template="t4")
    desk.clock.tick(minutes=30)
    desk.down(machine.name)
    desk.clock.tick(minutes=30)
    desk.machine(template="t4")
    assert [boot.template for boot in boots(desk.events())] == ["t4"]


def test_the_image_of_a_start_stands_beside_its_time(desk):
    desk.aws.kept.images.append(stored("7", made_at=desk.clock()))
    desk.machine(image=f"{NAME}@7")
    assert [boot.image for boot in boots(desk.events())] == [f"{NAME}@7"]


def test_a_smoke_test_that_passed_is_timed_from_the_order_too(desk):
    for wait, ok in ((40, True), (50, False)):
        machine = desk.machine(name=f"test-{wait}")
        desk.clock.tick(seconds=wait)
        desk.app.ledger.append(smoke(desk.app.new_id(), machine.lease, desk.clock(), ok=ok))
    first, second = boots(desk.events())
    assert (first.smoke, second.smoke) == (first.seconds + 40, None)
    assert desk.books.unsettled == ()
