"""What `ledger verify` finds."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """The number of events, the head of the chain, and what is wrong."""

    events: int
    head: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
