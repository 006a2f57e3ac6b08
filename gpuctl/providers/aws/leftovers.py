"""What still exists, and perhaps costs, without being a machine in use: in every region.

Eight calls a region, all regions at once; an account has about seventeen regions.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from gpuctl.core.answers import reading
from gpuctl.core.errors import GpuctlError, ListingIncomplete
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.model import Billable, Leftover
from gpuctl.core.ports import Clock
from gpuctl.core.span import format_time, parse_time, utc
from gpuctl.providers.aws import access, reaper, spot, tags, translate
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.errors import refusal_of, sdk_errors, translated
from gpuctl.providers.aws.parallel import attempts, together
from gpuctl.providers.aws.settings import AwsSettings

Described = Mapping[str, Any]
_GB = Decimal(1_000_000_000)
DATA_VOLUME = "data-volume"


def enabled_regions(clients: Clients, settings: AwsSettings) -> Sequence[str]:
    """Every region this account may use, in one call."""
    found = pages(
        clients.ec2(settings.regions[0]).describe_regions,
        "Regions",
        "listing regions",
        Filters=[tags.where("opt-in-status", "opt-in-not-required", "opted-in")],
    )
    return sorted(region["RegionName"] for region in found)


def find_leftovers(
    clients: Clients, settings: AwsSettings, account: str, clock: Clock
) -> Sequence[Leftover]:
    """All of them, ours or not; ListingIncomplete when a region could not be read."""
    regions = enabled_regions(clients, settings)
    tried = attempts(
        regions,
        lambda region: of_region(clients, settings, account, region, clock()),
        GpuctlError,
    )
    for region, got in tried:
        if isinstance(got, Exception):
            raise ListingIncomplete(
                f"AWS could not be listed in {region}: {got}",
                provider=translate.NAME,
                region=region,
                detail=getattr(got, "detail", None),
            )
    return [left for _, got in tried if not isinstance(got, Exception) for left in got]


def of_region(
    clients: Clients, settings: AwsSettings, account: str, region: str, now: datetime
) -> list[Leftover]:
    """Those of one region; Busy naming it where an answer cannot be read."""
    with reading(f"listing leftovers in {region}", "AWS"):
        return Region(clients, settings, account, region, now).leftovers()


class Region:
    """One region of one account, as it is now."""

    def __init__(
        self, clients: Clients, settings: AwsSettings, account: str, region: str, now: datetime
    ) -> None:
        self._ec2 = clients.ec2(region)
        self._settings = settings
        self._account = account
        self._region = region
        self._now = now

    def leftovers(self) -> list[Leftover]:
        """Everything in the region that is not part of a machine in use."""
        own = {"OwnerIds": ["self"]}
        stopped = [tags.where("instance-state-name", "stopped")]
        made = [tags.tagged(tags.MANAGED, "true")]  # rules cannot be filtered by tag-key
        ec2 = self._ec2
        volumes, addresses, snapshots, images, requests, rules, keys, halted = together(
            lambda: self._list(ec2.describe_volumes, "Volumes"),
            lambda: self._list(ec2.describe_addresses, "Addresses"),
            lambda: self._list(ec2.describe_snapshots, "Snapshots", **own),
            lambda: self._list(ec2.describe_images, "Images", Owners=["self"]),
            lambda: self._list(ec2.describe_spot_instance_requests, "SpotInstanceRequests"),
            lambda: self._list(
                ec2.describe_security_group_rules, "SecurityGroupRules", Filters=made
            ),
            lambda: self._list(ec2.describe_key_pairs, "KeyPairs"),
            lambda: self._list(ec2.describe_instances, "Reservations", Filters=stopped),
        )
        instances = [one for reservation in halted for one in reservation.get("Instances") or ()]
        return [
            *self._disks(volumes, instances),
            *(self._address(one) for one in addresses if not one.get("AssociationId")),
            *self._snapshots(snapshots, images),
            *(self._image(one, snapshots) for one in images),
            *(self._request(one) for one in requests if spot.is_open(one)),
            *(self._rule(one) for one in rules if self._expired(one)),
            *(self._key(one) for one in keys if tags.MANAGED in tags.read(one)),
        ]

    def _list(self, call: Callable[..., Any], key: str, **request: Any) -> list[Described]:
        return pages(call, key, f"listing leftovers in {self._region}", **request)

    def _disks(self, volumes: Sequence[Described], stopped: Sequence[Described]) -> list[Leftover]:
        """Free disks; data volumes; and stopped machines that are not gpuctl's, with theirs."""
        found = []
        for volume in volumes:
            if tags.DATA in tags.read(volume):
                found.append(self._data(volume))
            elif not translate.attached_to(volume):
                command = f"aws ec2 delete-volume --volume-id {volume['VolumeId']}"
                found.append(self._disk(volume, "disk", "attached to nothing", command))
        for instance in stopped:
            if tags.MANAGED in tags.read(instance):
                continue  # a machine of gpuctl's: listed, and billed, as such
            name = instance["InstanceId"]
            theirs = [one for one in volumes if name in translate.attached_to(one)]
            found.append(
                self._left(
                    instance,
                    name,
                    "stopped-machine",
                    "stopped, its disks are billed",
                    f"aws ec2 terminate-instances --instance-ids {name}",
                    zone=instance.get("Placement", {}).get("AvailabilityZone"),
                    billed=tuple(b for one in theirs for b in translate.disk_billables(one)),
                    created=instance.get("LaunchTime"),
                    machine=name,
                )
            )
        return found

    def _data(self, volume: Described) -> Leftover:
        read = tags.read(volume)
        holders = translate.attached_to(volume)
        held = f"attached to {holders[0]}" if holders else "attached to nothing"
        reason = f"data volume {read[tags.DATA]} of {read.get(tags.PROJECT)}, {held}"
        command = f"aws ec2 delete-volume --volume-id {volume['VolumeId']}"
        return self._disk(volume, DATA_VOLUME, reason, command)

    def _disk(self, volume: Described, what: str, reason: str, command: str) -> Leftover:
        return self._left(
            volume,
            volume["VolumeId"],
            what,
            reason,
            command,
            zone=volume["AvailabilityZone"],
            billed=translate.disk_billables(volume),
            created=volume["CreateTime"],
            machine=next(iter(translate.attached_to(volume)), None),
        )

    def _address(self, address: Described) -> Leftover:
        allocation = address.get("AllocationId", address["PublicIp"])
        # EC2 does not tell since when an address is idle; it is billed from now on at least
        idle = _billable(allocation, Kind.IPV4, "idle", Decimal(1), self._now)
        return self._left(
            address,
            allocation,
            "address",
            f"{address['PublicIp']} is attached to nothing",
            f"aws ec2 release-address --allocation-id {allocation}",
            billed=(idle,),
        )

    def _snapshots(
        self, snapshots: Sequence[Described], images: Sequence[Described]
    ) -> list[Leftover]:
        """Those that no image of ours holds; an image brings its own."""
        held = {one for image in images for one in snapshots_of(image)}
        return [self._snapshot(one) for one in snapshots if one["SnapshotId"] not in held]

    def _snapshot(self, snapshot: Described) -> Leftover:
        name = snapshot["SnapshotId"]
        return self._left(
            snapshot,
            name,
            "snapshot",
            f"of {snapshot.get('VolumeId', 'a volume')}, used by no image",
            f"aws ec2 delete-snapshot --snapshot-id {name}",
            billed=(snapshot_billable(snapshot),),
            created=snapshot["StartTime"],
        )

    def _image(self, image: Described, snapshots: Sequence[Described]) -> Leftover:
        name = image["ImageId"]
        held = [one for one in snapshots if one["SnapshotId"] in snapshots_of(image)]
        created = image.get("CreationDate")
        return self._left(
            image,
            name,
            "image",
            f"image {image.get('Name', name)}; its snapshots are billed",
            f"aws ec2 deregister-image --delete-associated-snapshots --image-id {name}",
            billed=tuple(snapshot_billable(one) for one in held),
            created=parse_time(created) if created else None,
        )

    def _request(self, request: Described) -> Leftover:
        name, state = request["SpotInstanceRequestId"], request.get("State")
        still = "still open" if state == "open" else f"in a state that is not known ({state})"
        return self._left(
            request,
            name,
            "spot-request",
            f"{still}: it can launch a machine at any time",
            f"aws ec2 cancel-spot-instance-requests --spot-instance-request-ids {name}",
            created=request.get("CreateTime"),
        )

    def _rule(self, rule: Described) -> Leftover:
        name, until = rule["SecurityGroupRuleId"], access.expiry_of(rule)
        source = rule.get("CidrIpv4") or rule.get("CidrIpv6")
        return self._left(
            rule,
            name,
            "rule",
            f"lets {source} in, expired {format_time(until) if until else 'long ago'}",
            f"aws ec2 revoke-security-group-ingress --group-id {rule['GroupId']} "
            f"--security-group-rule-ids {name}",
        )

    def _expired(self, rule: Described) -> bool:
        until = access.expiry_of(rule)
        return not rule.get("IsEgress") and (until is None or until <= self._now)

    def _key(self, key: Described) -> Leftover:
        return self._left(
            key,
            key["KeyName"],
            "key-pair",
            "a public key; it costs nothing",
            f"aws ec2 delete-key-pair --key-name {key['KeyName']}",
            created=key.get("CreateTime"),
        )

    def _left(  # noqa: PLR0913 - a leftover has that many facts
        self,
        thing: Described,
        resource: str,
        what: str,
        reason: str,
        command: str,
        *,
        zone: str | None = None,
        billed: tuple[Billable, ...] = (),
        created: datetime | None = None,
        machine: str | None = None,
    ) -> Leftover:
        read = tags.read(thing)
        return Leftover(
            provider=translate.NAME,
            account=self._account,
            region=self._region,
            zone=zone,
            resource=resource,
            what=what,
            ours=read.get(tags.INSTALL) == self._settings.install,
            reason=reason,
            fix=f"{command} --region {self._region}",
            billed=billed,
            project=read.get(tags.PROJECT) or None,
            lease=read.get(tags.LEASE) or None,
            created_at=utc(created) if created else None,
            machine=machine,
        )


