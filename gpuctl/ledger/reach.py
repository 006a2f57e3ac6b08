"""Which months an event can matter to, so that a report reads its month and not ten years.

Everything here is derived from the events and may be made again from them. A reach that is too
wide costs a little reading; one too narrow would cost a charge: in doubt it is wide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from gpuctl.core.events import (
    Adjust,
    Armed,
    Close,
    Ended,
    Event,
    Extended,
    Insured,
    Intent,
    Leased,
    Missed,
    Outcome,
    Price,
    PricesKnown,
    Quoted,
    Seen,
    Settle,
    Split,
    Switch,
    Usage,
)
from gpuctl.core.interchange import read_line
from gpuctl.core.pricebook import price_key
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span, format_time

if TYPE_CHECKING:
    from gpuctl.ledger.database import Database

TABLES = ("months", "unended", "subjects", "prices")

_MARGIN = timedelta(days=1)
"""A spot hour is priced at its start, and allowances are pooled by the month before."""
_MINIMUM = timedelta(minutes=1)
"""A short run is billed a minute, past its end."""
_SPOT_HOUR = timedelta(hours=1)
"""So long a price holds for who began an hour with it."""
_CLOCKS = ("aws", "gcp")
_CHUNK = 500
_CLOSES = "\x1fcloses"
_USAGE = '"type":"usage"'
"""How a canonical record says that it is a run."""

_Item = TypeVar("_Item")


def note(db: Database, seq: int, event: Event) -> None:
    """Put a newly appended event where `about` finds it. Same transaction as the event."""
    for subject in _subjects(event):
        db.execute("INSERT INTO subjects VALUES (?, ?) ON CONFLICT DO NOTHING", (subject, seq))
    match event:
        case Usage():
            _note_usage(db, seq, event)
        case Ended():
            _note_end(db, seq, event)
        case Price():
            _note_price(db, seq, event)
        case Settle():
            _during(db, seq, event.since, event.until, event.provider)
        case Split():
            _during(db, seq, event.since, event.until)
        case Adjust():
            _during(db, seq, event.at, event.at)
        case Switch():
            _from(db, seq, event.at)
        case _:
            pass


def about(db: Database, span: Span) -> Sequence[tuple[int, str]]:
    """The events that charges within `span` can depend on, oldest first: `seq` and body.

    Whole months, on both sides of the span: allowances and discounts are pooled by the month.
    """
    first, last = _first(span.start - _MARGIN), _last(span.end + _MARGIN)
    found = {
        int(seq)
        for (seq,) in db.execute(
            "SELECT seq FROM months WHERE month BETWEEN ? AND ? "
            "UNION SELECT seq FROM unended WHERE month <= ? "
            "UNION SELECT seq FROM subjects WHERE subject = ?",
            (first, last, last, _CLOSES),
        )
    }
    rows = dict(_bodies(db, sorted(found)))
    more = set(_concerning(db, rows.values())) - found
    rows.update(_bodies(db, sorted(more)))
    return sorted(rows.items())


def touched(db: Database, month: Month, after: int) -> bool:
    """Whether an event later than `after` can matter to a month, on each provider's clocks."""
    number = _number(month)
    row = db.execute(
        "SELECT 1 FROM months WHERE month = ? AND seq > ? "
        "UNION ALL SELECT 1 FROM unended WHERE month <= ? AND seq > ? LIMIT 1",
        (number, after, number, after),
    ).fetchone()
    return row is not None


def rebuild(db: Database) -> None:
    """Make the tables again from the events."""
    for table in TABLES:
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    rows = db.execute("SELECT seq, body FROM events ORDER BY seq").fetchall()
    for seq, body in rows:
        note(db, seq, read_line(body))


def contents(db: Database) -> Sequence[tuple[object, ...]]:
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
        case Intent() | Extended() | Armed() | Insured():
            yield event.lease
        case Outcome():
            yield event.intent
        case Seen() | Missed():
            yield event.machine
        case Close() | Quoted():
            # Few, and any later month may ask for them; they themselves change no charge.
            yield _CLOSES
        case _:
            pass


