"""The one thread in which all SSH servers of a sandbox live."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_LAST_TURNS = 10


class Loop:
    """An asyncio loop in a thread of its own. Nothing in it may wait for the clock's lock."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="metal", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], *, limit_s: float = 20.0) -> T:
        """Do it there and wait for what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(limit_s)

    def close(self) -> None:
        """Cancel what is left and end the thread."""
        if self._loop.is_closed():
            return
        self.run(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(_LAST_TURNS):  # transports that are closing need a few turns to be closed
        await asyncio.sleep(0)
    await asyncio.get_running_loop().shutdown_asyncgens()
