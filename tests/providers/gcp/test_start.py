"""Creating, adopting and starting VMs: what Google refuses, what gets lost, what is kept."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from gpuctl.core.errors import (
    Busy,
    GpuctlError,
    InvalidRequest,
    NotFound,
    NoZoneCapacity,
    QuotaReached,
    TypeNotOffered,
    UnknownOutcome,
)
from gpuctl.core.kinds import EndedBy, Market, State
from gpuctl.core.model import DataVolume, Down, Order
from gpuctl.core.span import format_time
from gpuctl.providers.gcp import GcpProvider
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.request import (
    image_link,
    max_run_seconds,
    new_vm,
    request_id,
    startup_script,
)
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.world import SandboxClock

from .conftest import INSTALL, ZONE, offer_of, plug


def raw(provider: GcpProvider, name: str = "vision-1") -> dict:
    """The VM's own JSON."""
    return dict(provider._compute.read(Call.GET_VM, doing="looking", zone=ZONE, instance=name))


def metadata(vm: dict) -> dict:
    return {item["key"]: item["value"] for item in vm["metadata"]["items"]}


@pytest.fixture
def foreign(provider: GcpProvider, cloud: GcpCloud) -> str:
    """A stopped VM that somebody made by hand, with things of its own."""
    body = {
        "name": "studio",
        "machineType": f"zones/{ZONE}/machineTypes/n1-standard-4",
        "labels": {"team": "blue"},
        "metadata": {
            "items": [
                {"key": "startup-script", "value": "echo mine"},
                {"key": "ssh-keys", "value": "bob:ssh-rsa AAAA bob"},
            ]
        },
        "tags": {"items": ["web"]},
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {
                    "sourceImage": image_link("debian-cloud/debian-12"),
                    "diskSizeGb": "50",
                },
            }
        ],
        "networkInterfaces": [
            {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
        ],
    }
    vms = provider._vms
    assert vms._effect(Call.CREATE_VM, request_id("foreign"), body=body, zone=ZONE) is None
    assert vms._effect(Call.STOP_VM, request_id("f2"), zone=ZONE, instance="studio") is None
    return "studio"


@pytest.fixture
def adoption(order: Order, foreign: str) -> Order:
    offer = offer_of("n1-standard-4", market=Market.ON_DEMAND)
    return replace(order, adopt=True, settings={"vm": foreign}, offer=offer)


def test_a_new_vm_carries_all_that_keeps_it_in_hand(provider: GcpProvider, order: Order) -> None:
    provider.start(order)
    vm = raw(provider)
    assert vm["scheduling"]["maxRunDuration"] == {"seconds": str(9 * 3600)}
    assert vm["scheduling"]["instanceTerminationAction"] == "STOP"
    assert vm["scheduling"]["provisioningModel"] == "SPOT"
    assert vm["scheduling"]["onHostMaintenance"] == "TERMINATE"
    assert "serviceAccounts" not in vm
    told = metadata(vm)
    assert told["startup-script"] == "#!/bin/sh\necho armed\n"
    assert told["gpuctl-deadline"] == format_time(order.deadline)
    assert told["enable-guest-attributes"] == "TRUE"
    assert told["ssh-keys"].startswith("ubuntu:ssh-ed25519 AAAA")
    assert vm["guestAccelerators"][0]["acceleratorCount"] == 1
    disk = provider._compute.read(Call.GET_DISK, doing="looking", zone=ZONE, disk="vision-1")
    assert disk["labels"] == vm["labels"]
    assert vm["labels"]["gpuctl-install"] == INSTALL


def test_google_itself_ends_a_run_that_nobody_ends(
    provider: GcpProvider, order: Order, time_of_cloud: SandboxClock, cloud: GcpCloud
) -> None:
    machine = provider.start(order)
    time_of_cloud.advance(timedelta(hours=9, minutes=5))
    assert cloud.truth().vm("vision-1").runs[-1].ended_by == "max-run-duration"
    over = provider.get(machine.id)
    assert over.state is State.STOPPED
    assert over.ending is not None
    assert over.ending.by is EndedBy.USER


