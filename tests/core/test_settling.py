"""A bill laid over the estimates: exactly what it asks, whoever's it is, in every window."""

import itertools
import json
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, monthly
from gpuctl.core.events import Ended, Settle, Usage
from gpuctl.core.interchange import RecordError, read_line, write_line
from gpuctl.core.kinds import Evidence, Kind
from gpuctl.core.settling import asked, holding, key_of
from gpuctl.core.span import Month, Span
from gpuctl.core.tally import total
from tests.core.docledger import EVER, NOW, at, ledger, paid
from tests.core.stories import BASES, after, amounts, moments, now, stories, whole

DAY = 86_400


def settle(resource="i-1", kind="compute", day="03-10", billed="1", **more):
    since = at(day, "00:00")
    values = {
        "id": f"settle/{resource}/{kind}/{day}/{billed}",
        "provider": "aws",
        "account": "1",
        "resource": resource,
        "kind": Kind(kind),
        "since": since,
        "until": since + timedelta(days=1),
        "billed": Decimal(billed),
        "at": NOW,
        "source": "cur.csv",
    }
    return Settle(**(values | more))


def charges_with(events, *settles, window=EVER):
    return bill([*events, *settles], window, NOW).charges


# What it does, as ledgers.


@ledger
def test_the_estimate_stays_and_the_difference_is_added(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision 2
    """
    (one,) = charges
    estimate, more = charges_with(events, settle(billed="1.75"))[::-1]
    assert (estimate.cost, estimate.rate, estimate.settled) == (2, 1, True)
    assert estimate._replace(settled=False) == one
    assert (more.kind, more.sku, more.cost, more.settled) == ("settle", "compute", -0.25, True)
    assert (more.project, more.usage, more.note) == (
        "acme/vision",
        one.usage,
        "cur.csv asks 1.75 USD",
    )
    assert (more.start, more.end) == (at("03-10", "00:00"), at("03-11", "00:00"))


@ledger
def test_a_bill_that_agrees_adds_no_charge(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision 2
    """
    (only,) = charges_with(events, settle(billed="2"))
    assert only == charges[0]._replace(settled=True)


@ledger
def test_a_difference_is_shared_by_what_was_estimated(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:30      price aws compute g5 on-demand 2
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:30      switch i-1 borealis/nlp
    03-10 15:00      close i-1 user
    = acme/vision 0.5
    = borealis/nlp 1
    """
    found = charges_with(events, settle(billed="3"))
    assert paid(found) == {"acme/vision": "1", "borealis/nlp": "2"}
    assert len(found) == 4


@ledger
def test_what_is_idle_bears_its_part(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:00      close i-1 user
    03-10 10:00      split i-1 03-10 14:00 acme/vision=2 borealis/nlp=1 idle=1 absorbed
    = acme/vision 2
    = borealis/nlp 1
    = idle 1
    """
    found = charges_with(events, settle(billed="6"))
    assert paid(found) == {"acme/vision": "3", "borealis/nlp": "1.5", "idle": "1.5"}
    assert {c.project for c in found if c.absorbed} == {None}


@ledger
def test_where_a_price_is_missing_units_decide_and_it_counts(events, charges):
    """
    03-10 15:00      price aws compute g5 spot 5
    03-10 14:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 15:00      switch i-1 borealis/nlp
    03-10 16:00      close i-1 user
    = acme/vision ?
    = borealis/nlp 5
    """
    whole = bill([*events, settle(billed="3")], EVER, NOW)
    assert whole.total == 3
    assert whole.problems == ()
    by_project = {}
    for charge in whole.charges:
        by_project[charge.project] = by_project.get(charge.project, 0) + (charge.cost or 0)
    assert by_project == {"acme/vision": Fraction(3, 2), "borealis/nlp": Fraction(3, 2)}
    (missing,) = [charge for charge in whole.charges if charge.cost is None]
    assert (missing.rate, missing.settled) == (None, True)


@ledger
def test_units_of_a_shared_machine_are_its_shares(events, charges):
    """
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:00      close i-1 user
    03-10 10:00      split i-1 03-10 14:00 acme/vision=3 borealis/nlp=1
    = acme/vision ?
    = borealis/nlp ?
    """
    priced = [c for c in charges_with(events, settle(billed="4")) if c.kind == "settle"]
    assert paid(priced) == {"acme/vision": "3", "borealis/nlp": "1"}


@ledger
def test_what_was_thought_free_is_shared_by_time(events, charges):
    """
    01-01 00:00      price aws compute g5 spot 1
    03-10 14:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 14:10      switch i-1 borealis/nlp
    03-10 14:40      close i-1 provider
    = acme/vision 0
    = borealis/nlp 0
    """
    found = charges_with(events, settle(billed="4"))
    assert paid(found) == {"acme/vision": "1", "borealis/nlp": "3"}


@ledger
def test_a_run_is_cut_where_it_begins_to_be_settled(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-09 12:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-12 12:00      close i-1 user
    = acme/vision 72
    """
    found = charges_with(events, settle(billed="20"), settle(day="03-11", billed="24"))
    rows = [(c.kind, c.start.day, c.seconds, c.cost, c.settled) for c in found]
    assert rows == [
        ("compute", 9, DAY / 2, 12, False),
        ("compute", 10, 2 * DAY, 48, True),
        ("settle", 10, DAY, -4, True),
        ("compute", 12, DAY / 2, 12, False),
    ]


@ledger
def test_a_window_shows_the_part_that_the_estimate_has_there(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 12:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision 4
    """
    asks = settle(billed="6")

    def cost(start, end):
        return total(charges_with(events, asks, window=fixed(Span(start, end))))

    noon, two, night = at("03-10", "12:00"), at("03-10", "14:00"), at("03-11", "00:00")
    assert (cost(noon, two), cost(two, night)) == (3, 3)
    assert cost(at("03-10", "00:00"), noon) == 0
    assert charges_with(events, asks, window=fixed(Span(night, night))) == ()


@ledger
def test_two_runs_of_a_day_keep_their_own_part(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 11:00      close i-1 user
    03-10 12:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 15:00      close i-1 user
    = acme/vision 4
    """
    found = charges_with(events, settle(billed="8"))
    by_run = {}
    for charge in found:
        by_run[charge.usage] = by_run.get(charge.usage, 0) + charge.cost
    assert sorted(by_run.values()) == [2, 6]


@ledger
def test_a_day_after_the_last_run_is_the_last_owners(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-09 22:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-09 23:00      switch i-1 borealis/nlp
    03-10 00:00      close i-1 user
    = acme/vision 1
    = borealis/nlp 1
    """
    found = charges_with(events, settle(billed="0.25"))
    assert paid(found) == {"acme/vision": "1", "borealis/nlp": "1.25"}
    before = charges_with(events, settle(day="03-08", billed="0.25"))
    assert paid(before) == {"acme/vision": "1", "borealis/nlp": "1", "nobody": "0.25"}


def test_what_no_run_is_known_of_is_nobodys():
    (charge,) = charges_with([], settle(billed="3"))
    assert (charge.project, charge.cost, charge.account, charge.usage) == (None, 3, "1", None)
    half = fixed(Span(at("03-10", "12:00"), at("03-12", "00:00")))
    assert total(charges_with([], settle(billed="3"), window=half)) == Fraction(3, 2)
    assert charges_with([], settle(billed="0")) == ()


@ledger
def test_a_clients_own_account_stays_in_no_total(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision 2
    """
    theirs = [e._replace(payer="acme") if isinstance(e, Usage) else e for e in events]
    whole = bill([*theirs, settle(billed="3")], EVER, NOW)
    assert (whole.total, total(whole.charges)) == (0, 3)


@ledger
def test_the_end_of_a_run_that_is_settled_is_not_uncertain_any_more(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision 2
    """
    events = [e._replace(end=None, ended_by=None) if isinstance(e, Usage) else e for e in events]
    usage = next(event for event in events if isinstance(event, Usage))
    end = Ended(
        id="e", usage=usage.id, end=at("03-10", "16:00"), ended_by=None, evidence=Evidence.DEADLINE
    )
    assert bill([*events, end], EVER, NOW).problems
    assert bill([*events, end, settle(billed="2.5")], EVER, NOW).problems == ()


@ledger
def test_other_currencies_are_converted_exactly(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision 2
    """
    euros = settle(billed="2", currency="EUR", per_usd=Decimal("0.9"))
    found = charges_with(events, euros)
    assert total(found) == asked(euros) == Fraction(20, 9)
    assert found[0].note == "cur.csv asks 2 EUR"


# Which one holds.


def test_the_one_reconciled_last_holds_then_the_greater_id():
    old, new = settle(billed="1", at=NOW - timedelta(1)), settle(billed="2")
    same = settle(billed="3")
    assert holding([new, old]) == holding([old, new]) == {key_of(new): [new]}
    assert holding([same, new]) == {key_of(new): [same]}


def test_stretches_that_overlap_never_count_twice():
    half = settle(billed="1", until=at("03-10", "12:00"), at=NOW - timedelta(1))
    assert total(charges_with([], half, settle(billed="5"))) == 5
    assert total(charges_with([], half._replace(at=NOW + timedelta(1)), settle(billed="5"))) == 1
    other = settle(billed="2", since=at("03-10", "12:00"), id="other")
    assert total(charges_with([], half, other)) == 3


# What holds for every ledger.


@st.composite
def settled_stories(draw, **how):
    """A story, and what bills ask for some of its days; days touch, repeat and contradict."""
    base, events = draw(stories(**how))
    runs = [event for event in events if isinstance(event, Usage)]
    asks = []
    for number in range(draw(st.integers(0, 5))):
        run = draw(st.sampled_from(runs))
        day = draw(st.integers(-1, 5))
        length = draw(st.sampled_from([DAY, DAY, DAY, 2 * DAY, 5_000]))
        asks.append(
            Settle(
                id=f"settle{number}",
                provider=run.provider,
                account=run.account,
                resource=draw(st.sampled_from([run.resource] * 3 + ["r9"])),
                kind=run.kind,
                since=after(base, day * DAY),
                until=after(base, day * DAY + length),
                billed=draw(amounts()),
                at=after(base, 9 * DAY + draw(st.integers(0, 2))),
                source="bill",
                currency="EUR",
                per_usd=draw(st.sampled_from([Decimal(1), Decimal("0.9"), Decimal(7)])),
            )
        )
    return base, events, asks


def sums(charges, *names):
    found = {}
    for charge in charges:
        key = tuple(getattr(charge, name) for name in names)
        found[key] = found.get(key, Fraction(0)) + (charge.cost or 0)
    return {key: cost for key, cost in found.items() if cost}


def kind_of(charge):
    return charge.sku if charge.kind == "settle" else charge.kind


@given(settled_stories())
@settings(max_examples=100)
def test_a_stretch_costs_what_its_bill_asks(story):
    base, events, asks = story
    for key, held in holding(asks).items():
        for one in held:
            span = fixed(Span(one.since, one.until))
            cost = Fraction(0)
            for charge in bill([*events, *asks], span, now(base)).charges:
                if (charge.provider, charge.resource, kind_of(charge)) == key:
                    assert charge.settled
                    cost += charge.cost or 0
            assert cost == asked(one)


@given(settled_stories(), st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_neither_order_nor_repetition_matters(story, random):
    base, events, asks = story
    together = [*events, *asks]
    again = together + random.choices(together, k=3)
    random.shuffle(again)
    window = fixed(whole(base))
    assert bill(again, window, now(base)) == bill(together, window, now(base))


@given(settled_stories(), st.data())
@settings(max_examples=120)
def test_adjacent_windows_sum_to_the_whole(story, data):
    base, events, asks = story
    span = whole(base)
    edges = data.draw(st.lists(moments(base), max_size=4))
    cuts = [span.start, *sorted(edge for edge in edges if edge in span), span.end]
    parts = []
    for start, end in itertools.pairwise(cuts):
        parts += bill([*events, *asks], fixed(Span(start, end)), now(base)).charges
    at_once = bill([*events, *asks], fixed(span), now(base)).charges
    names = ("usage", "project", "absorbed", "kind", "sku", "settled")
    if not any(c.kind == "discount" for c in at_once):
        assert sums(parts, *names) == sums(at_once, *names)
    assert total(parts) == total(at_once)


@given(settled_stories())
@settings(max_examples=80)
def test_every_cost_is_somebodys_and_some_resources(story):
    base, events, asks = story
    charges = bill([*events, *asks], fixed(whole(base)), now(base)).charges
    everything = total(charges)
    assert sum(sums(charges, "project", "absorbed").values()) == everything
    assert sum(sums(charges, "provider", "resource", "kind").values()) == everything


@given(settled_stories())
@settings(max_examples=80)
def test_what_is_not_settled_stays_as_it_is(story):
    base, events, asks = story
    window = fixed(whole(base))
    keys = {key_of(one) for one in asks}

    def others(charges):
        return [c for c in charges if (c.provider, c.resource, kind_of(c)) not in keys]

    settled = bill([*events, *asks], window, now(base)).charges
    plain = bill(events, window, now(base)).charges
    assert others(settled) == others(plain)
    # The estimate itself is never changed by a bill: only cut and marked.
    names = ("usage", "project", "rate", "absorbed", "kind")
    estimates = [c for c in settled if c.kind != "settle"]
    assert sums(estimates, *names) == sums(plain, *names)


@given(settled_stories())
@settings(max_examples=40)
def test_months_of_each_provider_sum_to_the_whole(story):
    base, events, asks = story
    first = Month(base.year, base.month).previous()
    months = [first, first.next(), first.next().next(), first.next().next().next()]
    together = [*events, *asks]
    parts = [c for month in months for c in bill(together, monthly(month), now(base)).charges]
    assert total(parts) == total(bill(together, fixed(whole(base)), now(base)).charges)


# The record.


@pytest.mark.parametrize("base", BASES[:1])
@given(st.data())
def test_a_record_comes_back_as_it_was_written(base, data):
    _, _, asks = data.draw(settled_stories())
    for one in asks:
        line = write_line(one._replace(extra={"seen": "by hand"}, invoice="INV-1"))
        assert read_line(line) == one._replace(extra={"seen": "by hand"}, invoice="INV-1")
        assert write_line(read_line(line)) == line


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"per_usd": "0"}, "per_usd: is above zero"),
        ({"per_usd": "-1"}, "per_usd: is above zero"),
        ({"billed": 1}, "billed: is a decimal"),
        ({"to": "2025-03-10T00:00:00Z"}, "to: is not after from"),
        ({"source": ""}, "source: is a text"),
        ({"kind": "settle"}, "kind: is one of"),
    ],
)
def test_a_wrong_record_is_refused(change, reason):
    record = json.loads(write_line(settle())) | change
    with pytest.raises(RecordError, match=reason):
        read_line(json.dumps(record))
