"""The agent on a machine, asked over ssh."""

from dataclasses import dataclass
from datetime import datetime

from gpuctl.remote.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The dead-man's switch is set: the machine ends itself at `deadline` (UTC)."""

    lease: str
    deadline: datetime
    ceiling: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU now: `util` in percent, memory in MiB; None = the driver does not say."""

    index: int
    name: str
    util: int | None
    mem_used: int | None
    mem_total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the cloud has announced: `spot`, `rebalance`, `preempted`, `maintenance`."""

    kind: str
    time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `gpuctl-agent status --json` says."""

    armed: bool
    lease: str
    deadline: datetime | None
    state: str
    """`busy`, `idle`, `unknown`."""
    idle_for_s: int
    gpus: tuple[Gpu, ...]
    notice: Notice | None
    heartbeat: datetime | None
    version: str


def armed(target: Target) -> Armed | None:
    """What the machine says of its switch; None = not armed (yet), or no answer."""
    raise NotImplementedError


def status(target: Target) -> Status:
    """The agent's own account of the machine. `RemoteFailed` when there is none."""
    raise NotImplementedError


def extend(target: Target, deadline: datetime) -> datetime:
    """Move the deadline on the machine; the one now in force.

    `UsageProblem` when it is past or beyond the lease's ceiling, `RemoteFailed` without an agent.
    """
    raise NotImplementedError
