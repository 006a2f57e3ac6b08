"""The first script a machine runs: it arms the dead-man's switch before anything else."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """What a machine must know of its lease; no secret, for anyone on it can read user-data.

    Times are aware. `deadline` is when it powers itself off, `ceiling` the latest moment any
    extension may move that to.
    """

    lease: str
    cloud: str
    """`aws` or `gcp`: which metadata service to ask."""
    deadline: datetime
    ceiling: datetime
    user: str
    """The login that is warned and that hooks run as."""
    idle_stop_s: int | None = None
    """Power off after that long without any activity; None = never for idleness."""
    grace_s: int = 600
    """Between the warning and the power-off."""
    gpus: int | None = None
    """How many GPUs there should be; 0 = none, so their absence is no mystery. None = not known."""
    project: str | None = None
    name: str | None = None
    budget: str | None = None
    """USD, only shown: whoever sets the deadline has already counted it in."""
    hook: tuple[str, ...] = ()
    """Run once per notice as `user`, with GPUCTL_NOTICE and GPUCTL_NOTICE_TIME set."""
    hook_timeout_s: int = 60


def render(plan: BootPlan, *, compress: bool = True) -> bytes:
    """The script: gzip'ed for AWS user-data (at most 16,384 bytes), plain for Google's
    `startup-script`, which runs at every boot.

    Raises ValueError when the plan makes no sense or the result is too large.
    """
    raise NotImplementedError
