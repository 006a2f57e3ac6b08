"""EC2's dictionaries become our values; recorded answers where there are any."""

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.providers.aws import ending, spot, translate

RECORDED = Path(__file__).parents[4] / "shared/data/recorded/aws"
recorded = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not here")

LAUNCHED = datetime(2025, 3, 10, 14, 5, 30, tzinfo=UTC)


def instance(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "InstanceId": "i-0abc",
        "InstanceType": "p3.2xlarge",
        "ImageId": "ami-1",
        "InstanceLifecycle": "spot",
        "LaunchTime": LAUNCHED,
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "State": {"Name": "running"},
        "PublicIpAddress": "203.0.113.50",
        "NetworkInterfaces": [
            {
                "NetworkInterfaceId": "eni-1",
                "Association": {"PublicIp": "203.0.113.50"},
                "Attachment": {"AttachTime": LAUNCHED + timedelta(seconds=3)},
            }
        ],
        "Tags": [
            {"Key": "Name", "Value": "vision-1"},
            {"Key": "gpuctl:managed", "Value": "true"},
            {"Key": "gpuctl:project", "Value": "acme/vision"},
            {"Key": "gpuctl:lease", "Value": "lease1"},
            {"Key": "gpuctl:install", "Value": "install1"},
            {"Key": "gpuctl:deadline", "Value": "2025-03-10T22:00:00Z"},
            {"Key": "gpuctl:user", "Value": "ubuntu"},
        ],
    }
    return {**given, **changes}


def volume(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "VolumeId": "vol-1",
        "VolumeType": "gp3",
        "Size": 100,
        "Iops": 3000,
        "Throughput": 125,
        "CreateTime": LAUNCHED,
        "AvailabilityZone": "us-east-1a",
        "Attachments": [{"InstanceId": "i-0abc"}],
    }
    return {**given, **changes}


def machine(described: dict[str, Any], *volumes: dict[str, Any]) -> Any:
    return translate.machine(described, account="111122223333", region="us-east-1", volumes=volumes)


def test_a_running_machine() -> None:
    got = machine(instance(), volume())
    assert str(got.id) == "aws:us-east-1a:i-0abc"
    assert (got.name, got.gpu, got.gpus) == ("vision-1", "V100", 1)
    assert (got.market, got.state) == (Market.SPOT, State.RUNNING)
    assert (got.project, got.lease, got.install) == ("acme/vision", "lease1", "install1")
    assert got.deadline == datetime(2025, 3, 10, 22, tzinfo=UTC)
    assert (got.user, got.address) == ("ubuntu", "203.0.113.50")
    assert [(one.resource, one.kind, one.sku) for one in got.billed] == [
        ("i-0abc", Kind.COMPUTE, "p3.2xlarge"),
        ("vol-1", Kind.DISK, "gp3"),
        ("eni-1", Kind.IPV4, "in-use"),
    ]
    assert got.billed[0].since == LAUNCHED
    assert got.billed[2].since == LAUNCHED + timedelta(seconds=3)


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("pending", {Kind.COMPUTE, Kind.DISK, Kind.IPV4}),
        ("running", {Kind.COMPUTE, Kind.DISK, Kind.IPV4}),
        ("stopping", {Kind.DISK}),
        ("stopped", {Kind.DISK}),
        ("shutting-down", set()),
        ("terminated", set()),
    ],
)
def test_what_is_on_the_clock_in_each_state(state: str, kinds: set[Kind]) -> None:
    got = machine(instance(State={"Name": state}), volume())
    assert {one.kind for one in got.billed} == kinds


def test_a_state_that_ec2_grows_later_costs_like_running_and_is_told() -> None:
    got = machine(instance(State={"Name": "hovering"}), volume())
    assert (got.state, got.strange) == (State.RUNNING, "hovering")
    assert {one.kind for one in got.billed} == {Kind.COMPUTE, Kind.DISK, Kind.IPV4}
    assert machine(instance()).strange is None


def test_a_request_in_a_state_that_ec2_grows_later_may_still_launch() -> None:
    assert [state for state in ("open", "active", "closed", "failed", "hovering", None)
            if spot.is_open({"State": state})] == ["open", "hovering", None]  # fmt: skip


def test_an_address_is_billed_per_run_even_when_its_interface_is_older() -> None:
    restarted = instance(LaunchTime=LAUNCHED + timedelta(days=1))
    assert {one.since for one in machine(restarted).billed} == {LAUNCHED + timedelta(days=1)}


