"""From what a template calls its image to one AMI in one region, checked before it is used."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuctl.core.errors import InvalidRequest, NotFound
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.client import Clients, pages, part
from gpuctl.providers.aws.errors import translated
from gpuctl.providers.aws.gpus import architecture_of
from gpuctl.providers.aws.image_facts import IMAGE, VERSION, refuse_known_bad

ROOT = "/gpuctl/images/"
PARAMETER = ROOT + "{name}/{channel}"
DEFAULT_CHANNEL = "stable"

_VENDORS = {"898082745236": "AWS Deep Learning", "099720109477": "Canonical"}
_PUBLIC_PATH = "/aws/service/"
_AMI = re.compile(r"ami-[0-9a-f]{8,17}\Z")
_NAMED = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:@(?P<at>[A-Za-z0-9][A-Za-z0-9._-]*))?\Z")
_VERSION = re.compile(r"v?\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An AMI that can be launched: its root device and the smallest disk that holds it."""

    id: str
    root: str
    root_gb: int
    others: tuple[str, ...]
    """Device names of its other EBS volumes."""


def resolve(clients: Clients, region: str, named: str, type_: str) -> Image:
    """`ami-…`, `name@version`, `name@channel`, `name` (its `stable`) or `ssm:/path` in a region.

    NotFound when there is none, TypeNotOffered when its driver or torch cannot work on that type,
    InvalidRequest when it cannot boot it or is not whose it should be: a name only ever finds our
    own account's images, so nobody can publish one under the same name.
    """
    found = describe(clients, region, named)
    image = _checked(found, named, region, type_)
    refuse_known_bad(found, named, type_)
    return image


def describe(clients: Clients, region: str, named: str) -> Mapping[str, Any]:
    """The same image as DescribeImages has it. NotFound, or InvalidRequest for another's."""
    if named.startswith("ssm:"):
        path = named.removeprefix("ssm:")
        found = _by_id(clients, region, _parameter(clients, region, path, named), named)
        _check_owner(clients, region, found, named, vendor=path.startswith(_PUBLIC_PATH))
        return found
    if _AMI.match(named):
        return _by_id(clients, region, named, named)
    return _by_name(clients, region, named)


def _by_name(clients: Clients, region: str, named: str) -> Mapping[str, Any]:
    match = _NAMED.match(named)
    if match is None:
        raise InvalidRequest(
            f"image {named!r} is none of ami-…, name@version, name@channel, ssm:/path"
        )
    name, at = match.group("name"), match.group("at") or DEFAULT_CHANNEL
    if not _VERSION.match(at):
        path = PARAMETER.format(name=name, channel=at)
        found = _by_id(clients, region, _parameter(clients, region, path, named), named)
        _check_owner(clients, region, found, named, vendor=False)
        return found
    images = pages(
        clients.ec2(region).describe_images,
        "Images",
        f"looking for image {named} in {region}",
        Owners=["self"],
        Filters=[tags.tagged(IMAGE, name), tags.tagged(VERSION, at)],
    )
    if not images:
        raise _missing(named, region)
    return max(images, key=lambda image: str(image.get("CreationDate", "")))


def _parameter(clients: Clients, region: str, path: str, named: str) -> str:
    doing = f"reading {path} in {region}"
    try:
        with translated(doing):
            reply = clients.ssm(region).get_parameter(Name=path)
    except NotFound as error:
        raise _missing(named, region, error.detail) from error
    value = str(part(reply, "Parameter", doing)["Value"])
    if not _AMI.match(value):
        raise InvalidRequest(f"image {named}: {path} in {region} holds {value!r}, not an AMI id")
    return value


def _by_id(clients: Clients, region: str, ami: str, named: str) -> Mapping[str, Any]:
    try:
        images = pages(
            clients.ec2(region).describe_images,
            "Images",
            f"looking for image {named} in {region}",
            ImageIds=[ami],
        )
    except NotFound as error:
        raise _missing(named, region, error.detail) from error
    if not images:
        raise _missing(named, region)
    return images[0]


def _check_owner(
    clients: Clients, region: str, image: Mapping[str, Any], named: str, *, vendor: bool
) -> None:
    owner = str(image.get("OwnerId", ""))
    if vendor:
        if image.get("ImageOwnerAlias") == "amazon" or owner in _VENDORS:
            return
        raise InvalidRequest(f"image {named} ({image['ImageId']}) belongs to {owner}, not to AWS")
    with translated("asking who we are"):
        account = clients.sts(region).get_caller_identity()["Account"]
    if owner != account:
        raise InvalidRequest(
            f"image {named} ({image['ImageId']}) belongs to account {owner}, not to yours",
            hint="name it by its ami- id if you trust it",
        )


def _checked(image: Mapping[str, Any], named: str, region: str, type_: str) -> Image:
    ami = image["ImageId"]
    whole = f"image {named} ({ami} in {region})"
    if image.get("State", "available") != "available":
        raise InvalidRequest(f"{whole} is {image['State']}, not available")
    needs, has = architecture_of(type_), image.get("Architecture", "x86_64")
    if has != needs:
        raise InvalidRequest(f"{whole} is for {has}; {type_} needs {needs}")
    if image.get("RootDeviceType") == "instance-store":
        raise InvalidRequest(f"{whole} boots from an instance store, not from EBS")
    root = image.get("RootDeviceName")
    if not root:
        raise InvalidRequest(f"{whole} has no root device")
    disks = _disks(image.get("BlockDeviceMappings") or ())
    others = tuple(device for device in disks if device != root)
    return Image(id=ami, root=root, root_gb=disks.get(root, 1), others=others)


def _disks(mappings: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {
        mapping["DeviceName"]: int(mapping["Ebs"].get("VolumeSize") or 1)
        for mapping in mappings
        if mapping.get("Ebs")
    }


def _missing(named: str, region: str, detail: str | None = None) -> NotFound:
    return NotFound(
        f"no image {named} in {region}",
        hint="`gpuctl template list` and `gpuctl ami list` show what there is; "
        "`gpuctl ami copy` brings one to a region",
        detail=detail,
    )
