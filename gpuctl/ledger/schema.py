"""The tables of a ledger's SQLite file: made once, brought up to date with a copy kept aside."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.core.errors import LedgerError
from gpuctl.ledger import reach
from gpuctl.ledger.chain import GENESIS, link

if TYPE_CHECKING:
    from gpuctl.ledger.database import Database

APPLICATION_ID = 0x67707563  # "gpuc"
SCHEMA_VERSION = 2
"""1: events and facts. 2: which months an event matters to."""

_EVENTS = """
CREATE TABLE events (
    seq  INTEGER PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""

_REACH = """
CREATE TABLE months (month INTEGER, seq INTEGER, PRIMARY KEY (month, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE unended (seq INTEGER PRIMARY KEY, month INTEGER NOT NULL) STRICT;
CREATE TABLE subjects (subject TEXT, seq INTEGER, PRIMARY KEY (subject, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE prices (key TEXT, since TEXT, seq INTEGER, PRIMARY KEY (key, since, seq))
    STRICT, WITHOUT ROWID;
"""


def prepare(db: sqlite3.Connection, path: Path, install: str) -> None:
    """Make the tables of a new file, or bring an older one up to date. LedgerError otherwise."""
    version, application = _versions(db)
    if (version, application) == (SCHEMA_VERSION, APPLICATION_ID):
        return
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger {path} was written by a newer gpuctl (schema {version})",
            hint="update gpuctl",
        )
    if version and application == APPLICATION_ID:
        _keep_copy(db, path, version)
    db.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        if _versions(db)[0] == 0 and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            _make(db, install)
        elif _versions(db) == (1, APPLICATION_ID):
            _execute(db, _REACH)
            reach.rebuild(db)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    if _versions(db) != (SCHEMA_VERSION, APPLICATION_ID):
        raise LedgerError(f"{path} is not a ledger of gpuctl")


def install_problems(db: Database) -> Iterator[str]:
    """What is wrong with the installation's id."""
    facts = dict(db.execute("SELECT name, value FROM facts"))
    if facts.get("install-hash") != link(GENESIS, str(facts.get("install"))):
        yield "the installation's id was changed: its machines would not be known as ours"


def reach_problems(db: Database) -> Iterator[str]:
    """A report reads by the month: the tables it looks in must follow from the events."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        _execute(copy, _EVENTS + _REACH)
        rows = db.execute("SELECT seq, id, type, body, hash FROM events").fetchall()
        copy.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
        try:
            reach.rebuild(copy)
        except ValueError:
            return  # an event cannot be read, which the walk along the chain has said
        if reach.contents(copy) != reach.contents(db):
            yield "which months an event belongs to does not follow from the events"


def make_private(target: Path) -> None:
    """An empty file for the owner alone: SQLite then fills it, whatever the umask is."""
    if os.path.lexists(target):
        raise LedgerError(f"{target} exists already", hint="name another file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise LedgerError(f"{target} cannot be written: {error.strerror}") from error


def _make(db: sqlite3.Connection, install: str) -> None:
    _execute(db, _EVENTS)
    _execute(db, _REACH)
    db.executemany(
        "INSERT INTO facts VALUES (?, ?)",
        [("install", install), ("install-hash", link(GENESIS, install))],
    )
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _keep_copy(db: sqlite3.Connection, path: Path, version: int) -> None:
    """The file as it was, beside it. The copy has its name once it is whole."""
    kept = path.with_name(f"{path.stem}.schema{version}{path.suffix}")
    if os.path.lexists(kept):
        return
    unfinished = kept.with_name(f"{kept.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    make_private(unfinished)
    try:
        db.execute("VACUUM INTO ?", (str(unfinished),))
        unfinished.replace(kept)
    finally:
        unfinished.unlink(missing_ok=True)


def _execute(db: sqlite3.Connection, script: str) -> None:
    # Not executescript: it would commit the transaction that these belong to.
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def _versions(db: sqlite3.Connection) -> tuple[int, int]:
    version = db.execute("PRAGMA user_version").fetchone()[0]
    return int(version), int(db.execute("PRAGMA application_id").fetchone()[0])
