"""Trouble on the wire, as scripted: errors, delays, cut connections, denied actions."""

import threading
from dataclasses import dataclass
from typing import Literal

from gpuctl.sandbox.aws.refusals import Refusal

Drop = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request. `drop="after"`: AWS does the work, the answer is lost."""

    action: str
    """The call's name (`RunInstances`), `*` for any."""
    code: str | None = None
    status: int | None = None
    message: str | None = None
    delay: float | None = None
    """Real seconds before anything else happens."""
    drop: Drop | None = None
    html: bool = False
    """Answer 200 with a web page, as a captive portal does."""

    def refusal(self) -> Refusal | None:
        """The error to answer with, if it is one."""
        if self.code is None and self.status is None:
            return None
        return Refusal(self.code or "InternalError", self.message, self.status)


class Faults:
    """Scripted faults, each for a number of requests, in the order they were scripted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[tuple[Fault, int]] = []
        self.denied: set[str] = set()
        self.latency = 0.0
        """Real seconds added to every request."""

    def plan(self, fault: Fault, count: int = 1) -> None:
        """Let the next `count` requests that fit meet this fault."""
        with self._lock:
            self._planned.append((fault, count))

    def take(self, action: str) -> Fault | None:
        """The fault that this request meets, used up by it."""
        with self._lock:
            for index, (fault, left) in enumerate(self._planned):
                if fault.action in {action, "*"}:
                    if left > 1:
                        self._planned[index] = (fault, left - 1)
                    else:
                        del self._planned[index]
                    return fault
        return None

    def clear(self) -> None:
        """All well again."""
        with self._lock:
            self._planned.clear()
            self.denied.clear()
            self.latency = 0.0
