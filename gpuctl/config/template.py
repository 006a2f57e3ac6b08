"""A recipe for a machine, complete: what a template of the files comes to."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from gpuctl.config.model import MY_IP, Tunnel
from gpuctl.core.kinds import MarketPolicy
from gpuctl.core.model import Accelerator, DataVolume, DiskSpec, Want


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
    service_account: str | None = None
    """On Google, what `instance_profile` is on AWS: who the machine is to its bucket."""
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
