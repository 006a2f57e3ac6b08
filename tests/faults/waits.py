"""Commands that wait side by side, without anybody waiting."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from gpuctl.sandbox.world import SandboxClock

_SPEED = 5
"""A wait may not outrun those who work: they get a real second for so many of the sandbox's."""
_LOOK_S = 0.05


class Waits:
    """Time jumps to the next who wakes where all wait; while one works, it only runs faster.

    Were each to move the clock by itself, an order that takes a command half a second would seem
    to take minutes to all others.
    """

    def __init__(self, clock: SandboxClock, alive: Callable[[], int]) -> None:
        self._clock, self._alive = clock, alive
        self._changed = threading.Condition()
        self._until: dict[int, datetime] = {}
        self._ticked = 0.0

    def wait(self, seconds: float) -> None:
        """Return when the sandbox's clock has moved by so much."""
        me = threading.get_ident()
        with self._changed:
            if not self._until:
                self._ticked = time.monotonic()
            until = self._until[me] = self._clock.now() + timedelta(seconds=seconds)
            try:
                while self._clock.now() < until:
                    self._pass()
            finally:
                del self._until[me]
                self._changed.notify_all()

    def _pass(self) -> None:
        if len(self._until) >= self._alive():
            self._advance(min(self._until.values()) - self._clock.now())
            self._changed.notify_all()
            return
        self._changed.wait(_LOOK_S)
        real = time.monotonic()
        self._advance(timedelta(seconds=(real - self._ticked) * (_SPEED - 1)))
        self._ticked = real

    def _advance(self, by: timedelta) -> None:
        self._clock.advance(max(by, timedelta()))
