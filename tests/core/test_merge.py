"""Two ledgers into one: nothing twice, nothing lost, and what cannot both be true is refused."""

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, runs
from gpuctl.core.events import Armed, Ended, Extended, Usage
from gpuctl.core.kinds import EndedBy, Evidence
from gpuctl.core.merge import Contradiction, ended, merge
from gpuctl.core.span import parse_time
from tests.core.docledger import read
from tests.core.stories import now, stories, whole

STORY = """
    03-10 09:00      price aws compute g5 spot 1
    03-10 10:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 11:00      switch i-1 borealis/nlp
    03-10 10:10      split i-1 03-10 10:20 acme/vision=1
    03-10 12:00      adjust acme/vision 1
"""
EVENTS, _ = read(STORY)
PRICE, OPEN, SWITCH, SPLIT, ADJUST = EVENTS
CLOSED = OPEN._replace(end=parse_time("2025-03-10T12:00:00Z"), ended_by=EndedBy.USER)


def contradiction(known, incoming):
    with pytest.raises(Contradiction) as caught:
        merge(known, incoming)
    return caught.value.position, str(caught.value)


def test_the_same_again_adds_nothing():
    assert merge([], EVENTS) == EVENTS
    assert merge(EVENTS, EVENTS) == []
    assert merge([], [*EVENTS, *EVENTS]) == EVENTS
    assert merge(EVENTS, [PRICE._replace(usd=Decimal("1.00"))]) == []


@pytest.mark.parametrize(
    "changed",
    [
        PRICE._replace(usd=Decimal(2)),
        OPEN._replace(project="acme/audio"),
        OPEN._replace(extra={"ticket": "T-7"}),
        OPEN._replace(start=OPEN.start + timedelta(seconds=1)),
        CLOSED._replace(project=None),
        SWITCH._replace(project=None),
        SPLIT._replace(idle=Decimal(1)),
        ADJUST._replace(note="other"),
        ADJUST._replace(id=OPEN.id),
    ],
    ids=lambda event: type(event).__name__,
)
def test_the_same_id_with_other_content_is_refused(changed):
    position, reason = contradiction(EVENTS, [ADJUST, changed])
    assert position == 1
    assert reason == f"id {changed.id!r} is in the ledger already with other content"


def test_an_open_run_may_be_closed_once():
    (closing,) = merge(EVENTS, [CLOSED])
    assert closing == ended(CLOSED)
    known = [*EVENTS, closing]
    assert [usage.end for usage in runs(known)] == [CLOSED.end]
    assert merge(known, [CLOSED]) == []
    assert merge(known, [OPEN]) == []
    assert merge(known, [CLOSED._replace(evidence=Evidence.AUDIT_LOG)]) == []
    for other in (
        CLOSED._replace(end=CLOSED.end + timedelta(seconds=1)),
        CLOSED._replace(ended_by=EndedBy.PROVIDER),
    ):
        assert contradiction(known, [other])[0] == 0
    assert merge([], [OPEN, CLOSED]) == [OPEN, closing]
    assert merge([], [CLOSED, OPEN]) == [CLOSED]
    assert contradiction([], [OPEN, CLOSED, CLOSED._replace(ended_by=None)])[0] == 2


def test_an_end_that_came_as_a_record_of_its_own_counts_too():
    known = [*EVENTS, ended(CLOSED)._replace(id="other", evidence=Evidence.STATE_REASON)]
    assert merge(known, [CLOSED]) == []
    assert contradiction(known, [CLOSED._replace(end=CLOSED.end + timedelta(hours=1))])[0] == 0
    with pytest.raises(ValueError, match="has no end"):
        ended(OPEN)


def test_prices_that_contradict_name_the_later_record():
    other = PRICE._replace(id="p9", usd=Decimal(2))
    assert contradiction([PRICE], [ADJUST, other])[0] == 1
    assert contradiction([], [other, ADJUST, PRICE])[0] == 2
    assert merge([PRICE], [other._replace(usd=PRICE.usd)]) != []


def test_splits_that_overlap_are_refused_in_any_order():
    long = SPLIT._replace(id="x8", until=SPLIT.until + timedelta(hours=2))
    inside = SPLIT._replace(id="x9", since=SPLIT.until, until=SPLIT.until + timedelta(minutes=1))
    for order in itertools.permutations([long, inside]):
        position, reason = contradiction([], [ADJUST, *order])
        assert position == 2
        assert reason == f"split {order[1].id!r} overlaps split {order[0].id!r} on i-1"
    assert contradiction([long], [inside]) == (0, "split 'x9' overlaps split 'x8' on i-1")
    late = inside._replace(id="x7", since=long.until, until=long.until + timedelta(hours=1))
    elsewhere = inside._replace(resource="i-2")
    assert merge([long], [late, elsewhere]) == [late, elsewhere]
    # Between two neighbours a third one is found although the last neighbour ends first.
    assert contradiction([SPLIT, late], [long])[0] == 0


@given(stories(), st.data())
@settings(max_examples=50)
def test_merging_is_idempotent_and_knows_no_order(story, data):
    base, events = story
    opened = [
        event._replace(end=None, ended_by=None, evidence=None)
        for event in events
        if isinstance(event, Usage)
    ]
    at = data.draw(st.integers(0, len(events)))
    mine, theirs = [*events[:at], *opened], [*opened, *events[at:]]
    ways = []
    for first, second in ((mine, theirs), (theirs, mine)):
        known = list(merge([], first))
        known += merge(known, second)
        assert merge(known, first) == merge(known, second) == merge(known, known) == []
        ways.append(bill(known, fixed(whole(base)), now(base)).charges)
    assert ways[0] == ways[1] == bill(events, fixed(whole(base)), now(base)).charges
    shuffled = data.draw(st.permutations([*mine, *theirs]))
    assert bill(merge([], shuffled), fixed(whole(base)), now(base)).charges == ways[0]


def test_the_same_fields_in_another_type_are_other_content():
    moments = {"lease": "l1", "at": OPEN.start, "deadline": OPEN.start}
    extended, armed = Extended(id="e", **moments), Armed(id="e", **moments)
    assert merge([extended], [extended]) == []
    assert contradiction([extended], [armed])[0] == 0


def test_ends_of_runs_nobody_knows_change_nothing():
    stray = Ended(id="e", usage="u404", end=CLOSED.end, ended_by=None)
    assert merge([], [stray]) == [stray]
    assert list(runs([stray])) == []
