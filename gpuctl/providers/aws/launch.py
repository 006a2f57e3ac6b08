"""One launch attempt: everything in one RunInstances call, repeated only under its own token.

Round trips of a first launch in a region: subnet, then (at once) image, group, key pair and
data volume, then the rules, then RunInstances; later ones in the same command reuse the first
four. A spot attempt that fails costs two more calls, which make sure no request stays open.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpuctl.core.answers import reading
from gpuctl.core.errors import (
    Busy,
    GpuctlError,
    InvalidRequest,
    NotFound,
    NoZoneCapacity,
    QuotaReached,
    UnknownOutcome,
)
from gpuctl.core.kinds import Market
from gpuctl.core.model import Order
from gpuctl.core.ports import Sleep
from gpuctl.core.rounding import decimal_text
from gpuctl.providers.aws import access, images, tags, volumes
from gpuctl.providers.aws.calls import Launcher
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.codes import Next
from gpuctl.providers.aws.errors import Refusal, as_error, refusal_of, sdk_errors
from gpuctl.providers.aws.images import Image
from gpuctl.providers.aws.parallel import together
from gpuctl.providers.aws.quotas import quota_code, request_command
from gpuctl.providers.aws.settings import AwsSettings
from gpuctl.providers.aws.spot import cancel_open_requests

log = logging.getLogger(__name__)

PAUSES = (2.0, 4.0, 8.0, 16.0)
"""Seconds before the second to the fifth try of the same call."""

USER_DATA_LIMIT = 16_384
_AGAIN = (Next.SAME_AGAIN, Next.UNREACHED, Next.SLOW_DOWN, Next.SETTLE)
_TERMINATED = "IdempotentInstanceTerminated"
_JUST_MADE = ("InvalidKeyPair.NotFound", "InvalidGroup.NotFound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """Where the machine's network interface goes."""

    id: str
    vpc: str
    zone: str
    public: bool
    """Whether it gives its machines a public IPv4 by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What must exist before the launch."""

    subnet: Subnet
    image: Image
    group: str
    key: str
    volume: str | None


def launch(
    clients: Clients, settings: AwsSettings, order: Order, sleep: Sleep
) -> Mapping[str, Any]:
    """The described instance that the order's token stands for, launched now or before."""
    sources = access.sources_of(order.access)  # refuses open ranges before anything is made
    _check(order)
    region = order.offer.region
    with reading(f"preparing the launch of {order.name}", "AWS"):
        ground = prepare(clients, settings, order)
    if sources:
        access.admit(clients, region, ground.group, order.lease, order.access, order.install)
    try:
        instance = run(clients.launcher(region), request_for(order, ground), order, sleep)
    except UnknownOutcome:
        known = _look_once(clients, order)
        if known is None:
            _clean_up(clients, order)
            raise
        if (known.get("State") or {}).get("Name") in ("shutting-down", "terminated"):
            raise _ended_already(order) from None
        instance = known
    except GpuctlError:
        _clean_up(clients, order)
        raise
    with reading(f"launching {order.name}", "AWS", effect=True):
        name = instance["InstanceId"]
    if ground.volume is not None:
        volumes.attach(clients, region, ground.volume, name, sleep)
    return instance


def prepare(clients: Clients, settings: AwsSettings, order: Order) -> Ground:
    """Makes or finds what the launch stands on; each of these calls may be repeated freely."""
    region, public_key = order.offer.region, order.access.public_key
    subnet = find_subnet(clients, settings, order)
    made: list[Callable[[], Any]] = [
        lambda: images.resolve(clients, region, order.image, order.offer.type),
        lambda: access.ensure_group(clients, settings, region, subnet.vpc),
        lambda: access.ensure_key(clients, settings, region, public_key),
        lambda: None if order.data is None else volumes.ensure(clients, order, order.data),
    ]
    image, group, key, volume = together(*made)
    return Ground(subnet=subnet, image=image, group=group, key=key, volume=volume)


def find_subnet(clients: Clients, settings: AwsSettings, order: Order) -> Subnet:
    """The order's subnet, else the account's for the region, else the zone's default one."""
    region, zone = order.offer.region, order.offer.zone
    named = order.subnet or settings.subnets.get(region)
    chosen: Mapping[str, Any] = (
        {"SubnetIds": [named]}
        if named
        else {
            "Filters": [
                tags.where("availability-zone", zone),
                tags.where("default-for-az", "true"),
            ]
        }
    )
    doing = f"looking for {named or f'the default subnet of {zone}'}"
    try:
        found = pages(clients.ec2(region).describe_subnets, "Subnets", doing, **chosen)
    except NotFound as error:
        raise InvalidRequest(f"no subnet {named} in {region}", detail=error.detail) from error
    if not found:
        raise NoZoneCapacity(
            f"{zone} has no default subnet",
            code="NoDefaultSubnet",
            hint=f"name a subnet of {region} in the config, or: "
            f"aws ec2 create-default-subnet --availability-zone {zone} --region {region}",
        )
    subnet = found[0]
    if subnet["AvailabilityZone"] != zone:
        there = subnet["AvailabilityZone"]
        raise NoZoneCapacity(
            f"subnet {named} lies in {there}, not in {zone}",
            code="SubnetInOtherZone",
            zones=(there,),
        )
    return Subnet(
        id=subnet["SubnetId"],
        vpc=subnet["VpcId"],
        zone=zone,
        public=bool(subnet.get("MapPublicIpOnLaunch")),
    )