def test_a_data_volume_outlives_its_machine() -> None:
    data = volume(VolumeId="vol-data", Tags=[{"Key": "gpuctl:data", "Value": "sets"}])
    billed = machine(instance(), data).billed
    assert [one.resource for one in billed] == ["i-0abc", "vol-data", "eni-1"]
    assert [one.resource for one in billed if one.keeps] == ["vol-data"]


def test_another_machines_disk_is_not_ours() -> None:
    other = volume(Attachments=[{"InstanceId": "i-other"}])
    assert Kind.DISK not in {one.kind for one in machine(instance(), other).billed}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {Kind.DISK: 100}),
        ({"Iops": 4000, "Throughput": 300}, {Kind.DISK: 100, Kind.DISK_IOPS: 1000,
                                             Kind.DISK_THROUGHPUT: 175}),
        ({"VolumeType": "gp2", "Iops": 300, "Throughput": None}, {Kind.DISK: 100}),
        ({"VolumeType": "io2", "Iops": 5000, "Throughput": None}, {Kind.DISK: 100,
                                                                   Kind.DISK_IOPS: 5000}),
    ],
)  # fmt: skip
def test_what_is_bought_apart_from_a_disk(
    changes: dict[str, Any], expected: dict[Kind, int]
) -> None:
    got = translate.disk_billables(volume(**changes))
    assert {one.kind: one.quantity for one in got} == {k: Decimal(v) for k, v in expected.items()}


@pytest.mark.parametrize(
    ("iops", "tiers"),
    [
        (32_000, {"io2": 32_000}),
        (40_000, {"io2": 32_000, "io2.tier2": 8_000}),
        (64_000, {"io2": 32_000, "io2.tier2": 32_000}),
        (100_000, {"io2": 32_000, "io2.tier2": 32_000, "io2.tier3": 36_000}),
    ],
)
def test_io2_has_three_prices_for_its_iops(iops: int, tiers: dict[str, int]) -> None:
    got = translate.disk_billables(volume(VolumeType="io2", Iops=iops, Throughput=None))
    assert {one.sku: one.quantity for one in got if one.kind is Kind.DISK_IOPS} == tiers


@pytest.mark.parametrize(
    ("changes", "sku"),
    [
        ({}, "p3.2xlarge"),
        ({"PlatformDetails": "Linux/UNIX"}, "p3.2xlarge"),
        ({"PlatformDetails": "SUSE Linux"}, "p3.2xlarge SUSE Linux"),
        ({"PlatformDetails": "Red Hat Enterprise Linux"}, "p3.2xlarge Red Hat Enterprise Linux"),
        ({"InstanceLifecycle": "capacity-block"}, "p3.2xlarge capacity-block"),
        ({"Placement": {"Tenancy": "default", "AvailabilityZone": "us-east-1a"}}, "p3.2xlarge"),
        (
            {"Placement": {"Tenancy": "dedicated", "AvailabilityZone": "us-east-1a"}},
            "p3.2xlarge dedicated",
        ),
    ],
)
def test_what_is_not_priced_as_plain_linux_is_not_taken_for_it(
    changes: dict[str, Any], sku: str
) -> None:
    (compute,) = [b for b in machine(instance(**changes)).billed if b.kind is Kind.COMPUTE]
    assert compute.sku == sku


def test_tags_that_cannot_be_read_are_nobodys() -> None:
    tags = [
        {"Key": "gpuctl:project", "Value": "Not A Project"},
        {"Key": "gpuctl:deadline", "Value": "soon"},
        {"Key": "gpuctl:user", "Value": "-oProxyCommand=x"},
        {"Key": "Name", "Value": "x\n    ProxyCommand x"},
    ]
    got = machine(instance(Tags=tags))
    assert (got.project, got.deadline, got.lease, got.user) == (None, None, None, None)
    assert got.name == "i-0abc"


@pytest.mark.parametrize(
    ("said", "code", "by"),
    [
        ("User initiated (2025-03-10 16:18:50 GMT)", "Client.UserInitiatedShutdown", EndedBy.USER),
        (
            "User initiated (2025-03-10 16:18:50 GMT)",
            "Client.InstanceInitiatedShutdown",
            EndedBy.USER,
        ),
        (
            "Service initiated (2025-03-10 16:18:50 GMT)",
            "Server.SpotInstanceTermination",
            EndedBy.PROVIDER,
        ),
        (
            "Server.SpotInstanceShutdown: reclaimed (2025-03-10 16:18:50 UTC)",
            None,
            EndedBy.PROVIDER,
        ),
        (
            "Server.ScheduledStop: Stopped due to scheduled retirement (2025-03-10 16:18:50 GMT)",
            "Server.ScheduledStop",
            EndedBy.USER,
        ),
    ],
)
def test_who_ended_it_and_when(said: str, code: str | None, by: EndedBy) -> None:
    over = instance(
        State={"Name": "terminated"},
        StateTransitionReason=said,
        StateReason={"Code": code} if code else None,
    )
    got = translate.ending_of(over)
    assert got is not None
    assert (got.at, got.by) == (datetime(2025, 3, 10, 16, 18, 50, tzinfo=UTC), by)
    assert got.evidence is Evidence.STATE_REASON
    assert machine(over).ending == got


