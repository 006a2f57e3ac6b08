"""Ledgers that fail: a full disk, a file that cannot be read any more."""

from collections.abc import Iterable, Sequence

from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Event
from gpuctl.core.ports import Ledger
from gpuctl.core.span import Month, Span
from tests.app.conftest import Desk
from tests.changed import changed


class Failing:
    """A real ledger whose disk is full once `after` more writes were made."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.after: int | None = None
        self.unreadable = False

    def under(self, desk: Desk) -> Desk:
        return changed(desk, app=changed(desk.app, ledger=self))

    @property
    def location(self) -> str:
        return self._ledger.location

    @property
    def install(self) -> str:
        return self._ledger.install

    @property
    def head(self) -> str:
        return self._ledger.head

    def events(self) -> Sequence[Event]:
        if self.unreadable:
            raise LedgerError("the ledger cannot be read", hint="gpuctl ledger verify")
        return self._ledger.events()

    def events_about(self, span: Span) -> Sequence[Event]:
        return self._ledger.events_about(span)

    def touched(self, month: Month, since: str) -> bool:
        return self._ledger.touched(month, since)

    def append(self, events: Iterable[Event]) -> int:
        facts = list(events)
        if facts and self.after is not None:
            if self.after == 0:
                raise LedgerError("the ledger cannot be written: the disk is full")
            self.after -= 1
        return self._ledger.append(facts)
