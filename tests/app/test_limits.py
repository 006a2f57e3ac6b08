"""Ceilings and budgets: a machine never costs more than was allowed, whichever offer it becomes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.app.budget import budget_of, spent_this_month
from gpuctl.app.launch import NothingStarted
from gpuctl.config.model import Limits
from gpuctl.core.errors import BudgetExceeded, UsageProblem
from gpuctl.core.events import Adjust, Leased, Split
from gpuctl.core.kinds import Kind, Market
from tests.app.conftest import ACME, BOREALIS, MACHINE_HOUR, Desk, MakeDesk, budget
from tests.changed import changed

EXTRAS = MACHINE_HOUR - Fraction("0.918")


def spend(desk: Desk, usd: str, project: str = ACME) -> None:
    fact = Adjust(
        id=f"adjust/{usd}", project=project, at=desk.clock(), usd=Decimal(usd), note="before"
    )
    desk.app.ledger.append([fact])
    desk.clock.tick(seconds=1)


def test_the_template_or_the_ceiling_ends_it_whichever_is_sooner(make_desk: MakeDesk) -> None:
    desk = make_desk(limits=Limits(max_lifetime=timedelta(hours=6)))
    began = desk.clock()
    assert desk.machine().deadline == began + timedelta(hours=6)
    (lease,) = desk.events(Leased)
    assert lease.ceiling == began + timedelta(hours=6)


def test_a_budget_in_dollars_is_a_deadline(desk: Desk) -> None:
    began = desk.clock()
    machine = desk.machine(budget=Decimal("1.80"))
    lasts = timedelta(seconds=int(Fraction("1.80") * 3600 / MACHINE_HOUR))
    assert machine.deadline == began + lasts
    assert desk.events(Leased)[-1].deadline == machine.deadline


def test_a_dearer_fallback_uses_the_budget_up_sooner(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", Market.SPOT)}
    began = desk.clock()
    machine = desk.machine(template="dear", budget=Decimal("1.80"))
    lasts = timedelta(seconds=int(Fraction("1.80") * 3600 / (Fraction("3.06") + EXTRAS)))
    assert (machine.market, machine.deadline) == (Market.ON_DEMAND, began + lasts)
    assert desk.books.leases[machine.lease or ""].deadline == machine.deadline


def test_a_fallback_that_the_budget_cannot_buy_is_left_out(desk: Desk) -> None:
    desk.aws.sold_out = {("p3.2xlarge", "*", Market.SPOT)}
    with pytest.raises(NothingStarted) as caught:
        desk.up(template="dear", budget=Decimal("0.20"))
    skipped = [a for a in caught.value.attempts if a.outcome == "skipped"]
    assert {(a.market, a.code) for a in skipped} == {(Market.ON_DEMAND, "budget")}


def test_a_budget_for_less_than_five_minutes_buys_nothing(desk: Desk) -> None:
    with pytest.raises(BudgetExceeded, match=r"0\.05 USD buy 3m") as caught:
        desk.up(budget=Decimal("0.05"))
    assert caught.value.exit_code == 6
    assert desk.starts() == []


def test_a_budget_needs_a_price(desk: Desk) -> None:
    desk.aws.free_of_price = {"gp3"}
    with pytest.raises(UsageProblem, match="needs a price"):
        desk.up(budget=Decimal(5))
    assert desk.up().plan is not None


def test_a_plan_without_a_price_has_no_worst_case(desk: Desk) -> None:
    desk.aws.free_of_price = {"in-use"}
    plan = desk.up(dry_run=True).plan
    assert plan is not None
    assert (plan.hourly, plan.worst, plan.address_hourly) == (None, None, None)


def test_so_many_machines_and_no_more(make_desk: MakeDesk) -> None:
    desk = make_desk(limits=Limits(max_machines=1))
    desk.up()
    with pytest.raises(BudgetExceeded, match="1 machines run already \\(vision-1\\)"):
        desk.up(BOREALIS)
    desk.down()
    desk.up(BOREALIS)


def test_nothing_dearer_than_the_hourly_ceiling(make_desk: MakeDesk) -> None:
    desk = make_desk(limits=Limits(max_hourly=Decimal("0.30")))
    with pytest.raises(BudgetExceeded, match=r"limits\.max_hourly is 0\.30"):
        desk.up()


def test_fallbacks_are_held_to_the_hourly_ceiling_too(make_desk: MakeDesk) -> None:
    desk = make_desk(limits=Limits(max_hourly=Decimal("0.94")))
    desk.aws.sold_out = {("p3.2xlarge", "*", Market.SPOT)}
    with pytest.raises(NothingStarted) as caught:
        desk.up(template="dear")
    assert desk.starts() == ["p3.2xlarge us-east-1a spot", "p3.2xlarge us-west-2a spot"]
    over = [a for a in caught.value.attempts if a.code == "limits.max_hourly"]
    assert {(a.zone, a.market) for a in over} == {
        ("us-east-1b", Market.SPOT),
        *((zone, Market.ON_DEMAND) for zone in ("us-east-1a", "us-east-1b", "us-west-2a")),
    }


def test_a_hard_budget_that_is_spent_refuses(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10), hard=True))
    spend(desk, "10.00")
    with pytest.raises(BudgetExceeded, match="spent 10 of its 10 USD") as caught:
        desk.up()
    assert "client.acme.project.vision.budget.month" in (caught.value.hint or "")


def test_a_soft_budget_only_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10)))
    spend(desk, "12.00")
    plan = desk.up().plan
    assert plan is not None
    assert (plan.budget.passed, plan.budget.left) == (100, Fraction(-2))


def test_the_ceiling_over_all_projects_counts_what_it_could_cost(make_desk: MakeDesk) -> None:
    desk = make_desk(limits=Limits(month=Decimal(10)))
    spend(desk, "4.00", BOREALIS)
    with pytest.raises(BudgetExceeded, match=r"limits\.month allows 10 USD"):
        desk.up()
    assert desk.up(ttl=timedelta(hours=6)).machine is not None


def test_a_fallback_that_the_month_has_no_room_for_is_left_out(make_desk: MakeDesk) -> None:
    desk = make_desk(limits=Limits(month=Decimal(10)))
    desk.aws.sold_out = {("p3.2xlarge", "*", Market.SPOT)}
    with pytest.raises(NothingStarted) as caught:
        desk.up(template="dear")
    dear = [a for a in caught.value.attempts if a.code == "limits.month"]
    assert {a.market for a in dear} == {Market.ON_DEMAND}
    assert all("on-demand" not in start for start in desk.starts())


def test_a_budget_tells_what_is_left_and_which_mark_was_passed(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10), warn=(50, 80, 100)))
    spend(desk, "8.50")
    found = budget_of(desk.app, ACME, desk.clock())
    assert (found.limit, found.left, found.passed) == (Decimal(10), Fraction("1.5"), 80)
    none = budget_of(desk.app, BOREALIS, desk.clock())
    assert (none.limit, none.left, none.passed, none.spent) == (None, None, None, 0)
    assert budget_of(desk.app, "ghost/ship", desk.clock()).limit is None


def test_little_spent_passes_no_mark(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10)))
    spend(desk, "1.00")
    assert budget_of(desk.app, ACME, desk.clock()).passed is None


def test_the_month_so_far_is_of_all_projects_or_of_one(desk: Desk) -> None:
    spend(desk, "1.25")
    spend(desk, "2.50", BOREALIS)
    events, now = desk.app.ledger.events(), desk.clock()
    assert spent_this_month(events, now) == Fraction("3.75")
    assert spent_this_month(events, now, BOREALIS) == Fraction("2.5")


def test_a_clients_own_account_spends_nothing_of_ours(make_desk: MakeDesk) -> None:
    desk = make_desk(own=True, limits=Limits(month=Decimal(9)))
    desk.up()
    desk.clock.tick(hours=8)
    desk.sync()
    assert spent_this_month(desk.app.ledger.events(), desk.clock()) == 0


def test_the_plan_of_another_offer_is_its_own_price(desk: Desk) -> None:
    plan = desk.up(dry_run=True).plan
    assert plan is not None
    cheap = changed(plan.offers[0], hourly=Decimal("0.10"))
    assert plan.hourly_of(cheap) == Fraction("0.10") + EXTRAS


def test_a_limit_in_all_counts_every_month(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10), total=Decimal(20), hard=True))
    spend(desk, "9.00")
    desk.clock.tick(hours=24 * 40)
    spend(desk, "8.00")
    found = budget_of(desk.app, ACME, desk.clock())
    assert (found.spent, found.total_spent, found.total_left) == (8, 17, 3)
    assert (found.left, found.room, found.used, found.total_used) == (
        2, 2, Fraction("0.8"), Fraction("0.85"),
    )  # fmt: skip
    desk.clock.tick(hours=24 * 31)
    spend(desk, "3.00")
    with pytest.raises(BudgetExceeded, match="spent 20 of its 20 USD in all") as caught:
        desk.up()
    assert "budget.total" in (caught.value.hint or "")


def test_marks_are_the_months_and_the_wholes_own(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10), total=Decimal(9), warn=(50, 80)))
    spend(desk, "7.50")
    found = budget_of(desk.app, ACME, desk.clock())
    assert (found.month_passed, found.total_passed, found.passed) == (50, 80, 80)
    nothing = make_desk(name="zero", **budget(ACME, month=Decimal(0)))
    assert budget_of(nothing.app, ACME, nothing.clock()).used is None


def test_what_a_hard_budget_leaves_is_a_deadline(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10), total=Decimal(50), hard=True))
    spend(desk, "8.50")
    began = desk.clock()
    lasts = timedelta(seconds=int(Fraction("1.5") * 3600 / MACHINE_HOUR))
    assert desk.machine().deadline == began + lasts


def test_a_hard_budget_that_is_all_but_spent_still_gives_five_minutes(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(10), hard=True))
    spend(desk, "9.99")
    began = desk.clock()
    assert desk.machine().deadline == began + timedelta(minutes=5)


def test_the_forecast_goes_on_until_deadlines_and_for_storage_until_the_month_ends(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(100)))
    spend(desk, "1.00")
    assert budget_of(desk.app, ACME, desk.clock()).forecast == 1
    machine = desk.machine(ttl=timedelta(hours=6))
    desk.clock.tick(hours=2)
    desk.sync()
    found = budget_of(desk.app, ACME, desk.clock())
    # EC2 terminates it at its deadline, and the disk goes with it.
    alone = MACHINE_HOUR * hours(desk.clock(), machine.deadline)
    assert found.forecast == found.spent + alone
    (disk,) = [usage for usage in desk.books.open if usage.kind is Kind.DISK]
    kept = disk._replace(id="kept", resource="vol-data", machine=None, start=desk.clock())
    desk.app.ledger.append([kept])
    end = datetime(2026, 4, 1, tzinfo=UTC)
    storage = Fraction("8") / (31 * 24)
    more = budget_of(desk.app, ACME, desk.clock())
    assert more.forecast == more.spent + alone + storage * hours(desk.clock(), end)
    desk.clock.tick(hours=7)
    later = budget_of(desk.app, ACME, desk.clock())
    assert later.forecast == later.spent + storage * hours(desk.clock(), end)


def test_the_forecast_of_a_shared_machine_is_shared_as_its_charges_are(desk: Desk) -> None:
    machine = desk.machine(ttl=timedelta(hours=6))
    until = desk.clock() + timedelta(hours=4)
    for resource in {usage.resource for usage in desk.books.open}:
        split = Split(
            id=f"split/{resource}",
            resource=resource,
            since=desk.clock() - timedelta(hours=1),
            until=until,
            shares={ACME: Decimal(2), BOREALIS: Decimal(1)},
            idle=Decimal(1),
            idle_absorbed=True,
        )
        desk.app.ledger.append([split])
    desk.clock.tick(hours=1)
    now = desk.clock()
    acme, borealis = (budget_of(desk.app, name, now) for name in (ACME, BOREALIS))
    shared = MACHINE_HOUR * hours(now, until)
    assert borealis.forecast == borealis.spent + shared / 4
    alone = MACHINE_HOUR * hours(until, machine.deadline)
    assert acme.forecast == acme.spent + shared / 2 + alone


def hours(start: datetime, end: datetime) -> Fraction:
    return Fraction(int((end - start).total_seconds()), 3600)


def test_no_forecast_without_a_price(make_desk: MakeDesk) -> None:
    desk = make_desk(**budget(ACME, month=Decimal(100)))
    desk.aws.free_of_price = {"in-use"}
    desk.up()
    desk.clock.tick(hours=1)
    desk.sync()
    assert budget_of(desk.app, ACME, desk.clock()).forecast is None