def test_without_a_time_the_instance_proves_nothing() -> None:
    over = instance(State={"Name": "terminated"}, StateTransitionReason="User initiated")
    assert translate.ending_of(over) is None


def test_a_running_machine_has_no_ending_whatever_it_says() -> None:
    said = "User initiated (2025-03-10 13:18:50 GMT)"  # of the run before
    assert machine(instance(StateTransitionReason=said)).ending is None


@given(st.text())
def test_no_reason_that_aws_may_invent_breaks_the_listing(text: str) -> None:
    over = instance(State={"Name": "stopped"}, StateTransitionReason=text)
    assert machine(over).state is State.STOPPED


@recorded
def test_recorded_spot_requests_tell_how_they_ended() -> None:
    requests = json.loads((RECORDED / "softspot_active_closed_cancelled_2019-11.json").read_text())
    endings = {}
    for request in requests["SpotInstanceRequests"]:
        status = request["Status"]
        status["UpdateTime"] = datetime.fromisoformat(status["UpdateTime"])
        endings[request["State"]] = translate.ending_of_request(request)
    assert endings["active"] is None
    for state, at in {
        "closed": datetime(2019, 11, 9, 10, 9, 29, tzinfo=UTC),
        "cancelled": datetime(2019, 11, 9, 9, 59, 57, tzinfo=UTC),
    }.items():
        got = endings[state]
        assert got is not None
        assert (got.at, got.by, got.evidence) == (at, EndedBy.USER, Evidence.SPOT_REQUEST)


@recorded
def test_every_documented_status_code_is_judged() -> None:
    with (RECORDED / "awsdocs_status_codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    blamed = {row["status_code"] for row in rows if _ended_by(row["status_code"]) is not None}
    provider = {code for code in blamed if _ended_by(code) is EndedBy.PROVIDER}
    assert provider == {
        "instance-stopped-by-price",
        "instance-stopped-no-capacity",
        "instance-terminated-by-price",
        "instance-terminated-no-capacity",
        "instance-terminated-launch-group-constraint",
    }
    assert blamed - provider == {
        "instance-stopped-by-user",
        "instance-terminated-by-schedule",
        "instance-terminated-by-service",
        "instance-terminated-by-user",
    }


@recorded
def test_a_recorded_eviction_is_the_providers_doing() -> None:
    detail = json.loads((RECORDED / "runner_bid_evicted_event_2024-10.json").read_text())["detail"]
    event = {
        "EventName": detail["eventName"],
        "EventTime": datetime.fromisoformat(detail["eventTime"]),
        "CloudTrailEvent": json.dumps(detail),
    }
    got = ending.last_end([event], "i-12345678901234567")
    assert got is not None
    assert (got.by, got.evidence) == (EndedBy.PROVIDER, Evidence.AUDIT_LOG)
    assert ending.last_end([event], "i-another") is None


@recorded
def test_recorded_terminations_are_the_users_and_refused_ones_are_none() -> None:
    records = json.loads((RECORDED / "invictus_ec2_lifecycle_2023-07.json").read_text())["Records"]
    events = [
        {
            "EventName": record["eventName"],
            "EventTime": datetime.fromisoformat(record["eventTime"]),
            "CloudTrailEvent": json.dumps(record),
        }
        for record in records
    ]
    ends = [event for event in events if event["EventName"] == "TerminateInstances"]
    got = ending.last_end(events, "i-any")
    assert got is not None
    assert got.at == max(event["EventTime"] for event in ends)
    assert got.by is EndedBy.USER
    refused = [{**event, "CloudTrailEvent": '{"errorCode": "Client.X"}'} for event in ends]
    assert ending.last_end(refused, "i-any") is None


def test_an_unreadable_event_ended_nothing_we_know_of() -> None:
    event = {"EventName": "BidEvictedEvent", "EventTime": LAUNCHED, "CloudTrailEvent": "{not json"}
    assert ending.last_end([event], "i-0abc") is None


def _ended_by(code: str) -> EndedBy | None:
    got = translate.ending_of_request({"Status": {"Code": code, "UpdateTime": LAUNCHED}})
    return got.by if got else None
