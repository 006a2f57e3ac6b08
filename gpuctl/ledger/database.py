"""What the ledger asks of a database: SQL that SQLite and PostgreSQL both understand."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement gives back."""

    @property
    def rowcount(self) -> int:
        """Rows changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Database(Protocol):
    """A connection: SQL as SQLite and PostgreSQL both understand it, `?` for each parameter."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """One statement."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> object:
        """One statement for each row of parameters."""