def test_a_vm_is_adopted_with_everything_it_had(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud
) -> None:
    machine = provider.start(adoption)
    assert (machine.state, machine.name, machine.lease) == (State.RUNNING, "studio", adoption.lease)
    assert machine.market is Market.ON_DEMAND
    vm = raw(provider, "studio")
    assert vm["labels"]["team"] == "blue"
    assert vm["scheduling"]["maxRunDuration"] == {"seconds": str(9 * 3600)}
    assert "web" in vm["tags"]["items"]
    assert len(vm["tags"]["items"]) == 2
    told = metadata(vm)
    assert told["gpuctl-startup-script-before"] == "echo mine"
    assert told["startup-script"] == "#!/bin/sh\necho armed\n"
    assert told["ssh-keys"].splitlines()[0] == "bob:ssh-rsa AAAA bob"
    assert len(cloud.truth().vm("studio").runs) == 2


def test_a_second_adoption_keeps_the_first_script_and_one_key(
    provider: GcpProvider, adoption: Order
) -> None:
    machine = provider.start(adoption)
    provider.stop(machine.id, Down.END)
    again = replace(adoption, token="f" * 32, lease="8e" * 16, user_data=b"echo second")
    assert provider.start(again).lease == again.lease
    told = metadata(raw(provider, "studio"))
    assert told["gpuctl-startup-script-before"] == "echo mine"
    assert told["startup-script"] == "echo second"
    assert len(told["ssh-keys"].splitlines()) == 2


def test_a_deleted_adoption_takes_the_vm_and_its_disk(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud
) -> None:
    machine = provider.start(adoption)
    provider.stop(machine.id, Down.DELETE)
    with pytest.raises(NotFound):
        provider.get(machine.id)
    assert all(disk.deleted for disk in cloud.truth().disks)
    assert list(provider.footprint()) == []


def test_a_vm_that_gpuctl_never_used_is_not_deleted(
    provider: GcpProvider, adoption: Order, foreign: str
) -> None:
    machine = provider._machine(raw(provider, foreign))
    with pytest.raises(InvalidRequest, match="never used"):
        provider.stop(machine.id, Down.DELETE)
    assert raw(provider, foreign)


def test_a_name_that_is_taken_is_no_consent(provider: GcpProvider, adoption: Order) -> None:
    unasked = replace(adoption, adopt=False, settings={}, name="studio")
    with pytest.raises(InvalidRequest, match="did not make"):
        provider.start(unasked)
    assert "gpuctl-lease" not in raw(provider, "studio")["labels"]


def test_what_is_to_be_adopted_must_exist(provider: GcpProvider, order: Order) -> None:
    with pytest.raises(NotFound):
        provider.start(replace(order, adopt=True))


def test_a_machine_that_runs_for_somebody_else_stays_theirs(
    provider: GcpProvider, order: Order
) -> None:
    provider.start(order)
    other = replace(order, token="f" * 32, lease="8e" * 16, project="borealis/nlp")
    with pytest.raises(InvalidRequest, match="acme/vision"):
        provider.start(other)
    found = provider.find(order)
    assert found is not None
    assert found.project == "acme/vision"
    assert provider.find(other) is None