def remove(clients: Clients, leftover: Leftover) -> None:
    """Ends one; one that is gone is no error.

    ValueError for what is not ours, and for a project's data volume, which only its owner
    deletes, by hand: `leftover.fix` is the command.
    """
    if not leftover.ours:
        raise ValueError(f"{leftover.resource} was not made by this installation")
    if leftover.what == DATA_VOLUME:
        raise ValueError(f"{leftover.resource} holds a project's data: {leftover.fix}")
    if leftover.what == reaper.SCHEDULE:
        reaper.disarm(clients, leftover.region, leftover.resource)
        return
    try:
        _remove(clients, leftover.region, leftover.what, leftover.resource)
    except sdk_errors() as error:
        refusal = refusal_of(error)
        if ".NotFound" not in refusal.code:
            with translated(f"removing {leftover.resource}", effect=True):
                raise


def _remove(clients: Clients, region: str, what: str, name: str) -> None:
    ec2 = clients.ec2(region)
    match what:
        case "disk":
            ec2.delete_volume(VolumeId=name)
        case "address":
            ec2.release_address(AllocationId=name)
        case "snapshot":
            ec2.delete_snapshot(SnapshotId=name)
        case "image":
            ec2.deregister_image(ImageId=name, DeleteAssociatedSnapshots=True)
        case "spot-request":
            spot.cancel(clients, region, [name])
        case "rule":
            found = ec2.describe_security_group_rules(SecurityGroupRuleIds=[name])
            for rule in found["SecurityGroupRules"]:
                access.revoke(clients, region, rule["GroupId"], name)
        case "key-pair":
            ec2.delete_key_pair(KeyName=name)
        case "stopped-machine":
            ec2.terminate_instances(InstanceIds=[name])
        case _:
            raise ValueError(f"{name}: nothing is known of how to remove a {what}")


def snapshots_of(image: Described) -> tuple[str, ...]:
    """The snapshots that hold an image's disks."""
    return tuple(
        mapping["Ebs"]["SnapshotId"]
        for mapping in image.get("BlockDeviceMappings") or ()
        if (mapping.get("Ebs") or {}).get("SnapshotId")
    )


def snapshot_billable(snapshot: Described) -> Billable:
    """At most what it costs: only changed blocks are billed, which EC2 tells of full ones only."""
    full = snapshot.get("FullSnapshotSizeInBytes")
    size = Decimal(full) / _GB if full else Decimal(snapshot["VolumeSize"])
    return _billable(
        snapshot["SnapshotId"],
        Kind.SNAPSHOT,
        snapshot.get("StorageTier") or "standard",
        size,
        utc(snapshot["StartTime"]),
    )


def _billable(resource: str, kind: Kind, sku: str, quantity: Decimal, since: datetime) -> Billable:
    return Billable(
        resource=resource,
        kind=kind,
        sku=sku,
        quantity=quantity,
        market=Market.ON_DEMAND,
        since=since,
    )
