"""`up` that is cut off: whatever happens, the next command finds the machine, once."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gpuctl.app.plan import Plan
from gpuctl.app.settle import note_outcome, outcome_of
from gpuctl.core.errors import Denied, LedgerError, NameTaken, UnknownOutcome
from gpuctl.core.events import Intent, Switch, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State
from gpuctl.core.model import Down, Ending, Machine, Order
from gpuctl.core.ports import CloudRef
from tests.app.conftest import ACME, BOREALIS, Desk
from tests.changed import changed


def test_a_lost_answer_is_an_unknown_outcome_and_stays_open(desk: Desk) -> None:
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome) as caught:
        desk.up()
    assert caught.value.exit_code == 75
    assert (len(desk.starts()), desk.outcomes) == (1, [])
    assert len(desk.books.unsettled) == 1


def test_the_next_sync_adopts_the_machine_whose_answer_was_lost(desk: Desk) -> None:
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    launched = desk.clock()
    desk.clock.tick(minutes=3)
    desk.sync()
    desk.sync()
    (machine,) = desk.aws.vms
    (usage,) = [u for u in desk.events(Usage) if u.kind is Kind.COMPUTE]
    assert (usage.resource, usage.start, usage.project) == (machine.native, launched, ACME)
    assert (desk.outcomes, desk.books.unsettled) == ([("done", None)], ())


def test_an_order_that_never_arrived_is_given_up_after_a_quarter_of_an_hour(desk: Desk) -> None:
    desk.aws.lost_requests = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    desk.clock.tick(minutes=14)
    desk.sync()
    assert len(desk.books.unsettled) == 1
    desk.clock.tick(minutes=1)
    desk.sync()
    assert desk.outcomes == [("failed", "never-launched")]
    assert desk.events(Usage) == []


def test_up_again_after_a_lost_answer_starts_no_second_machine(desk: Desk) -> None:
    desk.aws.lost_answers, desk.aws.hidden = 50, timedelta(seconds=20)
    with pytest.raises(UnknownOutcome):
        desk.up()
    desk.aws.lost_answers = 0
    again = desk.up()
    assert again.existed
    assert len(desk.aws.vms) == 1


def test_a_machine_that_only_its_token_finds_is_not_started_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    desk.aws.lost_answers = 0
    monkeypatch.setattr(desk.app.clouds.connect(CloudRef("aws")), "machines", lambda: ())
    again = desk.up(detach=True)
    assert again.existed
    assert (len(desk.aws.vms), desk.books.unsettled) == (1, ())


def test_a_machine_that_was_accepted_and_is_not_shown_yet_is_waited_for(desk: Desk) -> None:
    desk.aws.hidden = timedelta(minutes=4)
    desk.machine(detach=True)
    again = desk.up(detach=True)
    assert again.existed
    assert len(desk.aws.vms) == 1


@pytest.mark.parametrize("name", ["box", None])
def test_of_two_at_once_one_starts_a_machine_and_the_other_finds_it(
    desk: Desk, name: str | None
) -> None:
    """The other's comes while this one asks its user."""

    def thinking(plan: Plan) -> bool:
        desk.machine(name=name, detach=True)
        return True

    found = desk.up(name=name, detach=True, confirm=thinking)
    assert found.existed
    assert len(desk.aws.vms) == 1
    assert desk.outcomes == [("done", None), ("failed", "overtaken")]


def test_a_name_that_was_taken_since_the_clouds_were_asked_is_looked_for_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = desk.app.clouds.connect(CloudRef("aws"))
    start = provider.start

    def too_late(order: Order) -> Machine:
        monkeypatch.setattr(provider, "start", start)
        desk.machine(name="box", detach=True)
        raise NameTaken("box exists already and is not of this lease")

    monkeypatch.setattr(provider, "start", too_late)
    assert desk.up(name="box", detach=True).existed
    assert len(desk.aws.vms) == 1


def test_a_name_that_somebody_else_has_taken_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Order] = []

    def taken(order: Order) -> Machine:
        asked.append(order)
        raise NameTaken("box exists already and is not of this lease")

    monkeypatch.setattr(desk.app.clouds.connect(CloudRef("aws")), "start", taken)
    with pytest.raises(NameTaken):
        desk.up(name="box", detach=True)
    assert len(asked) == 2


def test_who_was_overtaken_by_one_that_was_refused_starts_all_the_same(desk: Desk) -> None:
    def thinking(plan: Plan) -> bool:
        if not desk.outcomes:
            desk.aws.launch_error = Denied("not allowed")
            with pytest.raises(Denied):
                desk.up(detach=True)
            desk.aws.launch_error = None
        return True

    assert not desk.up(detach=True, confirm=thinking).existed
    assert len(desk.aws.vms) == 1