def test_no_time_limit_no_start(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuctl.providers.gcp.vm.scheduling_of", lambda vm, order: vm["scheduling"])
    with pytest.raises(InvalidRequest, match="not started"):
        provider.start(adoption)
    assert len(cloud.truth().vm("studio").runs) == 1


def test_a_new_vm_has_an_account_only_where_one_is_named(order: Order) -> None:
    body = new_vm(order, name="vm", tag="t", keys="k")
    assert "serviceAccounts" not in body
    named = replace(order, settings={"service_account": "a@p.iam.gserviceaccount.com"})
    (account,) = new_vm(named, name="vm", tag="t", keys="k")["serviceAccounts"]
    assert account["email"] == "a@p.iam.gserviceaccount.com"
    assert account["scopes"] == ["https://www.googleapis.com/auth/devstorage.read_write"]


def test_a_new_vm_without_its_time_limit_is_taken_back(
    provider: GcpProvider, order: Order, cloud: GcpCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuctl.providers.gcp.vm.limited", lambda vm, order: False)
    with pytest.raises(InvalidRequest, match="deleted"):
        provider.start(order)
    assert cloud.truth().vm("vision-1").deleted is not None


def test_a_failed_preparation_starts_nothing(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud
) -> None:
    cloud.fault("instances.setScheduling", op_code="INTERNAL_ERROR")
    with pytest.raises(Busy):
        provider.start(adoption)
    assert len(cloud.truth().vm("studio").runs) == 1


@pytest.mark.parametrize(
    "method", ["instances.setLabels", "instances.setMetadata", "instances.setTags"]
)
def test_a_stale_fingerprint_is_read_again(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud, method: str
) -> None:
    cloud.fault(method, status=412, count=4)
    assert provider.start(adoption).state is State.RUNNING


def test_stale_for_ever_is_busy_and_starts_nothing(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud
) -> None:
    cloud.fault("instances.setLabels", status=412, count=None)
    with pytest.raises(Busy):
        provider.start(adoption)
    assert len(cloud.truth().vm("studio").runs) == 1


def test_a_stock_out_names_the_zones_that_have_some(
    provider: GcpProvider, order: Order, cloud: GcpCloud
) -> None:
    cloud.no_capacity("nvidia-tesla-t4", ZONE)
    before = cloud.requests
    with pytest.raises(NoZoneCapacity) as caught:
        provider.start(order)
    assert caught.value.code.startswith("ZONE_RESOURCE_POOL_EXHAUSTED")
    assert "us-central1-b" in caught.value.zones
    # look, rule, wait, insert, wait, rule, no rule, wait: a stock-out is never asked for again
    assert cloud.requests - before <= 8


def test_a_stock_out_at_the_start_leaves_the_vm_stopped(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud
) -> None:
    cloud.no_capacity("n1-standard-4", ZONE)
    with pytest.raises(NoZoneCapacity):
        provider.start(adoption)
    assert provider._machine(raw(provider, "studio")).state is State.STOPPED


@pytest.mark.parametrize("status", [None, 0])
def test_a_quota_is_read_from_the_operation(
    provider: GcpProvider, order: Order, cloud: GcpCloud, status: int | None
) -> None:
    cloud.fault("instances.insert", op_code="QUOTA_EXCEEDED", status=status)
    with pytest.raises(QuotaReached):
        provider.start(order)


def test_the_quota_that_is_too_small_is_named(
    provider: GcpProvider, order: Order, cloud: GcpCloud
) -> None:
    cloud.quota("GPUS_ALL_REGIONS", 0)
    with pytest.raises(QuotaReached) as caught:
        provider.start(order)
    assert caught.value.code == "GPUS_ALL_REGIONS"


def test_a_gpu_that_is_not_sold_there_is_another_type(provider: GcpProvider, order: Order) -> None:
    zone = "us-central1-b"
    with pytest.raises(TypeNotOffered):
        provider.start(replace(order, offer=offer_of("n1-standard-4", gpu="P100", zone=zone)))


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"status": 500}, {"reason": "rateLimitExceeded"}, {"drop": "after"}],
)
def test_what_passes_is_asked_again_under_the_same_id(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud, fault: dict
) -> None:
    cloud.fault("instances.start", count=3, **fault)
    assert provider.start(adoption).state is State.RUNNING
    assert len(cloud.truth().vm("studio").runs) == 2


