"""How each cloud bills each kind of thing: one table, so that pricing a ledger loads no provider.

Each rule names the vendor's page that it is from. `docs/billing.md` has the same table with the
addresses, and says what was measured on real bills and what is only read.
"""

from decimal import Decimal
from enum import Enum
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gpuctl.core.kinds import Kind, Market, Unit


class SpotPricing(Enum):
    """When a change of the spot price reaches a running machine."""

    AT_INSTANCE_HOUR = "at the start of each hour counted from launch"
    AT_ONCE = "at once"


class Rule(NamedTuple):
    """How one kind is billed by one provider.

    `minimum_s`: each run is billed at least so long. `waived_within_s`: a spot run that the
    provider itself ended sooner costs nothing. `free_per_month`: units that an account has
    free in each month, shared by use. `sustained_use`: some of it costs less the longer it is
    used in a month, on demand (`core.sustained`). `source`: the vendor's pages, by title.
    """

    unit: Unit
    minimum_s: int = 0
    spot: SpotPricing = SpotPricing.AT_ONCE
    waived_within_s: int = 0
    free_per_month: Decimal = Decimal(0)
    sustained_use: bool = False
    source: str = ""


_BILLING_ZONE = {"aws": "UTC", "gcp": "America/Los_Angeles"}

_UNIT = {
    Kind.COMPUTE: Unit.HOUR,
    Kind.VCPU: Unit.HOUR,
    Kind.RAM: Unit.HOUR,
    Kind.GPU: Unit.HOUR,
    Kind.DISK: Unit.MONTH,
    Kind.DISK_IOPS: Unit.MONTH,
    Kind.DISK_THROUGHPUT: Unit.MONTH,
    Kind.SNAPSHOT: Unit.MONTH,
    Kind.OBJECT_STORAGE: Unit.MONTH,
    Kind.IPV4: Unit.HOUR,
    Kind.EGRESS: Unit.GB,
    Kind.CROSS_AZ: Unit.GB,
}

_MINUTE = 60

_AWS_TRAFFIC = "EC2 On-Demand pricing, data transfer"
_GOOGLE_DISKS = "Disks and images pricing"
_GOOGLE_NETWORK = "VPC network pricing"

_EBS = Rule(unit=Unit.MONTH, minimum_s=_MINUTE, source="EBS pricing")
"""Per second, a minute at least, over the seconds of the calendar month."""

_GOOGLE_VM = Rule(
    unit=Unit.HOUR,
    minimum_s=_MINUTE,
    sustained_use=True,
    source="VM instance pricing; Spot VMs pricing; Sustained use discounts",
)
"""Per second from start to TERMINATED, a minute at least, at the price in effect while running."""

_RULES: dict[tuple[str, Kind], Rule] = {
    ("aws", Kind.COMPUTE): Rule(
        unit=Unit.HOUR,
        minimum_s=_MINUTE,
        spot=SpotPricing.AT_INSTANCE_HOUR,
        waived_within_s=3_600,
        source="Instance lifecycle; EC2 FAQs; Billing for interrupted Spot Instances",
    ),
    ("aws", Kind.DISK): _EBS,
    ("aws", Kind.DISK_IOPS): _EBS,
    ("aws", Kind.DISK_THROUGHPUT): _EBS,
    ("aws", Kind.SNAPSHOT): Rule(unit=Unit.MONTH, source="EBS pricing"),
    ("aws", Kind.OBJECT_STORAGE): Rule(unit=Unit.MONTH, source="S3 pricing"),
    ("aws", Kind.IPV4): Rule(
        unit=Unit.HOUR, minimum_s=_MINUTE, source="VPC billing and usage reports"
    ),
    ("aws", Kind.EGRESS): Rule(unit=Unit.GB, free_per_month=Decimal(100), source=_AWS_TRAFFIC),
    ("aws", Kind.CROSS_AZ): Rule(unit=Unit.GB, source=_AWS_TRAFFIC),
    ("gcp", Kind.COMPUTE): _GOOGLE_VM._replace(sustained_use=False),
    ("gcp", Kind.VCPU): _GOOGLE_VM,
    ("gcp", Kind.RAM): _GOOGLE_VM,
    ("gcp", Kind.GPU): _GOOGLE_VM,
    ("gcp", Kind.DISK): Rule(unit=Unit.MONTH, source=_GOOGLE_DISKS),
    ("gcp", Kind.DISK_IOPS): Rule(unit=Unit.MONTH, source=_GOOGLE_DISKS),
    ("gcp", Kind.DISK_THROUGHPUT): Rule(unit=Unit.MONTH, source=_GOOGLE_DISKS),
    ("gcp", Kind.SNAPSHOT): Rule(unit=Unit.MONTH, source=_GOOGLE_DISKS),
    ("gcp", Kind.OBJECT_STORAGE): Rule(unit=Unit.MONTH, source="Cloud Storage pricing"),
    ("gcp", Kind.IPV4): Rule(unit=Unit.HOUR, source="External IP address pricing"),
    ("gcp", Kind.EGRESS): Rule(unit=Unit.GB, source=_GOOGLE_NETWORK),
    ("gcp", Kind.CROSS_AZ): Rule(unit=Unit.GB, source=_GOOGLE_NETWORK),
}

MARKET_KINDS = frozenset({Kind.COMPUTE, Kind.VCPU, Kind.RAM, Kind.GPU})
"""Kinds whose price depends on the market; the price of all others has none."""


_SPOT_ADDRESS = {"gcp": "in-use-spot"}


def address_sku(provider: str, market: Market) -> str:
    """The sku of a public address of a running machine.

    Source: Google "External IP address pricing": an address in use on a spot VM costs half of
    one on a standard VM. AWS asks the same for each, in use or idle.
    """
    return _SPOT_ADDRESS.get(provider, "in-use") if market is Market.SPOT else "in-use"


def rule_for(provider: str, kind: Kind) -> Rule:
    """The rule of a provider for a kind; kinds without one of their own have no minimum."""
    return _RULES.get((provider, kind)) or _plain(kind)


@cache
def _plain(kind: Kind) -> Rule:
    return Rule(unit=_UNIT[kind])


@cache
def billing_zone(provider: str | None) -> ZoneInfo:
    """Whose clocks cut the provider's months and days: UTC on AWS, Los Angeles on Google."""
    return ZoneInfo(_BILLING_ZONE.get(provider or "", "UTC"))
