"""The verbs. They orchestrate the ports and return values; they never print."""

from dataclasses import dataclass

from gpuctl.config.model import Settings
from gpuctl.core.ports import BootScript, Clock, Clouds, Ledger, NewId, Progress, Reach, Sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """Everything a verb may touch of the world."""

    settings: Settings
    ledger: Ledger
    clouds: Clouds
    reach: Reach
    boot: BootScript
    clock: Clock
    sleep: Sleep
    new_id: NewId
    progress: Progress
