"""What holds for every ledger: order does not matter, and nothing is lost between the parts."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, monthly
from gpuctl.core.charges import billed_span, is_waived
from gpuctl.core.events import Adjust, Price, Split, Switch, Usage
from gpuctl.core.kinds import EndedBy, Kind, Market
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span
from gpuctl.core.tally import total
from tests.core.docledger import EVER, NOW, ledger
from tests.core.stories import BASES, after, moments, now, stories, whole


def sums(charges, *names):
    """Exact cost and billed amount by the named attributes."""
    found = {}
    for charge in charges:
        key = tuple(getattr(charge, name) for name in names)
        cost, amount = found.get(key, (Fraction(0), Fraction(0)))
        found[key] = cost + (charge.cost or 0), amount + charge.amount
    return {key: value for key, value in found.items() if any(value)}


@given(stories(), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_neither_order_nor_repetition_matters(story, random):
    base, events = story
    again = events + random.choices(events, k=3)
    random.shuffle(again)
    window = fixed(whole(base))
    assert bill(again, window, now(base)) == bill(events, window, now(base))


@given(stories() | stories([Kind.COMPUTE], priced=True), st.data())
@settings(max_examples=120)
def test_adjacent_windows_sum_to_the_whole(story, data):
    base, events = story
    own = [at for e in events for at in (getattr(e, "at", None), getattr(e, "since", None)) if at]
    edges = data.draw(st.lists(moments(base) | st.sampled_from([*own, base]), max_size=5))
    span = whole(base)
    cuts = [span.start, *sorted(edge for edge in edges if edge in span), span.end]
    parts = []
    for start, end in itertools.pairwise(cuts):
        parts += bill(events, fixed(Span(start, end)), now(base)).charges
    at_once = bill(events, fixed(span), now(base)).charges
    names = ("usage", "project", "rate", "absorbed", "free")
    assert sums(parts, *names) == sums(at_once, *names)
    assert total(parts) == total(at_once)
    assert sum(c.seconds for c in parts) == sum(c.seconds for c in at_once)


@given(stories())
@settings(max_examples=50)
def test_months_of_each_provider_sum_to_the_whole(story):
    base, events = story
    first = Month.of(base, billing_zone("aws")).previous()
    months = [first, first.next(), first.next().next(), first.next().next().next()]
    parts = [c for month in months for c in bill(events, monthly(month), now(base)).charges]
    assert total(parts) == total(bill(events, fixed(whole(base)), now(base)).charges)


@given(stories())
@settings(max_examples=80)
def test_switch_and_split_never_change_the_total(story):
    base, events = story
    plain = [event for event in events if not isinstance(event, Switch | Split)]
    window = fixed(whole(base))
    with_all, without = bill(events, window, now(base)), bill(plain, window, now(base))
    assert with_all.total == without.total
    assert sums(with_all.charges, "usage") == sums(without.charges, "usage")


@given(stories())
@settings(max_examples=60)
def test_every_cost_is_somebodys_and_some_resources(story):
    base, events = story
    charges = bill(events, fixed(whole(base)), now(base)).charges
    by_owner = sums(charges, "project", "absorbed")
    by_resource = sums(charges, "resource", "kind")
    assert sum(cost for cost, _ in by_owner.values()) == total(charges)
    assert sum(cost for cost, _ in by_resource.values()) == total(charges)
    idle = [charge for charge in charges if charge.absorbed]
    assert all(charge.project is None for charge in idle)


# Traffic is paid by size: a longer stretch only moves parts of it to other months and prices.
TIMED = [kind for kind in Kind if kind not in (Kind.EGRESS, Kind.CROSS_AZ)]


@given(stories(TIMED, priced=True), st.integers(0, 3), st.integers(1, 90_000))
@settings(max_examples=100)
def test_more_time_never_costs_less(story, which, more):
    base, events = story
    runs = [event for event in events if isinstance(event, Usage) and event.end is not None]
    if not runs:
        return
    run = runs[which % len(runs)]
    longer = run._replace(end=run.end + timedelta(seconds=more))
    events = [event for event in events if isinstance(event, Usage | Price)]
    changed = [longer if event is run else event for event in events]
    window = fixed(Span(base - timedelta(days=2), base + timedelta(days=90)))
    assert bill(changed, window, now(base)).total >= bill(events, window, now(base)).total


@given(stories())
@settings(max_examples=80)
def test_only_an_interruption_by_aws_within_the_hour_is_free(story):
    base, events = story
    runs = {event.id: event for event in events if isinstance(event, Usage)}
    for charge in bill(events, fixed(whole(base)), now(base)).charges:
        run = runs.get(charge.usage)
        free = (
            run is not None
            and run.provider == "aws"
            and run.kind is Kind.COMPUTE
            and run.market is Market.SPOT
            and run.ended_by is EndedBy.PROVIDER
            and run.end is not None
            and (run.end - run.start).total_seconds() < 3_600
        )
        assert charge.free is free
        assert free is (run is not None and is_waived(run))
        if free:
            assert charge.cost == 0


@given(stories(priced=True))
@settings(max_examples=50)
def test_the_billed_stretch_is_covered_once(story):
    base, events = story
    charges = bill(events, fixed(whole(base)), now(base)).charges
    splits = {event.resource for event in events if isinstance(event, Split)}
    for run in (event for event in events if isinstance(event, Usage)):
        mine = sorted((c.start, c.end) for c in charges if c.usage == run.id)
        stretch = billed_span(run, now(base))
        if stretch.seconds == 0:
            assert mine == []
            continue
        assert (mine[0][0], max(end for _, end in mine)) == (stretch.start, stretch.end)
        if run.resource not in splits:
            assert all(a[1] == b[0] for a, b in itertools.pairwise(mine))


@pytest.mark.parametrize("base", BASES)
def test_an_adjustment_on_the_edge_is_in_one_window_alone(base):
    edge = after(base, 86_400)
    events = [Adjust(id="a", project="acme/vision", at=edge, usd=Decimal("1.2"), note="credit")]
    before, following = Span(base, edge), Span(edge, after(edge, 1))
    assert bill(events, fixed(before), edge).charges == ()
    assert bill(events, fixed(following), edge).total == Fraction("1.2")


@ledger
def test_the_hours_of_spot_are_counted_from_launch_in_every_window(events, charges):
    """
    03-10 14:00      price aws/us-east-1 compute p3.2xlarge spot 1.00
    03-10 15:00      price aws/us-east-1 compute p3.2xlarge spot 3.00
    03-10 14:30      open i-1 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 acme/vision
    03-10 16:30      close i-1 user
    = acme/vision 4
    """
    late = Span(datetime(2025, 3, 10, 15, 15, tzinfo=UTC), datetime(2025, 3, 11, tzinfo=UTC))
    later = Span(datetime(2025, 3, 10, 16, tzinfo=UTC), late.end)
    assert [(c.seconds, c.rate) for c in bill(events, fixed(later), NOW).charges] == [(1800, 3)]
    found = bill(events, fixed(late), NOW).charges
    assert [(c.seconds, c.rate) for c in found] == [(900, Decimal("1.00")), (3600, Decimal("3.00"))]
    assert bill(events, EVER, NOW).charges == charges
