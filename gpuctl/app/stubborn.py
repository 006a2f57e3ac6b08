"""A ledger that stops nobody: what cannot be read or written is kept in mind, and said last.

For `down` alone. A machine that costs is ended whatever became of the disk under the ledger;
what the ledger could not take, the next command learns from the clouds again.
"""

from collections.abc import Iterable, Sequence

from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Event
from gpuctl.core.ports import Ledger
from gpuctl.core.span import Month, Span

_NOBODY = "0" * 32


class StubbornLedger:
    """Another ledger, whose failures are noted in `error` instead of raised.

    An id that is there already with other content is still a LedgerError: that is about facts,
    not about the disk.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: list[Event] = []
        self.error: LedgerError | None = None
        """The first failure; None = all is written."""

    @property
    def location(self) -> str:
        """Where the ledger is, for messages."""
        return self._ledger.location

    @property
    def install(self) -> str:
        """This installation's id; zeros where it cannot be read, which is nobody's."""
        try:
            return self._ledger.install
        except LedgerError as error:
            self._note(error)
            return _NOBODY

    @property
    def head(self) -> str:
        """The hash that all events lead to. LedgerError as ever: nothing is ended by it."""
        return self._ledger.head

    def events(self) -> Sequence[Event]:
        """What can be read, and what could not be written."""
        return [*self._readable(), *self._kept]

    def events_about(self, span: Span) -> Sequence[Event]:
        """All of them: perhaps more is allowed."""
        del span
        return self.events()

    def touched(self, month: Month, since: str) -> bool:
        """As the ledger itself says. LedgerError as ever."""
        return self._ledger.touched(month, since)

    def append(self, events: Iterable[Event]) -> int:
        """Durably where that is possible."""
        wanted = list(events)
        try:
            return self._ledger.append(wanted)
        except LedgerError as error:
            known = {event.id: event for event in self._readable()}
            if any(known.get(event.id, event) != event for event in wanted):
                raise
            self._note(error)
            there = {event.id for event in self.events()}
            fresh = [event for event in wanted if event.id not in there]
            self._kept += fresh
            return len(fresh)

    def _readable(self) -> Sequence[Event]:
        try:
            return self._ledger.events()
        except LedgerError as error:
            self._note(error)
            return ()

    def _note(self, error: LedgerError) -> None:
        self.error = self.error or error
