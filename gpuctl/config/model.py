"""The frozen values that settings are read into. Amounts are USD unless a field says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType

from gpuctl.core.errors import NotFound
from gpuctl.core.model import Accelerator, DataVolume, DiskSpec, MarketPolicy, Want
from gpuctl.core.names import client_of

NOTHING: Mapping[str, str] = MappingProxyType({})
MY_IP = "my-ip"
"""In `ssh_from`: the public address that this computer has when the machine is asked for."""


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Tunnel(StrEnum):
    """How SSH reaches a machine: all but `SSH` open no inbound port."""

    SSH = "ssh"
    EICE = "eice"
    SSM = "ssm"
    IAP = "iap"


class Overhead(StrEnum):
    """What a client bears of costs that are no project's own (images, idle disks)."""

    BY_HOURS = "by-hours"
    NONE = "none"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How a job saves itself before its machine ends, and where to.

    `dir` is on the machine; `command` runs there, `signal` goes to the job; `interval` is how
    often to copy `dir` to `bucket` (an s3:// or gs:// address) while the job runs.
    """

    dir: str
    command: str | None = None
    signal: str = "SIGTERM"
    interval: timedelta = timedelta(minutes=15)
    bucket: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A named recipe for a machine, complete: built-in values filled in."""

    name: str
    provider: str
    type: str
    fallbacks: tuple[str, ...] = ()
    market: MarketPolicy = MarketPolicy.SPOT
    max_price: Decimal | None = None
    """USD an hour for the type that is chosen; None = up to its on-demand price."""
    regions: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    image: str | None = None
    """`ami-…`, `ssm:/path`, `NAME@VERSION`, `NAME@CHANNEL` on AWS; `project/family` or
    `projects/P/global/images/…` on Google. None = the provider's own default."""
    user: str = "ubuntu"
    disk: DiskSpec
    data: DataVolume | None = None
    gpu: Accelerator | None = None
    vm: str | None = None
    """Name of a VM that exists on Google and is started and stopped, never created."""
    ttl: timedelta = timedelta(hours=8)
    idle_stop: timedelta | None = timedelta(minutes=30)
    """None = never (`"off"` in the file)."""
    budget: Decimal | None = None
    """USD a session."""
    ssh_from: tuple[str, ...] = (MY_IP,)
    """`my-ip` and CIDRs."""
    tunnel: Tunnel = Tunnel.SSH
    subnet: str | None = None
    instance_profile: str | None = None
    checkpoint: Checkpoint | None = None
    setup: str | None = None
    """A shell command run on the machine once, after it can be reached."""

    @property
    def types(self) -> tuple[str, ...]:
        """The types to try, in order."""
        return (self.type, *self.fallbacks)

    def want(self) -> Want:
        """The same, as what the market is asked for."""
        return Want(
            types=self.types,
            markets=self.market.markets,
            regions=self.regions,
            zones=self.zones,
            accelerator=self.gpu,
            max_hourly=self.max_price,
            name=self.vm,
            disk=self.disk,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """Limits in USD. `warn` are per cents at which to say so; `hard` refuses and ends machines."""

    month: Decimal | None = None
    session: Decimal | None = None
    total: Decimal | None = None
    warn: tuple[int, ...] = (50, 80, 100)
    hard: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retainer:
    """A fixed monthly fee in the client's currency, and the USD of cloud cost it includes."""

    month: Decimal
    included: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPolicy:
    """One project of one client. `markup`, `absorbed` None = as the client has it."""

    name: str
    """`client/project`."""
    title: str | None = None
    template: str | None = None
    budget: BudgetPolicy | None = None
    markup: Decimal | None = None
    """A fraction: 0.15 for 15%."""
    absorbed: bool | None = None
    since: date | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPolicy:
    """How one client is billed."""

    name: str
    """The part before the slash of its projects."""
    title: str | None = None
    """Its name for people (`name` in the file)."""
    currency: str = "USD"
    markup: Decimal = Decimal(0)
    """A fraction: 0.15 for 15%."""
    absorbed: bool = False
    """You bear the costs: they are shown and never billed."""
    cap_month: Decimal | None = None
    """USD a month above which nothing more is billed (`cap.month`)."""
    retainer: Retainer | None = None
    rounding: Decimal | None = None
    """The step of billed amounts in `currency`, e.g. 0.01; None = the currency's own coin."""
    contact: str | None = None
    vat: str | None = None
    """The client's VAT number, printed as it stands."""
    overhead: Overhead = Overhead.BY_HOURS
    aws_profile: str | None = None
    aws_role: str | None = None
    gcp_project: str | None = None

    @property
    def own_account(self) -> bool:
        """Whether its machines run in its own cloud account: shown, never billed by you."""
        return bool(self.aws_profile or self.aws_role or self.gcp_project)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds when a flag is not given; flags and environment are already in."""

    project: str | None = None
    template: str = "l4-spot"
    region: str | None = None
    output: Output = Output.TABLE
    yes: bool = False
    debug: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Ceilings over everything, whatever a template or project allows."""

    max_hourly: Decimal | None = None
    max_machines: int | None = None
    max_lifetime: timedelta = timedelta(hours=24)
    month: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """Which AWS account, which regions to look in (() = all enabled), which subnet in each."""

    profile: str | None = None
    role: str | None = None
    regions: tuple[str, ...] = ()
    subnet: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Region -> subnet id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GcpSettings:
    """Which Google project pays (None = Google's own default), which zones to look in."""

    project: str | None = None
    zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Whom to tell of what. A URL may be `env:NAME` or `cmd:…`, so that no secret is stored."""

    urls: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """What `push` and `pull` copy, relative to the project file's directory."""

    push: tuple[str, ...] = (".",)
    pull: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """`setup` runs before each job; `env` are names of variables passed through, never values."""

    setup: str | None = None
    env: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Names for `gpuctl tunnel`: `by_name["jupyter"] == 8888`."""

    by_name: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that is set, merged by precedence. Maps are by name, in file order."""

    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    aws: AwsSettings = AwsSettings()
    gcp: GcpSettings = GcpSettings()
    notify: Notify = Notify()
    templates: Mapping[str, Template]
    clients: Mapping[str, ClientPolicy]
    projects: Mapping[str, ProjectPolicy]
    """By `client/project`."""
    sync: SyncSettings = SyncSettings()
    run: RunSettings = RunSettings()
    ports: Ports

    def template(self, name: str) -> Template:
        """The template of that name; NotFound names the nearest."""
        if name not in self.templates:
            raise _missing("template", name, self.templates, "gpuctl template list")
        return self.templates[name]

    def client(self, name: str) -> ClientPolicy:
        """The client of that name; NotFound names the nearest."""
        if name not in self.clients:
            raise _missing("client", name, self.clients, f"gpuctl client add {name}")
        return self.clients[name]

    def project(self, name: str) -> ProjectPolicy:
        """The project `client/project`; NotFound names the nearest."""
        if name not in self.projects:
            raise _missing("project", name, self.projects, f"gpuctl project add {name}")
        return self.projects[name]

    def markup(self, project: str) -> Decimal:
        """The fraction added to a project's cost: its own, else its client's, else none."""
        policy = self.projects.get(project)
        if policy is not None and policy.markup is not None:
            return policy.markup
        client = self.clients.get(client_of(project))
        return client.markup if client is not None else Decimal(0)

    def absorbed(self, project: str) -> bool:
        """Whether you bear a project's cost: as it says, else as its client does."""
        policy = self.projects.get(project)
        if policy is not None and policy.absorbed is not None:
            return policy.absorbed
        client = self.clients.get(client_of(project))
        return client is not None and client.absorbed

    def lifetime(self, template: Template) -> timedelta:
        """How long its machines may live: `ttl`, under the ceiling of `limits.max_lifetime`."""
        return min(template.ttl, self.limits.max_lifetime)


def _missing(what: str, name: str, known: Mapping[str, object], command: str) -> NotFound:
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes pay for it

    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else command
    names = ", ".join(known) or "none"
    return NotFound(f'there is no {what} "{name}"; known: {names}', hint=hint)
