"""A report reads its month, and finds in it all that it would find in ten years."""

import contextlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, monthly
from gpuctl.core.events import Adjust, Ended, Leased, Price, Seen, Split, Switch, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, Unit
from gpuctl.core.merge import ended
from gpuctl.core.span import Month, Span
from gpuctl.ledger import reach
from gpuctl.ledger.store import SqliteLedger
from tests.core.stories import now, stories
from tests.ledger.facts import INSTALL
from tests.ledger.memory import in_memory

LATER = timedelta(days=37)


def _shifted(event, number, by):
    """The same fact of another time, on a resource of its own half of the time."""
    suffix = "" if number % 2 else f"-{number}"
    event = event._replace(id=f"{event.id}-{number}")
    if not isinstance(event, Adjust | Price):
        event = event._replace(resource=event.resource + suffix)
    match event:
        case Usage():
            end = None if event.end is None else event.end + by
            return event._replace(start=event.start + by, end=end)
        case Price():
            return event._replace(since=event.since + by)
        case Split():
            return event._replace(since=event.since + by, until=event.until + by)
        case _:
            return event._replace(at=event.at + by)


def _as_written(event, draw):
    """gpuctl writes a run when it begins and its end when that is known; an import both at once."""
    if isinstance(event, Usage) and event.end is not None and draw(st.booleans()):
        run = event._replace(end=None, ended_by=None, evidence=None)
        guess = Ended(
            id=f"{event.id}/guess",
            usage=event.id,
            end=event.end + timedelta(hours=30),
            ended_by=None,
            evidence=Evidence.DEADLINE,
        )
        sure = ended(event._replace(evidence=Evidence.STATE_REASON))
        return [run, guess, sure]
    return [event]


@st.composite
def histories(draw):
    """(events as the ledger gets them, the moment they are looked back from)."""
    events, last = [], None
    splits = set()
    for number in range(draw(st.integers(1, 3))):
        base, story = draw(stories())
        by = number * LATER
        last = max(filter(None, (last, now(base) + by)))
        for event in story:
            if isinstance(event, Price) and number:
                continue  # two stories of one base would contradict each other
            for item in _as_written(_shifted(event, number, by), draw):
                if isinstance(item, Split) and number % 2 and splits:
                    continue
                events.append(item)
        splits.add(number)
    return draw(st.permutations(events)), last


@given(histories(), st.integers(-20, 120), st.integers(1, 80))
@settings(deadline=None)
def test_what_is_read_for_a_span_charges_the_same_as_everything(history, at, days):
    events, moment = history
    start = datetime(2025, 2, 20, tzinfo=UTC) + timedelta(days=at)
    span = Span(start, start + timedelta(days=days))
    month = Month(start.year, start.month)
    with contextlib.closing(in_memory(events)) as db:
        some = [events[seq - 1] for seq, _ in reach.about(db, span)]
        assert bill(some, fixed(span), moment) == bill(events, fixed(span), moment)
        some = [events[seq - 1] for seq, _ in reach.about(db, month.span(UTC))]
        assert bill(some, monthly(month), moment) == bill(events, monthly(month), moment)
        before = reach.contents(db)
        reach.rebuild(db)
        assert reach.contents(db) == before


DAY = datetime(2016, 1, 1, tzinfo=UTC)


def _run(number, start, hours=3):
    return Usage(
        id=f"u{number}", provider="aws", account="1", region="us-east-1", zone="us-east-1a",
        resource=f"i-{number}", kind=Kind.COMPUTE, sku="p3.2xlarge", market=Market.SPOT,
        quantity=Decimal(1), start=start, end=start + timedelta(hours=hours),
        ended_by=EndedBy.USER, project="acme/vision", session=f"lease-{number}",
        machine=f"aws:1:i-{number}",
    )  # fmt: skip


def _price(number, since):
    return Price(
        id=f"p{number}", provider="aws", region="us-east-1", zone="us-east-1a", kind=Kind.COMPUTE,
        sku="p3.2xlarge", market=Market.SPOT, unit=Unit.HOUR, usd=Decimal(number), since=since,
    )  # fmt: skip


def _ten_years(path):
    ledger = SqliteLedger(path, install=INSTALL)
    days = range(0, 3650, 2)
    ledger.append(_run(day, DAY + timedelta(days=day)) for day in days)
    ledger.append(_price(day, DAY + timedelta(days=day)) for day in range(0, 3650, 9))
    return ledger


def test_a_month_out_of_ten_years_is_read_alone(tmp_path):
    ledger = _ten_years(tmp_path / "ledger.db")
    some = ledger.events_about(Month(2019, 5).span(UTC))
    starts = [event.start for event in some if isinstance(event, Usage)]
    assert min(starts) >= datetime(2019, 4, 1, tzinfo=UTC)
    assert max(starts) < datetime(2019, 7, 1, tzinfo=UTC)
    assert 30 < len(starts) < 50
    assert 4 <= len([event for event in some if isinstance(event, Price)]) <= 13
    ledger.close()


def test_what_else_is_known_of_its_machines_is_read_with_it(tmp_path):
    ledger = _ten_years(tmp_path / "ledger.db")
    at = datetime(2019, 5, 2, tzinfo=UTC)
    run = next(
        event
        for event in ledger.events_about(Month(2019, 5).span(UTC))
        if isinstance(event, Usage) and event.start > at
    )
    lease = Leased(
        id=run.session, name="vision-1", project="acme/vision", provider="aws", account="1",
        template="t", at=at, deadline=at, ceiling=at,
    )  # fmt: skip
    seen = Seen(id="seen", machine=run.machine, at=at, snapshot={"gpu": "V100"})
    other = seen._replace(id="other", machine="aws:1:i-0")
    switch = Switch(id="s", resource=run.resource, project="me/lab", at=at - LATER * 9)
    ledger.append([lease, seen, other, switch])
    some = ledger.events_about(Month(2019, 5).span(UTC))
    assert [event for event in some if isinstance(event, Leased | Switch)] == [lease, switch]
    assert [event.id for event in some if isinstance(event, Seen)] == ["seen"]
    ledger.close()


def test_a_fact_that_comes_late_touches_its_own_month_alone(tmp_path):
    ledger = _ten_years(tmp_path / "ledger.db")
    last = ledger.events()[-1].id
    run = _run(9_999, datetime(2019, 5, 31, 22, tzinfo=UTC))
    ledger.append([run._replace(end=None, ended_by=None)])
    touched = [month for month in range(1, 13) if ledger.touched(Month(2019, month), last)]
    assert touched == [5, 6, 7, 8, 9, 10, 11, 12], (
        "while it runs it may matter to every later month"
    )
    ledger.append([ended(run)])
    touched = [month for month in range(1, 13) if ledger.touched(Month(2019, month), last)]
    assert touched == [5, 6]
    assert not ledger.touched(Month(2019, 5), ledger.events()[-1].id)
    assert ledger.touched(Month(2019, 5), "an id that nobody knows")
    ledger.close()
