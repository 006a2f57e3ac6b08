"""EBS volumes: tokens, zones, gp3's own numbers, and the truth about each disk's life."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.tokens import Scope, Tokens
from gpuctl.sandbox.aws.wire import Call, Handler, Shape
from gpuctl.sandbox.world import SandboxClock

GP3_IOPS = 3000
GP3_THROUGHPUT = 125


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueVolume:
    """A disk that exists or existed. `gb`, `iops`, `throughput` (MB/s) as last seen."""

    id: str
    region: str
    zone: str
    type: str
    gb: int
    iops: int | None
    throughput: int | None
    created: datetime
    deleted: datetime | None = None


class Disks:
    """The account's volumes."""

    def __init__(self, clock: SandboxClock, inside: Inside, tokens: Tokens, account: str) -> None:
        self._clock, self._inside, self._tokens = clock, inside, tokens
        self._account = account
        self._known: dict[str, TrueVolume] = {}

    def reset(self) -> None:
        """Forget all."""
        self._known.clear()

    def truth(self) -> Sequence[TrueVolume]:
        """Every volume that ever existed, oldest first."""
        return tuple(self._known.values())

    def of(self, ids: Sequence[str]) -> tuple[TrueVolume, ...]:
        """Those of them."""
        return tuple(self._known[one] for one in ids if one in self._known)

    def observe(self, region: str, at: datetime | None = None) -> None:
        """Note which volumes have come, changed and gone; `at` that time, now without it."""
        now = (at or self._clock.now()).replace(microsecond=0)
        there = self._inside.volumes(region)
        for key, volume in there.items():
            old = self._known.get(key)
            self._known[key] = TrueVolume(
                id=key,
                region=region,
                zone=volume.zone.name,
                type=volume.volume_type,
                gb=volume.size,
                iops=volume.iops,
                throughput=volume.throughput,
                created=old.created if old else now,
            )
        for key, old in self._known.items():
            if old.region == region and old.deleted is None and key not in there:
                self._known[key] = replace(old, deleted=now)

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ec2.CreateVolume": self._create,
            "ec2.DeleteVolume": self._watched,
            "ec2.ModifyVolume": self._watched,
            "ec2.AttachVolume": self._attach,
            "ec2.DetachVolume": self._detach,
            "ec2.DescribeSnapshots": self._own_snapshots,
        }

    def _watched(self, call: Call) -> Shape:
        answer = call.forward(call.params)
        self.observe(call.region)
        return answer

    def _create(self, call: Call) -> Shape:
        scope = Scope("CreateVolume", call.region)
        made = self._tokens.recall(scope, call.params)
        volumes = self._inside.volumes(call.region)
        if made and made[0] in volumes:
            return self._created(volumes[made[0]])
        params = dict(call.params)
        if params.get("VolumeType") == "gp3":
            params.setdefault("Throughput", GP3_THROUGHPUT)
        answer = call.forward(params)
        self._tokens.keep(scope, call.params, (answer["VolumeId"],))
        self.observe(call.region)
        return answer

    def _created(self, volume: object) -> Shape:
        def get(name: str) -> Any:
            return getattr(volume, name, None)

        return {
            "VolumeId": get("id"),
            "Size": get("size"),
            "VolumeType": get("volume_type"),
            "Iops": get("iops"),
            "Throughput": get("throughput"),
            "AvailabilityZone": get("availability_zone"),
            "CreateTime": get("create_time"),
            "Encrypted": get("encrypted"),
            "SnapshotId": get("snapshot_id") or "",
            "State": get("status"),
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in get("tag_list") or ()],
        }

    def _attach(self, call: Call) -> Shape:
        volume = self._inside.volumes(call.region).get(call.params.get("VolumeId", ""))
        instance = self._inside.instance(call.region, call.params.get("InstanceId", ""))
        if volume is not None and instance is not None:
            name, device = instance.id, call.params.get("Device")
            if instance.state not in {"running", "stopped"}:
                raise Refusal("IncorrectState", f"Instance '{name}' is not 'running'.")
            if volume.zone.name != instance.placement.zone:
                raise Refusal(
                    "InvalidVolume.ZoneMismatch",
                    f"The volume '{volume.id}' is not in the same availability zone as "
                    f"instance '{name}'",
                )
            if volume.attachment is not None:
                raise Refusal("VolumeInUse", f"{volume.id} is already attached to an instance")
            if device in instance.block_device_mapping:
                raise Refusal(
                    "InvalidParameterValue",
                    f"Invalid value '{device}' for unixDevice. Attachment point {device} is "
                    "already in use",
                )
        return call.forward(call.params)

    def _detach(self, call: Call) -> Shape:
        """The instance may be left out; moto needs it."""
        volume = self._inside.volumes(call.region).get(call.params.get("VolumeId", ""))
        if volume is None or call.params.get("InstanceId"):
            return call.forward(call.params)
        if volume.attachment is None:
            raise Refusal("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        return call.forward({**call.params, "InstanceId": volume.attachment.instance.id})

    def _own_snapshots(self, call: Call) -> Shape:
        """Leaves out public images' snapshots, which moto shows to who asks for their own."""
        owners = call.params.get("OwnerIds")
        rest = {key: value for key, value in call.params.items() if key != "OwnerIds"}
        answer = call.forward(rest)
        if owners:
            wanted = {self._account if one == "self" else one for one in owners}
            found = answer.get("Snapshots", [])
            answer["Snapshots"] = [one for one in found if one["OwnerId"] in wanted]
        return answer
