"""AWS's own timer: scheduled beside the launch, moved, deleted, and really ending what hangs."""

import json
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from gpuctl.core.errors import Denied, UnknownOutcome
from gpuctl.core.kinds import State
from gpuctl.core.model import Down, Machine
from gpuctl.providers.aws import AwsProvider, policy, reaper
from tests.providers.aws.rig import INSTALL, Rig

HOURS = timedelta(hours=1)


@pytest.fixture
def provider(rig: Rig) -> AwsProvider:
    made = rig.provider()
    assert made.prepare() == (
        "role gpuctl-reaper: AWS ends a machine that hangs, after its deadline",
    )
    return made


def launched(rig: Rig, provider: AwsProvider) -> Machine:
    machine = provider.start(rig.order())
    rig.settle()
    return machine


def armed(rig: Rig, provider: AwsProvider) -> Machine:
    machine = launched(rig, provider)
    assert machine.deadline is not None
    assert provider.insure(machine.id, machine.deadline) is None
    return machine


def schedules(rig: Rig) -> list[Any]:
    scheduler: Any = rig.clients().scheduler("us-east-1")
    names = [one["Name"] for one in scheduler.list_schedules()["Schedules"]]
    return [scheduler.get_schedule(Name=name) for name in names]


def test_a_machine_that_hangs_is_ended_after_its_deadline(rig: Rig, provider: AwsProvider) -> None:
    machine = armed(rig, provider)  # its guest does nothing at all: there is none
    deadline = machine.deadline
    assert deadline is not None

    rig.clock.advance(deadline - rig.now() + reaper.MARGIN - timedelta(seconds=5))
    assert provider.get(machine.id).state is State.RUNNING
    rig.clock.advance(timedelta(minutes=1))

    ended = provider.get(machine.id)
    assert ended.state is State.GONE
    assert ended.ending is not None
    assert abs(ended.ending.at - deadline - reaper.MARGIN) <= timedelta(seconds=1)
    assert rig.running() == 0


