"""The ledger of a team: one PostgreSQL database that several laptops write to.

Needs the extra `[postgres]`. Everything is in a schema of its own, `gpuctl`; writers wait for one
another, so that the chain of hashes stays one line.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from gpuctl.core.errors import LedgerError, UsageProblem
from gpuctl.ledger.chain import GENESIS, link
from gpuctl.ledger.chained import ChainedLedger, follow
from gpuctl.ledger.database import Database, Rows
from gpuctl.ledger.schema import install_problems, reach_problems
from gpuctl.ledger.verdict import Verdict
from gpuctl.ledger.walk import Walk

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

SCHEMA_VERSION = 2
_CONNECT_S = 10
_LOCK = 0x67707563  # "gpuc": who makes the tables

_TABLES = """
CREATE SCHEMA gpuctl;
CREATE TABLE gpuctl.events (
    seq  BIGINT PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE gpuctl.facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE gpuctl.months (month INTEGER, seq BIGINT, PRIMARY KEY (month, seq));
CREATE TABLE gpuctl.unended (seq BIGINT PRIMARY KEY, month INTEGER NOT NULL);
CREATE TABLE gpuctl.subjects (subject TEXT, seq BIGINT, PRIMARY KEY (subject, seq));
CREATE TABLE gpuctl.prices (key TEXT, since TEXT, seq BIGINT, PRIMARY KEY (key, since, seq));
CREATE FUNCTION gpuctl.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON gpuctl.events
    FOR EACH STATEMENT EXECUTE FUNCTION gpuctl.refuse();
"""


class PostgresLedger(ChainedLedger):
    """Events in a PostgreSQL database. Every method may raise LedgerError, which names it."""

    def __init__(self, url: str, *, install: str) -> None:
        self._url = url
        self._new_install = install
        self._connection: psycopg.Connection[Any] | None = None
        self._lock = threading.RLock()

    @property
    def location(self) -> str:
        """The server and the database, without user and password."""
        parts = urlsplit(self._url)
        host = parts.hostname or "localhost"
        return f"postgresql://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def verify(self) -> Verdict:
        """Walk the chain; says what is wrong. LedgerError where the server does not answer."""
        walk = Walk()
        with self._reading() as db:
            follow(db, walk)
            walk.problems += install_problems(db)
            if not walk.problems:
                walk.problems += reach_problems(db)
        return Verdict(events=walk.count, head=walk.head, problems=tuple(walk.problems))

    def backup(self, target: "Path") -> None:
        """Not from here: a server's backup is the server's."""
        raise UsageProblem(
            f"{self.location} is a server: its backup is not a file that gpuctl can write",
            hint=f"pg_dump --schema gpuctl …, or gpuctl ledger export --all > {target}",
        )

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Database]:
        with self._lock, self._translated("read"):
            yield _Sql(self._open())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Database]:
        with self._lock, self._translated("written"):
            connection = self._open()
            with connection.transaction():
                connection.execute("LOCK TABLE gpuctl.events IN EXCLUSIVE MODE")
                yield _Sql(connection)

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        psycopg = _driver()
        try:
            yield
        except psycopg.Error as error:
            if self._connection is not None and self._connection.broken:
                self._connection = None
            raise LedgerError(
                f"the ledger {self.location} cannot be {doing}: {self._said(error)}",
                hint="see GPUCTL_LEDGER and whether the server is up, then gpuctl ledger verify",
            ) from None

    def _said(self, error: "psycopg.Error") -> str:
        """The server's words on one line, the password never among them."""
        words = " ".join((error.diag.message_primary or str(error)).split())
        password = unquote(urlsplit(self._url).password or "")
        return words.replace(password, "***") if password else words or type(error).__name__

    def _open(self) -> "psycopg.Connection[Any]":
        if self._connection is None or self._connection.closed:
            connection = _driver().connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_S, application_name="gpuctl"
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: "psycopg.Connection[Any]") -> None:
        connection.execute("SET search_path TO gpuctl")
        if not _exists(connection):
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                # Another laptop may have been first.
                if not _exists(connection):
                    connection.execute(_TABLES)
                    sql = _Sql(connection)
                    sql.executemany(
                        "INSERT INTO facts VALUES (?, ?)",
                        [
                            ("schema", str(SCHEMA_VERSION)),
                            ("install", self._new_install),
                            ("install-hash", link(GENESIS, self._new_install)),
                        ],
                    )
        row = connection.execute("SELECT value FROM facts WHERE name = 'schema'").fetchone()
        version = row[0] if row is not None else "none"
        if version != str(SCHEMA_VERSION):
            raise LedgerError(
                f"the ledger {self.location} was written by another gpuctl (schema {version})",
                hint="update gpuctl",
            )


class _Sql:
    """A connection that takes `?` where PostgreSQL's driver wants `%s`."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """One statement."""
        return self._connection.execute(_marked(sql), parameters)

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """One statement for each row of parameters."""
        with self._connection.cursor() as cursor:
            cursor.executemany(_marked(sql), rows)
            return cursor


def _marked(sql: str) -> bytes:
    # No statement of ours has a question mark or a per cent sign of another meaning.
    return sql.replace("?", "%s").encode()


def _exists(connection: "psycopg.Connection[Any]") -> bool:
    # Not to_regclass: within a transaction it may still answer what it knew before it waited.
    find = "SELECT 1 FROM pg_tables WHERE schemaname = 'gpuctl' AND tablename = 'facts'"
    return connection.execute(find).fetchone() is not None


def _driver() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise UsageProblem(
            "a ledger on a PostgreSQL server needs a driver that is not installed",
            hint="pip install 'gpuctl[postgres]'",
            detail=str(error),
        ) from error
    return psycopg
