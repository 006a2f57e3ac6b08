"""The embedded ledger: one SQLite file, a rollback journal, every write in one short transaction.

Rollback journal and `synchronous=EXTRA` instead of WAL: gpuctl writes a few rows an hour, and
SQLite before 3.51.3 can corrupt a WAL on reset (sqlite.org/wal.html#walresetbug).
"""

import contextlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.core.errors import LedgerError
from gpuctl.ledger.chained import ChainedLedger, follow
from gpuctl.ledger.schema import install_problems, make_private, prepare, reach_problems

if TYPE_CHECKING:
    from gpuctl.ledger.verdict import Verdict

_BUSY_S = 30.0

_BROKEN = (sqlite3.Error, OSError, UnicodeDecodeError)
"""How a damaged file shows itself; SQLite's own message may quote bytes that are no text."""


class SqliteLedger(ChainedLedger):
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

    def verify(self) -> "Verdict":
        """Walk the chain and let SQLite check its own pages; says what is wrong.

        LedgerError only where there is no ledger to walk: a link, no rights, a newer schema.
        """
        from gpuctl.ledger.verdict import Verdict  # noqa: PLC0415 - only `verify` needs them
        from gpuctl.ledger.walk import Walk  # noqa: PLC0415

        walk = Walk()
        with self._reading() as db:
            try:
                for (says,) in db.execute("PRAGMA integrity_check"):
                    if says != "ok":
                        walk.problems.append(f"{self._path}: {says}")
                follow(db, walk)
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
