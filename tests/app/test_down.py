"""`down`: what ends, what it cost, and that nothing keeps a machine alive that should end."""

from datetime import timedelta
from fractions import Fraction

import pytest

from gpuctl.app.down import down
from gpuctl.core.errors import Busy, Denied, LedgerError, NotFound, UsageProblem
from gpuctl.core.events import Ended, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State
from gpuctl.core.model import Down
from gpuctl.core.ports import CloudRef
from tests.app.conftest import ACME, BOREALIS, MACHINE_HOUR, Desk
from tests.app.ledgers import Failing

MONTH = 31 * 24 * 3600


def test_a_machine_is_terminated_and_its_receipt_is_exact(desk: Desk) -> None:
    launched = desk.clock()
    desk.up()
    desk.clock.tick(hours=2)
    (ended,) = desk.down()
    stopped = desk.aws.vms[0].run.end
    assert stopped is not None
    seconds = int((stopped - launched).total_seconds())
    assert ended.shown.machine.state is State.GONE
    assert ended.receipt.total == MACHINE_HOUR * seconds / 3600
    assert ended.receipt.compute == Fraction("0.918") * seconds / 3600
    assert ended.receipt.on_demand == Fraction("3.06") * seconds / 3600
    assert (ended.receipt.still, ended.receipt.problems, ended.was_down) == ((), (), False)
    assert ended.shown.cost == ended.receipt.total
    assert desk.spent() == ended.receipt.total


def test_it_waits_until_the_cloud_says_that_it_ended(desk: Desk) -> None:
    desk.up()
    before = desk.clock()
    desk.down()
    assert desk.clock() - before >= desk.aws.stopping
    assert desk.books.open == ()
    assert {end.ended_by for end in desk.events(Ended)} == {EndedBy.USER}
    assert {end.evidence for end in desk.events(Ended)} == {Evidence.STATE_REASON}


