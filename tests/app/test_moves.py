"""A move from one machine to the next, cut off or overtaken at each point."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gpuctl.app import timely
from gpuctl.app.leg import Actor, claim, put
from gpuctl.app.pursue import State
from gpuctl.app.timely import prices_now, refuse_infeasible
from gpuctl.config.model import Limits
from gpuctl.core.errors import TypeNotOffered, UsageProblem
from gpuctl.core.kinds import EndedBy, Market, MarketPolicy
from tests.app.conftest import Desk
from tests.app.test_deadline import HOUR, SPOT_GONE, ask, markets, policy_begins_at_once
from tests.app.test_pursue import JOB, OTHER, TABLE, Shop
from tests.changed import changed

Make = Callable[..., Desk]


@pytest.fixture
def shop(make_desk: Make, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """On-demand is held, spot has come back, and somebody died having claimed the move."""
    made = Shop(make_desk)
    made.patch = monkeypatch.setattr
    made.reach.work = 4 * HOUR
    policy_begins_at_once(made)
    ask(made, 12)
    assert made.step().state is State.RUNNING
    assert markets(made) == ["on-demand"]
    made.clock.tick(minutes=10)
    dead = made.actor._replace(name=OTHER)
    move = claim(made.app, dead, 2, 1, "vision-2")
    put(made.app, JOB, move._replace(market="spot", zones=("us-east-1b",)))
    made.actor = Actor("anna/3/3", "anna", {}, lambda name: name != OTHER)
    return made


def hows(shop: Shop) -> list[str]:
    return [leg.ended.how for leg in shop.job.legs if leg.ended is not None]


def test_it_is_gone_on_with(shop: Shop) -> None:
    assert shop.job.leaving is not None
    assert shop.step().state is State.RUNNING
    assert (hows(shop), markets(shop)) == (["moved"], ["on-demand", "spot"])
    assert [vm.order.name for vm in shop.aws.running()] == ["vision-2"]
    assert shop.job.leaving is None


def test_the_machine_that_was_to_be_left_is_gone(shop: Shop) -> None:
    (vm,) = shop.aws.running()
    vm.visible = shop.clock() + timedelta(minutes=1)
    assert "not known yet" in shop.step().says
    shop.clock.tick(minutes=2)
    shop.aws.end(vm, EndedBy.PROVIDER, "Server.SpotInstanceTermination")
    assert shop.until(State.RUNNING).machine.name == "vision-2"  # type: ignore[union-attr]
    assert hows(shop) == ["interrupted"]


def test_the_job_ended_meanwhile(shop: Shop) -> None:
    shop.clock.tick(hours=4)
    assert shop.step().code == 0
    assert (hows(shop), len(shop.aws.vms)) == (["exit"], 1)


def test_the_job_ends_when_it_is_told_to_save_itself(shop: Shop) -> None:
    def ends(machine: Any, name: str, what: str) -> None:
        shop.reach.processes[machine.id.native, name].ended = shop.reach.work

    shop.reach.signal_job = ends  # type: ignore[method-assign]
    assert shop.step().code == 0
    assert [vm.order.name for vm in shop.aws.running()] == ["vision-1"]
    assert len(shop.aws.vms) == 2


def test_a_job_that_does_not_end_is_left_with_what_it_saved(shop: Shop) -> None:
    template = shop.app.settings.templates["saved"]
    hook = changed(template, checkpoint=changed(TABLE, command="touch /tmp/save"))
    shop.app = shop.app._replace(settings=changed(shop.app.settings, templates={"saved": hook}))
    shop.reach.signal_job = lambda *_: None  # type: ignore[method-assign]
    assert shop.step().state is State.RUNNING
    assert hows(shop) == ["moved"]
    words = [argv for _, argv in shop.reach.ran if argv[0] == "sh"]
    assert words[0][2].endswith("touch /tmp/save")
    assert words[0][3:] == ("save", "work/vision", "ck")


def test_a_job_that_was_told_to_end_by_its_machine_is_moved(shop: Shop) -> None:
    (vm,) = shop.aws.running()
    vm.deadline = shop.clock() + timedelta(minutes=1)
    shop.reach.processes[vm.native, "train"].ended = 60.0
    assert shop.step().state is State.RUNNING
    assert hows(shop) == ["moved"]


def test_refused_it_stays(shop: Shop) -> None:
    shop.aws.sold_out = SPOT_GONE
    assert shop.step().state is State.AGAIN
    assert hows(shop) == ["refused"]
    assert shop.step().state is State.RUNNING
    assert [vm.order.name for vm in shop.aws.running()] == ["vision-1"]


def test_where_two_machines_are_not_allowed_it_stays(shop: Shop) -> None:
    one = changed(shop.app.settings, limits=Limits(max_machines=1))
    shop.app = shop.app._replace(settings=one)
    assert shop.step().state is State.AGAIN
    assert (hows(shop), shop.step().state) == (["refused"], State.RUNNING)


def test_prices_are_those_of_the_template_and_on_demand_is_one_of_them(shop: Shop) -> None:
    assert timely.due(shop.job, held=True) > timely.due(shop.job, held=False)
    template = shop.app.settings.templates["saved"]
    shop.aws.not_sold = {"p3.2xlarge": "retired"}
    with pytest.raises(TypeNotOffered, match="no deadline is sure"):
        prices_now(shop.app, template, "acme/vision")
    shop.aws.not_sold = {}
    only = changed(template, market=MarketPolicy.ON_DEMAND)
    assert prices_now(shop.app, only, "acme/vision").spot == {}
    bounded = changed(template, zones=("us-east-1a",))
    assert set(prices_now(shop.app, bounded, "acme/vision").spot) == {"us-east-1a"}


def test_a_limit_under_the_price_on_demand_is_told_beforehand(shop: Shop) -> None:
    settings = changed(shop.app.settings, limits=Limits(max_hourly=Decimal(1)))
    app = shop.app._replace(settings=settings)
    wanted = shop.wanted(deadline=shop.clock() + timedelta(hours=9), work_s=60)
    with pytest.raises(UsageProblem, match=r"limits\.max_hourly is 1"):
        refuse_infeasible(app, wanted, settings.templates["saved"])


def test_a_job_that_cannot_say_how_far_it_is(shop: Shop) -> None:
    begun = shop.job.legs[0].begun
    assert begun is not None
    synced = shop.desk.sync()
    (machine,) = synced.machines
    job = shop.job._replace(legs=shop.job.legs[:1])
    shop.reach.fails = 1
    assert timely.progress_s(shop.app, job, machine) == 600
    assert machine.market is Market.ON_DEMAND
