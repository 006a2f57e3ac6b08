"""A DuckDB of our own: in memory, bounded, without the network, loaded only when a bill is read."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.bills.amounts import MACROS as AMOUNT_MACROS
from gpuctl.bills.words import MACROS as WORD_MACROS
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY = "1GiB"
"""What grouping may hold before it spills to disk; a bill may be larger than memory."""
_THREADS = 4


class Engine:
    """A connection and its scratch directory, which goes when nobody holds it any more."""

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise UsageProblem(
                "reading a bill needs DuckDB, which is not installed",
                hint="uv tool install 'gpuctl[billing]', or: pip install 'gpuctl[billing]'",
            ) from error
        self.scratch = Path(tempfile.mkdtemp(prefix="gpuctl-bill-"))
        self.connection: DuckDBPyConnection = duckdb.connect(
            config={
                "threads": str(min(_THREADS, os.cpu_count() or 1)),
                "memory_limit": _MEMORY,
                "temp_directory": str(self.scratch / "spill"),
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                # Rows are added up: their order means nothing, and keeping it costs memory.
                "preserve_insertion_order": "false",
            }
        )
        self.failures: tuple[type[Exception], ...] = (
            duckdb.InvalidInputException,
            duckdb.ConversionException,
            duckdb.OutOfRangeException,
            duckdb.OutOfMemoryException,
            duckdb.IOException,
        )
        """What files can cause; any other error is a mistake of ours, and is not dressed up."""
        _settle(self.connection)
        for macro in (*AMOUNT_MACROS, *WORD_MACROS):
            self.connection.execute(macro)
        weakref.finalize(self, _end, self.connection, self.scratch)

    def cursor(self) -> "DuckDBPyConnection":
        """Another reader of the same tables, with a result of its own."""
        cursor = self.connection.cursor()
        _settle(cursor)
        return cursor


def _settle(connection: "DuckDBPyConnection") -> None:
    connection.execute("SET TimeZone = 'UTC'")
    # Long queries would draw a bar on stdout, which is for data.
    connection.execute("SET enable_progress_bar = false")


def _end(connection: "DuckDBPyConnection", scratch: Path) -> None:
    connection.close()
    shutil.rmtree(scratch, ignore_errors=True)
