"""EC2's dictionaries -> our values. Pure: no call is made here."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State
from gpuctl.core.model import Billable, Ending, Machine, MachineId
from gpuctl.core.names import machine_name, project_name, user_name
from gpuctl.core.span import parse_time, utc
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.gpus import gpu_of

Described = Mapping[str, Any]

NAME = "aws"

STATES = {
    "pending": State.STARTING,
    "running": State.RUNNING,
    "stopping": State.STOPPING,
    "shutting-down": State.STOPPING,
    "stopped": State.STOPPED,
    "terminated": State.GONE,
}

_LINUX = "Linux/UNIX"

_COMPUTE_FREE = ("stopping", "stopped", "shutting-down", "terminated")
_DISKS_FREE = ("shutting-down", "terminated")

GP3_IOPS = 3000
GP3_THROUGHPUT = 125
"""MB/s, and IOPS, that a gp3 volume has without paying for them."""

_IO2_TIERS = (("io2", 32_000), ("io2.tier2", 64_000), ("io2.tier3", None))
"""Up to how many IOPS each price of io2 holds, by the names of the Price List's usage types."""

_INTERRUPTIONS = (
    "Server.SpotInstanceTermination",
    "Server.SpotInstanceShutdown",
    "instance-terminated-by-price",
    "instance-terminated-no-capacity",
    "instance-terminated-capacity-oversubscribed",
    "instance-terminated-launch-group-constraint",
    "instance-stopped-by-price",
    "instance-stopped-no-capacity",
    "instance-stopped-capacity-oversubscribed",
    "BidEvictedEvent",
)
_WHEN = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


def machine(
    instance: Described,
    *,
    account: str,
    region: str,
    volumes: Sequence[Described] = (),
    ending: Ending | None = None,
) -> Machine:
    """One described instance. `volumes` are all its region's; `ending` is the fallback when
    the instance itself does not tell when it ended.
    """
    state = state_of(instance)
    read = tags.read(instance)
    gpu = gpu_of(instance["InstanceType"])
    over = state in (State.STOPPING, State.STOPPED, State.GONE)
    told = (ending_of(instance) or ending) if over else None
    return Machine(
        id=identity(instance, account=account, region=region),
        name=_told(machine_name, read.get(tags.NAME)) or instance["InstanceId"],
        type=instance["InstanceType"],
        gpu=gpu.name,
        gpus=gpu.count,
        market=market_of(instance),
        state=state,
        strange=_strange(instance),
        launched_at=_time(instance.get("LaunchTime")),
        billed=billed(instance, volumes),
        ran=ran(instance, told),
        ending=told,
        address=instance.get("PublicIpAddress") or None,
        image=instance.get("ImageId"),
        project=_told(project_name, read.get(tags.PROJECT)),
        lease=read.get(tags.LEASE) or None,
        install=read.get(tags.INSTALL) or None,
        deadline=_deadline(read.get(tags.DEADLINE)),
        user=_told(user_name, read.get(tags.USER)),
        template=read.get(tags.TEMPLATE) or None,
    )


def state_of(instance: Described) -> State:
    """The state in our words. One that EC2 grows later may cost, so it counts as running."""
    return STATES.get(instance["State"]["Name"], State.RUNNING)


def _strange(instance: Described) -> str | None:
    name = str(instance["State"]["Name"])
    return None if name in STATES else name or "nothing"


def identity(instance: Described, *, account: str, region: str) -> MachineId:
    """Where and what."""
    zone = instance["Placement"]["AvailabilityZone"]
    return MachineId(NAME, account, region, zone, instance["InstanceId"])


def market_of(instance: Described) -> Market:
    """On-demand instances have no lifecycle at all."""
    return Market.SPOT if instance.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND


def billed(instance: Described, volumes: Sequence[Described]) -> tuple[Billable, ...]:
    """Everything on the clock in this very state.

    Running: instance, disks, public address. Stopped: disks. Shutting down: nothing, since EC2
    bills neither the instance nor disks that go with it. A project's data volume is here while
    it is attached, as something that outlives the machine. A state that is not known is billed
    like running. ValueError for what runs and does not tell since when: it costs all the same.
    """
    state = instance["State"]["Name"]
    since = _time(instance.get("LaunchTime"))
    things: list[Billable] = []
    computes = state not in _COMPUTE_FREE
    if computes and since is None:
        raise ValueError(f"{instance['InstanceId']} is {state} and has no LaunchTime")
    if computes and since is not None:
        things.append(_computing(instance, since))
    if state not in _DISKS_FREE:
        for volume in volumes:
            if instance["InstanceId"] in attached_to(volume):
                keeps = tags.DATA in tags.read(volume)
                things.extend(replace(part, keeps=keeps) for part in disk_billables(volume))
    if computes and since is not None:
        things.extend(_addresses(instance, since))
    return tuple(things)


def _computing(instance: Described, since: datetime) -> Billable:
    return Billable(
        resource=instance["InstanceId"],
        kind=Kind.COMPUTE,
        sku=sku_of(instance),
        quantity=Decimal(1),
        market=market_of(instance),
        since=since,
    )


