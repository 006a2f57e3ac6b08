"""A ledger to write in pencil: what would be appended can be looked at before it is."""

from collections.abc import Iterable, Sequence

from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Event
from gpuctl.core.ports import Ledger
from gpuctl.core.span import Month, Span


class DraftLedger:
    """Another ledger and, in memory only, what was appended since; perhaps under another id."""

    def __init__(self, ledger: Ledger, *, install: str) -> None:
        self._ledger = ledger
        self._install = install
        self._known = {event.id: event for event in ledger.events()}
        self.added: list[Event] = []
        """What is new, in order: to be appended to the ledger itself, or thrown away."""

    @property
    def location(self) -> str:
        """Where the ledger is, for messages."""
        return self._ledger.location

    @property
    def install(self) -> str:
        """The id that machines are asked for under."""
        return self._install

    @property
    def head(self) -> str:
        """The ledger's own: a draft is in no chain."""
        return self._ledger.head

    def events(self) -> Sequence[Event]:
        """The ledger's as they were at first, then the new ones."""
        return list(self._known.values())

    def events_about(self, span: Span) -> Sequence[Event]:
        """All of them: perhaps more is allowed."""
        del span
        return self.events()

    def touched(self, month: Month, since: str) -> bool:
        """As the ledger says, or by anything in the draft."""
        return bool(self.added) or self._ledger.touched(month, since)

    def append(self, events: Iterable[Event]) -> int:
        """In memory. LedgerError when an id is there already with other content."""
        fresh: dict[str, Event] = {}
        for event in events:
            known = self._known.get(event.id) or fresh.get(event.id)
            if known is None:
                fresh[event.id] = event
            elif known != event:
                raise LedgerError(
                    f"{self.location}: event {event.id} is there already with other content",
                    hint="gpuctl ledger verify",
                )
        self._known |= fresh
        self.added += fresh.values()
        return len(fresh)
