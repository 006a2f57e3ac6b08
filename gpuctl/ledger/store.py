"""The embedded ledger: one SQLite file, a rollback journal, every write in one short transaction.

Rollback journal and `synchronous=EXTRA` instead of WAL: gpuctl writes a few rows an hour, and
SQLite before 3.51.3 can corrupt a WAL on reset (sqlite.org/wal.html#walresetbug).
"""

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gpuctl.core.errors import LedgerError
from gpuctl.core.events import Event
from gpuctl.core.interchange import RecordError, canonical, read_line, type_of
from gpuctl.core.span import Span
from gpuctl.ledger.chain import GENESIS, link
from gpuctl.ledger.reach import about, note, touched
from gpuctl.ledger.schema import install_problems, make_private, prepare, reach_problems
from gpuctl.ledger.verdict import Verdict
from gpuctl.ledger.walk import Walk

_BUSY_S = 30.0

_BROKEN = (sqlite3.Error, OSError, UnicodeDecodeError)
"""How a damaged file shows itself; SQLite's own message may quote bytes that are no text."""


class SqliteLedger:
    """Events in a file. Every method may raise LedgerError, which names the file."""

    def __init__(self, path: Path, *, install: str) -> None:
        self._path = path
        self._new_install = install
        self._connection: sqlite3.Connection | None = None
        # Accounts are asked from several threads; one connection, one at a time.
        self._lock = threading.RLock()

    @property
    def location(self) -> str:
        """Where the ledger is, for messages."""
        return str(self._path)

    @property
    def install(self) -> str:
        """The id of this installation, made with the ledger; also in every machine's tags."""
        with self._reading() as db:
            row = db.execute("SELECT value FROM facts WHERE name = 'install'").fetchone()
        return str(row[0])

    @property
    def head(self) -> str:
        """The hash of the last event; 64 zeros when there is none."""
        with self._reading() as db:
            return _head(db)[1]

    def events(self) -> Sequence[Event]:
        """Everything, oldest first."""
        with self._reading() as db:
            rows = db.execute("SELECT seq, body FROM events ORDER BY seq").fetchall()
        return [self._event(seq, body) for seq, body in rows]

    def events_about(self, span: Span) -> Sequence[Event]:
        """All that charges within `span` can depend on, oldest first: months, not years."""
        with self._reading() as db:
            find = "SELECT seq, body FROM events WHERE seq = ?"
            rows = [db.execute(find, (seq,)).fetchone() for seq in about(db, span)]
        return [self._event(seq, body) for seq, body in rows]

    def touched(self, span: Span, since: str) -> bool:
        """Whether anything that can matter to `span` was appended after the event `since`."""
        with self._reading() as db:
            row = db.execute("SELECT seq FROM events WHERE id = ?", (since,)).fetchone()
            return row is None or touched(db, span, int(row[0]))

    def append(self, events: Iterable[Event]) -> int:
        """Add what is not there yet, durably, all or nothing; how many were new.

        LedgerError when an id is there already with other content.
        """
        rows = [(event, canonical(event)) for event in events]
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
                            f"{self._path}: event {event.id} is there already with other content",
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

    def verify(self) -> Verdict:
        """Walk the chain and let SQLite check its own pages; says what is wrong.

        LedgerError only where there is no ledger to walk: a link, no rights, a newer schema.
        """
        walk = Walk()
        with self._reading() as db:
            try:
                for (says,) in db.execute("PRAGMA integrity_check"):
                    if says != "ok":
                        walk.problems.append(f"{self._path}: {says}")
                for row in db.execute("SELECT seq, id, type, body, hash FROM events ORDER BY seq"):
                    walk.step(*row)
                walk.problems += install_problems(db)
                if not walk.problems:
                    walk.problems += reach_problems(db)
            except _BROKEN as error:
                walk.problems.append(f"{self._path} cannot be read to its end: {error}")
        return Verdict(events=walk.count, head=walk.head, problems=tuple(walk.problems))

    def backup(self, target: Path) -> None:
        """A complete copy in one consistent state. Refuses to overwrite."""
        with self._reading() as db:
            make_private(target)
            try:
                db.execute("VACUUM INTO ?", (str(target),))
            except BaseException:
                target.unlink()
                raise

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _event(self, seq: int, body: str) -> Event:
        try:
            return read_line(body)
        except RecordError as error:
            raise LedgerError(
                f"{self._path}: event {seq} cannot be read: {error}", hint="gpuctl ledger verify"
            ) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._open()
            except _BROKEN as error:
                raise self._failed("cannot be read", error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                db = self._open()
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    # SQLite itself rolls back on a full disk; a second ROLLBACK would be an error.
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
            except _BROKEN as error:
                raise self._failed("cannot be written", error) from error

    def _failed(self, what: str, error: Exception) -> LedgerError:
        return LedgerError(
            f"the ledger {self._path} {what}: {error}",
            hint="gpuctl ledger verify",
            detail=repr(error),
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        _check_file(self._path)
        fresh = not self._path.exists()
        if fresh:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
            os.close(descriptor)
        db = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in ("synchronous = EXTRA", "trusted_schema = OFF", "fullfsync = ON"):
                db.execute(f"PRAGMA {pragma}")
            prepare(db, self._path, self._new_install)
        except BaseException:
            db.close()
            raise
        return db


def _head(db: sqlite3.Connection) -> tuple[int, str]:
    row = db.execute("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1").fetchone()
    return (0, GENESIS) if row is None else (int(row[0]), str(row[1]))


def _check_file(path: Path) -> None:
    """A ledger that others may write to is no evidence; a link may lead anywhere."""
    if path.is_symlink():
        raise LedgerError(f"{path} is a symbolic link", hint="name the file itself")
    if not path.exists():
        return
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        raise LedgerError(f"{path} is not a file")
    if info.st_mode & 0o077:
        raise LedgerError(f"{path} can be read or written by others", hint=f"chmod 600 {path}")
