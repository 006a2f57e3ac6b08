"""RunInstances: what AWS checks, in its order, and what it makes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gpuctl.sandbox.aws import blocks
from gpuctl.sandbox.aws.ask import Ask, Reader
from gpuctl.sandbox.aws.capacity import Capacity, not_sold
from gpuctl.sandbox.aws.disks import Disks
from gpuctl.sandbox.aws.fleet import (
    PENDING,
    RUNNING,
    SHUTTING_DOWN,
    STOPPING,
    TERMINATED,
    Fleet,
    Instance,
)
from gpuctl.sandbox.aws.images import Images, driver_of
from gpuctl.sandbox.aws.inside import Inside, InstanceFacts
from gpuctl.sandbox.aws.instance_types import Shelf
from gpuctl.sandbox.aws.prices import SpotPrices, on_demand
from gpuctl.sandbox.aws.quotas import Quotas, quota_of
from gpuctl.sandbox.aws.refusals import Refusal, bad_value
from gpuctl.sandbox.aws.spot import SpotRequests
from gpuctl.sandbox.aws.tokens import Scope, Tokens
from gpuctl.sandbox.aws.trail import Trail
from gpuctl.sandbox.aws.wire import Call, Handler, Moto, Shape
from gpuctl.sandbox.world import Boot, SandboxClock


@dataclass(frozen=True, slots=True)
class Account:
    """What a launch needs to know of everything else."""

    clock: SandboxClock
    moto: Moto
    inside: Inside
    images: Images
    shelf: Shelf
    capacity: Capacity
    quotas: Quotas
    prices: SpotPrices
    spot: SpotRequests
    tokens: Tokens
    disks: Disks
    trail: Trail
    fleet: Fleet


class Launches:
    """RunInstances."""

    def __init__(self, account: Account) -> None:
        self._a = account
        self._reader = Reader(account.moto, account.inside, account.images)
        self.lag = 0
        """Describe calls that do not show a new instance yet."""

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {"ec2.RunInstances": self._run}

    def _run(self, call: Call) -> Shape:
        try:
            return self._launch(call)
        except Refusal as refusal:
            if refusal.code != "DryRunOperation":
                side = "Client" if refusal.status < 500 else "Server"  # noqa: PLR2004 - HTTP
                details = {
                    "errorCode": f"{side}.{refusal.code}",
                    "errorMessage": refusal.message,
                    "requestParameters": {"instanceType": call.params.get("InstanceType")},
                    "responseElements": None,
                }
                self._a.trail.called(call.region, "RunInstances", (), details)
            raise

    def _launch(self, call: Call) -> Shape:
        ask = self._reader.read(call)
        scope = Scope("RunInstances", call.region, ask.zone)
        again = self._a.tokens.recall(scope, call.params)
        if again:
            return self._told_again(call.region, again)
        zone, max_price = self._check_market(call.region, ask)
        if call.params.get("DryRun"):
            raise Refusal("DryRunOperation")
        made = self._make(call, ask, zone, max_price)
        self._a.tokens.keep(scope, call.params, made)
        return self._reservation(call.region, made)

    def _told_again(self, region: str, made: Sequence[str]) -> Shape:
        for instance_id in made:
            instance = self._a.fleet.get(instance_id)
            if instance is None or instance.state in {TERMINATED, SHUTTING_DOWN}:
                raise Refusal("IdempotentInstanceTerminated")
        return self._reservation(region, made)

    def _reservation(self, region: str, made: Sequence[str]) -> Shape:
        found = self._a.moto.call(region, "DescribeInstances", {"InstanceIds": list(made)})
        reservation: Shape = found["Reservations"][0]
        return reservation

    def _check_market(self, region: str, ask: Ask) -> tuple[str, Decimal]:
        """The zone to launch in and the most that is paid. Raises Refusal."""
        if not self._a.shelf.known(ask.type):
            raise Refusal("InvalidParameterValue", f"Invalid value '{ask.type}' for InstanceType.")
        zones = self._a.shelf.zones(region, ask.type)
        if not zones or (ask.zone and ask.zone not in zones):
            raise not_sold(ask.type, zones, ask.zone)
        spot = ask.market == "spot"
        more = self._a.shelf.vcpus(ask.type) * ask.count
        self._a.quotas.check(ask.type, spot=spot, used=self.vcpus_used(region), more=more)
        zone = self._a.capacity.choose(ask.type, zones, ask.zone, ask.market)
        ceiling = ask.max_price or on_demand(ask.type, region) or Decimal(0)
        price = self._a.prices.at(ask.type, zone, self._a.clock.now())
        if spot and ask.max_price is not None and price is not None and ask.max_price < price:
            raise Refusal(
                "SpotMaxPriceTooLow",
                f"Your Spot request price of {ask.max_price} is lower than the minimum required "
                f"Spot request fulfillment price of {price}.",
            )
        return zone, ceiling

    def vcpus_used(self, region: str) -> Mapping[str, int]:
        """How many vCPUs count against each quota now, by quota code."""
        used: Counter[str] = Counter()
        for one in self._a.fleet.all():
            if one.region == region and one.state in {PENDING, RUNNING, STOPPING}:
                quota = quota_of(one.boot.type, spot=one.spot_request is not None)
                if quota is not None:
                    used[quota.code] += one.vcpus
        return used

    def _make(self, call: Call, ask: Ask, zone: str, max_price: Decimal) -> tuple[str, ...]:
        nics = call.params.get("NetworkInterfaces")
        wanted = {
            **{key: value for key, value in call.params.items() if key not in _OURS},
            "ImageId": ask.image["ImageId"],
            "MinCount": ask.count,
            "MaxCount": ask.count,
            "BlockDeviceMappings": blocks.for_moto(ask.disks),
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": _pairs(ask.tags[kind])}
                for kind in ("instance", "volume")
                if ask.tags.get(kind)
            ],
        }
        if not wanted["TagSpecifications"]:
            del wanted["TagSpecifications"]
        if ask.market == "spot":
            wanted["InstanceMarketOptions"] = {"MarketType": "spot"}
        if not nics:
            wanted["SubnetId"] = ask.subnet or self._reader.zones(call.region)[zone]
        answer = _forward(call, wanted)
        made = tuple(one["InstanceId"] for one in answer["Instances"])
        for instance_id in made:
            self._enter(call, ask, zone, max_price, instance_id)
        # Made with it: a second that passes in between is none of their lives.
        launched = self._a.fleet.get(made[0])
        self._a.disks.observe(call.region, launched.runs[0].started if launched else None)
        details = {
            "requestParameters": {
                "instanceType": ask.type,
                "clientToken": call.params.get("ClientToken"),
            },
            "responseElements": {"instancesSet": {"items": [{"instanceId": one} for one in made]}},
        }
        self._a.trail.called(call.region, "RunInstances", made, details)
        return made

    def _enter(self, call: Call, ask: Ask, zone: str, max_price: Decimal, instance_id: str) -> None:
        params, region, inside = call.params, call.region, self._a.inside
        request = None
        if ask.market == "spot":
            opened = self._a.spot.open(region, zone, max_price, _launch_specification(ask, params))
            opened.instance, request = instance_id, opened.id
            inside.tag(region, opened.id, ask.tags.get("spot-instances-request", {}))
        for nic in inside.interfaces(region, instance_id):
            inside.tag(region, nic, ask.tags.get("network-interface", {}))
        record = self._a.shelf.describe(ask.type) or {}
        behaviour = params.get("InstanceInitiatedShutdownBehavior") or "stop"
        facts = InstanceFacts(
            token=params.get("ClientToken"),
            spot_request=request,
            protected=bool(params.get("DisableApiTermination")),
            behaviour=behaviour,
            architecture=ask.image.get("Architecture", "x86_64"),
            root_device=ask.image.get("RootDeviceName", "/dev/sda1"),
            hypervisor="xen" if record.get("Hypervisor") == "xen" else "nitro",
        )
        inside.complete(region, instance_id, facts, blocks.facts(ask.disks))
        gpu, gpus = self._a.shelf.gpu(ask.type)
        options = params.get("MetadataOptions") or {}
        boot = Boot(
            id=instance_id,
            cloud="aws",
            name=ask.tags.get("instance", {}).get("Name", instance_id),
            region=region,
            zone=zone,
            type=ask.type,
            market=ask.market,
            user_data=ask.user_data,
            user="ubuntu",
            authorized_keys=ask.keys,
            gpu=gpu,
            gpus=gpus,
            image=ask.image["ImageId"],
            driver=driver_of(ask.image),
            profile=_profile(params),
        )
        self._a.fleet.enter(
            Instance(
                boot=boot,
                token=params.get("ClientToken") or "",
                spot_request=request,
                behaviour="terminate" if request else behaviour,
                vcpus=self._a.shelf.vcpus(ask.type),
                volumes=tuple(inside.disks_of(region, instance_id)),
                shows_tags=options.get("InstanceMetadataTags") == "enabled",
                hidden=self.lag,
            )
        )


_OURS = {
    "BlockDeviceMappings",
    "ClientToken",
    "DisableApiTermination",
    "DryRun",
    "InstanceMarketOptions",
    "Placement",
    "SubnetId",
    "TagSpecifications",
}
"""Parameters that moto gets rewritten or not at all."""


def _forward(call: Call, wanted: Shape) -> Shape:
    try:
        return call.forward(wanted)
    except Refusal as refusal:
        if refusal.code != "NoSuchEntity":
            raise
        profile = call.params["IamInstanceProfile"]
        key = "name" if "Name" in profile else "arn"
        raise bad_value(
            profile.get("Name") or profile.get("Arn"),
            f"iamInstanceProfile.{key}",
            "Invalid IAM Instance Profile name",
        ) from None


def _profile(params: Shape) -> str | None:
    given = params.get("IamInstanceProfile") or {}
    name = given.get("Name") or str(given.get("Arn") or "").rpartition("/")[2]
    return name or None


def _pairs(tags: Mapping[str, str]) -> Sequence[Shape]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _launch_specification(ask: Ask, params: Shape) -> Shape:
    found: Shape = {
        "ImageId": ask.image["ImageId"],
        "InstanceType": ask.type,
        "Monitoring": {"Enabled": False},
    }
    if params.get("KeyName"):
        found["KeyName"] = params["KeyName"]
    if ask.zone:
        found["Placement"] = {"AvailabilityZone": ask.zone}
    if ask.subnet:
        found["SubnetId"] = ask.subnet
    return found
