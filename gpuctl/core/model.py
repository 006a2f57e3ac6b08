"""The values that cross the provider boundary. Frozen, aware UTC times, Decimal money."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, State


@dataclass(frozen=True, slots=True, order=True)
class MachineId:
    """Where and what: `native` is the instance id on AWS, the VM's name on Google."""

    provider: str
    account: str
    region: str
    zone: str
    native: str

    def __str__(self) -> str:
        return f"{self.provider}:{self.zone}:{self.native}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Billable:
    """One thing on the clock since `since` (the cloud's time); `until` None = still running."""

    resource: str
    kind: Kind
    sku: str
    quantity: Decimal
    market: Market
    since: datetime
    until: datetime | None = None
    keeps: bool = False
    """It outlives the machine (a project's data volume): the machine's end does not end it."""
    foreign: bool = False
    """It was not made by gpuctl: the disk of a VM that was taken over as it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """When and by whom a run ended, and how that is known. `reason` is the cloud's own word."""

    at: datetime
    by: EndedBy
    evidence: Evidence
    reason: str
    gone_at: datetime | None = None
    """When the machine, stopped before, was deleted with its disks; None = at `at`, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One VM as its cloud reports it now.

    `billed` is everything on the clock for it in this very state, complete: what a ledger has
    open for this machine and `billed` lacks has ended, at `ending.at`. `ending` tells of the
    last run that ended, None when there is none: while the machine runs again (Google), that is
    the run before, so that a stop and start by other means leaves no gap that would be billed.
    `project`, `lease`, `install`, `template` and `deadline` come from its tags or labels, None
    when they are absent or unreadable.
    """

    id: MachineId
    name: str
    type: str
    gpu: str | None
    gpus: int
    market: Market
    state: State
    launched_at: datetime | None
    billed: tuple[Billable, ...] = ()
    ran: tuple[Billable, ...] = ()
    """The computing of the last run, with its `until`, once it has ended: a run that nobody saw
    while it went on is accounted for all the same."""
    ending: Ending | None = None
    address: str | None = None
    image: str | None = None
    project: str | None = None
    lease: str | None = None
    install: str | None = None
    deadline: datetime | None = None
    user: str | None = None
    template: str | None = None
    strange: str | None = None
    """The cloud's own word for a state that gpuctl does not know: it counts as running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A GPU attached to a VM type that has none of its own (Google N1)."""

    type: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a template asks the market for. Empty regions or zones = those configured."""

    types: tuple[str, ...]
    markets: tuple[Market, ...]
    regions: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    accelerator: Accelerator | None = None
    max_hourly: Decimal | None = None
    name: str | None = None
    """Name of an existing VM to adopt, where a provider starts and stops one."""
    disk: "DiskSpec | None" = None
    avoid: tuple[str, ...] = ()
    """Zones to try after all others of their market: they have just taken a machine back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One priced part of an offer (Google prices cores, memory and GPU apart). USD per hour."""

    kind: Kind
    sku: str
    quantity: Decimal
    market: Market
    hourly: Decimal
    """For the whole quantity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A type in a zone on a market. `hourly` is USD for the machine without disk and address.

    Unavailable offers say why in `reason` (retired, not offered in the zone, over max price).
    `source` tells where the price is from and how old it is, in words for people.
    """

    provider: str
    account: str
    region: str
    zone: str
    type: str
    gpu: str | None
    gpus: int
    market: Market
    hourly: Decimal | None
    on_demand_hourly: Decimal | None
    available: bool
    reason: str | None = None
    source: str | None = None
    components: tuple[Component, ...] = ()
    vcpus: int | None = None
    memory_gib: Decimal | None = None
    gpu_memory_gib: Decimal | None = None
    rank: int = 0
    """Position of its type in the template's ordered list (0 = the first choice)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpec:
    """A disk: GB on AWS, GiB on Google; IOPS and MB/s only where they are bought apart."""

    gb: int
    type: str
    iops: int | None = None
    throughput: int | None = None
    init_rate: int | None = None
    """MiB/s at which it is filled from its image, where that is bought; None = as it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataVolume:
    """A volume of a project that survives its machines and is attached again by name."""

    name: str
    disk: DiskSpec
    mount: str = "/data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may reach the machine. `sources` are single addresses as CIDR (`/32`, `/128`)."""

    public_key: str
    user: str
    sources: tuple[str, ...]
    expires: datetime
    tunnel: str | None = None
    """None = port 22 from `sources`; else no inbound port at all (`eice`, `ssm`, `iap`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything one launch attempt needs; stored in the ledger before it is sent.

    `token` belongs to this attempt alone: the same order sent twice gives the same machine.
    """

    token: str
    lease: str
    install: str
    name: str
    project: str
    offer: Offer
    image: str
    disk: DiskSpec
    access: Access
    deadline: datetime
    max_run: timedelta
    """The ceiling that the cloud itself enforces where it can (Google `maxRunDuration`)."""
    user_data: bytes
    data: DataVolume | None = None
    subnet: str | None = None
    instance_profile: str | None = None
    max_hourly: Decimal | None = None
    adopt: bool = False
    """The VM exists and is to be started, not created."""
    settings: Mapping[str, str] = field(default_factory=dict)
    template: str | None = None
    """For the machine's tags: whoever loses the ledger learns it from there."""
    image_name: str | None = None
    """`NAME@VERSION` where `image` is one of one's own; `recipe_sha256` is what it was made of."""
    recipe_sha256: str | None = None


class Down(StrEnum):
    """How to end what costs."""

    END = "end"
    """Terminate on AWS, stop on Google."""
    DELETE = "delete"
    """Nothing remains: VM and disks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that still exists, and perhaps costs, without being a machine in use.

    `billed` is () for what is free (key pair, security group rule). `fix` is the command that
    ends it. `ours` tells whether it carries this installation's tags.
    """

    provider: str
    account: str
    region: str
    zone: str | None
    resource: str
    what: str
    """disk, address, snapshot, image, spot-request, rule, key-pair, stopped-machine…"""
    ours: bool
    reason: str
    fix: str
    billed: tuple[Billable, ...] = ()
    project: str | None = None
    lease: str | None = None
    created_at: datetime | None = None
    machine: str | None = None
    """Native id of the machine it belongs to or is attached to, if any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePoint:
    """USD per unit from `at` on. `source`: `spot-history`, `price-list`, `catalog` or
    `bundled 2026-11-01` (the dated file in the package).
    """

    at: datetime
    usd: Decimal
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of `doctor`: `ok` None = a warning, not a problem."""

    name: str
    ok: bool | None
    says: str
    why: str | None = None
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Something gpuctl made in an account besides machines (security group, key pair…)."""

    provider: str
    account: str
    region: str
    resource: str
    what: str