def test_the_tries_are_bounded(provider: GcpProvider, adoption: Order, cloud: GcpCloud) -> None:
    cloud.fault("instances.start", status=503, count=None)
    before = cloud.requests
    with pytest.raises(UnknownOutcome) as caught:
        provider.start(adoption)
    assert caught.value.exit_code == 75
    assert cloud.requests - before < 30


def test_an_operation_that_cannot_be_watched_is_unknown_until_looked_at(
    provider: GcpProvider, order: Order, cloud: GcpCloud
) -> None:
    cloud.fault("zoneOperations.wait", status=404, count=None)
    assert provider.start(order).lease == order.lease


@pytest.mark.parametrize("which", ["zoneOperations.wait", "instances.get"])
def test_what_was_accepted_and_cannot_be_watched_is_found_or_unknown(
    provider: GcpProvider,
    order: Order,
    cloud: GcpCloud,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    if which == "instances.get":
        cloud.fault(which, status=404)  # there is none yet
        cloud.fault(which, status=401, count=None)
        with pytest.raises(UnknownOutcome):
            provider.start(order)
        cloud.clear_faults()
    else:
        monkeypatch.setattr("gpuctl.providers.gcp.client.READ_LIMIT", 0.2)
        cloud.fault(which, drop="before", count=None)
        assert provider.start(order).lease == order.lease
    found = provider.find(order)
    assert found is not None
    assert found.state is State.RUNNING


def test_a_vm_that_is_still_stopping_is_waited_for(
    provider: GcpProvider, adoption: Order, cloud: GcpCloud
) -> None:
    machine = provider.start(adoption)
    cloud.pace(1)
    cloud.guest_poweroff("studio")
    assert raw(provider, "studio")["status"] == "STOPPING"
    cloud.pace(0)
    again = replace(adoption, token="f" * 32, lease="8e" * 16)
    assert provider.start(again).id == machine.id
    assert len(cloud.truth().vm("studio").runs) == 3


def test_a_data_volume_is_refused_before_anything_is_made(
    provider: GcpProvider, order: Order, cloud: GcpCloud
) -> None:
    with pytest.raises(InvalidRequest, match="data volume"):
        provider.start(replace(order, data=DataVolume(name="d", disk=order.disk)))
    assert cloud.truth().vms == ()


def test_everything_that_was_refused_leaves_no_door_open(
    provider: GcpProvider, order: Order, cloud: GcpCloud
) -> None:
    cloud.no_capacity("nvidia-tesla-t4", ZONE)
    with pytest.raises(GpuctlError):
        provider.start(order)
    assert list(provider.footprint()) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_script_reaches_google_as_text(pack: Callable[[bytes], bytes]) -> None:
    assert startup_script(pack(b"#!/bin/sh\n")) == "#!/bin/sh\n"


def test_a_request_id_belongs_to_a_token_and_a_step() -> None:
    assert request_id("a", "start") == request_id("a", "start")
    assert len({request_id("a", "start"), request_id("a", "insert"), request_id("b", "start")}) == 3


@pytest.mark.parametrize(("hours", "seconds"), [(0, 30), (9, 9 * 3600), (24 * 365, 120 * 86_400)])
def test_the_limit_stays_within_googles_bounds(order: Order, hours: int, seconds: int) -> None:
    assert max_run_seconds(replace(order, max_run=timedelta(hours=hours))) == seconds


@pytest.mark.parametrize(
    ("image", "link"),
    [
        ("debian-cloud/debian-12", "projects/debian-cloud/global/images/family/debian-12"),
        ("projects/p/global/images/mine", "projects/p/global/images/mine"),
        ("https://x/compute/v1/projects/p/global/images/i",) * 2,
    ],
)
def test_images_are_families_or_addresses(image: str, link: str) -> None:
    assert image_link(image) == link
    assert "/family/" in image_link("")


def test_the_bill_goes_on_where_the_alias_says(cloud: GcpCloud, time_of_cloud) -> None:
    aliased = plug(cloud, time_of_cloud, account_alias="billing-1")
    assert aliased.account == "billing-1"
