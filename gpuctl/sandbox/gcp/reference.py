"""The read-only calls: project, zones, regions, machine, accelerator and disk types."""

from collections.abc import Callable

from gpuctl.sandbox.gcp.catalogue import (
    ALL_ZONES,
    DISK_TYPES,
    GPUS,
    MACHINE_TYPES,
    ZONES,
    offered,
    region_of,
)
from gpuctl.sandbox.gcp.listing import aggregated, page
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.quotas import Quotas
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import ROOT, Json, not_found, stamp

_LONG_AGO = "1969-12-31T16:00:00.000-08:00"
"""What Google gives as the creation time of such things."""
_NUMBER = "123456789012"


class Places:
    """The project itself, its regions and zones."""

    def __init__(self, project: Project, quotas: Quotas) -> None:
        self._project = project
        self._quotas = quotas

    def project(self, _: Call) -> Json:
        """The project, with its global quotas."""
        name = self._project.name
        return {
            "kind": "compute#project",
            "id": "4000000000000000001",
            "creationTimestamp": stamp(self._project.born),
            "name": name,
            "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "42WmSpB8rSM="},
            "quotas": self._quotas.listed(None),
            "selfLink": f"{ROOT}projects/{name}",
            "defaultServiceAccount": f"{_NUMBER}-compute@developer.gserviceaccount.com",
            "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
            "defaultNetworkTier": "PREMIUM",
            "vmDnsSetting": "ZONAL_ONLY",
        }

    def zone(self, call: Call) -> Json:
        """One zone."""
        return self._zone(self._project.check_zone(call.path["zone"]))

    def zones(self, call: Call) -> Json:
        """All zones."""
        path = f"projects/{self._project.name}/zones"
        return page(call, [self._zone(zone) for zone in ALL_ZONES], "compute#zoneList", path)

    def region(self, call: Call) -> Json:
        """One region, with its quotas."""
        return self._region(self._project.check_region(call.path["region"]))

    def regions(self, call: Call) -> Json:
        """All regions, with their quotas."""
        path = f"projects/{self._project.name}/regions"
        return page(call, [self._region(r) for r in ZONES], "compute#regionList", path)

    def _zone(self, zone: str) -> Json:
        return {
            "kind": "compute#zone",
            "id": str(2000 + ALL_ZONES.index(zone)),
            "creationTimestamp": _LONG_AGO,
            "name": zone,
            "description": zone,
            "status": "UP",
            "region": self._project.link(f"regions/{region_of(zone)}"),
            "selfLink": self._project.link(f"zones/{zone}"),
        }

    def _region(self, region: str) -> Json:
        return {
            "kind": "compute#region",
            "id": str(1200 + 10 * list(ZONES).index(region)),
            "creationTimestamp": _LONG_AGO,
            "name": region,
            "description": region,
            "status": "UP",
            "zones": [self._project.link(f"zones/{region}-{letter}") for letter in ZONES[region]],
            "quotas": self._quotas.listed(region),
            "selfLink": self._project.link(f"regions/{region}"),
        }


class Types:
    """One zonal kind of type: what there is in a zone, and how it is shown."""

    def __init__(
        self,
        project: Project,
        noun: str,
        parameter: str,
        in_zone: Callable[[str], dict[str, Json]],
    ) -> None:
        self._project = project
        self._noun = noun
        self._kind = noun[:-1]
        self._parameter = parameter
        self._in_zone = in_zone

    def get(self, call: Call) -> Json:
        """One type of a zone, or 404."""
        zone, name = self._project.check_zone(call.path["zone"]), call.path[self._parameter]
        facts = self._in_zone(zone).get(name)
        if facts is None:
            raise not_found(f"projects/{self._project.name}/zones/{zone}/{self._noun}/{name}")
        return self._show(zone, name, facts)

    def listed(self, call: Call) -> Json:
        """The types of a zone."""
        zone = self._project.check_zone(call.path["zone"])
        path = f"projects/{self._project.name}/zones/{zone}/{self._noun}"
        return page(call, self._all(zone), f"compute#{self._kind}List", path)

    def aggregated_list(self, call: Call) -> Json:
        """The types of all zones."""
        scoped = {f"zones/{zone}": self._all(zone) for zone in ALL_ZONES}
        kind = f"compute#{self._kind}AggregatedList"
        return aggregated(self._project, call, self._noun, kind, scoped)

    def _all(self, zone: str) -> list[Json]:
        return [self._show(zone, name, facts) for name, facts in self._in_zone(zone).items()]

    def _show(self, zone: str, name: str, facts: Json) -> Json:
        return {
            "kind": f"compute#{self._kind}",
            "creationTimestamp": _LONG_AGO,
            "name": name,
            "selfLink": self._project.link(f"zones/{zone}/{self._noun}/{name}"),
        } | facts


def machine_types(zone: str) -> dict[str, Json]:
    """Machine types of a zone; `zone` is its bare name there, as Google has it."""
    shown = {}
    for index, machine in enumerate(MACHINE_TYPES.values()):
        if not offered(machine.name, zone):
            continue
        facts: Json = {
            "id": str(800_000 + index),
            "description": f"{machine.cpus} vCPUs, {machine.memory / 1024:g} GB RAM",
            "guestCpus": machine.cpus,
            "memoryMb": machine.memory,
            "isSharedCpu": machine.name in ("e2-micro", "e2-medium"),
            "maximumPersistentDisks": 128,
            "maximumPersistentDisksSizeGb": "263168",
            "architecture": "X86_64",
            "zone": zone,
        }
        if machine.gpu:
            facts["accelerators"] = [
                {"guestAcceleratorType": machine.gpu, "guestAcceleratorCount": machine.gpus}
            ]
        shown[machine.name] = facts
    return shown


def accelerator_types(project: Project) -> Callable[[str], dict[str, Json]]:
    """Accelerator types of a zone."""
    return lambda zone: {
        gpu.name: {
            "id": str(10_000 + index),
            "description": gpu.title,
            "maximumCardsPerInstance": gpu.most,
            "zone": project.link(f"zones/{zone}"),
        }
        for index, gpu in enumerate(GPUS.values())
        if zone in gpu.zones
    }


def disk_types(project: Project) -> Callable[[str], dict[str, Json]]:
    """Disk types of a zone."""
    return lambda zone: {
        name: {
            "id": str(30_000 + index),
            "description": name,
            "validDiskSize": f"{low}GB-{high}GB",
            "zone": project.link(f"zones/{zone}"),
        }
        for index, (name, (low, high)) in enumerate(DISK_TYPES.items())
    }
