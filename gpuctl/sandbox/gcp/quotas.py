"""Quotas: limits that can be set, usage that is counted afresh each time."""

from gpuctl.sandbox.gcp.catalogue import GPUS, SSD_TYPES, ZONES, region_of
from gpuctl.sandbox.gcp.operations import OperationFailed
from gpuctl.sandbox.gcp.project import Project, Vm, access_configs
from gpuctl.sandbox.gcp.wire import Json

_METRICS = tuple(gpu.metric for gpu in GPUS.values())
_GLOBAL: dict[str, float] = {
    "GPUS_ALL_REGIONS": 8,
    "CPUS_ALL_REGIONS": 200,
    "SNAPSHOTS": 5000,
    "NETWORKS": 30,
    "FIREWALLS": 200,
    "IMAGES": 2000,
}
_REGIONAL: dict[str, float] = {
    "CPUS": 200,
    "PREEMPTIBLE_CPUS": 0,
    "A2_CPUS": 96,
    "INSTANCES": 720,
    "DISKS_TOTAL_GB": 40960,
    "SSD_TOTAL_GB": 10240,
    "STATIC_ADDRESSES": 21,
    "IN_USE_ADDRESSES": 69,
    **dict.fromkeys(_METRICS, 8.0),
    **{f"PREEMPTIBLE_{metric}": 8.0 for metric in _METRICS},
}
_HOLDING = frozenset({"PROVISIONING", "STAGING", "RUNNING", "STOPPING"})
"""A stopped VM holds no cores and no GPUs."""

Where = str | None
"""A region, or None for the quotas of the whole project."""


class Quotas:
    """The project's limits and what is used of them."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._limits: dict[tuple[str, Where], float] = {(m, None): v for m, v in _GLOBAL.items()}
        for region in ZONES:
            self._limits |= {(m, region): v for m, v in _REGIONAL.items()}

    def set(self, metric: str, limit: float, region: Where = None) -> None:
        """Change a limit; a regional metric without a region changes in every one.

        ValueError for a metric the sandbox does not know.
        """
        places = [where for name, where in self._limits if name == metric]
        if region is not None:
            places = [where for where in places if where == region]
        if not places:
            raise ValueError(f"no quota {metric!r} in the sandbox")
        for where in places:
            self._limits[metric, where] = float(limit)

    def listed(self, where: Where) -> list[Json]:
        """The quotas of a region or of the project, as Google lists them."""
        used = self._usage(where)
        return [
            {"metric": metric, "limit": limit, "usage": used.get(metric, 0.0)}
            for (metric, place), limit in self._limits.items()
            if place == where
        ]

    def exceeded(self, vm: Vm) -> OperationFailed | None:
        """The refusal when this VM cannot be run beside what runs; None when it can.

        The VM itself may be counted already: only others are.
        """
        for where in (None, region_of(vm.zone)):
            used = self._usage(where, without=vm)
            for metric, amount in self._demand(vm, where).items():
                limit = self._limits.get((metric, where))
                if limit is not None and used.get(metric, 0.0) + amount > limit:
                    return quota_error(metric, limit, where)
        return None

    def exceeded_by(self, metric: str, amount: float, region: str) -> OperationFailed | None:
        """The same for a disk or an address."""
        limit = self._limits[metric, region]
        if self._usage(region).get(metric, 0.0) + amount > limit:
            return quota_error(metric, limit, region)
        return None

    def _demand(self, vm: Vm, where: Where) -> dict[str, float]:
        """What a running VM takes, by metric."""
        if where is None:
            demand: dict[str, float] = {"CPUS_ALL_REGIONS": vm.machine.cpus}
            return demand | ({"GPUS_ALL_REGIONS": vm.gpus} if vm.gpus else {})
        cpus = "A2_CPUS" if vm.machine.family == "a2" else "CPUS"
        if vm.preemptible and self._limits["PREEMPTIBLE_CPUS", where] > 0:
            cpus = "PREEMPTIBLE_CPUS"
        demand = {"INSTANCES": 1, cpus: vm.machine.cpus}
        demand["IN_USE_ADDRESSES"] = len(access_configs(vm))
        if vm.gpu is not None:
            metric = GPUS[vm.gpu].metric
            demand[f"PREEMPTIBLE_{metric}" if vm.preemptible else metric] = vm.gpus
        return demand

    def _usage(self, where: Where, without: Vm | None = None) -> dict[str, float]:
        used: dict[str, float] = {}
        for vm in self._project.vms.values():
            here = where is None or region_of(vm.zone) == where
            if here and vm is not without and vm.status in _HOLDING:
                for metric, amount in self._demand(vm, where).items():
                    used[metric] = used.get(metric, 0.0) + amount
        if where is None:
            used["SNAPSHOTS"] = float(len(self._project.snapshots))
            used["FIREWALLS"] = float(len(self._project.firewalls))
            return used
        for disk in self._project.disks.values():
            if region_of(disk.zone) == where:
                metric = disk_metric(disk.body["type"])
                used[metric] = used.get(metric, 0.0) + float(disk.body["sizeGb"])
        used["STATIC_ADDRESSES"] = float(
            sum(a.region == where for a in self._project.addresses.values())
        )
        return used


def disk_metric(kind: str) -> str:
    """The metric a disk type counts against, by its name or its link."""
    return "SSD_TOTAL_GB" if kind.rpartition("/")[2] in SSD_TYPES else "DISKS_TOTAL_GB"


def quota_error(metric: str, limit: float, region: Where) -> OperationFailed:
    """QUOTA_EXCEEDED in Google's words: `Quota 'X' exceeded. Limit: 0.0 in region r.`"""
    where = f"in region {region}" if region else "globally"
    scope = "per-project-region" if region else "per-project"
    info = {
        "metricName": f"compute.googleapis.com/{metric.lower()}",
        "limitName": f"{metric.replace('_', '-')}-{scope}",
        "dimensions": {"region": region} if region else {"global": "global"},
        "limit": limit,
    }
    return OperationFailed(
        "QUOTA_EXCEEDED",
        f"Quota '{metric}' exceeded. Limit: {float(limit)} {where}.",
        [{"quotaInfo": info}],
    )
