"""The least custom role: exactly what the calls need, so that a key that leaks can do no more."""

from collections.abc import Mapping

from gpuctl.providers.gcp.calls import Call

NEEDS: Mapping[Call, tuple[str, ...]] = {
    Call.GET_VM: ("compute.instances.get",),
    Call.LIST_VMS: ("compute.instances.list",),
    Call.CREATE_VM: (
        "compute.instances.create",
        "compute.instances.setLabels",
        "compute.instances.setMetadata",
        "compute.instances.setTags",
        "compute.disks.create",
        "compute.disks.setLabels",
        "compute.images.useReadOnly",
        "compute.networks.get",
        "compute.subnetworks.use",
        "compute.subnetworks.useExternalIp",
    ),
    Call.START_VM: ("compute.instances.start",),
    Call.STOP_VM: ("compute.instances.stop",),
    Call.DELETE_VM: ("compute.instances.delete", "compute.disks.delete"),
    Call.SET_LABELS: ("compute.instances.setLabels",),
    Call.SET_METADATA: ("compute.instances.setMetadata",),
    Call.SET_TAGS: ("compute.instances.setTags",),
    Call.SET_SCHEDULING: ("compute.instances.setScheduling",),
    Call.GUEST_ATTRIBUTES: ("compute.instances.getGuestAttributes",),
    Call.GET_DISK: ("compute.disks.get",),
    Call.LIST_DISKS: ("compute.disks.list",),
    Call.DELETE_DISK: ("compute.disks.delete",),
    Call.LIST_ADDRESSES: ("compute.addresses.list",),
    Call.GET_ADDRESS: ("compute.addresses.get",),
    Call.DELETE_ADDRESS: ("compute.addresses.delete",),
    Call.LIST_SNAPSHOTS: ("compute.snapshots.list",),
    Call.GET_SNAPSHOT: ("compute.snapshots.get",),
    Call.DELETE_SNAPSHOT: ("compute.snapshots.delete",),
    Call.LIST_IMAGES: ("compute.images.list",),
    Call.GET_IMAGE: ("compute.images.get",),
    Call.CREATE_IMAGE: (
        "compute.images.create",
        "compute.images.setLabels",
        "compute.disks.useReadOnly",
    ),
    Call.DELETE_IMAGE: ("compute.images.delete",),
    Call.SET_IMAGE_LABELS: ("compute.images.setLabels",),
    Call.GET_IMAGE_POLICY: ("compute.images.getIamPolicy",),
    Call.SET_IMAGE_POLICY: ("compute.images.setIamPolicy",),
    Call.GET_MACHINE_TYPE: ("compute.machineTypes.get",),
    Call.GET_ACCELERATOR_TYPE: ("compute.acceleratorTypes.get",),
    Call.LIST_FIREWALLS: ("compute.firewalls.list",),
    Call.GET_FIREWALL: ("compute.firewalls.get",),
    Call.CREATE_FIREWALL: ("compute.firewalls.create", "compute.networks.updatePolicy"),
    Call.UPDATE_FIREWALL: ("compute.firewalls.update", "compute.networks.updatePolicy"),
    Call.DELETE_FIREWALL: ("compute.firewalls.delete", "compute.networks.updatePolicy"),
    Call.GET_PROJECT: ("compute.projects.get",),
    Call.GET_REGION: ("compute.regions.get",),
    Call.LIST_ZONE_OPERATIONS: ("compute.zoneOperations.list",),
    Call.WAIT_ZONE_OPERATION: ("compute.zoneOperations.get",),
    Call.WAIT_REGION_OPERATION: ("compute.regionOperations.get",),
    Call.WAIT_GLOBAL_OPERATION: ("compute.globalOperations.get",),
}
"""What each call needs, from the reference pages of the methods."""

PERMISSIONS: tuple[str, ...] = tuple(sorted({need for needs in NEEDS.values() for need in needs}))
"""The custom role. `roles/iap.tunnelResourceAccessor` comes on top for `tunnel = "iap"`."""
