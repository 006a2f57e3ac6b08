"""Which part answers which call."""

from collections.abc import Callable

from gpuctl.sandbox.gcp.disks import Disks
from gpuctl.sandbox.gcp.edits import Edits
from gpuctl.sandbox.gcp.images import Images
from gpuctl.sandbox.gcp.instances import Instances
from gpuctl.sandbox.gcp.lifecycle import Lifecycle
from gpuctl.sandbox.gcp.network import Addresses, Firewalls, Networks
from gpuctl.sandbox.gcp.operations import Operations
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.quotas import Quotas
from gpuctl.sandbox.gcp.reference import (
    Places,
    Types,
    accelerator_types,
    disk_types,
    machine_types,
)
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.snapshots import Snapshots
from gpuctl.sandbox.gcp.wire import Json

Handler = Callable[[Call], Json]


class Rooms:
    """The parts of one project, made once and in order."""

    def __init__(self, project: Project) -> None:
        self.operations = Operations(project)
        self.quotas = Quotas(project)
        self.disks = Disks(project, self.operations, self.quotas)
        self.life = Lifecycle(project, self.operations, self.disks)
        self.instances = Instances(project, self.operations, self.quotas, self.disks, self.life)
        self.edits = Edits(project, self.operations, self.disks)
        self.addresses = Addresses(project, self.operations, self.quotas)
        self.networks = Networks(project)
        self.firewalls = Firewalls(project, self.operations)
        self.snapshots = Snapshots(project, self.operations)
        self.places = Places(project, self.quotas)
        self.images = Images(project, self.operations)
        self.machine_types = Types(project, "machineTypes", "machine_type", machine_types)
        self.accelerator_types = Types(
            project, "acceleratorTypes", "accelerator_type", accelerator_types(project)
        )
        self.disk_types = Types(project, "diskTypes", "disk_type", disk_types(project))


def handlers_of(rooms: Rooms) -> dict[str, Handler]:
    """Every call of the routing table and what answers it."""
    return {
        **_reading(rooms),
        **_instances(rooms),
        **_operations(rooms),
        **_things(rooms),
    }


def _reading(rooms: Rooms) -> dict[str, Handler]:
    return {
        "projects.get": rooms.places.project,
        "zones.get": rooms.places.zone,
        "zones.list": rooms.places.zones,
        "regions.get": rooms.places.region,
        "regions.list": rooms.places.regions,
        "machineTypes.get": rooms.machine_types.get,
        "machineTypes.list": rooms.machine_types.listed,
        "machineTypes.aggregatedList": rooms.machine_types.aggregated_list,
        "acceleratorTypes.get": rooms.accelerator_types.get,
        "acceleratorTypes.list": rooms.accelerator_types.listed,
        "acceleratorTypes.aggregatedList": rooms.accelerator_types.aggregated_list,
        "diskTypes.get": rooms.disk_types.get,
        "diskTypes.list": rooms.disk_types.listed,
        "images.get": rooms.images.get,
        "images.getFromFamily": rooms.images.get_from_family,
        "images.list": rooms.images.listed,
        "networks.get": rooms.networks.get,
        "networks.list": rooms.networks.listed,
        "subnetworks.get": rooms.networks.get_subnetwork,
        "subnetworks.list": rooms.networks.list_subnetworks,
    }


def _instances(rooms: Rooms) -> dict[str, Handler]:
    return {
        "instances.insert": rooms.instances.insert,
        "instances.get": rooms.instances.get,
        "instances.list": rooms.instances.listed,
        "instances.aggregatedList": rooms.instances.aggregated_list,
        "instances.delete": rooms.instances.delete,
        "instances.start": rooms.instances.start,
        "instances.stop": rooms.instances.stop,
        "instances.reset": rooms.instances.reset,
        "instances.setLabels": rooms.edits.set_labels,
        "instances.setMetadata": rooms.edits.set_metadata,
        "instances.setTags": rooms.edits.set_tags,
        "instances.setScheduling": rooms.edits.set_scheduling,
        "instances.setMachineType": rooms.edits.set_machine_type,
        "instances.setDeletionProtection": rooms.edits.set_deletion_protection,
        "instances.addAccessConfig": rooms.edits.add_access_config,
        "instances.deleteAccessConfig": rooms.edits.delete_access_config,
        "instances.attachDisk": rooms.edits.attach_disk,
        "instances.detachDisk": rooms.edits.detach_disk,
        "instances.getSerialPortOutput": rooms.edits.get_serial_port_output,
        "instances.getGuestAttributes": rooms.edits.get_guest_attributes,
    }


def _operations(rooms: Rooms) -> dict[str, Handler]:
    made: dict[str, Handler] = {"globalOperations.aggregatedList": rooms.operations.aggregated_list}
    for scope in ("zone", "region", "global"):
        made[f"{scope}Operations.get"] = rooms.operations.get
        made[f"{scope}Operations.list"] = rooms.operations.listed
        made[f"{scope}Operations.wait"] = rooms.operations.wait
        made[f"{scope}Operations.delete"] = rooms.operations.delete
    return made


def _things(rooms: Rooms) -> dict[str, Handler]:
    return {
        "disks.insert": rooms.disks.insert,
        "disks.get": rooms.disks.get,
        "disks.list": rooms.disks.listed,
        "disks.aggregatedList": rooms.disks.aggregated_list,
        "disks.delete": rooms.disks.delete,
        "disks.setLabels": rooms.disks.set_labels,
        "snapshots.insert": rooms.snapshots.insert,
        "snapshots.get": rooms.snapshots.get,
        "snapshots.list": rooms.snapshots.listed,
        "snapshots.delete": rooms.snapshots.delete,
        "images.insert": rooms.images.insert,
        "images.delete": rooms.images.delete,
        "images.setLabels": rooms.images.set_labels,
        "images.getIamPolicy": rooms.images.get_policy,
        "images.setIamPolicy": rooms.images.set_policy,
        "addresses.insert": rooms.addresses.insert,
        "addresses.get": rooms.addresses.get,
        "addresses.list": rooms.addresses.listed,
        "addresses.aggregatedList": rooms.addresses.aggregated_list,
        "addresses.delete": rooms.addresses.delete,
        "firewalls.insert": rooms.firewalls.insert,
        "firewalls.get": rooms.firewalls.get,
        "firewalls.list": rooms.firewalls.listed,
        "firewalls.patch": rooms.firewalls.patch,
        "firewalls.delete": rooms.firewalls.delete,
    }
