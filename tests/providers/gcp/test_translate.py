"""Recorded answers and made-up ones become machines: times, quantities, whose end it was."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.providers.gcp.shapes import Shape, known_shape, short_gpu
from gpuctl.providers.gcp.translate import (
    PREEMPTED,
    STATES,
    Around,
    billed,
    by_key,
    ending_from,
    labels_of,
    machine,
    moment,
    preempted,
)

RECORDED = Path(__file__).parents[4] / "shared/data/recorded/gcp"
N1 = Shape("n1", Decimal(4), Decimal(15))
LINK = "https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a"
DISK = {
    "name": "vision-1",
    "id": "77",
    "zone": LINK,
    "sizeGb": "100",
    "type": f"{LINK}/diskTypes/pd-ssd",
    "creationTimestamp": "2026-03-01T00:00:00.123-08:00",
}


def recorded(name: str) -> dict:
    path = RECORDED / f"gcpdiag_gke1__{name}.json"
    if not path.exists():
        pytest.skip("the recorded answers are not beside this checkout")
    return json.loads(path.read_text())


def vm(**changed) -> dict:
    return {
        "name": "vision-1",
        "id": "42",
        "zone": LINK,
        "machineType": f"{LINK}/machineTypes/n1-standard-4",
        "status": "RUNNING",
        "lastStartTimestamp": "2026-03-02T09:00:05.999-08:00",
        "guestAccelerators": [
            {"acceleratorType": f"{LINK}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2}
        ],
        "scheduling": {"provisioningModel": "SPOT"},
        "disks": [{"boot": True, "source": f"{LINK}/disks/vision-1"}, {"type": "SCRATCH"}],
        "networkInterfaces": [{"accessConfigs": [{"natIP": "192.0.2.5"}]}],
    } | changed


@pytest.mark.parametrize(("told", "user"), [("ubuntu", "ubuntu"), ("-oX=y", None), ("", None)])
def test_a_login_name_is_one_or_none(told: str, user: str | None) -> None:
    metadata = {"items": [{"key": "gpuctl-user", "value": told}]}
    assert machine(vm(metadata=metadata), around()).user == user


def around(**changed) -> Around:
    return Around("p", by_key([DISK]), N1, **changed)


def test_a_recorded_gpu_machine_is_read() -> None:
    listed = recorded("compute-instances-europe-west4-a")["items"]
    [found] = [one for one in listed if one.get("guestAccelerators")]
    read = machine(found, Around("p", {}, N1))
    assert (read.gpu, read.gpus, read.state) == ("V100", 1, State.RUNNING)
    assert read.id.zone == "europe-west4-a"
    assert read.id.region == "europe-west4"
    assert read.launched_at is not None
    assert read.launched_at.tzinfo is UTC
    [gpu] = [thing for thing in read.billed if thing.kind is Kind.GPU]
    assert (gpu.sku, gpu.quantity, gpu.resource) == ("nvidia-tesla-v100", 1, found["id"])
    assert read.project is None


def test_recorded_preemptible_machines_ended_after_a_day() -> None:
    scopes = recorded("compute-instances-aggregated")["items"].values()
    found = [one for scope in scopes for one in scope.get("instances", ())]
    assert found
    read = [machine(one, Around("p", {}, N1)) for one in found]
    stopped = [one for one in read if one.state is State.STOPPED and one.ending]
    assert stopped
    for one in stopped:
        assert one.launched_at is not None
        assert one.ending is not None
        assert not [thing for thing in one.billed if thing.kind is not Kind.DISK]
    spot = [one.ending.at - one.launched_at for one in stopped if one.market is Market.SPOT]
    assert max(spot) < timedelta(hours=24, minutes=5)
    assert sum(lasted > timedelta(hours=23, minutes=59) for lasted in spot) >= 1


def test_a_running_machine_bills_its_parts() -> None:
    found = {(thing.kind, thing.sku): thing for thing in machine(vm(), around()).billed}
    start = datetime(2026, 3, 2, 17, 0, 5, tzinfo=UTC)
    assert found[Kind.VCPU, "n1-core"].quantity == 4
    assert found[Kind.RAM, "n1-ram"].quantity == 15
    assert found[Kind.GPU, "nvidia-tesla-t4"].quantity == 2
    assert found[Kind.IPV4, "in-use-spot"].resource == "192.0.2.5"
    disk = found.pop((Kind.DISK, "pd-ssd"))
    assert (disk.resource, disk.quantity) == ("77", 100)
    assert disk.since == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert {thing.since for thing in found.values()} == {start}
    assert found.pop((Kind.DISK, "local-ssd-spot")).quantity == 375
    assert {thing.market for thing in found.values()} == {Market.SPOT}


def test_an_address_costs_less_on_a_spot_machine_than_on_another() -> None:
    plain = vm(scheduling={"provisioningModel": "STANDARD"})
    skus = [thing.sku for thing in machine(plain, around()).billed if thing.kind is Kind.IPV4]
    assert skus == ["in-use"]


@pytest.mark.parametrize(
    ("scheduling", "sku"),
    [({"provisioningModel": "SPOT"}, "local-ssd-spot"), ({}, "local-ssd")],
)
def test_local_ssd_is_billed_while_its_machine_runs(scheduling: dict[str, str], sku: str) -> None:
    kept = [disk for disk in vm()["disks"] if disk.get("type") != "SCRATCH"]
    scratch = [{"type": "SCRATCH", "diskSizeGb": "375"}, {"type": "SCRATCH"}]
    with_ssd = vm(scheduling=scheduling, disks=[*kept, *scratch])
    found = {thing.sku: thing for thing in machine(with_ssd, around()).billed}
    assert (found[sku].kind, found[sku].quantity) == (Kind.DISK, 750)
    assert found[sku].since == datetime(2026, 3, 2, 17, 0, 5, tzinfo=UTC)
    stopped = "2026-03-02T10:00:00-08:00"
    off = machine(with_ssd | {"status": "TERMINATED", "lastStopTimestamp": stopped}, around())
    assert sku not in {thing.sku for thing in off.billed}
    assert sku in {thing.sku for thing in off.ran}


def test_a_stopped_machine_bills_its_disk_and_a_static_address() -> None:
    off = vm(status="TERMINATED", lastStopTimestamp="2026-03-02T10:00:00-08:00")
    things = machine(off, around()).billed
    assert [(thing.kind, thing.sku) for thing in things] == [
        (Kind.DISK, "pd-ssd"),
        (Kind.IPV4, "idle"),
    ]
    assert things[1].since == datetime(2026, 3, 2, 18, tzinfo=UTC)
    ephemeral = off | {"networkInterfaces": [{"accessConfigs": [{}]}]}
    assert [thing.kind for thing in machine(ephemeral, around()).billed] == [Kind.DISK]


def test_a_machine_that_starts_again_does_not_bill_its_last_run_on() -> None:
    again = vm(status="STAGING", lastStopTimestamp="2026-03-02T10:00:00-08:00")
    read = machine(again, around())
    assert read.launched_at is None
    assert [thing.kind for thing in read.billed] == [Kind.DISK]
    assert read.ending is not None


def test_the_end_of_the_run_before_stays_known_while_the_next_runs() -> None:
    stop = "2026-03-02T07:00:00-08:00"
    read = machine(vm(lastStopTimestamp=stop), around())
    assert read.state is State.RUNNING
    assert read.ending is not None
    assert read.ending.at == moment(stop)
    assert machine(vm(), around()).ending is None


@pytest.mark.parametrize("status", STATES)
def test_what_is_not_stopped_may_bill(status: str) -> None:
    kinds = {thing.kind for thing in billed(vm(status=status), by_key([DISK]), N1)}
    assert (Kind.VCPU in kinds) == (STATES[status] is not State.STOPPED)


def test_a_state_nobody_knows_yet_may_bill() -> None:
    assert machine(vm(status="LEVITATING"), around()).state is State.RUNNING


def test_a_preemption_beside_the_end_is_the_providers_doing() -> None:
    off = vm(status="TERMINATED", lastStopTimestamp="2026-03-02T10:00:00-08:00")
    note = {"operationType": PREEMPTED, "targetId": "42"}
    near = note | {"insertTime": "2026-03-02T09:59:30-08:00"}
    assert preempted(off, [near])
    assert not preempted(off, [note | {"insertTime": "2026-03-02T09:00:00-08:00"}])
    assert not preempted(off, [near | {"targetId": "43"}])
    assert not preempted(off, [near | {"operationType": "stop"}])
    ending = machine(off, around(by_provider=True)).ending
    assert ending is not None
    assert (ending.by, ending.evidence) == (EndedBy.PROVIDER, Evidence.STATE_REASON)


def test_the_operations_tell_how_a_deleted_machine_ended() -> None:
    def told(kind: str, end: str, name: str = "vision-1", **more) -> dict:
        link = f"{LINK}/instances/{name}"
        return {"operationType": kind, "targetLink": link, "endTime": end, **more}

    history = [
        told("insert", "2026-03-02T09:00:00Z"),
        told(PREEMPTED, "2026-03-02T10:00:00Z"),
        told("start", "2026-03-02T11:00:00Z"),
        told("stop", "2026-03-02T12:00:00Z", error={"errors": [{}]}),
        told("stop", "2026-03-02T13:00:00Z"),
        told("delete", "2026-03-02T14:00:00Z"),
        told("delete", "2026-03-02T10:30:00Z", name="other"),
    ]
    ending = ending_from(history[::-1], "vision-1")
    assert ending is not None
    assert (ending.at.hour, ending.by, ending.reason) == (13, EndedBy.USER, "stop")
    assert ending.evidence is Evidence.AUDIT_LOG
    ending = ending_from(history[:2], "vision-1")
    assert ending is not None
    assert ending.by is EndedBy.PROVIDER
    assert ending_from(history[:1], "vision-1") is None
    assert ending_from([], "vision-1") is None


def test_a_vm_deleted_after_it_was_stopped_tells_both_times() -> None:
    def told(kind: str, hour: int) -> dict:
        at = f"2026-03-01T{hour}:00:00Z"
        return {"operationType": kind, "targetLink": f"{LINK}/instances/box", "endTime": at}

    ending = ending_from([told("insert", 10), told("stop", 12), told("delete", 15)], "box")
    assert ending is not None
    assert ending.gone_at is not None
    assert (ending.at.hour, ending.gone_at.hour) == (12, 15)
    at_once = ending_from([told("insert", 10), told("delete", 15)], "box")
    assert at_once is not None
    assert (at_once.at.hour, at_once.gone_at) == (15, None)


def test_labels_come_back() -> None:
    deadline = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
    labels = labels_of(install="i", lease="l", project="acme/vision", deadline=deadline)
    assert labels["gpuctl-project"] == "acme__vision"
    assert labels["gpuctl-deadline"] == "20261122t101500z"
    read = machine(vm(labels=labels), around())
    assert (read.install, read.lease, read.project) == ("i", "l", "acme/vision")
    assert read.deadline == deadline


def test_labels_of_others_are_nobodys() -> None:
    labels = {"gpuctl-project": "NOT A PROJECT", "gpuctl-deadline": "soon"}
    read = machine(vm(labels=labels), around())
    assert (read.project, read.deadline) == (None, None)


@pytest.mark.parametrize(
    ("name", "vcpus", "gib", "gpus"),
    [
        ("n1-standard-4", 4, "15", 0),
        ("n1-highmem-8", 8, "52", 0),
        ("n1-highcpu-16", 16, "14.4", 0),
        ("custom-6-20480", 6, "20", 0),
        ("g2-standard-4", 4, "16", 1),
        ("g2-standard-48", 48, "192", 4),
        ("a2-highgpu-2g", 24, "170", 2),
        ("a2-megagpu-16g", 96, "1360", 16),
    ],
)
def test_shapes_of_the_gpu_families_are_known(name, vcpus, gib, gpus) -> None:
    shape = known_shape(name)
    assert shape is not None
    assert (shape.vcpus, shape.memory_gib, shape.gpus) == (vcpus, Decimal(gib), gpus)


def test_other_families_are_asked_for() -> None:
    assert known_shape("e2-medium") is None
    assert known_shape("g2-standard-5") is None


def test_gpus_have_short_names() -> None:
    assert short_gpu("nvidia-tesla-t4") == "T4"
    assert short_gpu("nvidia-l4") == "L4"
