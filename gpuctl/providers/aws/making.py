"""Images of builders: CreateImage under a name that belongs to one order alone.

The call has no token. The name is one: AWS refuses a second image of the same name, and the order
is found again by its tag. AWS restarts the builder while it begins, so that its disk is at rest;
a spot machine cannot be stopped and started.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from gpuctl.core.errors import Busy, NotFound
from gpuctl.core.images.making import ImageOrder, Making, Taken
from gpuctl.core.ports import Sleep
from gpuctl.providers.aws import image_facts as facts
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.errors import refusal_of, sdk_errors, translated

TOKEN = "gpuctl:token"  # noqa: S105 - the key of a tag
BASE = "gpuctl:base"
_TAKEN_NAME = "InvalidAMIName.Duplicate"
_PAUSES = (2.0, 4.0, 8.0)
"""Seconds until a listing shows an image that was just accepted."""
_MAKING = {"available": Making.READY, "pending": Making.PENDING, "transient": Making.PENDING}
"""Every other state (`failed`, `error`, `invalid`, `deregistered`…) is an end."""

Described = Mapping[str, Any]


def make(clients: Clients, order: ImageOrder, sleep: Sleep) -> Taken:
    """The order's image, accepted now or before. NotFound without such a builder."""
    known = taken(clients, order)
    if known is not None:
        return known
    region, doing = order.machine.region, f"making an image of {order.machine.native}"
    written = _tags(order)
    try:
        reply = clients.ec2(region).create_image(
            InstanceId=order.machine.native,
            Name=order.resource,
            Description=f"{order.key}, made by gpuctl",
            TagSpecifications=[tags.specification(kind, written) for kind in ("image", "snapshot")],
        )
    except sdk_errors() as error:
        if refusal_of(error).code != _TAKEN_NAME:
            with translated(doing, effect=True):
                raise
    else:
        return Taken(id=str(reply["ImageId"]), region=region, making=Making.PENDING, gb=0)
    for pause in _PAUSES:
        known = taken(clients, order)
        if known is not None:
            return known
        sleep(pause)
    raise Busy(f"{doing}: AWS has accepted it and does not show it yet", hint="try again")


def taken(clients: Clients, order: ImageOrder) -> Taken | None:
    """What became of it."""
    image = _image(clients, order)
    return None if image is None else _taken(image, order.machine.region)


def unmake(clients: Clients, order: ImageOrder) -> None:
    """The image, and snapshots that a failed one has left."""
    ec2, doing = clients.ec2(order.machine.region), f"removing the image {order.resource}"
    image = _image(clients, order)
    if image is not None:
        with suppress(NotFound), translated(doing, effect=True):
            ec2.deregister_image(ImageId=image["ImageId"], DeleteAssociatedSnapshots=True)
    held = [tags.tagged(TOKEN, order.token)]
    for snapshot in pages(
        ec2.describe_snapshots, "Snapshots", doing, OwnerIds=["self"], Filters=held
    ):
        with suppress(NotFound), translated(doing, effect=True):
            ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])


def _image(clients: Clients, order: ImageOrder) -> Described | None:
    found = pages(
        clients.ec2(order.machine.region).describe_images,
        "Images",
        f"looking for the image {order.resource}",
        Owners=["self"],
        Filters=[tags.tagged(TOKEN, order.token)],
    )
    return next(iter(found), None)


def _taken(image: Described, region: str) -> Taken:
    root = image.get("RootDeviceName")
    sizes = {
        mapping["DeviceName"]: int((mapping.get("Ebs") or {}).get("VolumeSize") or 0)
        for mapping in image.get("BlockDeviceMappings") or ()
    }
    said = image.get("StateReason") or {}
    state = str(image.get("State"))
    making = _MAKING.get(state, Making.FAILED)
    return Taken(
        id=str(image["ImageId"]),
        region=region,
        making=making,
        gb=sizes.get(str(root), 0),
        architecture=image.get("Architecture"),
        reason=(said.get("Message") or state) if making is Making.FAILED else None,
    )


def _tags(order: ImageOrder) -> dict[str, str]:
    told = {
        **tags.of_install(order.install),
        tags.LEASE: order.lease,
        tags.PROJECT: order.project,
        tags.NAME: order.key,
        TOKEN: order.token,
        BASE: order.base,
        facts.IMAGE: order.name,
        facts.VERSION: order.version,
        facts.RECIPE: order.recipe_sha256,
        facts.DRIVER: order.driver,
        facts.MODULE: order.module,
        facts.CUDA: order.cuda,
        facts.TORCH: order.torch,
    }
    return {key: value for key, value in told.items() if value is not None}