def test_an_outcome_that_another_command_found_out_first_stands(desk: Desk) -> None:
    desk.up()
    intent = desk.events(Intent)[0]
    desk.clock.tick(seconds=1)
    note_outcome(desk.app, outcome_of(desk.app, intent, "failed", code="never-launched"))
    assert desk.outcomes == [("done", None)]


def test_an_outcome_that_cannot_be_written_is_no_secret(desk: Desk) -> None:
    desk.aws.lost_requests = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    intent = desk.events(Intent)[0]
    first = outcome_of(desk.app, intent, "done")
    desk.app.ledger.append([first._replace(intent="another")])
    with pytest.raises(LedgerError):
        note_outcome(desk.app, outcome_of(desk.app, intent, "done"))


def test_up_again_after_a_lost_request_waits_a_minute_and_starts_one(desk: Desk) -> None:
    desk.aws.lost_requests = 3
    with pytest.raises(UnknownOutcome):
        desk.up(name="box")
    sent = desk.clock()
    desk.machine(name="box")
    assert len(desk.aws.vms) == 1
    assert desk.aws.vms[0].created - sent >= timedelta(seconds=60)


def test_somebody_elses_open_order_holds_nobody_up(desk: Desk) -> None:
    desk.aws.lost_requests = 3
    with pytest.raises(UnknownOutcome):
        desk.up()
    sent = desk.clock()
    desk.machine(BOREALIS, detach=True)
    assert desk.aws.vms[0].created == sent


