"""What a ledger does with its rows, whatever database they are in."""

from __future__ import annotations

import abc
import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Event
from gpuctl.core.interchange import RecordError, canonical, read_line, type_of
from gpuctl.core.span import Month, Span
from gpuctl.ledger.chain import GENESIS, link
from gpuctl.ledger.reach import about, note, touched

if TYPE_CHECKING:
    from gpuctl.ledger.database import Database
    from gpuctl.ledger.walk import Walk


_MANY = 20_000
"""So many objects are read at once, and it is time to keep Python from looking for cycles."""


@contextmanager
def _unwatched(count: int) -> Iterator[None]:
    """Do not look for cycles among many events, while they are read and ever after.

    They have none, and are kept until the end: the search takes as long as a third of the reading.
    """
    if count < _MANY or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


class ChainedLedger(abc.ABC):
    """Events in a chain of hashes. Every method may raise LedgerError, which names the place."""

    _read: tuple[Event, ...] = ()
    """What was read before: an event never changes, and numbers have no gaps."""

    @property
    @abc.abstractmethod
    def location(self) -> str:
        """Where the ledger is, for messages; never a password."""

    @abc.abstractmethod
    def _reading(self) -> AbstractContextManager[Database]:
        """The database, to look at; its own errors become LedgerError."""

    @abc.abstractmethod
    def _writing(self) -> AbstractContextManager[Database]:
        """The database in a transaction that no other writer is in; rolled back on any error."""

    @property
    def install(self) -> str:
        """The id of this installation, made with the ledger; also in every machine's tags."""
        with self._reading() as db:
            row = db.execute("SELECT value FROM facts WHERE name = 'install'").fetchone()
        return str(row[0])

    def take_over(self, install: str) -> None:
        """Have the id of an installation whose ledger was lost: what carries it is ours then."""
        values = {"install": install, "install-hash": link(GENESIS, install)}
        with self._writing() as db:
            for name, value in values.items():
                db.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))

    @property
    def head(self) -> str:
        """The hash of the last event; 64 zeros when there is none."""
        with self._reading() as db:
            return _head(db)[1]

    def events(self) -> Sequence[Event]:
        """Everything, oldest first."""
        with self._reading() as db:
            known = self._read
            rows = db.execute(
                "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq", (len(known),)
            ).fetchall()
            if rows:
                with _unwatched(len(rows)):
                    known = self._read = (*known, *(self._event(seq, body) for seq, body in rows))
        return list(known)

    def events_about(self, span: Span) -> Sequence[Event]:
        """All that charges within `span` can depend on, oldest first: months, not years."""
        with self._reading() as db:
            rows = about(db, span)
        return [self._event(seq, body) for seq, body in rows]

    def touched(self, month: Month, since: str) -> bool:
        """Whether anything that can matter to a month was appended after the event `since`."""
        with self._reading() as db:
            row = db.execute("SELECT seq FROM events WHERE id = ?", (since,)).fetchone()
            return row is None or touched(db, month, int(row[0]))

    def append(self, events: Iterable[Event]) -> int:
        """Add what is not there yet, durably, all or nothing; how many were new.

        LedgerError when an id is there already with other content, or when an event could not be
        read again: nothing could ever take it out.
        """
        rows = [(event, self._readable(event)) for event in events]
        if not rows:
            return 0
        with self._writing() as db:
            seq, head = _head(db)
            added = 0
            for event, body in rows:
                known = db.execute("SELECT body FROM events WHERE id = ?", (event.id,)).fetchone()
                if known is not None:
                    if known[0] != body:
                        raise LedgerError(
                            f"{self.location}: event {event.id} is there already "
                            "with other content",
                            hint="gpuctl ledger verify",
                        )
                    continue
                head, added = link(head, body), added + 1
                db.execute(
                    "INSERT INTO events (seq, id, type, body, hash) VALUES (?, ?, ?, ?, ?)",
                    (seq + added, event.id, type_of(event), body, head),
                )
                note(db, seq + added, event)
        return added

    def _readable(self, event: Event) -> str:
        body = canonical(event)
        try:
            read_line(body)
        except RecordError as error:
            raise LedgerError(
                f"{self.location}: event {event.id} could not be read again ({error}), "
                "so nothing is written",
                hint="the same command with other amounts and words",
            ) from error
        return body

    def _event(self, seq: int, body: str) -> Event:
        try:
            return read_line(body)
        except RecordError as error:
            raise LedgerError(
                f"{self.location}: event {seq} cannot be read: {error}", hint="gpuctl ledger verify"
            ) from error


def follow(db: Database, walk: Walk) -> None:
    """The whole chain, row by row."""
    for row in db.execute("SELECT seq, id, type, body, hash FROM events ORDER BY seq"):
        walk.step(*row)


def _head(db: Database) -> tuple[int, str]:
    row = db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, GENESIS) if row is None else (int(row[0]), str(row[1]))
