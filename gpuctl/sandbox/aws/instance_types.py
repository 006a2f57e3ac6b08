"""Which types exist, where they are offered, and what they are made of.

moto carries AWS's own answers; p3.2xlarge, which AWS withdrew in spring 2026, is added here and
stays off every shelf until somebody offers it.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from gpuctl.sandbox.aws.filters import Getter, paged, path, select
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Shape

_OFFERING_GETTERS: Mapping[str, Getter] = {
    "instance-type": path("InstanceType"),
    "location": path("Location"),
}

_TYPE_GETTERS: Mapping[str, Getter] = {
    "instance-type": path("InstanceType"),
    "current-generation": path("CurrentGeneration"),
    "bare-metal": path("BareMetal"),
    "hypervisor": path("Hypervisor"),
    "supported-usage-class": path("SupportedUsageClasses"),
    "supported-root-device-type": path("SupportedRootDeviceTypes"),
    "processor-info.supported-architecture": path("ProcessorInfo", "SupportedArchitectures"),
    "memory-info.size-in-mib": path("MemoryInfo", "SizeInMiB"),
    "vcpu-info.default-vcpus": path("VCpuInfo", "DefaultVCpus"),
    "free-tier-eligible": path("FreeTierEligible"),
    "instance-storage-supported": path("InstanceStorageSupported"),
}


def _p3_2xlarge(like: Shape) -> Shape:
    """p3.2xlarge as AWS last described it, made from its sister of the same size."""
    made = copy.deepcopy(like)
    made.update(
        InstanceType="p3.2xlarge",
        Hypervisor="xen",
        InstanceStorageSupported=False,
        GpuInfo={
            "Gpus": [
                {
                    "Name": "V100",
                    "Manufacturer": "NVIDIA",
                    "Count": 1,
                    "MemoryInfo": {"SizeInMiB": 16384},
                }
            ],
            "TotalGpuMemoryInMiB": 16384,
        },
    )
    made["MemoryInfo"] = {"SizeInMiB": 62464}
    made["VCpuInfo"] = {"DefaultVCpus": 8, "DefaultCores": 4, "DefaultThreadsPerCore": 2}
    made["EbsInfo"]["NvmeSupport"] = "unsupported"
    made["NetworkInfo"]["EnaSupport"] = "supported"
    made.pop("InstanceStorageInfo", None)
    return made


class Shelf:
    """The types on offer, by zone."""

    def __init__(self) -> None:
        from moto.ec2.models.instance_types import (  # noqa: PLC0415 - takes half a second
            INSTANCE_TYPE_OFFERINGS,
            INSTANCE_TYPES,
        )

        self._offerings: dict[str, Any] = INSTANCE_TYPE_OFFERINGS["availability-zone"]
        p3 = _p3_2xlarge(INSTANCE_TYPES["g4dn.2xlarge"])
        self._types: dict[str, Shape] = {**INSTANCE_TYPES, "p3.2xlarge": p3}
        self._by_region: dict[str, dict[str, tuple[str, ...]]] = {}
        self._changed: dict[str, tuple[str, ...]] = {}

    def offer(self, type_name: str, zones: Sequence[str]) -> None:
        """Sell a type in exactly these zones, of whatever regions."""
        if type_name not in self._types:
            raise ValueError(f"no such type: {type_name}")
        self._changed[type_name] = tuple(zones)

    def retire(self, type_name: str) -> None:
        """Sell a type nowhere any more."""
        self.offer(type_name, ())

    def reset(self) -> None:
        """As AWS sells them."""
        self._changed.clear()

    def known(self, type_name: str) -> bool:
        """Whether such a type ever existed."""
        return type_name in self._types

    def zones(self, region: str, type_name: str) -> tuple[str, ...]:
        """The region's zones that sell the type; () = not sold there."""
        return self._shelf(region).get(type_name, ())

    def sold(self, region: str) -> Sequence[str]:
        """Every type sold somewhere in the region."""
        return sorted(name for name, zones in self._shelf(region).items() if zones)

    def _shelf(self, region: str) -> Mapping[str, tuple[str, ...]]:
        shelf = self._by_region.get(region)
        if shelf is None:
            shelf = {}
            for one in self._offerings.get(region, ()):
                shelf[one["InstanceType"]] = (*shelf.get(one["InstanceType"], ()), one["Location"])
            self._by_region[region] = {name: tuple(sorted(zones)) for name, zones in shelf.items()}
            shelf = self._by_region[region]
        changes = {
            name: tuple(zone for zone in zones if zone[:-1] == region)
            for name, zones in self._changed.items()
        }
        return {**shelf, **changes}

    def describe(self, type_name: str) -> Shape | None:
        """AWS's own record of a type, retired ones included."""
        return self._types.get(type_name)

    def vcpus(self, type_name: str) -> int:
        """How many vCPUs it counts for in quotas."""
        return int(self._types[type_name]["VCpuInfo"]["DefaultVCpus"])

    def gpu(self, type_name: str) -> tuple[str | None, int]:
        """Name and number of its GPUs."""
        gpus = self._types[type_name].get("GpuInfo", {}).get("Gpus", [])
        return (gpus[0]["Name"], sum(one.get("Count", 1) for one in gpus)) if gpus else (None, 0)

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ec2.DescribeInstanceTypeOfferings": self._describe_offerings,
            "ec2.DescribeInstanceTypes": self._describe_types,
        }

    def _describe_offerings(self, call: Call) -> Shape:
        kind = call.params.get("LocationType", "region")
        if kind not in {"region", "availability-zone"}:
            raise Refusal("InvalidParameterValue", f"Location type '{kind}' is not emulated")
        found = [
            {"InstanceType": name, "LocationType": kind, "Location": place}
            for name, zones in self._shelf(call.region).items()
            if zones
            for place in ((call.region,) if kind == "region" else zones)
        ]
        chosen = select(found, call.params.get("Filters"), _OFFERING_GETTERS)
        return paged("InstanceTypeOfferings", chosen, call.params)

    def _describe_types(self, call: Call) -> Shape:
        sold = self.sold(call.region)
        asked = call.params.get("InstanceTypes") or []
        missing = [name for name in asked if name not in sold]
        if missing:
            raise Refusal(
                "InvalidInstanceType",
                f"The following supplied instance types do not exist: [{', '.join(missing)}]",
            )
        found = [self._types[name] for name in (asked or sold) if name in self._types]
        chosen = select(found, call.params.get("Filters"), _TYPE_GETTERS)
        return paged("InstanceTypes", chosen, call.params, default=100)
