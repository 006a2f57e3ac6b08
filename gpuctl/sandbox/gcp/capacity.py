"""A stock-out as Compute Engine tells it: in the operation, with the zones that have some."""

from gpuctl.sandbox.gcp.catalogue import ALL_ZONES, GPUS, offered, region_of
from gpuctl.sandbox.gcp.operations import OperationFailed
from gpuctl.sandbox.gcp.project import Project, Vm
from gpuctl.sandbox.gcp.wire import Json

_HELP = {
    "links": [
        {
            "description": "Troubleshooting documentation",
            "url": "https://cloud.google.com/compute/docs/resource-error",
        }
    ]
}


def stock_out(project: Project, vm: Vm) -> OperationFailed | None:
    """The error when the VM's types have run out in its zone; None when there are some."""
    if not _out(project, vm, vm.zone):
        return None
    others = [zone for zone in ALL_ZONES if _has(project, vm, zone)]
    message = (
        f"The zone 'projects/{project.name}/zones/{vm.zone}' does not have enough resources "
        "available to fulfill the request.  '(resource type:compute)'."
    )
    details = [
        {"help": _HELP},
        {"localizedMessage": _words(vm, others)},
        {"errorInfo": _info(vm, others)},
    ]
    return OperationFailed("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", message, details)


def _out(project: Project, vm: Vm, zone: str) -> bool:
    kinds = (vm.machine.name, *((vm.gpu,) if vm.gpu else ()))
    return project.weather.exhausted(zone, kinds, spot=vm.preemptible)


def _has(project: Project, vm: Vm, zone: str) -> bool:
    """Another zone of the same region that offers the types and has some left."""
    return (
        region_of(zone) == region_of(vm.zone)
        and zone != vm.zone
        and offered(vm.machine.name, zone)
        and (vm.gpu is None or zone in GPUS[vm.gpu].zones)
        and not _out(project, vm, zone)
    )


def _words(vm: Vm, others: list[str]) -> Json:
    extra = "" if vm.gpu is None else f" with {vm.gpus} {vm.gpu} accelerator(s)"
    try_these = (
        f"Consider trying your request in the {', '.join(others)} zone(s), which currently has "
        "capacity to accommodate your request. "
        if others
        else ""
    )
    return {
        "locale": "en-US",
        "message": f"A {vm.machine.name} VM instance{extra} is currently unavailable in the "
        f"{vm.zone} zone. {try_these}Alternatively, you can try your request again with a "
        "different VM hardware configuration or at a later time. For more information, see the "
        "troubleshooting documentation.",
    }


def _info(vm: Vm, others: list[str]) -> Json:
    return {
        "domain": "compute.googleapis.com",
        "metadatas": {
            "attachment": f"{vm.gpu}:{vm.gpus}" if vm.gpu else "",
            "vmType": vm.machine.name,
            "zone": vm.zone,
            "zonesAvailable": ",".join(others),
        },
        "reason": "resource_availability",
    }