def test_a_stopped_vm_keeps_its_disk_and_the_receipt_says_what_it_costs(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    (ended,) = desk.down()
    assert ended.shown.machine.state is State.STOPPED
    (still,) = ended.receipt.still
    assert (still.resource, still.kind) == ("disk-1", "disk")
    # A month of 730 hours, at this March's price an hour: 743 by the clocks of Los Angeles.
    assert still.monthly == Fraction("0.10") * 100 * 730 / 743
    assert [usage.kind for usage in desk.books.open] == [Kind.DISK]


def test_the_receipt_of_a_disk_whose_price_is_unknown_says_so(desk: Desk) -> None:
    desk.gcp.free_of_price = {"pd-balanced", "nvidia-tesla-t4"}
    desk.up(template="t4")
    (ended,) = desk.down()
    assert [still.monthly for still in ended.receipt.still] == [None]
    assert any("no price for disk pd-balanced" in problem for problem in ended.receipt.problems)
    assert ended.receipt.on_demand is None


def test_deleted_leaves_nothing(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.down()
    desk.clock.tick(hours=1)
    (ended,) = desk.down("vision-1", how=Down.DELETE)
    assert ended.shown.machine.state is State.GONE
    assert ended.receipt.still == ()
    assert desk.books.open == ()
    disk = next(usage for usage in desk.books.usages if usage.kind is Kind.DISK)
    assert disk.end == desk.gcp.vms[0].deleted


def test_deleting_what_runs_ends_it_with_its_disk_at_once(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.down(how=Down.DELETE)
    assert desk.books.open == ()
    ends = {usage.end for usage in desk.books.usages}
    assert ends == {desk.gcp.vms[0].deleted}


def test_down_twice_says_that_it_was_down(desk: Desk) -> None:
    desk.up()
    (first,) = desk.down()
    calls = len([call for call in desk.aws.calls if call.startswith("end")])
    (again,) = desk.down("vision-1")
    assert again.was_down
    assert again.receipt.total == first.receipt.total
    assert len([call for call in desk.aws.calls if call.startswith("end")]) == calls


def test_the_door_is_forgotten(desk: Desk) -> None:
    desk.up()
    desk.down()
    assert desk.reach.forgotten == ["vision-1"]
    assert desk.aws.inbound == {}


def test_nothing_named_means_the_only_one(desk: Desk) -> None:
    with pytest.raises(NotFound, match="there is no machine"):
        desk.down()
    desk.up()
    desk.up(BOREALIS)
    with pytest.raises(UsageProblem, match="nlp-1, vision-1"):
        desk.down()
    assert len(desk.aws.running()) == 2


def test_several_names_each_once(desk: Desk) -> None:
    desk.up()
    desk.up(BOREALIS)
    ended = desk.down("vision-1", "nlp", "i-000001")
    assert [item.shown.machine.name for item in ended] == ["vision-1", "nlp-1"]
    assert desk.aws.running() == []


def test_all_means_everything_that_costs(desk: Desk) -> None:
    assert desk.down(everything=True) == []
    desk.up()
    desk.up(BOREALIS, template="t4")
    desk.down("nlp-1")
    assert [e.shown.machine.name for e in desk.down(everything=True)] == ["vision-1"]
    assert [e.shown.machine.name for e in desk.down(everything=True, how=Down.DELETE)] == ["nlp-1"]


def test_a_project_means_its_machines(desk: Desk) -> None:
    desk.up()
    desk.up(BOREALIS)
    assert [e.shown.machine.name for e in desk.down(project=ACME)] == ["vision-1"]
    with pytest.raises(NotFound, match="no machine runs for acme/vision"):
        desk.down(project=ACME)


def test_a_project_with_several_wants_all_or_names(desk: Desk) -> None:
    desk.up()
    desk.up(template="dear")
    with pytest.raises(UsageProblem):
        desk.down(project=ACME)
    assert len(desk.down(project=ACME, everything=True)) == 2


def test_a_full_disk_keeps_no_machine_alive(desk: Desk) -> None:
    desk.up()
    failing = Failing(desk.app.ledger)
    broken = failing.under(desk)
    synced = broken.sync()
    failing.after = 0
    with pytest.raises(LedgerError, match="disk is full"):
        down(broken.app, synced, synced.machines, Down.END)
    assert desk.aws.running() == []
    assert any("all the same" in note for note in desk.said.notes)
    desk.sync()
    assert desk.books.open == ()


def test_one_that_cannot_be_ended_does_not_save_the_others(desk: Desk) -> None:
    desk.up(template="t4")
    desk.up(BOREALIS)
    desk.gcp.stop_error = Denied("compute.instances.stop is not allowed")
    with pytest.raises(Denied):
        desk.down(everything=True)
    assert desk.aws.running() == []
    assert any("vision-1 was NOT ended and may still cost" in note for note in desk.said.notes)
    assert len(desk.books.unsettled) == 1


def test_a_cloud_that_is_too_busy_is_told_again_for_two_minutes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.up()
    provider = desk.app.clouds.connect(CloudRef("aws"))
    stop, tries = provider.stop, []

    def busy(*asked: object) -> None:
        tries.append(desk.clock())
        if len(tries) < 4:
            raise Busy("throttled")
        stop(*asked)

    monkeypatch.setattr(provider, "stop", busy)
    desk.down()
    assert desk.aws.running() == []
    desk.aws.stop_error = Busy("throttled")
    desk.up()
    monkeypatch.undo()
    began = desk.clock()
    with pytest.raises(Busy):
        desk.down()
    assert timedelta(minutes=2) <= desk.clock() - began < timedelta(minutes=3)


def test_one_that_hangs_is_told_and_goes_on_being_billed(desk: Desk) -> None:
    desk.up()
    desk.aws.stopping = timedelta(hours=1)
    with pytest.raises(Busy, match="still stopping after 10 minutes"):
        desk.down()


def test_one_that_vanishes_is_accounted_for_by_its_ending(desk: Desk) -> None:
    desk.up()
    desk.aws.stopping = timedelta()
    desk.aws.remembered = timedelta(seconds=-1)
    (ended,) = desk.down()
    assert ended.shown.machine.state is State.GONE
    assert desk.books.open == ()
    assert ended.receipt.total > 0


def test_a_listing_that_fails_afterwards_takes_nothing_back(desk: Desk) -> None:
    desk.up()
    synced = desk.sync()
    desk.aws.broken_region = "us-east-1"
    (ended,) = down(desk.app, synced, synced.machines, Down.END)
    assert ended.shown.machine.state is State.GONE
    assert desk.books.open == ()
    assert any("has ended" in note for note in desk.said.notes)


def test_a_price_that_changed_while_it_was_ended_is_in_the_receipt(desk: Desk) -> None:
    launched = desk.clock()
    desk.up()
    desk.clock.tick(seconds=3_595 - (desk.clock() - launched).total_seconds())
    desk.aws.changes["p3.2xlarge", "us-east-1a"] = [(launched + timedelta(seconds=3_598), "2.00")]
    real = desk.aws.end

    def end(*args: object) -> None:
        desk.clock.tick(seconds=25)
        real(*args)  # type: ignore[arg-type]

    desk.aws.end = end  # type: ignore[method-assign]
    (ended,) = desk.down()
    assert ended.receipt.compute == Fraction("0.918") + Fraction(2) * 20 / 3600


def test_a_receipt_covers_one_lease(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    (first,) = desk.down()
    desk.clock.tick(days=1)
    desk.up(BOREALIS, template="t4", name="vision-1")
    desk.clock.tick(hours=1)
    (second,) = desk.down()
    assert len({usage.id for usage in desk.events(Usage) if usage.kind is Kind.DISK}) == 1
    assert {charge.project for charge in second.receipt.charges} == {BOREALIS}
    assert abs(first.receipt.total - second.receipt.total) < Fraction(1, 100)
