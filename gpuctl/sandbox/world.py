"""What the sandbox's parts share: one clock that can be moved, one lock, and bare machines."""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

_LOG = logging.getLogger(__name__)


class Handle:
    """A planned action that can be called off."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Call it off; harmless when it has run."""
        self.cancelled = True


class SandboxClock:
    """Real time plus an offset that only grows; runs planned actions when they are due.

    `advance` runs what falls due on the way at its own time, in order: a machine whose
    deadline is passed by a jump of twenty days ends at its deadline, not at the jump's end.
    """

    def __init__(
        self, offset: timedelta = timedelta(), on_change: Callable[[timedelta], None] | None = None
    ) -> None:
        self.lock = threading.RLock()
        self._offset = offset
        self._frozen_at: datetime | None = None
        self._horizon: datetime | None = None
        self._queue: list[tuple[datetime, int, Handle, Callable[[], None]]] = []
        self._count = itertools.count()
        self._on_change = on_change
        self._wake = threading.Event()

    @property
    def offset(self) -> timedelta:
        """How far ahead of real time the sandbox is."""
        return self._offset

    @property
    def horizon(self) -> datetime | None:
        """Where the `advance` in progress will end; None when time passes by itself."""
        return self._horizon

    def glance(self) -> datetime:
        """Now, without the lock: for those whom the thread that advances time waits for."""
        return datetime.now(UTC) + self._offset

    def now(self) -> datetime:
        """The sandbox's time, aware UTC."""
        with self.lock:
            return self._frozen_at or datetime.now(UTC) + self._offset

    def call_at(self, when: datetime, action: Callable[[], None]) -> Handle:
        """Plan an action, run under the lock; at once (soon) when `when` has passed."""
        handle = Handle()
        with self.lock:
            heapq.heappush(self._queue, (when, next(self._count), handle, action))
        self._wake.set()
        return handle

    def call_in(self, seconds: float, action: Callable[[], None]) -> Handle:
        """Plan an action that many sandbox seconds from now."""
        return self.call_at(self.now() + timedelta(seconds=seconds), action)

    def advance(self, by: timedelta) -> None:
        """Move time forward, running what falls due at its own time."""
        if by < timedelta():
            raise ValueError("the sandbox's clock only goes forward")
        with self.lock:
            if self._horizon is not None:
                raise ValueError("the clock is being advanced already")
            target = self._horizon = self.now() + by
            try:
                while self._queue and self._queue[0][0] <= target:
                    when, _, handle, action = heapq.heappop(self._queue)
                    if handle.cancelled:
                        continue
                    self._frozen_at = max(when, self._frozen_at or self.now())
                    self._move_to(self._frozen_at)  # what the action starts reads the offset
                    action()
            finally:
                self._frozen_at = self._horizon = None
                self._move_to(target)

    def _move_to(self, moment: datetime) -> None:
        self._offset = max(self._offset, moment - datetime.now(UTC))
        if self._on_change:
            self._on_change(self._offset)

    def run_due(self) -> None:
        """Run what is due now."""
        with self.lock:
            while self._queue and self._queue[0][0] <= self.now():
                _, _, handle, action = heapq.heappop(self._queue)
                if not handle.cancelled:
                    action()

    def run_forever(self, stop: threading.Event) -> None:
        """Body of the thread that keeps planned actions going in real time."""
        while not stop.is_set():
            try:
                self.run_due()
            except Exception:  # noqa: BLE001 - one broken action must not stop time for all
                _LOG.exception("a planned action failed")
            self._wake.clear()
            with self.lock:
                wait = (self._queue[0][0] - self.now()).total_seconds() if self._queue else 1.0
            self._wake.wait(max(0.01, min(wait, 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What a bare machine is started with."""

    id: str
    """Unique over both clouds: the instance id on AWS, the VM's numeric id on Google."""
    cloud: str
    """`aws` or `gcp`: which metadata service it sees."""
    name: str
    region: str
    zone: str
    type: str
    user_data: bytes
    """AWS user-data (maybe gzip) or Google startup-script: really run, as the machine's root."""
    user: str
    authorized_keys: Sequence[str]
    gpu: str | None = None
    gpus: int = 0
    market: str = "on-demand"
    project: str = "sandbox-project"
    """Google's project, as its metadata service tells it."""
    tags: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    """What it is started from: an image that was kept brings its files."""
    driver: str | None = None
    """The NVIDIA driver that a public image brings, as `580.95.05 open`."""
    profile: str | None = None
    """AWS: the instance profile whose keys the metadata service gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the metadata service tells: `spot` (with its time), `rebalance`, `preempted`,
    `maintenance`.
    """

    kind: str
    at: datetime
    action: str = "terminate"
    """What will be done to a spot machine: `terminate`, `stop` or `hibernate`."""


class Metal(Protocol):
    """Bare machines: a directory, a shell over real SSH on loopback, a metadata service each."""

    def boot(self, boot: Boot, on_poweroff: Callable[[], None]) -> None:
        """Start it (again: its directory is kept); SSH answers soon after.

        `on_poweroff` is called under the clock's lock when the guest powers itself off.
        """

    def power_off(self, id: str) -> None:  # noqa: A002 - the clouds' own word
        """Stop all that runs on it, keep its directory. Idempotent."""

    def destroy(self, id: str) -> None:  # noqa: A002
        """Stop it and remove its directory. Idempotent."""

    def notify(self, id: str, notice: Notice | None) -> None:  # noqa: A002
        """Put a notice into its metadata service, or take it back."""

    def set_tags(self, id: str, tags: Mapping[str, str]) -> None:  # noqa: A002
        """Change what its metadata service says of tags (AWS) or attributes (Google)."""

    def authorize(self, id: str, keys: Sequence[str]) -> None:  # noqa: A002
        """Replace its user's authorized keys (Google's ssh-keys metadata is live)."""

    def keep_image(self, id: str, image: str) -> None:  # noqa: A002
        """Copy its disk as it is now; machines of that image start with it. KeyError: no such."""

    def copy_image(self, image: str, copy: str) -> None:
        """Another image of the same files."""

    def console(self, id: str) -> str:  # noqa: A002
        """Its console output, with the host keys as cloud-init prints them."""

    def host_keys(self, id: str) -> Sequence[str]:  # noqa: A002
        """Its public host keys, `ssh-ed25519 AAAA…`."""


class NoMetal:
    """Machines that exist in the emulator only: for tests of an API that need no SSH."""

    def boot(self, boot: Boot, on_poweroff: Callable[[], None]) -> None:
        """Nothing happens."""

    def power_off(self, id: str) -> None:  # noqa: A002
        """Nothing happens."""

    def destroy(self, id: str) -> None:  # noqa: A002
        """Nothing happens."""

    def notify(self, id: str, notice: Notice | None) -> None:  # noqa: A002
        """Nothing happens."""

    def set_tags(self, id: str, tags: Mapping[str, str]) -> None:  # noqa: A002
        """Nothing happens."""

    def authorize(self, id: str, keys: Sequence[str]) -> None:  # noqa: A002
        """Nothing happens."""

    def keep_image(self, id: str, image: str) -> None:  # noqa: A002
        """Nothing happens."""

    def copy_image(self, image: str, copy: str) -> None:
        """Nothing happens."""

    def console(self, id: str) -> str:  # noqa: A002, ARG002
        """Nothing was printed."""
        return ""

    def host_keys(self, id: str) -> Sequence[str]:  # noqa: A002, ARG002
        """None."""
        return ()
