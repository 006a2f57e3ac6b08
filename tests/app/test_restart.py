"""Machines that are stopped and started again: one name, one disk, whoever it is for."""

import pytest

from gpuctl.app.attribute import switch
from gpuctl.app.up import NothingStarted
from gpuctl.core.errors import UsageProblem
from gpuctl.core.events import Switch, Usage
from gpuctl.core.kinds import Kind, State
from tests.app.conftest import ACME, BOREALIS, Desk


def test_the_stopped_machine_of_the_project_is_started_again(desk: Desk) -> None:
    first = desk.machine(template="t4")
    desk.down()
    desk.clock.tick(hours=3)
    again = desk.machine(template="t4")
    assert again.id == first.id
    assert len(desk.gcp.vms) == 1
    runs = [u for u in desk.events(Usage) if u.kind is Kind.VCPU]
    assert [run.start for run in runs] == [run.start for run in desk.gcp.vms[0].runs]
    assert len({run.session for run in runs}) == 2


def test_it_starts_where_it_stands_and_not_where_it_would_be_first(desk: Desk) -> None:
    desk.gcp.sold_out = {("n1-standard-8", "us-central1-a", None)}
    assert desk.machine(template="t4").id.zone == "us-central1-b"
    desk.down()
    desk.gcp.sold_out = set()
    again = desk.machine(template="t4")
    assert (again.name, again.id.zone) == ("vision-1", "us-central1-b")
    assert len(desk.gcp.vms) == 1


def test_without_capacity_where_it_stands_it_stays_stopped(desk: Desk) -> None:
    desk.up(template="t4")
    desk.down()
    desk.gcp.sold_out = {("n1-standard-8", "us-central1-a", None)}
    with pytest.raises(NothingStarted):
        desk.up(template="t4")
    assert len(desk.gcp.vms) == 1
    assert [usage.kind for usage in desk.books.open] == [Kind.DISK]


def test_its_disk_goes_on_and_is_the_new_projects_from_then_on(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.down()
    desk.clock.tick(hours=10)
    asked = desk.clock()
    desk.up(BOREALIS, template="t4", name="vision-1")
    (disk,) = [u for u in desk.events(Usage) if u.kind is Kind.DISK]
    assert (disk.project, desk.books.open[0].id) == (ACME, disk.id)
    (switch,) = desk.events(Switch)
    assert (switch.resource, switch.project, switch.at) == ("disk-1", BOREALIS, asked)
    desk.clock.tick(hours=2)
    desk.sync()
    owners = {(c.kind, c.project) for c in desk.bill().charges if c.start >= asked}
    assert owners == {(k, BOREALIS) for k in ("vcpu", "gpu", "ipv4", "disk")}


def test_the_stopped_hours_of_its_disk_are_the_last_projects(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.down()
    stopped = desk.clock()
    desk.clock.tick(hours=10)
    desk.sync()
    after = [c for c in desk.bill().charges if c.end > stopped]
    assert {(c.kind, c.project) for c in after} == {("disk", ACME)}


def test_a_restart_by_other_hands_leaves_no_billed_gap(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.gcp.terminate("vision-1")
    stopped = desk.clock()
    desk.clock.tick(hours=5)
    started = desk.clock()
    desk.gcp.begin(desk.gcp.vms[0].order, "vision-1")
    desk.clock.tick(hours=1)
    desk.sync()
    cores = sorted((u.start, u.end) for u in desk.books.usages if u.kind is Kind.VCPU)
    assert cores[0][1] == stopped
    assert cores[1] == (started, None)


def test_a_machine_that_was_switched_belongs_to_whom_it_was_switched_to(desk: Desk) -> None:
    desk.machine()
    desk.clock.tick(hours=1)
    switch(desk.app, "vision-1", BOREALIS, desk.clock())
    assert desk.up(BOREALIS).existed
    with pytest.raises(UsageProblem, match="running for borealis/nlp"):
        desk.up(ACME, name="vision-1")
    (ended,) = desk.down(project=BOREALIS)
    assert (ended.shown.machine.state, ended.shown.project) == (State.GONE, BOREALIS)


def test_a_project_whose_machine_was_switched_away_gets_its_own(desk: Desk) -> None:
    desk.up()
    desk.clock.tick(hours=1)
    switch(desk.app, "vision-1", BOREALIS, desk.clock())
    assert desk.machine(ACME).name == "vision-2"


def test_a_machine_that_is_just_being_terminated_is_not_started_again(desk: Desk) -> None:
    desk.up(name="box")
    desk.aws.terminate("i-000001")
    plan = desk.up(name="box").plan
    assert plan is not None
    assert plan.adopted is None
    assert [vm.native for vm in desk.aws.running()] == ["i-000002"]


def test_a_vm_that_is_just_stopping_is_started_again(desk: Desk) -> None:
    desk.up(template="t4", name="box")
    desk.gcp.terminate("box")
    plan = desk.up(template="t4", name="box").plan
    assert plan is not None
    assert plan.adopted is not None
    assert [(vm.native, len(vm.runs)) for vm in desk.gcp.vms] == [("box", 2)]
