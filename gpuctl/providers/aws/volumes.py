"""A project's data volume: made once in a zone, attached again to each machine there."""

import hashlib
from collections.abc import Mapping
from typing import Any

from gpuctl.core.errors import InvalidRequest, NoZoneCapacity, UnknownOutcome
from gpuctl.core.model import DataVolume, DiskSpec, Order
from gpuctl.core.ports import Sleep
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.client import Clients, pages, part
from gpuctl.providers.aws.codes import Next
from gpuctl.providers.aws.errors import as_error, refusal_of, sdk_errors, translated
from gpuctl.providers.aws.translate import attached_to

DEVICE = "/dev/sdf"
"""Nitro shows it as an NVMe device; it is found by the volume's id, never by this name."""

_ATTACH_TRIES = 40
_ATTACH_PAUSE = 3.0
_AGAIN = (Next.SETTLE, Next.SAME_AGAIN, Next.SLOW_DOWN)
_ENDED = ("deleting", "deleted", "error")


def disk_parameters(disk: DiskSpec) -> dict[str, Any]:
    """Size, type, and what is bought apart, in the form of the EC2 API."""
    parameters: dict[str, Any] = {"VolumeSize": disk.gb, "VolumeType": disk.type}
    if disk.iops is not None:
        parameters["Iops"] = disk.iops
    if disk.throughput is not None:
        parameters["Throughput"] = disk.throughput
    return parameters


def find(clients: Clients, region: str, project: str, name: str) -> Mapping[str, Any] | None:
    """The volume of that name of that project, in whichever zone of the region."""
    found = pages(
        clients.ec2(region).describe_volumes,
        "Volumes",
        f"looking for data volume {name} in {region}",
        Filters=[tags.tagged(tags.PROJECT, project), tags.tagged(tags.DATA, name)],
    )
    alive = [volume for volume in found if volume.get("State") not in _ENDED]
    if len(alive) > 1:
        ids = ", ".join(volume["VolumeId"] for volume in alive)
        raise InvalidRequest(
            f"project {project} has several volumes named {name} in {region}: {ids}"
        )
    return alive[0] if alive else None


def ensure(clients: Clients, order: Order, data: DataVolume) -> str:
    """Id of the volume, in the order's zone and free to attach (or attached to its machine).

    NoZoneCapacity naming the right zone when the volume lies in another one; InvalidRequest
    when another machine holds it.
    """
    region, zone = order.offer.region, order.offer.zone
    volume = find(clients, region, order.project, data.name)
    if volume is None:
        return _create(clients, order, data)
    if volume["AvailabilityZone"] != zone:
        there = volume["AvailabilityZone"]
        raise NoZoneCapacity(
            f"data volume {data.name} of {order.project} lies in {there}, not in {zone}",
            code="DataVolumeInOtherZone",
            zones=(there,),
        )
    for instance in attached_to(volume):
        if not _is_of_lease(clients, region, instance, order.lease):
            raise InvalidRequest(
                f"data volume {data.name} of {order.project} is attached to {instance}",
                hint=f"gpuctl down {instance}",
            )
    return str(volume["VolumeId"])


def attach(clients: Clients, region: str, volume: str, instance: str, sleep: Sleep) -> None:
    """Attaches the volume once the instance runs; attached already is no error.

    UnknownOutcome when it could not be done in two minutes: the machine exists all the same.
    """
    detail = None
    for _ in range(_ATTACH_TRIES):
        try:
            clients.ec2(region).attach_volume(Device=DEVICE, InstanceId=instance, VolumeId=volume)
        except sdk_errors() as error:
            refusal = refusal_of(error)
            detail = refusal.detail
            if refusal.code == "VolumeInUse" and _holds(clients, region, volume, instance):
                return
            if refusal.step not in _AGAIN and refusal.code != "InvalidInstanceID.NotFound":
                raise as_error(refusal, f"attaching {volume} to {instance}") from error
        else:
            return
        sleep(_ATTACH_PAUSE)
    raise UnknownOutcome(
        f"{instance} runs, but its data volume {volume} could not be attached yet",
        hint="run the command again",
        detail=detail,
    )


def _create(clients: Clients, order: Order, data: DataVolume) -> str:
    written = {
        **tags.of_install(order.install),
        tags.PROJECT: order.project,
        tags.DATA: data.name,
        tags.NAME: f"{order.project}:{data.name}",
    }
    disk = disk_parameters(data.disk)
    doing = f"making data volume {data.name} in {order.offer.zone}"
    with translated(doing, effect=True):
        reply = clients.ec2(order.offer.region).create_volume(
            AvailabilityZone=order.offer.zone,
            Size=disk.pop("VolumeSize"),
            Encrypted=True,
            ClientToken=hashlib.sha256(f"{order.token}/{data.name}".encode()).hexdigest()[:64],
            TagSpecifications=[tags.specification("volume", written)],
            **disk,
        )
    return str(part(reply, "VolumeId", doing))


def _is_of_lease(clients: Clients, region: str, instance: str, lease: str) -> bool:
    reservations = pages(
        clients.ec2(region).describe_instances,
        "Reservations",
        f"looking at {instance}",
        Filters=[tags.where("instance-id", instance), tags.tagged(tags.LEASE, lease)],
    )
    return any(reservation.get("Instances") for reservation in reservations)


def _holds(clients: Clients, region: str, volume: str, instance: str) -> bool:
    found = pages(
        clients.ec2(region).describe_volumes,
        "Volumes",
        f"looking at {volume}",
        VolumeIds=[volume],
    )
    return any(instance in attached_to(one) for one in found)
