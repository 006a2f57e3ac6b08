"""The words of the field: markets, states, kinds, units. Light: every command reads them."""

from enum import StrEnum
from typing import NamedTuple


class Market(StrEnum):
    """How a machine is bought."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


class MarketPolicy(StrEnum):
    """What a template asks for."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"
    SPOT_THEN_ON_DEMAND = "spot-then-on-demand"

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets to try, in order."""
        if self is MarketPolicy.SPOT_THEN_ON_DEMAND:
            return (Market.SPOT, Market.ON_DEMAND)
        return (Market(self.value),)


class State(StrEnum):
    """A machine's state, in the words of the public contract."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    GONE = "gone"


class EndedBy(StrEnum):
    """Who ended a run. `PROVIDER` is a spot interruption, never the guest's own shutdown."""

    USER = "user"
    PROVIDER = "provider"


class Evidence(StrEnum):
    """How the end of a run is known, best first."""

    STATE_REASON = "state-reason"
    SPOT_REQUEST = "spot-request"
    AUDIT_LOG = "audit-log"
    HEARTBEAT = "heartbeat"
    DEADLINE = "deadline"

    @property
    def certain(self) -> bool:
        """Whether the cloud itself said when."""
        return self in (Evidence.STATE_REASON, Evidence.SPOT_REQUEST, Evidence.AUDIT_LOG)


class Kind(StrEnum):
    """The billable kinds of the public contract, section 5."""

    COMPUTE = "compute"
    VCPU = "vcpu"
    RAM = "ram"
    GPU = "gpu"
    DISK = "disk"
    DISK_IOPS = "disk-iops"
    DISK_THROUGHPUT = "disk-throughput"
    SNAPSHOT = "snapshot"
    OBJECT_STORAGE = "object-storage"
    IPV4 = "ipv4"
    EGRESS = "egress"
    CROSS_AZ = "cross-az"


class Unit(StrEnum):
    """What a price is for."""

    HOUR = "hour"
    MONTH = "month"
    GB = "gb"


class Priced(NamedTuple):
    """A thing whose price is asked for. `zone` None = the price holds for the region."""

    provider: str
    region: str | None
    zone: str | None
    kind: Kind
    sku: str
    market: Market
    unit: Unit
