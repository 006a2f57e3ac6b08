"""The frozen values that settings are read into. Amounts are USD unless a field says otherwise.

Named tuples, not dataclasses: every command reads them, and a class costs a tenth to make.
Templates, which only commands that talk to a cloud need, are in template.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from gpuctl.core.errors import NotFound
from gpuctl.core.names import client_of

if TYPE_CHECKING:
    from gpuctl.config.template import Template

NOTHING: Mapping[str, str] = MappingProxyType({})


MY_IP = "my-ip"
"""In `ssh_from`: the public address that this computer has when the machine is asked for."""


class Tunnel(StrEnum):
    """How SSH reaches a machine: all but `SSH` open no inbound port."""

    SSH = "ssh"
    EICE = "eice"
    SSM = "ssm"
    IAP = "iap"


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Overhead(StrEnum):
    """What a client bears of costs that are no project's own (images, idle disks)."""

    BY_HOURS = "by-hours"
    NONE = "none"
    FIXED = "fixed"


class BudgetPolicy(NamedTuple):
    """Limits in USD. `warn` are per cents at which to say so; `hard` refuses and ends machines."""

    month: Decimal | None = None
    session: Decimal | None = None
    total: Decimal | None = None
    warn: tuple[int, ...] = (50, 80, 100)
    hard: bool = False


class Retainer(NamedTuple):
    """A fixed monthly fee in the client's currency, and the USD of cloud cost it includes."""

    month: Decimal
    included: Decimal = Decimal(0)


class ProjectPolicy(NamedTuple):
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
    tags: Mapping[str, str] = NOTHING
    archived: bool = False


class Me(NamedTuple):
    """Who sends statements: printed at their head."""

    name: str | None = None
    address: tuple[str, ...] = ()
    vat: str | None = None
    contact: str | None = None


class ClientPolicy(NamedTuple):
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
    """USD of cost a month above which nothing more is passed on; markup is on top (`cap.month`)."""
    retainer: Retainer | None = None
    rounding: Decimal | None = None
    """The step of billed amounts in `currency`, e.g. 0.01; None = the currency's own coin."""
    contact: str | None = None
    vat: str | None = None
    """The client's VAT number, printed as it stands."""
    address: tuple[str, ...] = ()
    vat_rate: Decimal | None = None
    """A fraction: 0.21 for 21%; None = no VAT line."""
    overhead: Overhead = Overhead.BY_HOURS
    aws_profile: str | None = None
    aws_role: str | None = None
    gcp_project: str | None = None

    @property
    def own_account(self) -> bool:
        """Whether its machines run in its own cloud account: shown, never billed by you."""
        return bool(self.aws_profile or self.aws_role or self.gcp_project)


class Defaults(NamedTuple):
    """What holds when a flag is not given; flags and environment are already in."""

    project: str | None = None
    template: str = "l4-spot"
    region: str | None = None
    output: Output = Output.TABLE
    yes: bool = False
    debug: bool = False


class Limits(NamedTuple):
    """Ceilings over everything, whatever a template or project allows."""

    max_hourly: Decimal | None = None
    max_machines: int | None = None
    max_lifetime: timedelta = timedelta(hours=24)
    month: Decimal | None = None


class AwsSettings(NamedTuple):
    """Which AWS account, which regions to look in (() = all enabled), which subnet in each."""

    profile: str | None = None
    role: str | None = None
    regions: tuple[str, ...] = ()
    subnet: Mapping[str, str] = NOTHING
    """Region -> subnet id."""


class GcpSettings(NamedTuple):
    """Which Google project pays (None = Google's own default), which zones to look in."""

    project: str | None = None
    zones: tuple[str, ...] = ()


class Notify(NamedTuple):
    """Whom to tell of what. A URL may be `env:NAME` or `cmd:…`, so that no secret is stored."""

    urls: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


class Xero(NamedTuple):
    """How a Xero organisation files sales: `gpuctl report --format xero` writes these."""

    account: str = "200"
    """Code of the income account; 200 is `Sales` in Xero's own chart."""
    tax_type: str | None = None
    """Name of the tax rate; None = `Tax on Sales`, or `Tax Exempt` without VAT."""
    due_days: int = 30
    dates: str = "DD/MM/YYYY"
    """As the organisation's region has them: DD/MM/YYYY or MM/DD/YYYY."""
    tracking: str | None = None
    """Name of a tracking category whose options are projects; None = no tracking."""


class SyncSettings(NamedTuple):
    """What `push` and `pull` copy, relative to the project file's directory."""

    push: tuple[str, ...] = (".",)
    pull: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class RunSettings(NamedTuple):
    """`setup` runs before each job; `env` are names of variables passed through, never values."""

    setup: str | None = None
    env: tuple[str, ...] = ()


class Ports(NamedTuple):
    """Names for `gpuctl tunnel`: `by_name["jupyter"] == 8888`."""

    by_name: Mapping[str, int]


class Settings(NamedTuple):
    """Everything that is set, merged by precedence. Maps are by name, in file order."""

    templates: Mapping[str, Template]
    clients: Mapping[str, ClientPolicy]
    projects: Mapping[str, ProjectPolicy]
    """By `client/project`."""
    ports: Ports
    defaults: Defaults = Defaults()
    limits: Limits = Limits()
    aws: AwsSettings = AwsSettings()
    gcp: GcpSettings = GcpSettings()
    notify: Notify = Notify()
    xero: Xero = Xero()
    me: Me = Me()
    share_overhead: bool = False
    """Whether what is no project's own is shared among clients (`overhead.share`)."""
    sync: SyncSettings = SyncSettings()
    run: RunSettings = RunSettings()

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
