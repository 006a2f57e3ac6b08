"""The emulated cloud, and the real client library pointed at it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.world import Boot, SandboxClock

PROJECT = "sandbox-project"
ZONE = "us-central1-a"
IMAGE = (
    "projects/deeplearning-platform-release/global/images/family/"
    "common-cu129-ubuntu-2204-nvidia-580"
)


@dataclass
class NotedMetal:
    """Bare machines that only note what is asked of them."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    boots: list[Boot] = field(default_factory=list)
    off: dict[str, Callable[[], None]] = field(default_factory=dict)

    def boot(self, boot, on_poweroff) -> None:
        self.boots.append(boot)
        self.off[boot.id] = on_poweroff
        self.calls.append(("boot", boot.id))

    def power_off(self, id) -> None:  # noqa: A002
        self.calls.append(("power_off", id))

    def destroy(self, id) -> None:  # noqa: A002
        self.calls.append(("destroy", id))

    def notify(self, id, notice) -> None:  # noqa: A002
        self.calls.append(("notify", notice.kind if notice else None))

    def set_tags(self, id, tags) -> None:  # noqa: A002
        self.calls.append(("set_tags", dict(tags)))

    def authorize(self, id, keys) -> None:  # noqa: A002
        self.calls.append(("authorize", list(keys)))

    def keep_image(self, id, image) -> None:  # noqa: A002
        self.calls.append(("keep_image", image))

    def copy_image(self, image, copy) -> None:
        raise AssertionError("AWS only")

    def console(self, id) -> str:  # noqa: A002
        return "line one\nline two\n"

    def host_keys(self, id):  # noqa: A002
        return ("ssh-ed25519 AAAAhost",)


class Api:
    """The real clients, and a few words for what tests do most."""

    def __init__(self, url: str, clock: SandboxClock) -> None:
        self.url = url
        self.clock = clock
        self._clients: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        """`api.instances` is an `InstancesClient`, `api.zone_operations` a ZoneOperationsClient."""
        if name not in self._clients:
            kind = "".join(part.capitalize() for part in name.split("_")) + "Client"
            self._clients[name] = getattr(compute_v1, kind)(
                credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}
            )
        return self._clients[name]

    def close(self) -> None:
        for client in self._clients.values():
            client.transport.close()

    def place(self, name: str | None = None, zone: str = ZONE) -> dict[str, str]:
        place = {"project": PROJECT, "zone": zone}
        return place | ({"instance": name} if name else {})

    def after(self, operation, seconds: float = 2.0):
        """The operation once the sandbox's time has moved on."""
        self.clock.advance(timedelta(seconds=seconds))
        if operation.zone:
            zone = operation.zone.rpartition("/")[2]
            return self.zone_operations.get(project=PROJECT, zone=zone, operation=operation.name)
        if operation.region:
            region = operation.region.rpartition("/")[2]
            return self.region_operations.get(
                project=PROJECT, region=region, operation=operation.name
            )
        return self.global_operations.get(project=PROJECT, operation=operation.name)

    def insert(self, name: str = "vm", zone: str = ZONE, request_id: str | None = None, **changes):
        """Ask for a VM; the operation as it begins."""
        return self.instances.insert_unary(
            request=compute_v1.InsertInstanceRequest(
                project=PROJECT,
                zone=zone,
                request_id=request_id,
                instance_resource=vm(name, zone, **changes),
            )
        )

    def up(self, name: str = "vm", zone: str = ZONE, **changes):
        """A VM that runs, as the API shows it."""
        done = self.after(self.insert(name, zone, **changes))
        assert not done.error.errors, done.error
        return self.get(name, zone)

    def get(self, name: str = "vm", zone: str = ZONE):
        return self.instances.get(**self.place(name, zone))

    def stop(self, name: str = "vm", zone: str = ZONE):
        return self.after(self.instances.stop_unary(**self.place(name, zone)))

    def start(self, name: str = "vm", zone: str = ZONE):
        return self.after(self.instances.start_unary(**self.place(name, zone)))

    def delete(self, name: str = "vm", zone: str = ZONE):
        return self.after(self.instances.delete_unary(**self.place(name, zone)))

    def system_events(self, zone: str = ZONE) -> list[str]:
        found = self.zone_operations.list(project=PROJECT, zone=zone)
        return [op.operation_type for op in found if op.name.startswith("systemevent-")]


def vm(name: str = "vm", zone: str = ZONE, **changes) -> compute_v1.Instance:
    """An n1-standard-4 with a T4, on demand, with a public address."""
    gpu = changes.pop("gpu", ("nvidia-tesla-t4", 1))
    values: dict[str, Any] = {
        "name": name,
        "machine_type": f"zones/{zone}/machineTypes/{changes.pop('type', 'n1-standard-4')}",
        "disks": [boot_disk(zone)],
        "network_interfaces": [
            compute_v1.NetworkInterface(access_configs=[compute_v1.AccessConfig()])
        ],
        "scheduling": compute_v1.Scheduling(on_host_maintenance="TERMINATE"),
    }
    if gpu:
        link = f"zones/{zone}/acceleratorTypes/{gpu[0]}"
        values["guest_accelerators"] = [
            compute_v1.AcceleratorConfig(accelerator_type=link, accelerator_count=gpu[1])
        ]
    return compute_v1.Instance(**(values | changes))


def boot_disk(zone: str = ZONE, **changes) -> compute_v1.AttachedDisk:
    """100 GB of pd-balanced from the deep-learning image, gone with its VM."""
    params = {
        "source_image": IMAGE,
        "disk_size_gb": 100,
        "disk_type": f"zones/{zone}/diskTypes/pd-balanced",
    }
    auto_delete = changes.pop("auto_delete", True)
    return compute_v1.AttachedDisk(
        boot=True,
        auto_delete=auto_delete,
        initialize_params=compute_v1.AttachedDiskInitializeParams(**(params | changes)),
    )


def spot(**changes) -> compute_v1.Scheduling:
    values = {"provisioning_model": "SPOT", "instance_termination_action": "STOP"}
    return compute_v1.Scheduling(**(values | changes))


@pytest.fixture
def metal() -> NotedMetal:
    return NotedMetal()


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock()


@pytest.fixture
def cloud(clock: SandboxClock, metal: NotedMetal) -> Iterator[GcpCloud]:
    cloud = GcpCloud(clock, metal)
    yield cloud
    cloud.stop()


@pytest.fixture
def api(cloud: GcpCloud, clock: SandboxClock) -> Iterator[Api]:
    api = Api(cloud.start(), clock)
    yield api
    api.close()


@pytest.fixture
def make():
    """The builders: `make.vm`, `make.boot_disk`, `make.spot`."""

    class Make:
        vm = staticmethod(vm)
        boot_disk = staticmethod(boot_disk)
        spot = staticmethod(spot)

    return Make
