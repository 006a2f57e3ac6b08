"""`jobs`: what became of jobs that nobody follows."""

from datetime import timedelta

import pytest

from gpuctl.core.events import Ended
from gpuctl.core.jobs import Begun, Claim, note
from gpuctl.core.kinds import EndedBy
from gpuctl.core.model import MachineId
from tests.cli.desk import NOW, WANTED, Desk

SINCE = NOW - timedelta(hours=3)
JOB = "01JOB"


@pytest.fixture
def detached(desk: Desk) -> Desk:
    """`run` on a machine that was up, left with Ctrl-C."""
    desk.machine("vision-1", "acme/vision", SINCE)
    claim = Claim(1, 1, "anna", NOW, NOW, "vision-1", existing=True)
    begun = Begun(
        leg=1,
        at=NOW,
        machine=str(MachineId("aws", "111122223333", "us-east-2", "us-east-2a", "i-0abc")),
        name="vision-1",
        lease="lease-i-0abc",
        zone="us-east-2a",
        region="us-east-2",
        type="g6.xlarge",
        market="spot",
        remote="train",
    )
    desk.ledger.append([note(JOB, fact, NOW) for fact in (WANTED, claim, begun)])
    return desk


def states(desk: Desk, *flags: str) -> list[str]:
    return [job["state"] for job in desk.json("jobs", *flags)["jobs"]]


def test_one_that_nobody_follows_is_listed_while_its_machine_runs(detached: Desk) -> None:
    assert states(detached) == states(detached, "-a") == ["not followed"]


def test_it_is_over_with_its_machine(detached: Desk) -> None:
    end = Ended(id="end", usage="run-i-0abc", end=NOW, ended_by=EndedBy.USER)
    detached.ledger.append([end])
    assert states(detached) == []
    assert "no job is open" in detached("jobs", terminal=True).output
    assert states(detached, "-a") == states(detached, JOB) == ["ended unseen"]


def test_one_whose_command_never_began_is_not_taken_for_ended(desk: Desk) -> None:
    desk.ledger.append([note(JOB, WANTED, NOW)])
    assert states(desk) == ["not followed"]
