"""Every call that is made to Compute Engine, in one table: nothing else reaches the wire."""

from enum import Enum


class Call(Enum):
    """(service module, method of its client, field of the body, message of the body)."""

    GET_VM = ("instances", "get")
    LIST_VMS = ("instances", "aggregated_list")
    CREATE_VM = ("instances", "insert_unary", "instance_resource", "Instance")
    START_VM = ("instances", "start_unary")
    STOP_VM = ("instances", "stop_unary")
    DELETE_VM = ("instances", "delete_unary")
    SET_LABELS = (
        "instances",
        "set_labels_unary",
        "instances_set_labels_request_resource",
        "InstancesSetLabelsRequest",
    )
    SET_METADATA = ("instances", "set_metadata_unary", "metadata_resource", "Metadata")
    SET_TAGS = ("instances", "set_tags_unary", "tags_resource", "Tags")
    SET_SCHEDULING = (
        "instances",
        "set_scheduling_unary",
        "scheduling_resource",
        "Scheduling",
    )
    GUEST_ATTRIBUTES = ("instances", "get_guest_attributes")
    GET_DISK = ("disks", "get")
    LIST_DISKS = ("disks", "aggregated_list")
    DELETE_DISK = ("disks", "delete_unary")
    LIST_ADDRESSES = ("addresses", "aggregated_list")
    GET_ADDRESS = ("addresses", "get")
    DELETE_ADDRESS = ("addresses", "delete_unary")
    LIST_SNAPSHOTS = ("snapshots", "list")
    GET_SNAPSHOT = ("snapshots", "get")
    DELETE_SNAPSHOT = ("snapshots", "delete_unary")
    LIST_IMAGES = ("images", "list")
    GET_IMAGE = ("images", "get")
    CREATE_IMAGE = ("images", "insert_unary", "image_resource", "Image")
    DELETE_IMAGE = ("images", "delete_unary")
    SET_IMAGE_LABELS = (
        "images",
        "set_labels_unary",
        "global_set_labels_request_resource",
        "GlobalSetLabelsRequest",
    )
    GET_IMAGE_POLICY = ("images", "get_iam_policy")
    SET_IMAGE_POLICY = (
        "images",
        "set_iam_policy",
        "global_set_policy_request_resource",
        "GlobalSetPolicyRequest",
    )
    GET_MACHINE_TYPE = ("machine_types", "get")
    GET_ACCELERATOR_TYPE = ("accelerator_types", "get")
    LIST_FIREWALLS = ("firewalls", "list")
    GET_FIREWALL = ("firewalls", "get")
    CREATE_FIREWALL = ("firewalls", "insert_unary", "firewall_resource", "Firewall")
    UPDATE_FIREWALL = ("firewalls", "patch_unary", "firewall_resource", "Firewall")
    DELETE_FIREWALL = ("firewalls", "delete_unary")
    GET_PROJECT = ("projects", "get")
    GET_REGION = ("regions", "get")
    LIST_ZONE_OPERATIONS = ("zone_operations", "list")
    WAIT_ZONE_OPERATION = ("zone_operations", "wait")
    WAIT_REGION_OPERATION = ("region_operations", "wait")
    WAIT_GLOBAL_OPERATION = ("global_operations", "wait")

    @property
    def service(self) -> str:
        """Module under `google.cloud.compute_v1.services`."""
        return str(self.value[0])

    @property
    def method(self) -> str:
        """Method of the service's client; `*_unary` answers the operation and never polls."""
        return str(self.value[1])

    @property
    def body(self) -> tuple[str, str] | None:
        """Field of the request that carries the resource, and the resource's message."""
        value: tuple[str, ...] = self.value
        return (value[2], value[3]) if len(value) > 2 else None  # noqa: PLR2004 - see the class
