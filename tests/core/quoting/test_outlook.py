"""What is believed of a zone follows what was seen of it, and futures follow what is believed."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.quoting.outlook import (
    BLOCK,
    PRIOR,
    REGIMES,
    THERE,
    UNKNOWN,
    Course,
    Stretch,
    joined,
    outlook,
    share_there,
)


def flapping(hours_on, hours_off, days=10):
    """On and off in turn, until now."""
    found, until, there = [], 0.0, True
    while until > -24 * days:
        hours = hours_on if there else hours_off
        found.append(Stretch("a", there, until - hours, until, turned=True))
        until, there = until - hours, not there
    return found[::-1]


def belief(stretches):
    return outlook(stretches, ["a"])["a"]


def share_of(course, hours, step=0.25):
    return sum(course.at(i * step) for i in range(int(hours / step))) * step / hours


def test_nothing_seen_is_the_prior():
    assert belief([]) == UNKNOWN
    assert sum(UNKNOWN.blocks) == pytest.approx(PRIOR)
    assert share_there(UNKNOWN) == pytest.approx(sum(THERE) / len(THERE))


def test_what_was_seen_moves_it():
    calm, tight = belief(flapping(40, 0.5)), belief(flapping(0.5, 40))
    assert share_there(calm) > 0.7
    assert share_there(tight) < 0.3
    assert calm.now.index(max(calm.now)) == len(REGIMES) - 1
    assert tight.now.index(max(tight.now)) == 0


def test_the_more_was_seen_the_further_it_moves():
    short, long = (share_there(belief(flapping(40, 0.5, days))) for days in (2, 20))
    assert share_there(UNKNOWN) < short < long


def test_a_refusal_alone_says_a_little():
    refused = belief([Stretch("a", there=False, since=-5, until=-5)])
    assert 0.98 * share_there(UNKNOWN) < share_there(refused) < share_there(UNKNOWN)
    assert refused.there is None


def look(at):
    return Stretch("a", there=False, since=at, until=at)


def held(since, until, *, turned):
    return Stretch("a", there=True, since=since, until=until, turned=turned)


def off(since, until, *, turned):
    return Stretch("a", there=False, since=since, until=until, turned=turned)


@pytest.mark.parametrize(
    ("seen", "made"),
    [
        ([look(-9), look(-7), look(-5)], [off(-9, -5, turned=False)]),
        ([look(-19), look(-7)], [look(-19), look(-7)]),
        (
            [held(-9, -8, turned=True), look(-7), look(-5), held(-4, 0, turned=False)],
            [held(-9, -8, turned=True), off(-8, -4, turned=True), held(-4, 0, turned=False)],
        ),
        ([held(-9, -8, turned=False), look(-7)], [held(-9, -8, turned=False), look(-7)]),
        ([look(-20), held(-4, 0, turned=False)], [look(-20), held(-4, 0, turned=False)]),
        ([off(-9, -5, turned=True), held(-5, 0, turned=False)],) * 2,
    ],
    ids=["together", "apart", "between sessions", "after an end of ours", "long before", "whole"],
)
def test_looks_soon_after_one_another_are_one_stretch(seen, made):
    assert joined(seen[::-1]) == made


def test_another_zone_is_not_this_one():
    assert outlook(flapping(40, 0.5), ["b"]) == {"b": UNKNOWN}


def test_a_stretch_that_spans_blocks_counts_in_each():
    seen = belief([Stretch("a", there=True, since=-3 * BLOCK, until=0.0)])
    assert sum(seen.blocks) == pytest.approx(PRIOR + 3)
    assert seen.seen == pytest.approx(3 * BLOCK)
    assert (seen.there, seen.age) == (True, 3 * BLOCK)


@pytest.mark.parametrize("regime", range(len(REGIMES)))
def test_a_course_is_there_as_often_as_its_regime(regime):
    blocks = tuple(100.0 if at == regime else 1e-6 for at in range(len(REGIMES)))
    known = UNKNOWN._replace(blocks=blocks)
    draw = random.Random(regime).random
    found = [share_of(Course(known, draw, draw), 400) for _ in range(40)]
    assert sum(found) / len(found) == pytest.approx(THERE[regime], abs=0.08)


def test_a_course_begins_with_what_was_seen_at_this_moment():
    draw = random.Random(1).random
    for there in (True, False):
        known = belief([Stretch("a", there, -6.0, 0.0)])
        assert Course(known, draw, draw).at(0.0) is there


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(0.05, 60), min_size=1, max_size=30))
def test_any_past_gives_a_future_and_the_same_draws_the_same(seed, hours):
    until, stretches, there = 0.0, [], True
    for length in hours:
        stretches.append(Stretch("a", there, until - length, until, turned=until < 0))
        until, there = until - length, not there
    known = belief(stretches[::-1])
    assert 0 < share_there(known) < 1

    def future():
        draw = random.Random(seed).random
        course = Course(known, draw, draw)
        return [course.at(i / 2) for i in range(200)]

    assert future() == future()
