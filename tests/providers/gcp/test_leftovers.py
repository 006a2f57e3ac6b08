"""What remains is found with its price tag, ours or not, and only ours is removed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import Kind
from gpuctl.core.model import Down, Leftover, Order
from gpuctl.providers.gcp import GcpProvider
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.world import SandboxClock

from .conftest import INSTALL, ZONE, plug

PROJECT = "sandbox-project"


@pytest.fixture
def client(cloud: GcpCloud) -> Callable[[str], Any]:
    """Google's own client of a service, for what gpuctl itself never makes."""

    def make(service: str) -> Any:
        kind = getattr(compute_v1, f"{service}Client")
        return kind(
            credentials=AnonymousCredentials(), client_options={"api_endpoint": cloud.start()}
        )

    return make


@pytest.fixture
def lonely_disk(client: Callable[[str], Any]) -> str:
    disk = {
        "name": "lonely",
        "size_gb": 20,
        "type_": f"projects/{PROJECT}/zones/{ZONE}/diskTypes/pd-ssd",
        "labels": {"gpuctl-install": INSTALL, "gpuctl-project": "acme__vision"},
    }
    client("Disks").insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk)
    return "lonely"


@pytest.fixture
def address(client: Callable[[str], Any]) -> str:
    client("Addresses").insert_unary(
        project=PROJECT,
        region="us-central1",
        address_resource={"name": "kept", "labels": {"gpuctl-install": INSTALL}},
    )
    return "kept"


def named(provider: GcpProvider, what: str) -> dict[str, Leftover]:
    return {left.resource: left for left in provider.leftovers() if left.what == what}


def test_a_disk_on_its_own_costs_and_goes(
    provider: GcpProvider, lonely_disk: str, cloud: GcpCloud
) -> None:
    left = named(provider, "disk")[lonely_disk]
    assert left.ours
    assert left.project == "acme/vision"
    [billed] = left.billed
    assert (billed.kind, billed.sku, billed.quantity) == (Kind.DISK, "pd-ssd", 20)
    assert billed.since == left.created_at
    provider.remove(left)
    provider.remove(left)
    assert cloud.truth().disks[0].deleted is not None
    assert named(provider, "disk") == {}


def test_what_somebody_took_over_meanwhile_stays(
    provider: GcpProvider, lonely_disk: str, client: Callable[[str], Any]
) -> None:
    left = named(provider, "disk")[lonely_disk]
    disks = client("Disks")
    now = disks.get(project=PROJECT, zone=ZONE, disk=lonely_disk)
    disks.set_labels_unary(
        project=PROJECT,
        zone=ZONE,
        resource=lonely_disk,
        zone_set_labels_request_resource={
            "labels": {"team": "blue"},
            "label_fingerprint": now.label_fingerprint,
        },
    )
    with pytest.raises(ValueError, match="not ours any more"):
        provider.remove(left)
    assert lonely_disk in named(provider, "disk")


def test_another_installations_disk_is_not_ours(
    cloud: GcpCloud, time_of_cloud: SandboxClock, lonely_disk: str
) -> None:
    other = plug(cloud, time_of_cloud, install="2e" * 16)
    left = named(other, "disk")[lonely_disk]
    assert not left.ours
    with pytest.raises(ValueError, match=lonely_disk):
        other.remove(left)


def test_an_unused_address_is_idle(provider: GcpProvider, address: str) -> None:
    left = named(provider, "address")[address]
    [billed] = left.billed
    assert (billed.kind, billed.sku) == (Kind.IPV4, "idle")
    if left.ours:  # addresses take labels at creation in some API generations only
        provider.remove(left)
        assert named(provider, "address") == {}


def test_a_stopped_machine_and_its_disk_remain(provider: GcpProvider, order: Order) -> None:
    machine = provider.start(order)
    provider.stop(machine.id, Down.END)
    stopped = named(provider, "stopped-machine")["vision-1"]
    assert (stopped.ours, stopped.machine, stopped.billed) == (True, "vision-1", ())
    disk = named(provider, "disk")["vision-1"]
    assert disk.machine == "vision-1"
    assert "gpuctl down vision-1 --delete" in disk.fix
    provider.remove(stopped)
    assert provider.leftovers() == ()


def test_a_machine_that_runs_again_is_not_removed(provider: GcpProvider, order: Order) -> None:
    machine = provider.start(order)
    provider.stop(machine.id, Down.END)
    stopped = named(provider, "stopped-machine")["vision-1"]
    provider.start(replace(order, token="f" * 32))
    with pytest.raises(ValueError, match="running again"):
        provider.remove(stopped)


def test_a_rule_outlives_nobody(
    provider: GcpProvider, order: Order, time_of_cloud: SandboxClock, cloud: GcpCloud
) -> None:
    machine = provider.start(order)
    assert named(provider, "rule") == {}
    cloud.deny("firewalls.delete")
    provider.stop(machine.id, Down.END)
    cloud.allow("firewalls.delete")
    [rule] = named(provider, "rule").values()
    assert rule.ours
    assert "not running" in rule.reason
    assert rule.billed == ()
    provider.remove(rule)
    assert named(provider, "rule") == {}


def test_an_expired_rule_is_a_leftover(
    provider: GcpProvider, order: Order, time_of_cloud: SandboxClock
) -> None:
    provider.start(order)
    time_of_cloud.advance(timedelta(hours=8, minutes=1))
    [rule] = named(provider, "rule").values()
    assert "expired" in rule.reason


def test_a_snapshot_is_kept_and_told(
    provider: GcpProvider, lonely_disk: str, client: Callable[[str], Any]
) -> None:
    client("Snapshots").insert_unary(
        project=PROJECT,
        snapshot_resource={
            "name": "shot",
            "source_disk": f"projects/{PROJECT}/zones/{ZONE}/disks/{lonely_disk}",
        },
    )
    left = named(provider, "snapshot")["shot"]
    assert left.billed[0].kind is Kind.SNAPSHOT
    assert not left.ours


def test_what_is_not_known_is_not_removed(provider: GcpProvider, lonely_disk: str) -> None:
    left = replace(named(provider, "disk")[lonely_disk], what="planet")
    with pytest.raises(ValueError, match="planet"):
        provider.remove(left)


def test_a_disk_that_stays_behind_goes_with_its_vm_if_it_is_ours(
    provider: GcpProvider, order: Order, client: Callable[[str], Any], lonely_disk: str
) -> None:
    machine = provider.start(order)
    client("Instances").attach_disk_unary(
        project=PROJECT,
        zone=ZONE,
        instance="vision-1",
        attached_disk_resource={
            "source": f"projects/{PROJECT}/zones/{ZONE}/disks/{lonely_disk}",
            "auto_delete": False,
        },
    )
    assert len([b for b in provider.get(machine.id).billed if b.kind is Kind.DISK]) == 2
    provider.stop(machine.id, Down.DELETE)
    assert provider.leftovers() == ()


def test_a_listing_that_failed_is_no_list(provider: GcpProvider, cloud: GcpCloud) -> None:
    cloud.deny("snapshots.list")
    with pytest.raises(GpuctlError):
        provider.leftovers()
