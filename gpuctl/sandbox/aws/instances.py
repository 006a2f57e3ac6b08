"""The EC2 calls about existing instances: describe, start, stop, terminate, tag, console."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from gpuctl.sandbox.aws.capacity import Capacity
from gpuctl.sandbox.aws.filters import Getter, paged, path, select
from gpuctl.sandbox.aws.fleet import (
    PENDING,
    RUNNING,
    STOPPED,
    STOPPING,
    TERMINATED,
    Fleet,
    Instance,
)
from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.launch import Launches
from gpuctl.sandbox.aws.quotas import Quotas
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.trail import Trail
from gpuctl.sandbox.aws.wire import Call, Handler, Moto, Shape
from gpuctl.sandbox.world import SandboxClock

_NIC = "NetworkInterfaces"
_GETTERS: Mapping[str, Getter] = {
    "architecture": path("Architecture"),
    "availability-zone": path("Placement", "AvailabilityZone"),
    "block-device-mapping.delete-on-termination": path(
        "BlockDeviceMappings", "Ebs", "DeleteOnTermination"
    ),
    "block-device-mapping.device-name": path("BlockDeviceMappings", "DeviceName"),
    "block-device-mapping.volume-id": path("BlockDeviceMappings", "Ebs", "VolumeId"),
    "client-token": path("ClientToken"),
    "dns-name": path("PublicDnsName"),
    "group-id": path("SecurityGroups", "GroupId"),
    "group-name": path("SecurityGroups", "GroupName"),
    "hypervisor": path("Hypervisor"),
    "iam-instance-profile.arn": path("IamInstanceProfile", "Arn"),
    "image-id": path("ImageId"),
    "instance-id": path("InstanceId"),
    "instance-lifecycle": path("InstanceLifecycle"),
    "instance-state-code": path("State", "Code"),
    "instance-state-name": path("State", "Name"),
    "instance-type": path("InstanceType"),
    "instance.group-id": path("SecurityGroups", "GroupId"),
    "instance.group-name": path("SecurityGroups", "GroupName"),
    "ip-address": path("PublicIpAddress"),
    "key-name": path("KeyName"),
    "launch-index": path("AmiLaunchIndex"),
    "launch-time": path("LaunchTime"),
    "metadata-options.http-tokens": path("MetadataOptions", "HttpTokens"),
    "monitoring-state": path("Monitoring", "State"),
    "network-interface.network-interface-id": path(_NIC, "NetworkInterfaceId"),
    "network-interface.group-id": path(_NIC, "Groups", "GroupId"),
    "network-interface.subnet-id": path(_NIC, "SubnetId"),
    "network-interface.vpc-id": path(_NIC, "VpcId"),
    "owner-id": path("_owner"),
    "private-dns-name": path("PrivateDnsName"),
    "private-ip-address": path("PrivateIpAddress"),
    "reason": path("StateTransitionReason"),
    "reservation-id": path("_reservation"),
    "root-device-name": path("RootDeviceName"),
    "root-device-type": path("RootDeviceType"),
    "spot-instance-request-id": path("SpotInstanceRequestId"),
    "state-reason-code": path("StateReason", "Code"),
    "state-reason-message": path("StateReason", "Message"),
    "subnet-id": path("SubnetId"),
    "tenancy": path("Placement", "Tenancy"),
    "virtualization-type": path("VirtualizationType"),
    "vpc-id": path("VpcId"),
}

_GONE_WITH_IT = (_NIC, "PublicIpAddress", "PrivateIpAddress", "SubnetId", "VpcId")
"""What a terminated instance no longer shows."""


class Instances:
    """Calls about instances that exist."""

    def __init__(
        self,
        *,
        clock: SandboxClock,
        moto: Moto,
        inside: Inside,
        fleet: Fleet,
        capacity: Capacity,
        quotas: Quotas,
        launches: Launches,
        trail: Trail,
    ) -> None:
        self._clock, self._moto, self._inside = clock, moto, inside
        self._fleet, self._capacity, self._quotas = fleet, capacity, quotas
        self._launches, self._trail = launches, trail

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ec2.DescribeInstances": self._describe,
            "ec2.DescribeInstanceStatus": self._describe_status,
            "ec2.TerminateInstances": self._terminate,
            "ec2.StopInstances": self._stop,
            "ec2.StartInstances": self._start,
            "ec2.CreateTags": self._retag,
            "ec2.DeleteTags": self._retag,
            "ec2.GetConsoleOutput": self._console,
            "ec2.ModifyInstanceAttribute": self._modify,
        }

    def _hide_new(self, region: str, asked: Sequence[str]) -> set[str]:
        """Instances that this Describe does not show yet. Refusal when one is asked for by id."""
        hidden = {one.id for one in self._fleet.all() if one.region == region and one.hidden}
        for name in hidden:
            instance = self._fleet.get(name)
            if instance is not None:
                instance.hidden -= 1
        missing = [name for name in asked if name in hidden]
        if missing:
            raise _unknown(missing)
        return hidden

    def _describe(self, call: Call) -> Shape:
        asked = call.params.get("InstanceIds") or []
        hidden = self._hide_new(call.region, asked)
        if asked and call.params.get("MaxResults"):
            raise Refusal(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        query = {"InstanceIds": asked} if asked else {}
        found = self._moto.call(call.region, "DescribeInstances", query)
        shapes = [
            _tidy(instance, reservation)
            for reservation in found.get("Reservations", [])
            for instance in reservation["Instances"]
            if instance["InstanceId"] not in hidden
        ]
        chosen = select(shapes, call.params.get("Filters"), _GETTERS)
        answer = paged("Instances", chosen, call.params)
        answer["Reservations"] = _reserved(answer.pop("Instances"))
        return answer

    def _describe_status(self, call: Call) -> Shape:
        hidden = self._hide_new(call.region, call.params.get("InstanceIds") or [])
        answer = call.forward(call.params)
        answer["InstanceStatuses"] = [
            one for one in answer.get("InstanceStatuses", []) if one["InstanceId"] not in hidden
        ]
        return answer

    def _named(self, call: Call) -> list[Instance]:
        ids = call.params.get("InstanceIds") or []
        there = self._moto.call(call.region, "DescribeInstances", {"InstanceIds": ids})
        names = [i["InstanceId"] for r in there["Reservations"] for i in r["Instances"]]
        known = [self._fleet.get(name) for name in ids if name in names]
        return [one for one in known if one is not None]

    def _terminate(self, call: Call) -> Shape:
        named = self._named(call)
        for instance in named:
            raw = self._inside.instance(call.region, instance.id)
            if raw is not None and raw.disable_api_termination:
                raise Refusal(
                    "OperationNotPermitted",
                    f"The instance '{instance.id}' may not be terminated. Modify its "
                    "'disableApiTermination' instance attribute and try again.",
                )
        changes = []
        for instance in named:
            before = instance.state
            self._fleet.terminate(instance)
            changes.append(_change(instance.id, before, instance.state))
        self._tell(call, "TerminateInstances", named)
        return {"TerminatingInstances": changes}

    def _stop(self, call: Call) -> Shape:
        named = self._named(call)
        for instance in named:
            if instance.spot_request is not None:
                raise Refusal(
                    "UnsupportedOperation",
                    f"You can't stop the Spot Instance '{instance.id}' because it is associated "
                    "with a one-time Spot Instance request. You can only stop Spot Instances "
                    "associated with persistent Spot Instance requests.",
                )
            if instance.state not in {RUNNING, STOPPING, STOPPED}:
                raise _wrong_state(instance, "stopped")
        changes = []
        for instance in named:
            before = instance.state
            if before == RUNNING:
                self._fleet.stop(instance)
            changes.append(_change(instance.id, before, instance.state))
        self._tell(call, "StopInstances", named)
        return {"StoppingInstances": changes}

    def _start(self, call: Call) -> Shape:
        named = self._named(call)
        for instance in named:
            if instance.state not in {STOPPED, PENDING, RUNNING}:
                raise _wrong_state(instance, "started")
            if instance.state == STOPPED:
                boot = instance.boot
                used = self._launches.vcpus_used(call.region)
                self._quotas.check(boot.type, spot=False, used=used, more=instance.vcpus)
                self._capacity.choose(boot.type, (boot.zone,), boot.zone, "on-demand")
        changes = []
        for instance in named:
            before = instance.state
            if before == STOPPED:
                self._fleet.start(instance)
            changes.append(_change(instance.id, before, instance.state))
        self._tell(call, "StartInstances", named)
        return {"StartingInstances": changes}

    def _tell(self, call: Call, name: str, named: Sequence[Instance]) -> None:
        ids = [instance.id for instance in named]
        items = [{"instanceId": one} for one in ids]
        details = {"requestParameters": {"instancesSet": {"items": items}}}
        self._trail.called(call.region, name, ids, details)

    def _retag(self, call: Call) -> Shape:
        resources = call.params.get("Resources", [])
        known = [one for one in resources if one.startswith("i-")]
        missing = [one for one in known if self._inside.instance(call.region, one) is None]
        if missing:
            raise _unknown(missing)
        answer = call.forward(call.params)
        for name in known:
            self._fleet.tags_changed(name)
        return answer

    def _console(self, call: Call) -> Shape:
        name = call.params.get("InstanceId", "")
        instance = self._fleet.get(name)
        if instance is None or instance.region != call.region:
            raise _unknown([name])
        text = self._fleet.console(instance) if instance.state == RUNNING else ""
        return {
            "InstanceId": name,
            "Output": base64.b64encode(text.encode()).decode(),
            "Timestamp": self._clock.now(),
        }

    def _modify(self, call: Call) -> Shape:
        answer = call.forward(call.params)
        instance = self._fleet.get(call.params.get("InstanceId", ""))
        behaviour = (call.params.get("InstanceInitiatedShutdownBehavior") or {}).get("Value")
        if instance is not None and behaviour and instance.spot_request is None:
            instance.behaviour = behaviour
        return answer


def _tidy(instance: Shape, reservation: Shape) -> Shape:
    """An instance as AWS shows it; `_owner` and `_reservation` are for filters, then dropped."""
    shown: dict[str, Any] = dict(instance)
    shown["_owner"], shown["_reservation"] = reservation["OwnerId"], reservation["ReservationId"]
    shown["_groups"] = reservation.get("Groups", [])
    if not shown.get("StateReason", {}).get("Code"):
        shown.pop("StateReason", None)
    if shown["State"]["Name"] == TERMINATED[0]:
        for name in _GONE_WITH_IT:
            shown.pop(name, None)
        shown.update(SecurityGroups=[], BlockDeviceMappings=[], NetworkInterfaces=[])
        shown.update(PrivateDnsName="", PublicDnsName="")
    return shown


def _reserved(shapes: Sequence[Shape]) -> list[Shape]:
    """Instances back in their reservations, in order."""
    reservations: dict[str, Shape] = {}
    for shape in shapes:
        owner, name, groups = shape.pop("_owner"), shape.pop("_reservation"), shape.pop("_groups")
        blank = {"ReservationId": name, "OwnerId": owner, "Groups": groups, "Instances": []}
        reservations.setdefault(name, blank)["Instances"].append(shape)
    return list(reservations.values())


def _unknown(ids: Sequence[str]) -> Refusal:
    if len(ids) == 1:
        text = f"The instance ID '{ids[0]}' does not exist"
    else:
        text = f"The instance IDs '{', '.join(ids)}' do not exist"
    return Refusal("InvalidInstanceID.NotFound", text)


def _wrong_state(instance: Instance, what: str) -> Refusal:
    return Refusal(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {what}.",
    )


def _change(name: str, before: tuple[str, int], after: tuple[str, int]) -> Shape:
    return {
        "InstanceId": name,
        "PreviousState": {"Name": before[0], "Code": before[1]},
        "CurrentState": {"Name": after[0], "Code": after[1]},
    }
