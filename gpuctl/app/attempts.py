"""What came of the offers that `up` went through."""

from dataclasses import dataclass

from gpuctl.core.kinds import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One offer and what came of it: `started`, `skipped`, `refused`, `unknown`."""

    type: str
    zone: str | None
    market: Market | None
    outcome: str
    code: str | None = None
    reason: str | None = None