def test_the_schedule_is_the_one_that_was_meant(rig: Rig, provider: AwsProvider) -> None:
    machine = armed(rig, provider)
    deadline = machine.deadline
    assert deadline is not None
    (one,) = schedules(rig)
    assert one["Name"] == f"gpuctl-{INSTALL[:8]}-{machine.id.native}"
    assert len(one["Name"]) <= 64
    assert one["StartDate"] == deadline + reaper.MARGIN
    assert one["EndDate"] == deadline + reaper.MARGIN + reaper.SECOND
    assert one["ActionAfterCompletion"] == "DELETE"
    assert one["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
    assert json.loads(one["Target"]["Input"]) == {"InstanceIds": [machine.id.native]}


def test_done_again_it_holds_once_and_for_the_latest(rig: Rig, provider: AwsProvider) -> None:
    machine = armed(rig, provider)
    later = rig.now() + 10 * HOURS
    assert provider.insure(machine.id, later) is None
    (one,) = schedules(rig)
    assert one["StartDate"] == later + reaper.MARGIN


def test_more_time_moves_it_before_the_machine_is_told(rig: Rig, provider: AwsProvider) -> None:
    machine = armed(rig, provider)
    later = rig.now() + 12 * HOURS

    provider.move_deadline(machine.id, later)

    sent = [name for name, _ in rig.requests]
    assert sent.index("UpdateSchedule") < len(sent) - 1 - sent[::-1].index("CreateTags")
    rig.clock.advance(9 * HOURS)
    assert provider.get(machine.id).state is State.RUNNING
    rig.clock.advance(4 * HOURS)
    assert provider.get(machine.id).state is State.GONE


def test_one_that_cannot_be_moved_leaves_the_deadline_as_it_was(
    rig: Rig, provider: AwsProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = armed(rig, provider)
    rig.cloud.market.deny("CreateTags")
    with pytest.raises(Denied):
        provider.move_deadline(machine.id, rig.now() + 12 * HOURS)
    rig.cloud.market.allow("CreateTags")

    class Slow:
        def update_schedule(self, **request: Any) -> None:
            raise ReadTimeoutError(endpoint_url="x")

    clients = provider._clients
    monkeypatch.setattr(clients, "scheduler", lambda region: Slow())
    before = provider.get(machine.id).deadline
    with pytest.raises(UnknownOutcome):
        provider.move_deadline(machine.id, rig.now() + 20 * HOURS)
    assert provider.get(machine.id).deadline == before


def test_where_none_was_scheduled_nothing_is_moved(rig: Rig) -> None:
    provider = rig.provider()
    machine = launched(rig, provider)
    later = rig.now() + 12 * HOURS
    provider.move_deadline(machine.id, later)
    assert provider.get(machine.id).deadline == later


def test_ending_it_takes_the_schedule_back(rig: Rig, provider: AwsProvider) -> None:
    machine = armed(rig, provider)
    provider.stop(machine.id, Down.END)
    assert schedules(rig) == []


def test_without_the_role_it_is_said_and_nothing_fails(rig: Rig) -> None:
    provider = rig.provider()
    machine = launched(rig, provider)
    assert machine.deadline is not None
    said = provider.insure(machine.id, machine.deadline)
    assert said is not None
    assert "gpuctl init --reaper" in said
    rig.cloud.market.deny("CreateSchedule")
    provider.prepare()
    assert provider.insure(machine.id, machine.deadline) == said


def test_the_role_ends_nothing_that_is_not_ours(rig: Rig, provider: AwsProvider) -> None:
    machine = armed(rig, provider)
    rig.raw().delete_tags(Resources=[machine.id.native], Tags=[{"Key": "gpuctl:managed"}])
    rig.clock.advance(10 * HOURS)
    assert rig.running() == 1
    # Given back within two days, it is ended at the next quarter of an hour.
    rig.raw().create_tags(
        Resources=[machine.id.native], Tags=[{"Key": "gpuctl:managed", "Value": "true"}]
    )
    rig.clock.advance(timedelta(minutes=16))
    assert rig.running() == 0


def test_schedules_end_by_themselves(rig: Rig, provider: AwsProvider) -> None:
    armed(rig, provider)
    rig.clock.advance(timedelta(days=3))
    assert schedules(rig) == []


def test_a_schedule_of_a_machine_that_is_gone_is_a_leftover(
    rig: Rig, provider: AwsProvider
) -> None:
    machine = armed(rig, provider)
    assert not [one for one in provider.leftovers() if one.what == reaper.SCHEDULE]
    rig.raw().terminate_instances(InstanceIds=[machine.id.native])
    rig.settle()

    (orphan,) = [one for one in provider.leftovers() if one.what == reaper.SCHEDULE]
    assert (orphan.ours, orphan.billed, orphan.machine) == (True, (), machine.id.native)
    assert orphan.fix.startswith("aws scheduler delete-schedule --name gpuctl-")
    other = rig.provider(install="f" * 32)
    assert [one.ours for one in other.leftovers() if one.what == reaper.SCHEDULE] == [False]

    provider.remove(orphan)
    provider.remove(orphan)
    assert schedules(rig) == []


def test_who_may_not_list_schedules_sees_the_rest(rig: Rig, provider: AwsProvider) -> None:
    volume = rig.raw().create_volume(AvailabilityZone="us-east-1b", Size=100)["VolumeId"]
    rig.cloud.market.deny("ListSchedules")
    assert [one.resource for one in provider.leftovers()] == [volume]


def test_doctor_says_whether_the_role_is_there(rig: Rig) -> None:
    provider = rig.provider()

    def line() -> Any:
        return next(one for one in provider.checks(None) if one.name == "aws reaper")

    assert (line().ok, line().fix) == (None, "gpuctl init --reaper")
    provider.prepare()
    assert line().ok is True


def test_the_role_is_made_once_and_removed_by_whoever_made_it(
    rig: Rig, provider: AwsProvider
) -> None:
    assert provider.prepare() == ()
    (made,) = [one for one in provider.footprint() if one.what == reaper.REAPER]
    assert (made.resource, made.region) == ("gpuctl-reaper", "global")
    other = rig.provider(install="f" * 32)
    assert not [one for one in other.footprint() if one.what == reaper.REAPER]

    provider.erase(made)
    provider.erase(made)
    assert not [one for one in provider.footprint() if one.what == reaper.REAPER]


def test_where_iam_cannot_be_asked_nothing_else_fails(
    rig: Rig, provider: AwsProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away:
        def get_role(self, **request: Any) -> None:
            raise EndpointConnectionError(endpoint_url="x")

    monkeypatch.setattr(provider._clients, "roles", Away)
    assert not [one for one in provider.footprint() if one.what == reaper.REAPER]
    line = next(one for one in provider.checks(None) if one.name == "aws reaper")
    assert line.ok is None
    assert "could not be read" in line.says


def test_its_one_right_is_to_end_what_carries_our_tag() -> None:
    (right,) = reaper.rights("123456789012")["Statement"]
    assert right["Action"] == "ec2:TerminateInstances"
    assert right["Resource"] == "arn:aws:ec2:*:123456789012:instance/*"
    assert right["Condition"] == {"StringEquals": {"aws:ResourceTag/gpuctl:managed": "true"}}
    (who,) = reaper.trust("123456789012")["Statement"]
    assert who["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert who["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    document = json.dumps(policy.policy())
    assert "iam:PutRolePolicy" not in document
    assert "iam:CreateRole" not in document
