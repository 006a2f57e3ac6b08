"""The ledger's tables without its disk, for tests that ask it a few hundred times."""

import sqlite3

from gpuctl.core.interchange import canonical, type_of
from gpuctl.ledger import reach, schema


def in_memory(events):
    """A database that holds these events."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(schema._EVENTS + schema._REACH)
    for seq, event in enumerate(events, start=1):
        put(db, seq, event)
    return db


def put(db, seq, event):
    """One more event."""
    row = (seq, event.id, type_of(event), canonical(event), "")
    db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
    reach.note(db, seq, event)
