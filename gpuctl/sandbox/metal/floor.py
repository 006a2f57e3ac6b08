"""How a guest acts under the clock's lock while the thread that holds it waits for that guest."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from gpuctl.sandbox.world import SandboxClock

_LOG = logging.getLogger(__name__)
_GLANCE_S = 0.05


class Floor:
    """A deadline that fires during `advance` starts a real process, and must wait for what it
    does; that process asks for a power-off, which needs the lock the waiting thread holds. So
    guests leave their wishes here, and whoever holds the lock grants them.
    """

    def __init__(self, clock: SandboxClock) -> None:
        self.clock = clock
        self._wishes: queue.SimpleQueue[_Wish] = queue.SimpleQueue()

    def run(self, action: Callable[[], None]) -> None:
        """Do it under the clock's lock, soon; raises what it raises."""
        wish = _Wish(action)
        self._wishes.put(wish)
        self._see_to(wish)
        if wish.error:
            raise wish.error

    def post(self, action: Callable[[], None]) -> None:
        """The same without waiting: it stands in the queue when this returns."""
        wish = _Wish(action)
        self._wishes.put(wish)
        threading.Thread(target=self._see_to, args=(wish,), daemon=True).start()

    def serve_until(self, done: Callable[[], bool], limit: timedelta) -> bool:
        """Called under the lock: grant wishes until `done`, for that much real time at most.

        What was wished before `done` came true has been granted when this returns.
        """
        end = time.monotonic() + limit.total_seconds()
        while not (ended := done()) and time.monotonic() < end:
            try:
                self._wishes.get(timeout=_GLANCE_S).grant()
            except queue.Empty:
                continue
        self._grant_all()
        return ended

    def _see_to(self, wish: "_Wish") -> None:
        while not wish.done.is_set():
            if self.clock.lock.acquire(timeout=_GLANCE_S):
                try:
                    self._grant_all()
                finally:
                    self.clock.lock.release()

    def _grant_all(self) -> None:
        while True:
            try:
                self._wishes.get_nowait().grant()
            except queue.Empty:
                return


class _Wish:
    def __init__(self, action: Callable[[], None]) -> None:
        self.done = threading.Event()
        self.error: Exception | None = None
        self._action = action

    def grant(self) -> None:
        try:
            self._action()
        except Exception as error:  # noqa: BLE001 - it belongs to who wished, not to who grants
            self.error = error
            _LOG.exception("a guest's wish failed")
        finally:
            self.done.set()
