"""Which months an event can matter to, so that a report reads its month and not ten years.

Everything here is derived from the events and may be made again from them. A reach that is too
wide costs a little reading; one too narrow would cost a charge: in doubt it is wide.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from gpuctl.core.events import (
    Adjust,
    Armed,
    Close,
    Ended,
    Event,
    Extended,
    Intent,
    Leased,
    Missed,
    Outcome,
    Price,
    PricesKnown,
    Seen,
    Settle,
    Split,
    Switch,
    Usage,
)
from gpuctl.core.interchange import read_line
from gpuctl.core.pricebook import price_key
from gpuctl.core.span import Span, format_time

SCHEMA = """
CREATE TABLE months (month INTEGER, seq INTEGER, PRIMARY KEY (month, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE unended (seq INTEGER PRIMARY KEY, month INTEGER NOT NULL) STRICT;
CREATE TABLE subjects (subject TEXT, seq INTEGER, PRIMARY KEY (subject, seq)) STRICT, WITHOUT ROWID;
CREATE TABLE prices (key TEXT, since TEXT, seq INTEGER, PRIMARY KEY (key, since, seq))
    STRICT, WITHOUT ROWID;
"""

TABLES = ("months", "unended", "subjects", "prices")

_MARGIN = timedelta(days=1)
"""Months are UTC here and Los Angeles at Google; a short run is billed a minute past its end."""
_CHUNK = 500

_Item = TypeVar("_Item")


def note(db: sqlite3.Connection, seq: int, event: Event) -> None:
    """Put a newly appended event where `about` finds it. Same transaction as the event."""
    for subject in _subjects(event):
        db.execute("INSERT OR IGNORE INTO subjects VALUES (?, ?)", (subject, seq))
    match event:
        case Usage():
            _note_usage(db, seq, event)
        case Ended():
            _note_end(db, seq, event)
        case Price():
            _note_price(db, seq, event)
        case Split() | Settle():
            _during(db, seq, event.since, event.until)
        case Adjust():
            _during(db, seq, event.at, event.at)
        case Switch():
            _from(db, seq, event.at)
        case Close():
            _from(db, seq, event.at)
        case _:
            pass


def about(db: sqlite3.Connection, span: Span) -> Sequence[int]:
    """The events that charges within `span` can depend on, oldest first: by their `seq`.

    Whole months, on both sides of the span: allowances and discounts are pooled by the month.
    """
    first, last = _month(span.start - _MARGIN), _month(span.end + _MARGIN)
    found = {
        int(seq)
        for (seq,) in db.execute(
            "SELECT seq FROM months WHERE month BETWEEN ? AND ? "
            "UNION SELECT seq FROM unended WHERE month <= ?",
            (first, last, last),
        )
    }
    found.update(_concerning(db, found))
    return sorted(found)


def touched(db: sqlite3.Connection, span: Span, after: int) -> bool:
    """Whether an event later than `after` can matter to charges within `span`."""
    first, last = _month(span.start - _MARGIN), _month(span.end + _MARGIN)
    row = db.execute(
        "SELECT 1 FROM months WHERE month BETWEEN ? AND ? AND seq > ? "
        "UNION ALL SELECT 1 FROM unended WHERE month <= ? AND seq > ? LIMIT 1",
        (first, last, after, last, after),
    ).fetchone()
    return row is not None


def rebuild(db: sqlite3.Connection) -> None:
    """Make the tables again from the events."""
    for table in TABLES:
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    rows = db.execute("SELECT seq, body FROM events ORDER BY seq").fetchall()
    for seq, body in rows:
        note(db, seq, read_line(body))


def contents(db: sqlite3.Connection) -> Sequence[tuple[object, ...]]:
    """All rows, in an order that only depends on them: to compare with those made again."""
    return [
        (table, *row)
        for table in TABLES
        for row in sorted(db.execute(f"SELECT * FROM {table}"))  # noqa: S608 - our own names
    ]


def _subjects(event: Event) -> Iterator[str]:
    """What else asks for this event: the runs of a resource, a machine, a lease."""
    match event:
        case Switch():
            yield event.resource
        case Ended() | PricesKnown():
            yield event.usage
        case Leased():
            yield event.id
        case Intent() | Extended() | Armed():
            yield event.lease
        case Outcome():
            yield event.intent
        case Seen() | Missed():
            yield event.machine
        case _:
            pass


def _concerning(db: sqlite3.Connection, seqs: Iterable[int]) -> Iterator[int]:
    """What was noted of the runs among `seqs`, and of their machines and leases."""
    names: set[str] = set()
    for event in _events(db, sorted(seqs)):
        if isinstance(event, Usage):
            names.update(
                name
                for name in (event.id, event.resource, event.machine, event.session)
                if name is not None
            )
    for chunk in _chunks(sorted(names)):
        marks = ",".join("?" * len(chunk))
        query = f"SELECT seq FROM subjects WHERE subject IN ({marks})"  # noqa: S608 - marks only
        yield from (int(seq) for (seq,) in db.execute(query, chunk))


def _events(db: sqlite3.Connection, seqs: Sequence[int]) -> Iterator[Event]:
    for chunk in _chunks(seqs):
        marks = ",".join("?" * len(chunk))
        query = f"SELECT body FROM events WHERE type = 'usage' AND seq IN ({marks})"  # noqa: S608
        yield from (read_line(body) for (body,) in db.execute(query, chunk))


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _note_usage(db: sqlite3.Connection, seq: int, usage: Usage) -> None:
    if usage.end is not None:
        _during(db, seq, usage.start, usage.end)
        return
    ends = [
        (int(other), event.end)
        for other, body in db.execute(
            "SELECT seq, body FROM subjects JOIN events USING (seq) "
            "WHERE subject = ? AND type = 'ended'",
            (usage.id,),
        )
        if isinstance(event := read_line(body), Ended)
    ]
    for other, end in ends:
        _during(db, other, usage.start, end)
        _during(db, seq, usage.start, end)
    if not ends:
        _from(db, seq, usage.start)


def _note_end(db: sqlite3.Connection, seq: int, end: Ended) -> None:
    row = db.execute("SELECT seq, body FROM events WHERE id = ?", (end.usage,)).fetchone()
    usage = read_line(row[1]) if row is not None else None
    if not isinstance(usage, Usage):
        _during(db, seq, end.end, end.end)
        return
    # A later end of several is kept too: which one holds is not decided here.
    _during(db, int(row[0]), usage.start, end.end)
    _during(db, seq, usage.start, end.end)
    db.execute("DELETE FROM unended WHERE seq = ?", (row[0],))


def _note_price(db: sqlite3.Connection, seq: int, price: Price) -> None:
    """A price holds until the next of its key: then it leaves the unended."""
    key, since = "\x1f".join(str(part) for part in price_key(price)), format_time(price.since)
    before = db.execute(
        "SELECT seq, since FROM prices WHERE key = ? AND since < ? ORDER BY since DESC LIMIT 1",
        (key, since),
    ).fetchone()
    after = db.execute(
        "SELECT since FROM prices WHERE key = ? AND since > ? ORDER BY since LIMIT 1", (key, since)
    ).fetchone()
    db.execute("INSERT OR IGNORE INTO prices VALUES (?, ?, ?)", (key, since, seq))
    if before is not None:
        begun = datetime.fromisoformat(before[1])
        for (other,) in db.execute(
            "SELECT seq FROM prices WHERE key = ? AND since = ?", (key, before[1])
        ).fetchall():
            if db.execute("DELETE FROM unended WHERE seq = ?", (other,)).rowcount:
                _during(db, other, begun, price.since)
    if after is not None:
        _during(db, seq, price.since, datetime.fromisoformat(after[0]))
    else:
        _from(db, seq, price.since)


def _during(db: sqlite3.Connection, seq: int, start: datetime, end: datetime) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO months VALUES (?, ?)",
        [(month, seq) for month in range(_month(start), _month(max(start, end)) + 1)],
    )


def _from(db: sqlite3.Connection, seq: int, start: datetime) -> None:
    db.execute("INSERT OR REPLACE INTO unended VALUES (?, ?)", (seq, _month(start)))


def _month(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1