def _concerning(db: Database, bodies: Iterable[str]) -> Iterator[int]:
    """What was noted of the runs among them, and of their machines and leases."""
    names: set[str] = set()
    for body in bodies:
        if _USAGE in body and isinstance(event := read_line(body), Usage):
            names.update(
                name
                for name in (event.id, event.resource, event.machine, event.session)
                if name is not None
            )
    for chunk in _chunks(sorted(names)):
        query = f"SELECT seq FROM subjects WHERE subject IN ({_marks(chunk)})"  # noqa: S608
        yield from (int(seq) for (seq,) in db.execute(query, chunk))


def _bodies(db: Database, seqs: Sequence[int]) -> Iterator[tuple[int, str]]:
    for chunk in _chunks(seqs):
        query = f"SELECT seq, body FROM events WHERE seq IN ({_marks(chunk)})"  # noqa: S608
        yield from ((int(seq), body) for seq, body in db.execute(query, chunk))


def _marks(chunk: Sequence[object]) -> str:
    return ",".join("?" * len(chunk))


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def _note_usage(db: Database, seq: int, usage: Usage) -> None:
    if usage.end is not None:
        _during(db, seq, usage.start, usage.end + _MINIMUM, usage.provider)
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
        _during(db, other, usage.start, end + _MINIMUM, usage.provider)
        _during(db, seq, usage.start, end + _MINIMUM, usage.provider)
    if not ends:
        _from(db, seq, usage.start, usage.provider)


def _note_end(db: Database, seq: int, end: Ended) -> None:
    row = db.execute("SELECT seq, body FROM events WHERE id = ?", (end.usage,)).fetchone()
    usage = read_line(row[1]) if row is not None else None
    if not isinstance(usage, Usage):
        return  # its run, when it comes, asks for it
    # A later end of several is kept too: which one holds is not decided here.
    _during(db, int(row[0]), usage.start, end.end + _MINIMUM, usage.provider)
    _during(db, seq, usage.start, end.end + _MINIMUM, usage.provider)
    db.execute("DELETE FROM unended WHERE seq = ?", (row[0],))


def _note_price(db: Database, seq: int, price: Price) -> None:
    """A price holds until the next of its key: then it leaves the unended."""
    key, since = "\x1f".join(str(part) for part in price_key(price)), format_time(price.since)
    before = db.execute(
        "SELECT seq, since FROM prices WHERE key = ? AND since < ? ORDER BY since DESC LIMIT 1",
        (key, since),
    ).fetchone()
    after = db.execute(
        "SELECT since FROM prices WHERE key = ? AND since > ? ORDER BY since LIMIT 1", (key, since)
    ).fetchone()
    db.execute("INSERT INTO prices VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, since, seq))
    if before is not None:
        begun = datetime.fromisoformat(before[1])
        for (other,) in db.execute(
            "SELECT seq FROM prices WHERE key = ? AND since = ?", (key, before[1])
        ).fetchall():
            if db.execute("DELETE FROM unended WHERE seq = ?", (other,)).rowcount:
                _during(db, other, begun, price.since + _SPOT_HOUR, price.provider)
    if after is not None:
        until = datetime.fromisoformat(after[0]) + _SPOT_HOUR
        _during(db, seq, price.since, until, price.provider)
    else:
        _from(db, seq, price.since, price.provider)


def _during(
    db: Database, seq: int, start: datetime, end: datetime, provider: str | None = None
) -> None:
    """Months by the provider's own clocks; by all of them where no provider is named."""
    db.executemany(
        "INSERT INTO months VALUES (?, ?) ON CONFLICT DO NOTHING",
        [
            (month, seq)
            for month in range(_first(start, provider), _last(max(start, end), provider) + 1)
        ],
    )


def _from(db: Database, seq: int, start: datetime, provider: str | None = None) -> None:
    db.execute(
        "INSERT INTO unended VALUES (?, ?) ON CONFLICT (seq) DO UPDATE SET month = excluded.month",
        (seq, _first(start, provider)),
    )


def _first(moment: datetime, provider: str | None = None) -> int:
    return min(_numbers(moment, provider))


def _last(moment: datetime, provider: str | None = None) -> int:
    return max(_numbers(moment, provider))


def _numbers(moment: datetime, provider: str | None) -> Iterator[int]:
    for name in (provider,) if provider is not None else _CLOCKS:
        yield _number(Month.of(moment, billing_zone(name)))


def _number(month: Month) -> int:
    return month.year * 12 + month.month - 1
