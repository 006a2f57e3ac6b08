"""What a RunInstances request asks for, read and checked before the market is looked at."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from gpuctl.sandbox.aws import blocks
from gpuctl.sandbox.aws.images import Images
from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.refusals import Refusal, bad_value
from gpuctl.sandbox.aws.wire import Call, Moto, Shape

_LARGEST_USER_DATA = 16_384
_TAGGABLE = {"instance", "volume", "network-interface", "spot-instances-request", "elastic-gpu"}
_NOT_EMULATED = ("LaunchTemplate", "HibernationOptions", "CapacityReservationSpecification")


@dataclass(frozen=True, slots=True)
class Ask:
    """A launch, read and checked."""

    type: str
    market: str
    max_price: Decimal | None
    zone: str | None
    subnet: str | None
    image: Shape
    disks: Mapping[str, Shape]
    user_data: bytes
    keys: tuple[str, ...]
    count: int
    tags: Mapping[str, Mapping[str, str]]


class Reader:
    """Reads launches."""

    def __init__(self, moto: Moto, inside: Inside, images: Images) -> None:
        self._moto, self._inside, self._images = moto, inside, images

    def read(self, call: Call) -> Ask:
        """A launch as asked for. Raises Refusal."""
        params = call.params
        for name in _NOT_EMULATED:
            if params.get(name):
                raise Refusal("UnsupportedOperation", f"The sandbox does not emulate {name}.")
        image = self._images.resolve(call.region, params.get("ImageId"))
        market, max_price = _market(params.get("InstanceMarketOptions") or {})
        subnet, zone = self._place(call.region, params)
        count = int(params.get("MaxCount") or 1)
        if not 1 <= int(params.get("MinCount") or 1) <= count:
            raise Refusal("InvalidParameterValue", "MinCount must be from 1 to MaxCount")
        return Ask(
            type=params.get("InstanceType") or "m1.small",
            market=market,
            max_price=max_price,
            zone=zone,
            subnet=subnet,
            image=image,
            disks=blocks.merge(image, params.get("BlockDeviceMappings") or ()),
            user_data=_user_data(params.get("UserData")),
            keys=self._keys(call.region, params.get("KeyName")),
            count=count,
            tags=_tags(params.get("TagSpecifications") or ()),
        )

    def _keys(self, region: str, name: str | None) -> tuple[str, ...]:
        if name is None:
            return ()
        key = self._inside.public_key(region, name)
        if key is None:
            raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
        return (key,)

    def _place(self, region: str, params: Shape) -> tuple[str | None, str | None]:
        """Subnet and zone as the request names them; None for what it leaves to AWS."""
        nics = params.get("NetworkInterfaces") or ()
        subnet = params.get("SubnetId") or next(
            (nic["SubnetId"] for nic in nics if nic.get("SubnetId")), None
        )
        zone = (params.get("Placement") or {}).get("AvailabilityZone")
        if subnet:
            found = self._moto.call(region, "DescribeSubnets", {"SubnetIds": [subnet]})
            there = found["Subnets"][0]["AvailabilityZone"]
            if zone and zone != there:
                raise Refusal(
                    "InvalidParameterCombination",
                    f"The availability zone '{zone}' does not match that of subnet '{subnet}'",
                )
            return subnet, there
        if zone and zone not in self.zones(region):
            raise Refusal("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
        return None, zone

    def zones(self, region: str) -> Mapping[str, str]:
        """Zone -> its default subnet."""
        query = {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
        found = self._moto.call(region, "DescribeSubnets", query)["Subnets"]
        return {one["AvailabilityZone"]: one["SubnetId"] for one in found}


def _market(options: Shape) -> tuple[str, Decimal | None]:
    kind = options.get("MarketType")
    if kind is None:
        return "on-demand", None
    if kind != "spot":
        raise bad_value(kind, "marketType")
    spot = options.get("SpotOptions") or {}
    if spot.get("SpotInstanceType", "one-time") != "one-time":
        raise Refusal("UnsupportedOperation", "The sandbox emulates one-time spot requests only.")
    if spot.get("InstanceInterruptionBehavior", "terminate") != "terminate":
        raise Refusal(
            "InvalidParameterCombination",
            "The instance interruption behavior 'stop' or 'hibernate' is only supported for "
            "persistent Spot Instance requests.",
        )
    text = spot.get("MaxPrice")
    if text is None:
        return "spot", None
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(0)
    if not (price.is_finite() and price > 0):
        raise Refusal("InvalidParameterValue", f"Invalid value '{text}' for SpotMaxPrice.")
    return "spot", price


def _user_data(text: str | None) -> bytes:
    if not text:
        return b""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refusal("InvalidParameterValue", "Invalid BASE64 encoding of user data.") from None
    if len(data) > _LARGEST_USER_DATA:
        raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")
    return data


def _tags(specifications: Sequence[Shape]) -> Mapping[str, Mapping[str, str]]:
    tags: dict[str, dict[str, str]] = {}
    for one in specifications:
        kind = one.get("ResourceType", "")
        if kind not in _TAGGABLE:
            raise Refusal(
                "InvalidParameterValue",
                f"'{kind}' is not a valid taggable resource type for this operation.",
            )
        if kind in tags:
            raise Refusal(
                "InvalidParameterValue", f"Duplicate resource type '{kind}' in tag specifications"
            )
        tags[kind] = {tag["Key"]: tag.get("Value", "") for tag in one.get("Tags", ())}
    return tags
