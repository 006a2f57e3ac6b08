"""However often, whenever and on however many laptops one looks, the bill is the same."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill
from gpuctl.core.events import Ended, Missed
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State
from gpuctl.core.merge import merge
from gpuctl.core.model import Ending
from tests.core.cloudstory import ACCOUNT, MINUTE, START, Notebook, lease, machine
from tests.core.docledger import EVER

FOREVER = lease(deadline=START + timedelta(days=9), ceiling=START + timedelta(days=9))


@st.composite
def lives(draw):
    """Runs of one machine as (first minute, last minute), an hour or less apart, at most four."""
    runs, at = [], 0
    for _ in range(draw(st.integers(1, 4))):
        begin = at + draw(st.integers(2, 60))
        at = begin + draw(st.integers(3, 200))
        runs.append((begin, at))
    return runs


def shown(runs, minute):
    """The machine as its cloud lists it at a minute; None before it was made."""
    begun = [run for run in runs if run[0] <= minute]
    if not begun:
        return None
    since, end = begun[-1]
    closed = [stop for _, stop in begun if stop <= minute]
    ending = None
    if closed:
        ending = Ending(
            at=START + closed[-1] * MINUTE,
            by=EndedBy.USER,
            evidence=Evidence.STATE_REASON,
            reason="User initiated",
        )
    one = machine(since=START + since * MINUTE, ending=ending, deadline=None)
    disk = replace(one.billed[2], since=START + runs[0][0] * MINUTE)
    if minute >= runs[-1][1]:
        return replace(one, state=State.GONE, billed=())
    if minute >= end:
        return replace(one, state=State.STOPPED, billed=(disk,))
    return replace(one, billed=(*one.billed[:2], disk))


def truth(runs):
    """(seconds of compute, seconds of disk) as the cloud bills them."""
    return 60 * sum(end - begin for begin, end in runs), 60 * (runs[-1][1] - runs[0][0])


def billed(book):
    charges = bill(book.events, EVER, START + timedelta(days=2)).charges
    return tuple(
        sum(charge.seconds for charge in charges if charge.kind == kind)
        for kind in (Kind.COMPUTE, Kind.DISK)
    )


def listing(runs, minute):
    one = shown(runs, minute)
    return [] if one is None else [one]


@st.composite
def looks(draw, runs):
    """Minutes at which one looks: at least once in each run, and once when all is over."""
    inside = [draw(st.integers(begin, end - 1)) for begin, end in runs]
    more = draw(st.lists(st.integers(0, runs[-1][1] + 50), max_size=8))
    return sorted({*inside, *more, runs[-1][1] + 60})


@given(lives(), st.data())
@settings(max_examples=80)
def test_the_bill_does_not_depend_on_when_one_looked(runs, data):
    book = Notebook(FOREVER)
    for minute in data.draw(looks(runs)):
        # Notebook.look itself plans a second time, and fails when that is not empty.
        book.look(minute, *listing(runs, minute))
    assert billed(book) == truth(runs)
    assert book.open() == []


@given(lives(), st.data())
@settings(max_examples=60)
def test_a_listing_that_lacks_a_machine_now_and_then_changes_nothing(runs, data):
    book = Notebook(FOREVER)
    minutes = data.draw(looks(runs))
    lacking = data.draw(st.sets(st.sampled_from(minutes[:-1])) if minutes[:-1] else st.just(set()))
    missed_before = False
    for minute in minutes:
        one = listing(runs, minute)
        alive = bool(one) and one[0].state is not State.GONE
        if minute in lacking and alive and not missed_before:
            # One absence, and another within the minute.
            for look in (minute, minute + 0.5):
                assert not [e for e in book.look(look) if isinstance(e, Ended)]
        missed_before = minute in lacking
        book.look(minute + 0.75, *one)
    assert billed(book) == truth(runs)


@given(lives(), st.data())
@settings(max_examples=40)
def test_two_laptops_that_looked_at_other_times_have_one_bill(runs, data):
    books = [Notebook(FOREVER), Notebook(FOREVER)]
    for book in books:
        for minute in data.draw(looks(runs)):
            book.look(minute, *listing(runs, minute))
    first, second = (list(book.events) for book in books)
    assert billed(Notebook(*first, *merge(first, second))) == truth(runs)
    assert billed(Notebook(*second, *merge(second, first))) == truth(runs)


@given(lives(), st.data())
@settings(max_examples=40)
def test_an_account_that_was_not_listed_loses_nothing(runs, data):
    book = Notebook(FOREVER)
    for minute in data.draw(looks(runs)):
        book.look(minute, *listing(runs, minute))
        before = list(book.events)
        book.look(minute + 0.25, accounts=[("gcp", ACCOUNT[1]), ("aws", "999")])
        book.look(minute + 0.5, unsure=frozenset([str(machine().id)]))
        assert book.events == before
        assert not any(isinstance(event, Missed) for event in before)
