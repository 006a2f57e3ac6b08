"""Small facts for ledgers, and a ledger that holds some."""

import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gpuctl.core.events import Adjust
from gpuctl.ledger.store import SqliteLedger

INSTALL = "0123456789abcdef0123456789abcdef"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def fact(number, prefix="a", note="by hand"):
    return Adjust(
        id=f"{prefix}{number}",
        project="acme/vision",
        at=START + timedelta(minutes=number),
        usd=Decimal(number),
        note=note,
    )


def ledger_of(path, count=0):
    """A ledger with so many facts, closed: what stands is on the disk."""
    ledger = SqliteLedger(path, install=INSTALL)
    ledger.append([fact(number) for number in range(count)])
    assert ledger.head
    ledger.close()
    return ledger


def raw(path):
    """The file as anybody with SQLite could open it."""
    return sqlite3.connect(path, isolation_level=None)