def request_for(order: Order, ground: Ground) -> dict[str, Any]:
    """The RunInstances request: the same order and ground give the same request, always."""
    written = tags.of_order(order)
    kinds = ["instance", "volume", "network-interface"]
    request: dict[str, Any] = {
        "ClientToken": order.token,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": ground.image.id,
        "InstanceType": order.offer.type,
        "KeyName": ground.key,
        "UserData": order.user_data,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        "BlockDeviceMappings": _disks(order, ground.image),
        **_network(order, ground),
    }
    if order.instance_profile is not None:
        request["IamInstanceProfile"] = {"Name": order.instance_profile}
    if order.offer.market is Market.SPOT:
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": _spot(order)}
        kinds.append("spot-instances-request")
    request["TagSpecifications"] = [tags.specification(kind, written) for kind in kinds]
    return request


def run(
    launcher: Launcher, request: Mapping[str, Any], order: Order, sleep: Sleep
) -> Mapping[str, Any]:
    """Sends the request until its outcome is known: five tries, about half a minute.

    An answer that may have been lost leads to the same call with the same token. When the last
    try is still not answered: UnknownOutcome if any of them may have launched, else Busy.
    """
    doubtful = False
    refusal: Refusal | None = None
    for pause in (*PAUSES, None):
        try:
            reply = launcher.run_instances(**request)
        except sdk_errors() as error:
            refusal = refusal_of(error)
            if refusal.step not in _AGAIN and refusal.code not in _JUST_MADE:
                raise _refused(refusal, order) from error
        else:
            if reply.get("Instances"):
                instance: Mapping[str, Any] = reply["Instances"][0]
                return instance
            refusal = Refusal(Next.SAME_AGAIN, "UnreadableReply", "no instance in the reply")
        doubtful = doubtful or refusal.step is Next.SAME_AGAIN
        log.warning("launching %s: %s", order.name, refusal.detail)
        if pause is not None:
            sleep(pause)
    detail = refusal.detail if refusal else None
    if doubtful:
        raise UnknownOutcome(
            f"AWS did not say whether {order.name} was launched in {order.offer.zone}",
            hint="the next command finds out; `gpuctl up` again continues the same launch",
            detail=detail,
        )
    raise Busy(
        f"AWS took no request for {order.name} in {order.offer.zone}; nothing was launched",
        hint="try again in a minute",
        detail=detail,
    )


def find(clients: Clients, order: Order) -> Mapping[str, Any] | None:
    """The described instance of the order's token, looked for by token and by lease."""
    ec2 = clients.ec2(order.offer.region)

    def look(which: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        doing = f"looking for {order.name}"
        found = pages(ec2.describe_instances, "Reservations", doing, Filters=[which])
        return [
            instance for reservation in found for instance in reservation.get("Instances") or ()
        ]

    by_token, by_lease = together(
        lambda: look(tags.where("client-token", order.token)),
        lambda: look(tags.tagged(tags.LEASE, order.lease)),
    )
    same = [one for one in by_lease if one.get("ClientToken") == order.token]
    return next(iter((*by_token, *same)), None)


def _check(order: Order) -> None:
    if len(order.user_data) > USER_DATA_LIMIT:
        raise InvalidRequest(
            f"the start script is {len(order.user_data)} bytes; AWS takes {USER_DATA_LIMIT}"
        )


def _disks(order: Order, image: Image) -> list[dict[str, Any]]:
    if order.disk.gb < image.root_gb:
        raise InvalidRequest(
            f"image {order.image} needs a disk of at least {image.root_gb} GB, "
            f"the template gives {order.disk.gb}"
        )
    ended = {"DeleteOnTermination": True, "Encrypted": True}
    parameters = volumes.disk_parameters(order.disk)
    if order.disk.init_rate is not None:
        parameters["VolumeInitializationRate"] = order.disk.init_rate
    root = {"DeviceName": image.root, "Ebs": {**parameters, **ended}}
    return [root, *({"DeviceName": device, "Ebs": dict(ended)} for device in image.others)]


def _network(order: Order, ground: Ground) -> dict[str, Any]:
    if ground.subnet.public or order.access.tunnel is not None:
        return {"SubnetId": ground.subnet.id, "SecurityGroupIds": [ground.group]}
    interface = {
        "DeviceIndex": 0,
        "SubnetId": ground.subnet.id,
        "Groups": [ground.group],
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
    }
    return {"NetworkInterfaces": [interface]}


def _spot(order: Order) -> dict[str, str]:
    options = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if order.max_hourly is not None:
        options["MaxPrice"] = decimal_text(order.max_hourly)
    return options


def _refused(refusal: Refusal, order: Order) -> GpuctlError:
    offer = order.offer
    doing = f"{offer.type} ({offer.market}) in {offer.zone}"
    if refusal.code == _TERMINATED:
        return _ended_already(order, refusal.detail)
    error = as_error(refusal, doing, effect=True)
    if isinstance(error, QuotaReached):
        code = quota_code(offer.type, offer.market)
        hint = request_command(code, offer.vcpus or 8, offer.region) if code else None
        return QuotaReached(error.message, code=code or error.code, hint=hint, detail=error.detail)
    return error


def _ended_already(order: Order, detail: str | None = None) -> NoZoneCapacity:
    """Nothing runs under this token, and nothing ever will; its bill is found by its lease."""
    return NoZoneCapacity(
        f"the machine of this attempt at {order.name} was launched and has ended since",
        code=_TERMINATED,
        detail=detail,
    )


def _look_once(clients: Clients, order: Order) -> Mapping[str, Any] | None:
    try:
        return find(clients, order)
    except GpuctlError as error:
        log.warning("%s could not be looked for: %s", order.name, error)
        return None


def _clean_up(clients: Clients, order: Order) -> None:
    """A spot request that stays open launches later; its failure must not hide the first."""
    if order.offer.market is not Market.SPOT:
        return
    try:
        cancel_open_requests(clients, order.offer.region, order.lease)
    except GpuctlError as error:
        log.warning("open spot requests of %s could not be cancelled: %s", order.lease, error)
