"""Whose a cost is: new facts, exact to the second, that never change the sum."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.app import attribute
from gpuctl.app.extend import extend
from gpuctl.core.errors import NotFound, RemoteFailed, UsageProblem
from gpuctl.core.events import Adjust, Extended, Switch
from tests.app.conftest import ACME, BOREALIS, MACHINE_HOUR, Desk
from tests.changed import changed

HOUR = timedelta(hours=1)


@pytest.fixture
def began(desk: Desk) -> datetime:
    """Four hours of one machine for acme, still running."""
    start = desk.clock()
    desk.up()
    desk.clock.now = start + 4 * HOUR
    desk.sync()
    return start


def test_from_a_moment_on_the_machine_is_another_projects(desk: Desk, began: datetime) -> None:
    events = attribute.switch(desk.app, "vision-1", BOREALIS, began + HOUR)
    assert {event.resource for event in events if isinstance(event, Switch)} == {
        "i-000001",
        "disk-1",
        "eni-1",
    }
    assert desk.spent(ACME) == MACHINE_HOUR
    assert desk.spent(BOREALIS) == 3 * MACHINE_HOUR


def test_switching_to_whom_it_is_already_writes_nothing(desk: Desk, began: datetime) -> None:
    assert attribute.switch(desk.app, "vision-1", ACME, began + HOUR) == []
    assert desk.events(Switch) == []


def test_a_machine_is_switched_when_it_ran_only(desk: Desk, began: datetime) -> None:
    with pytest.raises(UsageProblem, match="did not run at"):
        attribute.switch(desk.app, "vision-1", BOREALIS, began - HOUR)
    desk.down()
    with pytest.raises(UsageProblem):
        attribute.switch(desk.app, "vision-1", BOREALIS, desk.clock() + HOUR)


def test_only_to_projects_that_exist(desk: Desk, began: datetime) -> None:
    with pytest.raises(NotFound, match="acme/vison"):
        attribute.switch(desk.app, "vision-1", "acme/vison", began)


def test_a_resource_is_assigned_wholly(desk: Desk, began: datetime) -> None:
    attribute.assign(desk.app, "i-000001", BOREALIS, None, None)
    assert desk.spent(BOREALIS) == 4 * Fraction("0.918")
    assert desk.spent(ACME) == 4 * (MACHINE_HOUR - Fraction("0.918"))


def test_a_resource_is_assigned_for_a_while(desk: Desk, began: datetime) -> None:
    attribute.assign(desk.app, "i-000001", BOREALIS, began + HOUR, began + 3 * HOUR)
    assert desk.spent(BOREALIS) == 2 * Fraction("0.918")
    attribute.assign(desk.app, "i-000001", BOREALIS, began + HOUR, began + 3 * HOUR)
    assert desk.spent(BOREALIS) == 2 * Fraction("0.918")


def test_after_its_time_it_goes_back_to_whom_it_was(desk: Desk, began: datetime) -> None:
    attribute.switch(desk.app, "vision-1", BOREALIS, began + HOUR)
    facts = attribute.assign(desk.app, "i-000001", ACME, began + 2 * HOUR, began + 3 * HOUR)
    assert [fact.project for fact in facts if isinstance(fact, Switch)] == [ACME, BOREALIS]


def test_each_run_of_a_resource_is_assigned(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.down()
    desk.clock.tick(hours=1)
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.sync()
    assert len(attribute.assign(desk.app, "vm-1", BOREALIS, None, None)) == 2
    kinds = {c.kind for c in desk.bill().charges if c.project == ACME}
    assert kinds == {"disk", "ipv4"}


def test_assigning_outside_its_life_is_a_mistake(desk: Desk, began: datetime) -> None:
    with pytest.raises(UsageProblem, match="did not run in that time"):
        attribute.assign(desk.app, "i-000001", BOREALIS, began - 2 * HOUR, began - HOUR)
    desk.down()
    with pytest.raises(UsageProblem):
        attribute.assign(desk.app, "i-000001", BOREALIS, desk.clock() + HOUR, None)


def test_an_unknown_resource_is_told_with_those_that_are_known(desk: Desk) -> None:
    with pytest.raises(NotFound) as caught:
        attribute.assign(desk.app, "i-ffffff", ACME, None, None)
    assert caught.value.hint == "gpuctl audit"
    desk.up()
    with pytest.raises(NotFound) as caught:
        attribute.assign(desk.app, "i-ffffff", ACME, None, None)
    assert caught.value.hint == "known: disk-1, eni-1, i-000001"


def split(desk: Desk, target: str, start: datetime, end: datetime, *, absorbed: bool) -> None:
    attribute.split(
        desk.app,
        target,
        {ACME: Decimal(30), BOREALIS: Decimal(20)},
        idle=Decimal(10),
        idle_absorbed=absorbed,
        start=start,
        end=end,
    )


def test_a_shared_machine_with_its_idle_part_borne_by_the_user(desk: Desk, began: datetime) -> None:
    split(desk, "vision-1", began, began + 2 * HOUR, absorbed=True)
    assert desk.spent(ACME) == MACHINE_HOUR * (2 * Fraction(30, 60) + 2)
    assert desk.spent(BOREALIS) == MACHINE_HOUR * 2 * Fraction(20, 60)
    assert desk.spent(None) == MACHINE_HOUR * 2 * Fraction(10, 60)
    assert all(c.absorbed for c in desk.bill().charges if c.project is None)


def test_a_shared_machine_with_its_idle_part_shared(desk: Desk, began: datetime) -> None:
    split(desk, "vision-1", began, began + 2 * HOUR, absorbed=False)
    assert desk.spent(ACME) == MACHINE_HOUR * (2 * Fraction(30, 50) + 2)
    assert desk.spent(None) == 0


def test_one_resource_alone_is_shared(desk: Desk, began: datetime) -> None:
    split(desk, "i-000001", began, began + 4 * HOUR, absorbed=False)
    assert desk.spent(BOREALIS) == 4 * Fraction("0.918") * Fraction(20, 50)


def test_a_time_can_be_shared_once(desk: Desk, began: datetime) -> None:
    split(desk, "vision-1", began, began + 2 * HOUR, absorbed=True)
    with pytest.raises(UsageProblem, match="overlaps"):
        split(desk, "vision-1", began + HOUR, began + 3 * HOUR, absorbed=True)


def test_what_did_not_run_cannot_be_shared(desk: Desk, began: datetime) -> None:
    with pytest.raises(UsageProblem, match="did not run between"):
        split(desk, "vision-1", began - 2 * HOUR, began - HOUR, absorbed=True)
    with pytest.raises(UsageProblem, match="did not run between"):
        split(desk, "i-000001", began - 2 * HOUR, began - HOUR, absorbed=True)


def test_a_correction_by_hand_has_its_reason(desk: Desk, began: datetime) -> None:
    fact = attribute.adjust(desk.app, ACME, Decimal("-1.20"), "credit", began)
    assert desk.events(Adjust) == [fact]
    assert desk.spent(ACME) == 4 * MACHINE_HOUR - Fraction("1.2")
    with pytest.raises(NotFound):
        attribute.adjust(desk.app, "ghost/ship", Decimal(1), "?", began)


def test_a_lease_is_extended_in_ledger_tag_and_machine(desk: Desk, began: datetime) -> None:
    synced = desk.sync()
    later = began + 12 * HOUR
    assert extend(desk.app, synced, synced.machines[0], later) == later
    assert desk.sync().machines[0].deadline == later
    assert desk.reach.deadlines == {"vision-1": later}
    (lease,) = desk.books.leases.values()
    assert lease.deadline == later


@pytest.mark.parametrize(("hours", "why"), [(25, "at most"), (4, "has passed"), (-1, "has passed")])
def test_no_further_than_the_ceiling_and_not_into_the_past(
    desk: Desk, began: datetime, hours: int, why: str
) -> None:
    synced = desk.sync()
    with pytest.raises(UsageProblem, match=why):
        extend(desk.app, synced, synced.machines[0], began + hours * HOUR)
    assert desk.events(Extended) == []


def test_a_machine_without_a_lease_cannot_be_extended(desk: Desk, began: datetime) -> None:
    synced = desk.sync()
    stranger = changed(synced.machines[0], lease="5a" * 16)
    with pytest.raises(NotFound, match="no lease"):
        extend(desk.app, synced, stranger, began + 5 * HOUR)


def test_an_extension_that_the_machine_did_not_hear_is_an_error(
    desk: Desk, began: datetime
) -> None:
    synced = desk.sync()
    desk.reach.answering = False
    with pytest.raises(RemoteFailed):
        extend(desk.app, synced, synced.machines[0], began + 5 * HOUR)
