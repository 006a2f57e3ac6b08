"""The verbs. They orchestrate the ports and return values; they never print."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    # Every verb imports this package, and those of money need none of it.
    from gpuctl.config.model import Settings
    from gpuctl.core.images.facts import ImageFacts
    from gpuctl.core.ports import BootScript, Clock, Clouds, Ledger, NewId, Progress, Reach, Sleep


class App(NamedTuple):
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
    at_work: Callable[[str], bool] = lambda _: False
    """Whether the `ami build` of the builder of that name is going on on this computer now."""
    images: Callable[[str], ImageFacts | None] = lambda _: None
    """What is certain of an image by its name, without asking a cloud."""
    pinned: Callable[[str, str, str], tuple[str, str] | None] = lambda *_: None
    """(name, provider, region) -> `NAME@VERSION` and its id there, by the lock file."""
