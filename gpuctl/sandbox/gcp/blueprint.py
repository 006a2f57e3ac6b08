"""A request to create an instance -> the instance and its disks, or Google's refusal."""

from dataclasses import dataclass

from gpuctl.sandbox.gcp import catalogue
from gpuctl.sandbox.gcp.catalogue import GPUS, MACHINE_TYPES, MachineType, region_of
from gpuctl.sandbox.gcp.checks import check_labels, check_metadata, check_name
from gpuctl.sandbox.gcp.disks import Disks
from gpuctl.sandbox.gcp.project import Disk, Project, Vm
from gpuctl.sandbox.gcp.scheduling import complete
from gpuctl.sandbox.gcp.wire import (
    Json,
    already_exists,
    bad_request,
    fingerprint,
    in_use,
    invalid,
    not_found,
    path_of,
    relative,
    required,
    stamp,
)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """An instance that could be made, and the disks that would be made with it."""

    vm: Vm
    new_disks: tuple[Disk, ...]


def draw(project: Project, disks: Disks, zone: str, given: Json) -> Blueprint:
    """Check everything and make nothing yet."""
    name = check_name(given.get("name"))
    path = f"zones/{zone}/instances/{name}"
    if (zone, name) in project.vms:
        raise already_exists(f"projects/{project.name}/{path}")
    machine = machine_type(project, zone, given.get("machineType"))
    gpu, gpus = accelerators(project, zone, machine, given.get("guestAccelerators", []))
    now = project.now()
    body: Json = {
        "kind": "compute#instance",
        "id": project.ids.number(),
        "creationTimestamp": stamp(now),
        "status": "PROVISIONING",
        "cpuPlatform": "Unknown CPU Platform",
        "startRestricted": False,
        "deletionProtection": False,
        "canIpForward": False,
    } | given
    body |= {
        "selfLink": project.link(path),
        "zone": project.link(f"zones/{zone}"),
        "machineType": project.link(f"zones/{zone}/machineTypes/{machine.name}"),
        "scheduling": complete(given.get("scheduling", {}), gpus),
        "networkInterfaces": _interfaces(project, zone, given.get("networkInterfaces", [])),
        "resourceStatus": {"scheduling": {}},
    }
    _stamp_collections(body, given)
    if gpu:
        link = project.link(f"zones/{zone}/acceleratorTypes/{gpu}")
        body["guestAccelerators"] = [{"acceleratorType": link, "acceleratorCount": gpus}]
    vm = Vm(body=body, zone=zone, machine=machine, gpu=gpu, gpus=gpus, created=now)
    body["disks"], new = _attachments(disks, vm, given.get("disks", []))
    return Blueprint(vm, new)


def _stamp_collections(body: Json, given: Json) -> None:
    """Labels, metadata and tags, each with its fingerprint."""
    labels = check_labels(given.get("labels", {}))
    items = check_metadata(given.get("metadata", {}).get("items", []))
    tags = given.get("tags", {}).get("items", [])
    for index, tag in enumerate(tags):
        check_name(tag, f"resource.tags.items[{index}]")
    body["labelFingerprint"] = fingerprint(labels)
    body["metadata"] = {"kind": "compute#metadata", "fingerprint": fingerprint(items)}
    if items:
        body["metadata"]["items"] = items
    body["tags"] = {"fingerprint": fingerprint(tags)} | ({"items": tags} if tags else {})
    body["fingerprint"] = fingerprint(body["id"])


def machine_type(project: Project, zone: str, link: str | None) -> MachineType:
    """The machine type of a link, offered in the zone. Refusal (400) otherwise."""
    field = "resource.machineType"
    if not link:
        raise required(field)
    path = relative(link, project.name)
    parts = path.split("/") if path else []
    if len(parts) != 6 or parts[4] != "machineTypes":  # noqa: PLR2004 - projects/p/zones/z/machineTypes/t
        raise invalid(field, link, "The URL is malformed.")
    if parts[3] != zone:
        raise invalid(field, link, f"The machine type is not in zone '{zone}'.")
    if not catalogue.offered(parts[5], zone):
        why = f"Machine type with name '{parts[5]}' does not exist in zone '{zone}'."
        raise invalid(field, link, why)
    return MACHINE_TYPES[parts[5]]


