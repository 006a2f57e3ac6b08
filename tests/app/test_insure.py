"""The end that a cloud arranges: beside the waiting, said where it is missing, never in the way."""

from datetime import timedelta
from typing import Any

import pytest

from gpuctl.core.errors import Busy, LedgerError
from gpuctl.core.events import Insured
from gpuctl.core.ports import CloudRef
from tests.app.conftest import Desk


def asked(desk: Desk) -> list[str]:
    return [call for call in desk.aws.calls if call.startswith("insure")]


def test_a_new_machine_is_insured_after_it_was_accepted(desk: Desk) -> None:
    machine = desk.machine()
    assert machine.deadline is not None
    assert asked(desk) == [f"insure i-000001 {machine.deadline:%dT%H:%M}"]
    calls = list(desk.aws.calls)
    started = next(i for i, call in enumerate(calls) if call.startswith("start"))
    assert calls.index(asked(desk)[0]) > started
    assert not any("hangs" in note for note in desk.said.notes)


def test_detached_too(desk: Desk) -> None:
    desk.up(detach=True)
    assert len(asked(desk)) == 1


def test_one_that_runs_already_is_insured_again(desk: Desk) -> None:
    desk.up()
    desk.up()
    assert len(asked(desk)) == 2
    assert len(set(asked(desk))) == 1


def test_where_it_is_missing_one_line_says_so(desk: Desk) -> None:
    desk.aws.uninsured = "if its guest hangs, nothing ends it: gpuctl init --reaper"
    done = desk.up()
    assert done.machine is not None
    assert [note for note in desk.said.notes if "hangs" in note] == [
        "vision-1: if its guest hangs, nothing ends it: gpuctl init --reaper"
    ]


def test_a_failure_fails_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(machine: object, deadline: object) -> str | None:
        raise Busy("AWS does not answer")

    provider = desk.app.clouds.connect(CloudRef("aws"))
    monkeypatch.setattr(provider, "insure", busy)
    assert desk.up().machine is not None
    assert any("AWS does not answer" in note for note in desk.said.notes)


def test_one_without_a_deadline_in_its_tags_is_left_alone(desk: Desk) -> None:
    desk.up()
    for vm in desk.aws.vms:
        vm.deadline = None  # type: ignore[assignment]
    desk.clock.tick(minutes=1)
    desk.reach.deadlines["vision-1"] = desk.clock() + timedelta(hours=1)
    desk.up()
    assert len(asked(desk)) == 1


def test_one_whose_up_was_killed_before_it_is_insured_by_the_next_sync(desk: Desk) -> None:
    desk.aws.crash_after_launch = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        desk.up()
    assert asked(desk) == []
    desk.sync()
    assert len(asked(desk)) == 1
    desk.sync()
    assert len(asked(desk)) == 1


def test_a_cloud_that_could_not_be_asked_is_asked_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(machine: object, deadline: object) -> str | None:
        raise Busy("AWS does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(desk.app.clouds.connect(CloudRef("aws")), "insure", busy)
        desk.up()
    desk.sync()
    desk.sync()
    assert len(asked(desk)) == 1


def test_one_that_would_not_be_is_told_of_once(desk: Desk) -> None:
    desk.aws.uninsured = "nothing ends it: gpuctl init --reaper"
    desk.up()
    desk.sync()
    assert sum("nothing ends it" in note for note in desk.said.notes) == 1


def test_a_ledger_that_cannot_be_written_ends_nothing_here(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = desk.app.ledger.append

    def full(events: Any) -> int:
        if any(isinstance(event, Insured) for event in events):
            raise LedgerError("the disk is full")
        return append(events)

    monkeypatch.setattr(desk.app.ledger, "append", full)
    assert desk.up().machine is not None
    assert any("is not noted" in note for note in desk.said.notes)
