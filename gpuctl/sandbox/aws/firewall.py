"""Security groups and addresses: moto's, but what is in use stays, and open doors are noted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Shape
from gpuctl.sandbox.world import SandboxClock

_EVERYWHERE = {"0.0.0.0/0", "::/0"}


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that lets the whole internet in."""

    at: datetime
    region: str
    group: str
    cidr: str
    ports: tuple[int | None, int | None]


class Firewall:
    """Watches ingress rules."""

    def __init__(self, clock: SandboxClock, inside: Inside) -> None:
        self._clock, self._inside = clock, inside
        self.violations: list[Violation] = []

    def reset(self) -> None:
        """Forget all."""
        self.violations.clear()

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ec2.AuthorizeSecurityGroupIngress": self._authorize,
            "ec2.ModifySecurityGroupRules": self._modify,
            "ec2.DeleteSecurityGroup": self._delete,
            "ec2.ReleaseAddress": self._release,
        }

    def _authorize(self, call: Call) -> Shape:
        answer = call.forward(call.params)
        group = str(call.params.get("GroupId") or call.params.get("GroupName"))
        for rule in answer.get("SecurityGroupRules", ()):
            self._note(call.region, rule.get("GroupId", group), rule)
        return answer

    def _modify(self, call: Call) -> Shape:
        answer = call.forward(call.params)
        for one in call.params.get("SecurityGroupRules", ()):
            self._note(
                call.region, call.params.get("GroupId", ""), one.get("SecurityGroupRule", {})
            )
        return answer

    def _delete(self, call: Call) -> Shape:
        group = call.params.get("GroupId", "")
        if self._inside.group_in_use(call.region, group):
            raise Refusal("DependencyViolation", f"resource {group} has a dependent object")
        return call.forward(call.params)

    def _release(self, call: Call) -> Shape:
        name = call.params.get("AllocationId", "")
        if self._inside.address_in_use(call.region, name):
            raise Refusal("InvalidIPAddress.InUse", f"Address {name} is in use.")
        return call.forward(call.params)

    def _note(self, region: str, group: str, rule: Shape) -> None:
        for cidr in _cidrs(rule):
            ports = (rule.get("FromPort"), rule.get("ToPort"))
            self.violations.append(Violation(self._clock.now(), region, group, cidr, ports))


def _cidrs(rule: Shape) -> Sequence[str]:
    found = (rule.get("CidrIpv4"), rule.get("CidrIpv6"))
    return [cidr for cidr in found if cidr in _EVERYWHERE]
