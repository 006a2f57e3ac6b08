"""Public IPv4 addresses from the ranges that documentation keeps free (RFC 5737)."""

from collections.abc import Callable, Set
from itertools import cycle

RANGES = ("203.0.113", "198.51.100")


class AddressPool:
    """Gives addresses in turn, never one in use, so that an old one comes back late."""

    def __init__(self, used: Callable[[], Set[str]]) -> None:
        self._used = used
        self._next = cycle(f"{net}.{host}" for net in RANGES for host in range(1, 255))
        self._size = 254 * len(RANGES)

    def give(self) -> str:
        """A free one. RuntimeError when all 508 are in use."""
        used = self._used()
        for _ in range(self._size):
            address = next(self._next)
            if address not in used:
                return address
        raise RuntimeError("the sandbox has no public address left")
