"""Bodies of the requests that make or change a VM. Pure."""

import gzip
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gpuctl.core.errors import InvalidRequest, NotFound
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.model import Order
from gpuctl.core.span import format_time
from gpuctl.providers.gcp.errors import Json
from gpuctl.providers.gcp.shapes import family_of, full_gpu
from gpuctl.providers.gcp.translate import DEADLINE, LEASE, USER, labels_of, region_of

DEFAULT_IMAGE = "deeplearning-platform-release/common-cu129-ubuntu-2404-nvidia-580"
"""Image family with NVIDIA's driver, for T4, L4, V100 and A100."""
STORAGE_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
"""All that a machine's own account may be used for there."""
SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(days=120)
"""Google's own bounds of `maxRunDuration`."""
STARTUP = "startup-script"
BEFORE = "gpuctl-startup-script-before"
"""Where the start-up script of an adopted VM is kept, so that nothing is lost."""
_NAMESPACE = uuid.UUID("6f9b5a34-26f6-5c0a-9d9e-4b1f3d1c7a52")
_GZIP = b"\x1f\x8b"


def request_id(token: str, step: str = "") -> str:
    """The UUID that Google knows a request by: the same token and step, the same request."""
    return str(uuid.uuid5(_NAMESPACE, f"{step}:{token}"))


def vm_name(order: Order) -> str:
    """The VM's name: the one the template names, else the machine's."""
    return order.settings.get("vm") or order.name


def image_link(image: str) -> str:
    """The address of an image: `project/family`, or any address as it stands."""
    if not image:
        return image_link(DEFAULT_IMAGE)
    if image.startswith(("https://", "projects/", "global/")):
        return image
    project, slash, family = image.partition("/")
    if not slash or not project or not family:
        raise NotFound(
            f"{image!r} is no Google image",
            hint=f"image = {DEFAULT_IMAGE!r}, or 'projects/PROJECT/global/images/NAME'",
        )
    return (
        f"projects/{project}/global/images/{family}"
        if "/" in family
        else (f"projects/{project}/global/images/family/{family}")
    )


def startup_script(user_data: bytes) -> str:
    """The start-up script as text: Google runs it as it stands, so gzip is undone."""
    return (gzip.decompress(user_data) if user_data.startswith(_GZIP) else user_data).decode()


def max_run_seconds(order: Order) -> int:
    """`maxRunDuration` in seconds, within Google's bounds."""
    return int(min(max(order.max_run, SHORTEST), LONGEST).total_seconds())


def limit_of(order: Order) -> dict[str, Any]:
    """The part of the scheduling that ends the run whatever happens to us or the guest."""
    return {
        "maxRunDuration": {"seconds": str(max_run_seconds(order))},
        "instanceTerminationAction": "STOP",
    }


def limited(vm: Json, order: Order) -> bool:
    """Whether Google says that it will end the run in time."""
    scheduling = vm.get("scheduling") or {}
    seconds = int((scheduling.get("maxRunDuration") or {}).get("seconds") or 0)
    stops = scheduling.get("instanceTerminationAction") == "STOP"
    return stops and seconds == max_run_seconds(order)


def scheduling_of(vm: Json, order: Order) -> Json:
    """The VM's scheduling with our limit in it."""
    present = dict(vm.get("scheduling") or {})
    present.pop("terminationTime", None)  # it and maxRunDuration exclude each other
    return present | limit_of(order)


def order_labels(order: Order) -> dict[str, str]:
    """The labels an order puts on its VM."""
    return labels_of(
        install=order.install,
        lease=order.lease,
        project=order.project,
        deadline=order.deadline,
        template=order.template,
    )


def order_metadata(order: Order, keys: str) -> dict[str, str]:
    """What the guest is told: its script, its keys, its lease, and to publish its host keys."""
    return {
        STARTUP: startup_script(order.user_data),
        "ssh-keys": keys,
        "enable-guest-attributes": "TRUE",
        LEASE: order.lease,
        DEADLINE: format_time(order.deadline),
        USER: order.access.user,
    }


def adopted_metadata(present: Mapping[str, str], order: Order, keys: str) -> dict[str, str]:
    """The same for a VM that exists: everything else it is told stays."""
    wanted = dict(present) | order_metadata(order, keys)
    foreign = present.get(STARTUP) and LEASE not in present
    if foreign:
        wanted[BEFORE] = present[STARTUP]
    return wanted


def deadline_metadata(present: Mapping[str, str], deadline: datetime) -> dict[str, str]:
    """The same with another deadline."""
    return dict(present) | {DEADLINE: format_time(deadline)}


def new_vm(order: Order, *, name: str, tag: str, keys: str) -> Json:
    """The body of `instances.insert`. InvalidRequest for what Google cannot give."""
    if order.data is not None:
        raise InvalidRequest(
            "A data volume is not needed on Google: the VM's own disk stays when it is stopped",
            hint="remove `data` from the template",
        )
    zone, offer = order.offer.zone, order.offer
    labels = dict(order_labels(order))
    spot = offer.market is Market.SPOT
    body: dict[str, Any] = {
        "name": name,
        "machineType": f"zones/{zone}/machineTypes/{offer.type}",
        "labels": labels,
        "metadata": {
            "items": [
                {"key": key, "value": value}
                for key, value in (
                    order_metadata(order, keys) | {"enable-oslogin": "FALSE"}
                ).items()
            ]
        },
        "tags": {"items": [tag]},
        "scheduling": {
            "provisioningModel": "SPOT" if spot else "STANDARD",
            "automaticRestart": False,
            "onHostMaintenance": "TERMINATE",
            **limit_of(order),
        },
        "disks": [_boot_disk(order, zone, labels)],
        "networkInterfaces": [_interface(order, zone)],
    }
    if account := order.settings.get("service_account"):
        body["serviceAccounts"] = [{"email": account, "scopes": [STORAGE_SCOPE]}]
    if offer.gpu and family_of(offer.type) == "n1":
        kind = f"zones/{zone}/acceleratorTypes/{_accelerator(order)}"
        body["guestAccelerators"] = [{"acceleratorType": kind, "acceleratorCount": offer.gpus}]
    return body


def _accelerator(order: Order) -> str:
    for component in order.offer.components:
        if component.kind is Kind.GPU:
            return component.sku
    return full_gpu(order.offer.gpu or "")


def _boot_disk(order: Order, zone: str, labels: Mapping[str, str]) -> Json:
    return {
        "boot": True,
        "autoDelete": True,
        "initializeParams": {
            "sourceImage": image_link(order.image),
            "diskSizeGb": str(order.disk.gb),
            "diskType": f"zones/{zone}/diskTypes/{order.disk.type}",
            "labels": dict(labels),
        },
    }


def _interface(order: Order, zone: str) -> Json:
    access = {"accessConfigs": [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}]}
    if order.subnet is None:
        return {"network": "global/networks/default", **access}
    subnet = order.subnet
    if "/" not in subnet:
        subnet = f"regions/{region_of(zone)}/subnetworks/{subnet}"
    return {"subnetwork": subnet, **access}