def accelerators(
    project: Project, zone: str, machine: MachineType, given: list[Json]
) -> tuple[str | None, int]:
    """GPU type and count of a VM, those of its machine type included."""
    if len(given) > 1:
        raise invalid("resource.guestAccelerators", "", "At most one accelerator type is allowed.")
    if not given or not given[0].get("acceleratorCount"):
        return machine.gpu, machine.gpus
    link, count = given[0].get("acceleratorType"), int(given[0]["acceleratorCount"])
    if not link:
        raise required("resource.guestAccelerators[0].acceleratorType")
    path = relative(link, project.name)
    if path is None or "/acceleratorTypes/" not in path:
        field = "resource.guestAccelerators[0].acceleratorType"
        raise invalid(field, link, "The URL is malformed.")
    name = path.rpartition("/")[2]
    if name not in GPUS or zone not in GPUS[name].zones or f"/zones/{zone}/" not in path:
        raise not_found(path)
    fits = GPUS[name].cpus_by_count if machine.family == "n1" else {}
    own = (machine.gpu, machine.gpus) == (name, count)
    if not own and machine.cpus > fits.get(count, 0):
        raise bad_request(
            f"[{machine.name}, {name}:{count}] features are not compatible for creating instance."
        )
    return name, count


def _interfaces(project: Project, zone: str, given: list[Json]) -> list[Json]:
    """Network interfaces with their addresses on the default network."""
    if not given:
        raise invalid(
            "resource.networkInterfaces", "", "At least one network interface is required."
        )
    made = []
    for index, interface in enumerate(given):
        field = f"resource.networkInterfaces[{index}]"
        network = relative(interface.get("network", "global/networks/default"), project.name)
        if network is None:
            raise invalid(f"{field}.network", interface["network"], "The URL is malformed.")
        if network != f"projects/{project.name}/global/networks/default":
            raise not_found(network)
        subnet = f"regions/{region_of(zone)}/subnetworks/default"
        asked = relative(interface.get("subnetwork", subnet), project.name)
        if asked != f"projects/{project.name}/{subnet}":
            raise invalid(
                f"{field}.subnetwork",
                interface["subnetwork"],
                "The referenced subnetwork resource cannot be found.",
            )
        made.append(
            {
                "kind": "compute#networkInterface",
                "name": f"nic{index}",
                "networkIP": project.private_address(),
                "stackType": "IPV4_ONLY",
            }
            | interface
            | {
                "network": project.link("global/networks/default"),
                "subnetwork": project.link(subnet),
                "fingerprint": fingerprint([zone, index, interface]),
            }
            | access(project, zone, field, interface.get("accessConfigs", []))
        )
    return made


def access(project: Project, zone: str, field: str, configs: list[Json]) -> Json:
    """External access: at most one config; a given address must be reserved and free."""
    if not configs:
        return {}
    if len(configs) > 1:
        raise invalid(f"{field}.accessConfigs", "", "At most one access config is allowed.")
    config = {
        "kind": "compute#accessConfig",
        "type": "ONE_TO_ONE_NAT",
        "name": "External NAT",
        "networkTier": "PREMIUM",
    } | configs[0]
    ip = config.get("natIP")
    if ip is not None:
        address = project.reserved(region_of(zone), ip)
        if address is None:
            raise invalid(
                f"{field}.accessConfigs[0].natIP",
                ip,
                "The specified external IP address was not found in the project.",
            )
        if address.body.get("users"):
            user = address.body["users"][0]
            raise in_use("external IP address", path_of(address.body), user)
    return {"accessConfigs": [config]}


def _attachments(disks: Disks, vm: Vm, given: list[Json]) -> tuple[list[Json], tuple[Disk, ...]]:
    """The VM's disks: made from an image, or there already and free."""
    if not given:
        raise invalid("resource.disks", "", "At least one disk must be attached to an instance.")
    boots = [bool(item.get("boot")) for item in given]
    if not boots[0] or sum(boots) != 1:
        raise invalid("resource.disks[0].boot", "false", "The first disk must be the boot disk.")
    attached, new = [], []
    for index, item in enumerate(given):
        made, disk = disks.attachment(vm, index, item)
        attached.append(made)
        if disk is not None:
            new.append(disk)
    return attached, tuple(new)
