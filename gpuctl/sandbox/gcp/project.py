"""Everything that exists in the sandbox's Google project, and its clock."""

import ipaddress
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gpuctl.sandbox.gcp.catalogue import ALL_ZONES, ZONES, MachineType, region_of
from gpuctl.sandbox.gcp.faults import Weather
from gpuctl.sandbox.gcp.wire import ROOT, Ids, Json, invalid, not_found
from gpuctl.sandbox.world import Handle, Metal, SandboxClock

_PUBLIC = ipaddress.ip_network("192.0.2.0/24")
_REMEMBERED_HANDLES = 500


@dataclass
class Period:
    """A stretch of time; `ended_by` says who ended it, None while it goes on."""

    start: datetime
    stop: datetime | None = None
    ended_by: str | None = None


@dataclass
class Vm:
    """An instance: its resource as Google shows it, and what Google knows besides."""

    body: Json
    zone: str
    machine: MachineType
    gpu: str | None
    gpus: int
    created: datetime
    runs: list[Period] = field(default_factory=list)
    deleted: datetime | None = None
    limit: Handle | None = None
    """The planned end of the present run."""
    hidden: int = 0
    """Listings it is still missing from."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["name"])

    @property
    def id(self) -> str:
        """Its numeric id."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """PROVISIONING, STAGING, RUNNING, STOPPING or TERMINATED."""
        return str(self.body["status"])

    @property
    def preemptible(self) -> bool:
        """Spot, or preemptible of the old kind."""
        return bool(self.body["scheduling"].get("preemptible"))

    @property
    def running(self) -> Period | None:
        """The run that goes on, if one does."""
        return self.runs[-1] if self.runs and self.runs[-1].stop is None else None


@dataclass
class Disk:
    """A disk: its resource as Google shows it."""

    body: Json
    zone: str
    created: datetime
    deleted: datetime | None = None


@dataclass
class Address:
    """A reserved address."""

    body: Json
    region: str
    created: datetime
    deleted: datetime | None = None


class Project:
    """The state that all calls share. Touched under `clock.lock` only."""

    def __init__(self, name: str, clock: SandboxClock, metal: Metal, seed: int) -> None:
        self.name = name
        self.clock = clock
        self.metal = metal
        self.ids = Ids(seed)
        self.weather = Weather()
        self.pace = 1.0
        self.changed = threading.Condition(clock.lock)
        self.vms: dict[tuple[str, str], Vm] = {}
        self.disks: dict[tuple[str, str], Disk] = {}
        self.addresses: dict[tuple[str, str], Address] = {}
        self.snapshots: dict[str, Json] = {}
        self.images: dict[str, Json] = {}
        self.firewalls: dict[str, Json] = {}
        self.every_vm: list[Vm] = []
        self.every_disk: list[Disk] = []
        self.every_address: list[Address] = []
        self.violations: list[str] = []
        self.born = clock.now()
        self._handles: list[Handle] = []
        self._private = 1

    def now(self) -> datetime:
        """The sandbox's time."""
        return self.clock.now()

    def at(self, when: datetime, action: Callable[[datetime], None]) -> Handle:
        """Plan an action; it is told the time it was due, also when it runs late."""
        handle = self.clock.call_at(when, lambda: self._run(when, action))
        self._handles = [h for h in self._handles[-_REMEMBERED_HANDLES:] if not h.cancelled]
        self._handles.append(handle)
        return handle

    def after(self, start: datetime, seconds: float, action: Callable[[datetime], None]) -> Handle:
        """Plan an action some sandbox seconds after `start`, at the cloud's pace."""
        return self.at(start + timedelta(seconds=seconds * self.pace), action)

    def _run(self, when: datetime, action: Callable[[datetime], None]) -> None:
        action(when)
        self.changed.notify_all()

    def close(self) -> None:
        """Call off all plans and clear away all bare machines."""
        for handle in self._handles:
            handle.cancel()
        for vm in self.every_vm:
            if vm.deleted is None:
                self.metal.destroy(vm.id)

    # Links and look-ups

    def link(self, tail: str) -> str:
        """The full URL of `zones/…`, `regions/…` or `global/…` in this project."""
        return f"{ROOT}projects/{self.name}/{tail}"

    def check_zone(self, zone: str) -> str:
        """The zone. Refusal (400) when there is none of that name."""
        if zone not in ALL_ZONES:
            raise invalid("zone", zone, "Unknown zone.")
        return zone

    def check_region(self, region: str) -> str:
        """The region. Refusal (400) when there is none of that name."""
        if region not in ZONES:
            raise invalid("region", region, "Unknown region.")
        return region

    def vm(self, zone: str, name: str) -> Vm:
        """An instance, by name or numeric id. Refusal (404) when there is none."""
        self.check_zone(zone)
        found = self.vms.get((zone, name))
        if found is None:
            found = next((v for v in self.vms.values() if v.zone == zone and v.id == name), None)
        if found is None:
            raise not_found(f"projects/{self.name}/zones/{zone}/instances/{name}")
        return found

    def named(self, name: str, zone: str | None = None) -> Vm:
        """An instance by name, for the knobs. ValueError when there is none."""
        for vm in self.vms.values():
            if vm.name == name and zone in (None, vm.zone):
                return vm
        raise ValueError(f"no VM {name!r} in the sandbox")

    # Addresses

    def public_address(self) -> str:
        """A free address of 192.0.2.0/24."""
        taken = {a.body["address"] for a in self.addresses.values()}
        for vm in self.vms.values():
            taken |= {config.get("natIP") for config in access_configs(vm)}
        return next(str(host) for host in _PUBLIC.hosts() if str(host) not in taken)

    def private_address(self) -> str:
        """The next address of the default subnetwork."""
        self._private += 1
        return f"10.128.{self._private // 250}.{self._private % 250 + 2}"

    def reserved(self, region: str, ip: str) -> Address | None:
        """The reserved address of that number, if there is one."""
        for address in self.addresses.values():
            if address.region == region and address.body["address"] == ip:
                return address
        return None

    def give_addresses(self, vm: Vm) -> None:
        """Addresses for every access config: its reserved one, else an ephemeral one."""
        for config in access_configs(vm):
            config.setdefault("natIP", self.public_address())
            address = self.reserved(region_of(vm.zone), config["natIP"])
            if address is not None:
                address.body.update(status="IN_USE", users=[vm.body["selfLink"]])

    def take_addresses(self, vm: Vm, *, gone: bool) -> None:
        """Release ephemeral addresses; a reserved one stays until the VM is gone."""
        for config in access_configs(vm):
            address = self.reserved(region_of(vm.zone), config.get("natIP", ""))
            if address is None:
                config.pop("natIP", None)
            elif gone:
                address.body["status"] = "RESERVED"
                address.body.pop("users", None)


def access_configs(vm: Vm) -> list[Json]:
    """The external-address entries of all its interfaces."""
    return [
        config
        for interface in vm.body["networkInterfaces"]
        for config in interface.get("accessConfigs", [])
    ]
