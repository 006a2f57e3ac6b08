"""The sandbox's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.sandbox.world import SandboxClock


def test_what_falls_due_during_an_advance_happens_at_its_own_time():
    told: list[timedelta] = []
    clock = SandboxClock(on_change=told.append)
    seen: list[tuple[datetime, timedelta]] = []
    due = clock.now() + timedelta(hours=8)
    clock.call_at(due, lambda: seen.append((clock.now(), clock.offset)))
    clock.advance(timedelta(days=20))
    ((now, offset),) = seen
    assert now == due
    assert abs(datetime.now(UTC) + offset - due - timedelta()) < timedelta(seconds=1)
    assert told == sorted(told)
    assert abs(clock.offset - timedelta(days=20)) < timedelta(seconds=1)


def test_actions_that_are_planned_on_the_way_happen_on_the_way():
    clock = SandboxClock()
    seen: list[int] = []
    clock.call_in(60, lambda: clock.call_in(60, lambda: seen.append(2)))
    clock.advance(timedelta(seconds=119))
    assert seen == []
    clock.advance(timedelta(seconds=2))
    assert seen == [2]


def test_a_cancelled_action_does_not_happen():
    clock = SandboxClock()
    clock.call_in(1, pytest.fail).cancel()
    clock.advance(timedelta(hours=1))


def test_the_clock_goes_forward_only_and_one_advance_at_a_time():
    clock = SandboxClock()
    with pytest.raises(ValueError, match="forward"):
        clock.advance(timedelta(seconds=-1))
    clock.call_in(1, lambda: clock.advance(timedelta(seconds=1)))
    before = clock.now()
    with pytest.raises(ValueError, match="already"):
        clock.advance(timedelta(minutes=1))
    assert clock.horizon is None
    assert clock.now() - before >= timedelta(minutes=1)
    clock.advance(timedelta(minutes=1))