def sku_of(instance: Described) -> str:
    """The instance type; with a word more where it is not priced as Linux on shared hardware.

    RHEL, SUSE and Windows pay for their software, and a Capacity Block was paid in advance: their
    rates are not those of the type, which must not be taken for them. So they have none here,
    and every sum says so.
    """
    words = [instance["InstanceType"]]
    if instance.get("InstanceLifecycle") == "capacity-block":
        words.append("capacity-block")
    platform = instance.get("PlatformDetails") or _LINUX
    if platform != _LINUX:
        words.append(platform)
    if instance.get("Placement", {}).get("Tenancy", "default") != "default":
        words.append(instance["Placement"]["Tenancy"])
    return " ".join(words)


def ran(instance: Described, ending: Ending | None) -> tuple[Billable, ...]:
    """The run itself once its end is known. Its disks are gone, and their size with them."""
    since = _time(instance.get("LaunchTime"))
    if ending is None or since is None or ending.at < since:
        return ()
    return (replace(_computing(instance, since), until=ending.at),)


def attached_to(volume: Described) -> tuple[str, ...]:
    """Ids of the instances a volume is attached to."""
    return tuple(
        attachment["InstanceId"]
        for attachment in volume.get("Attachments") or ()
        if attachment.get("InstanceId")
    )


def disk_billables(volume: Described) -> tuple[Billable, ...]:
    """A volume's storage, and the IOPS and MB/s above those included (gp3) or all (io1, io2).

    Source: EBS pricing. gp3 has 3,000 IOPS and 125 MB/s for nothing; io2 has three prices for
    its IOPS; gp2, st1, sc1 and standard pay for neither.
    """
    since = utc(volume["CreateTime"])
    type_ = volume.get("VolumeType", "gp2")
    iops, throughput = int(volume.get("Iops") or 0), int(volume.get("Throughput") or 0)
    parts = [(Kind.DISK, type_, int(volume["Size"]))]
    if type_ == "gp3":
        parts.append((Kind.DISK_IOPS, type_, iops - GP3_IOPS))
        parts.append((Kind.DISK_THROUGHPUT, type_, throughput - GP3_THROUGHPUT))
    elif type_ == "io1":
        parts.append((Kind.DISK_IOPS, type_, iops))
    elif type_ == "io2":
        parts.extend((Kind.DISK_IOPS, tier, amount) for tier, amount in _io2_tiers(iops))
    return tuple(
        Billable(
            resource=volume["VolumeId"],
            kind=kind,
            sku=sku,
            quantity=Decimal(amount),
            market=Market.ON_DEMAND,
            since=since,
        )
        for kind, sku, amount in parts
        if amount > 0
    )


def _io2_tiers(iops: int) -> Iterator[tuple[str, int]]:
    below = 0
    for tier, top in _IO2_TIERS:
        yield tier, (iops if top is None else min(iops, top)) - below
        below = top or below


def ending_of(instance: Described) -> Ending | None:
    """From the instance's own words, when they tell the time; None otherwise.

    `StateTransitionReason` reads `User initiated (2025-03-10 16:18:50 GMT)`.
    """
    said = instance.get("StateTransitionReason") or ""
    when = _WHEN.search(said)
    if when is None:
        return None
    at = datetime.strptime(when.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    reason = (instance.get("StateReason") or {}).get("Code") or said.partition(" (")[0]
    return Ending(at=at, by=ended_by(reason, said), evidence=Evidence.STATE_REASON, reason=reason)


def ending_of_request(request: Described) -> Ending | None:
    """From a spot request that is over: its status's code and time; None while it lasts."""
    status = request.get("Status") or {}
    code = str(status.get("Code", ""))
    if not code.startswith(("instance-terminated", "instance-stopped")):
        return None
    at = _time(status.get("UpdateTime"))
    if at is None:
        return None
    return Ending(at=at, by=ended_by(code), evidence=Evidence.SPOT_REQUEST, reason=code)


def ending_of_event(name: str, at: datetime) -> Ending:
    """From CloudTrail: `BidEvictedEvent` is a spot interruption, all others are a user's."""
    return Ending(at=utc(at), by=ended_by(name), evidence=Evidence.AUDIT_LOG, reason=name)


def ended_by(*reasons: str) -> EndedBy:
    """`PROVIDER` only for a spot interruption; a guest that shuts itself down is the user's."""
    interrupted = any(word in reason for reason in reasons for word in _INTERRUPTIONS)
    return EndedBy.PROVIDER if interrupted else EndedBy.USER


def _addresses(instance: Described, since: datetime) -> list[Billable]:
    """One per network interface with a public IPv4, from the moment it was attached."""
    found = []
    for interface in instance.get("NetworkInterfaces") or ():
        if not (interface.get("Association") or {}).get("PublicIp"):
            continue
        attached = _time((interface.get("Attachment") or {}).get("AttachTime")) or since
        found.append(_address(interface["NetworkInterfaceId"], max(attached, since)))
    if not found and instance.get("PublicIpAddress"):
        found.append(_address(instance["InstanceId"], since))
    return found


def _address(resource: str, since: datetime) -> Billable:
    return Billable(
        resource=resource,
        kind=Kind.IPV4,
        sku="in-use",
        quantity=Decimal(1),
        market=Market.ON_DEMAND,
        since=since,
    )


def _time(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)


def _deadline(text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_time(text)
    except ValueError:
        return None


def _told(grammar: Callable[[str], str], text: str | None) -> str | None:
    """What a tag says, which anybody with the account may have written; None = no such name."""
    try:
        return None if text is None else grammar(text)
    except ValueError:
        return None
