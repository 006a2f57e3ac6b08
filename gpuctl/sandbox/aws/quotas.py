"""vCPU quotas: counted at launch, and told by Service Quotas."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gpuctl.sandbox.aws.filters import paged
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Shape

SPOT, DEMAND = "spot", "on-demand"


@dataclass(frozen=True, slots=True)
class Quota:
    """One vCPU quota. `usual` is what the sandbox's account has."""

    code: str
    name: str
    families: tuple[str, ...]
    market: str
    usual: int


QUOTAS = (
    Quota("L-3819A6DF", "All G and VT Spot Instance Requests", ("g", "gr", "vt"), SPOT, 64),
    Quota("L-DB2E81BA", "Running On-Demand G and VT instances", ("g", "gr", "vt"), DEMAND, 64),
    Quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", ("p2", "p3", "p4"), SPOT, 64),
    Quota("L-C4BD4855", "All P5 Spot Instance Requests", ("p5",), SPOT, 0),
    Quota("L-417A185B", "Running On-Demand P instances", ("p",), DEMAND, 64),
    Quota(
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        ("a", "c", "d", "h", "i", "m", "r", "t", "z"),
        SPOT,
        640,
    ),
    Quota(
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        ("a", "c", "d", "h", "i", "m", "r", "t", "z"),
        DEMAND,
        640,
    ),
)

_FAMILY = re.compile(r"([a-z]+)(\d*)")
_BY_CODE = {quota.code: quota for quota in QUOTAS}


def quota_of(type_name: str, *, spot: bool) -> Quota | None:
    """The quota that a type counts against; None where the sandbox has none."""
    market = SPOT if spot else DEMAND
    match = _FAMILY.match(type_name)
    names = {match[1], match[1] + match[2]} if match else set()
    fitting = (one for one in QUOTAS if one.market == market and names & set(one.families))
    return next(fitting, None)


class Quotas:
    """How many vCPUs the account may run."""

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def set(self, code: str, vcpus: int) -> None:
        """Change one, in every region. ValueError for an unknown code."""
        if code not in _BY_CODE:
            raise ValueError(f"unknown quota: {code} (known: {', '.join(_BY_CODE)})")
        self._values[code] = vcpus

    def reset(self) -> None:
        """What the account started with."""
        self._values.clear()

    def value(self, quota: Quota) -> int:
        """Its value now."""
        return self._values.get(quota.code, quota.usual)

    def check(self, type_name: str, *, spot: bool, used: Mapping[str, int], more: int) -> None:
        """Refuse what goes over. `used`: vCPUs now running or starting, by quota code."""
        quota = quota_of(type_name, spot=spot)
        if quota is None or used.get(quota.code, 0) + more <= self.value(quota):
            return
        if spot:
            raise Refusal("MaxSpotInstanceCountExceeded")
        raise Refusal(
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit of "
            f"{self.value(quota)} allows for the instance bucket that the specified instance type "
            "belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
            "adjustment to this limit.",
        )

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "servicequotas.GetServiceQuota": self._get,
            "servicequotas.GetAWSDefaultServiceQuota": self._get,
            "servicequotas.ListServiceQuotas": self._list,
            "servicequotas.ListAWSDefaultServiceQuotas": self._list,
            "servicequotas.RequestServiceQuotaIncrease": self._request,
        }

    def _shape(self, quota: Quota, call: Call) -> Shape:
        value = quota.usual if "Default" in call.action else self.value(quota)
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{call.region}:123456789012:ec2/{quota.code}",
            "QuotaCode": quota.code,
            "QuotaName": quota.name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    def _wanted(self, call: Call) -> Quota:
        quota = _BY_CODE.get(call.params.get("QuotaCode", ""))
        if call.params.get("ServiceCode") != "ec2" or quota is None:
            raise Refusal(
                "NoSuchResourceException",
                "The request failed because the specified service quota does not exist.",
            )
        return quota

    def _get(self, call: Call) -> Shape:
        return {"Quota": self._shape(self._wanted(call), call)}

    def _list(self, call: Call) -> Shape:
        if call.params.get("ServiceCode") != "ec2":
            raise Refusal(
                "NoSuchResourceException",
                "The request failed because the specified service does not exist.",
            )
        return paged("Quotas", [self._shape(one, call) for one in QUOTAS], call.params, default=100)

    def _request(self, call: Call) -> Shape:
        quota = self._wanted(call)
        return {
            "RequestedQuota": {
                "Id": f"sandbox-{quota.code}",
                "ServiceCode": "ec2",
                "QuotaCode": quota.code,
                "QuotaName": quota.name,
                "DesiredValue": float(call.params.get("DesiredValue", 0)),
                "Status": "PENDING",
            }
        }