@pytest.mark.parametrize("point", ["launch_error", "crash_after_launch"])
def test_a_crash_around_the_launch_is_settled_by_the_next_command(desk: Desk, point: str) -> None:
    setattr(desk.aws, point, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        desk.up()
    setattr(desk.aws, point, None)
    desk.clock.tick(minutes=15)
    desk.sync()
    born = point == "crash_after_launch"
    assert desk.outcomes == ([("done", None)] if born else [("failed", "never-launched")])
    assert len([u for u in desk.events(Usage) if u.kind is Kind.COMPUTE]) == born


def test_a_machine_that_is_not_shown_at_once_is_still_waited_for(desk: Desk) -> None:
    desk.aws.hidden = timedelta(seconds=30)
    assert desk.machine().state is State.RUNNING
    assert len(desk.aws.vms) == 1


def test_a_cloud_that_cannot_settle_now_is_asked_again(desk: Desk) -> None:
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    desk.aws.broken_region = "us-east-1"
    desk.sync()
    assert len(desk.books.unsettled) == 1
    desk.aws.broken_region = None
    desk.sync()
    assert desk.books.unsettled == ()


def interrupted_down(desk: Desk, how: Down = Down.END) -> None:
    """`down` whose computer was closed before the cloud was told."""
    machine = desk.sync().machines[0]
    verb = "stop" if how is Down.END else "delete"
    intent = Intent(
        id="0" * 32,
        lease=machine.lease or "",
        verb=verb,
        at=desk.clock(),
        machine=str(machine.id),
    )
    desk.app.ledger.append([intent])


@pytest.mark.parametrize("how", list(Down))
def test_a_down_that_was_cut_off_is_finished(desk: Desk, how: Down) -> None:
    desk.up(template="t4")
    interrupted_down(desk, how)
    desk.sync()
    vm = desk.gcp.vms[0]
    assert not vm.alive
    assert (vm.deleted is not None) == (how is Down.DELETE)
    assert desk.books.unsettled == ()


def test_a_down_that_was_cut_off_never_ends_a_later_run_of_the_same_name(desk: Desk) -> None:
    desk.up(template="t4")
    interrupted_down(desk, Down.DELETE)
    open_one = desk.books.unsettled[0]
    desk.gcp.terminate("vision-1")
    desk.clock.tick(minutes=5)
    order = desk.gcp.vms[0].order
    desk.gcp.begin(changed(order, lease="9f" * 16, token="8e" * 16), "vision-1")
    desk.clock.tick(minutes=5)
    desk.sync()
    assert desk.gcp.vms[0].alive
    assert open_one not in desk.books.unsettled


def test_a_down_of_what_was_never_seen_is_no_business_of_ours(desk: Desk) -> None:
    machine = desk.machine()
    desk.app.ledger.append(
        [
            Intent(
                id="1" * 32,
                lease=machine.lease or "",
                verb="stop",
                at=desk.clock(),
                machine="aws:us-east-1a:i-ffffff",
            )
        ]
    )
    desk.sync()
    assert desk.outcomes[-1] == ("failed", "unknown-machine")


def test_an_intent_of_an_account_that_is_not_asked_stays(desk: Desk) -> None:
    desk.app.ledger.append([Intent(id="2" * 32, lease="?", verb="stop", at=desk.clock())])
    desk.sync()
    assert len(desk.books.unsettled) == 1


def test_a_stop_that_is_refused_is_said_and_tried_again(desk: Desk) -> None:
    desk.up()
    interrupted_down(desk)
    desk.aws.stop_error = UnknownOutcome("no answer")
    desk.sync()
    assert any("could not be settled" in note for note in desk.said.notes)
    desk.aws.stop_error = None
    desk.sync()
    assert (desk.aws.running(), desk.books.unsettled) == ([], ())


def test_a_restart_that_was_cut_off_still_hands_the_disk_over(desk: Desk) -> None:
    desk.up(template="t4")
    desk.clock.tick(hours=1)
    desk.down()
    desk.clock.tick(hours=1)
    desk.gcp.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up(BOREALIS, template="t4", name="vision-1")
    asked = desk.clock()
    desk.clock.tick(hours=1)
    desk.sync()
    (switch,) = desk.events(Switch)
    assert (switch.resource, switch.project, switch.at) == ("disk-1", BOREALIS, asked)


def test_a_stop_that_is_still_open_holds_no_up_back(desk: Desk) -> None:
    desk.up()
    interrupted_down(desk)
    desk.aws.stop_error = UnknownOutcome("no answer")
    sent = desk.clock()
    desk.machine(BOREALIS, detach=True)
    assert desk.aws.vms[1].created == sent


def test_a_machine_that_ended_before_anybody_looked_is_accounted_for_whole(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    provider = desk.app.clouds.connect(CloudRef("aws"))
    alive = provider.get(provider.machines()[0].id)
    began, ended = desk.clock(), desk.clock.tick(hours=2)
    run = next(part for part in alive.billed if part.kind is Kind.COMPUTE)
    gone = replace(
        alive,
        state=State.GONE,
        billed=(),
        ran=(replace(run, until=ended),),
        ending=Ending(at=ended, by=EndedBy.USER, evidence=Evidence.AUDIT_LOG, reason="x"),
    )
    monkeypatch.setattr(provider, "machines", lambda: ())
    monkeypatch.setattr(provider, "find", lambda order: gone)
    desk.clock.tick(hours=9)
    desk.sync()
    desk.sync()
    runs = [(run.kind, run.sku, run.quantity, run.start, run.end) for run in desk.books.usages]
    assert sorted(runs) == [
        (Kind.COMPUTE, "p3.2xlarge", 1, began, ended),
        (Kind.DISK, "gp3", 100, began, ended),
        (Kind.IPV4, "in-use", 1, began, ended),
    ]


def test_killed_between_the_outcome_and_the_machine_its_disk_is_accounted_for_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuctl.app.launch.note_machine", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        desk.up()
    assert (desk.outcomes, desk.books.usages) == ([("done", None)], ())
    (machine,) = desk.aws.vms
    ended = desk.clock.tick(minutes=9)
    desk.aws.terminate(machine.native)
    desk.clock.tick(minutes=50)
    desk.sync()
    desk.sync()
    runs = sorted((run.kind, run.sku, run.start, run.end) for run in desk.books.usages)
    assert runs == [
        (Kind.COMPUTE, "p3.2xlarge", machine.created, ended),
        (Kind.DISK, "gp3", machine.created, ended),
        (Kind.IPV4, "in-use", machine.created, ended),
    ]


def test_a_machine_first_seen_while_it_shuts_down_has_its_disk(desk: Desk) -> None:
    desk.aws.lost_answers = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    (machine,) = desk.aws.vms
    ended = desk.clock.tick(minutes=9)
    desk.aws.terminate(machine.native)
    desk.sync()
    desk.clock.tick(minutes=9)
    desk.sync()
    runs = sorted((run.kind, run.sku, run.start, run.end) for run in desk.books.usages)
    assert (Kind.DISK, "gp3", machine.created, ended) in runs
    assert len(runs) == 3


def test_an_order_that_was_heard_is_waited_for_though_nobody_has_seen_its_machine(
    desk: Desk,
) -> None:
    """Another command has just noted its outcome, and not yet what it made."""
    desk.aws.lost_requests = 50
    with pytest.raises(UnknownOutcome):
        desk.up()
    desk.aws.lost_requests = 0
    intent = desk.events(Intent)[0]
    note_outcome(desk.app, outcome_of(desk.app, intent, "done", machine="aws:us-east-1a:i-0"))
    desk.machine(detach=True)
    assert desk.aws.vms[0].created - intent.at >= timedelta(minutes=5)


def test_without_a_name_the_projects_machine_of_another_name_is_found(desk: Desk) -> None:
    def thinking(plan: Plan) -> bool:
        desk.machine(name="box", detach=True)
        return True

    found = desk.up(detach=True, confirm=thinking)
    assert found.existed
    assert found.machine is not None
    assert found.machine.machine.name == "box"
    assert len(desk.aws.vms) == 1
