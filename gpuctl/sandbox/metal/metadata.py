"""What both metadata services tell of a machine, and when it changes."""

import threading
from collections.abc import Mapping
from datetime import UTC, datetime

from gpuctl.sandbox.world import Boot, Notice, SandboxClock


class Facts:
    """What is known of a machine from inside it. Reading never waits for the clock's lock."""

    def __init__(self, boot: Boot, clock: SandboxClock) -> None:
        self.boot = boot
        self.changed = threading.Condition()
        self._clock = clock
        self._tags = dict(boot.tags)
        self._notices: dict[str, Notice] = {}

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags on AWS, attributes on Google."""
        return self._tags

    def now(self) -> datetime:
        """The sandbox's time."""
        return self._clock.glance()

    def notice(self, kind: str) -> Notice | None:
        """The notice of that kind, if one was given."""
        return self._notices.get(kind)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Replace them all."""
        with self.changed:
            self._tags = dict(tags)
            self.changed.notify_all()

    def notify(self, notice: Notice | None) -> None:
        """Add a notice; None takes all back."""
        with self.changed:
            self._notices = {} if notice is None else {**self._notices, notice.kind: notice}
            self.changed.notify_all()


def rfc3339(moment: datetime) -> str:
    """`2026-11-22T10:15:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
