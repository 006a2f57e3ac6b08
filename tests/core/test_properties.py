"""What holds for every ledger there can be, on ten thousand of them: nothing is lost between parts.

Sums are compared as exact fractions; there is no tolerance anywhere.
"""

import itertools
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, monthly, runs
from gpuctl.core.charges import (
    as_aws_prints,
    billed_parts,
    billed_span,
    by_month,
    charges_of,
)
from gpuctl.core.events import Price, Split, Switch
from gpuctl.core.kinds import Kind, Unit
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.report import Terms, report, spread
from gpuctl.core.rounding import round_half_up
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span
from gpuctl.core.tally import total
from tests.core import test_sustained
from tests.core.examples import DECLARED, holds
from tests.core.histories import histories, history

ZERO = Fraction(0)


def sums(charges, *names):
    """Exact cost and billed amount by the named attributes, without what is nothing."""
    found = {}
    for charge in charges:
        key = tuple(getattr(charge, name) for name in names)
        cost, amount = found.get(key, (ZERO, ZERO))
        found[key] = cost + (charge.cost or 0), amount + charge.amount
    return {key: value for key, value in found.items() if any(value)}


def estimates(charges):
    """Without what bills add: a difference is a whole stretch's, and has no seconds of its own."""
    return [charge for charge in charges if charge.kind != "settle"]


def cuts_of(history, count, *own):
    """The whole span cut at random seconds, and at moments that the ledger itself names."""
    span, random = history.whole, history.random
    named = [
        at
        for event in history.events
        for at in (getattr(event, name, None) for name in ("at", "since", "start", "end"))
        if at is not None
    ]
    moments = [span.start + timedelta(seconds=random.randrange(span.seconds)) for _ in range(count)]
    moments += random.choices([*named, *own, history.now], k=count)
    inside = sorted({at for at in moments if span.start < at < span.end})
    return list(itertools.pairwise([span.start, *inside, span.end]))


@holds(1_200, history=histories, cuts=st.integers(0, 6))
def test_a_run_cut_anywhere_costs_what_it_costs_whole(history, cuts):
    """Its hours of spot, its minimum and its waiver stay where they are, whatever is looked at."""
    usages = runs(history.events)
    book = PriceBook(event for event in history.events if isinstance(event, Price))
    parts = billed_parts(usages, history.now)
    for run in usages:
        at_once = list(charges_of(run, book, history.whole, history.now, parts))
        pieces = [
            charge
            for start, end in cuts_of(history, cuts, billed_span(run, history.now).end)
            for charge in charges_of(run, book, Span(start, end), history.now, parts)
        ]
        assert sums(pieces, "rate", "free", "per") == sums(at_once, "rate", "free", "per")
        assert total(pieces) == total(at_once)
        covered = sum(charge.seconds for charge in at_once)
        assert covered == billed_span(run, history.now).seconds
        assert covered == sum(charge.seconds for charge in pieces)
        for one, following in itertools.pairwise(pieces):
            assert one.end == following.start


@holds(1_000, history=histories, cuts=st.integers(1, 4))
def test_windows_beside_one_another_sum_to_the_whole(history, cuts):
    parts = [
        charge
        for start, end in cuts_of(history, cuts)
        for charge in bill(history.events, fixed(Span(start, end)), history.now).charges
    ]
    whole = bill(history.events, fixed(history.whole), history.now).charges
    names = ("usage", "kind", "project", "rate", "absorbed", "free")
    assert sums(parts, *names) == sums(whole, *names)
    assert total(parts) == total(whole)
    assert sum(c.seconds for c in estimates(parts)) == sum(c.seconds for c in estimates(whole))


@holds(600, history=histories)
def test_the_months_of_each_cloud_tile_the_year(history):
    month = Month.of(history.whole.start, billing_zone("aws")).previous()
    found = []
    for _ in range(4):
        found += bill(history.events, monthly(month), history.now).charges
        month = month.next()
    whole = bill(history.events, fixed(history.whole), history.now).charges
    assert sums(found, "usage", "kind", "project") == sums(whole, "usage", "kind", "project")
    assert total(found) == total(whole)


@holds(800, history=histories)
def test_neither_order_nor_repetition_of_the_facts_matters(history):
    again = history.events + history.random.choices(history.events, k=4)
    history.random.shuffle(again)
    window = fixed(history.whole)
    assert bill(again, window, history.now) == bill(history.events, window, history.now)


@holds(1_200, history=histories)
def test_every_cost_is_somebodys_and_some_resources(history):
    """By project + nobody's + idle = all charges = by resource: with and without attribution."""
    charges = bill(history.events, fixed(history.whole), history.now).charges
    projects = total(charge for charge in charges if charge.project is not None)
    idle = total(charge for charge in charges if charge.absorbed)
    nobodys = total(c for c in charges if c.project is None and not c.absorbed)
    assert projects + idle + nobodys == total(charges)
    by_resource = sums(charges, "resource", "kind")
    assert sum((cost for cost, _ in by_resource.values()), ZERO) == total(charges)
    assert all(charge.project is None for charge in charges if charge.absorbed)
    plain = [event for event in history.events if not isinstance(event, Switch | Split)]
    without = bill(plain, fixed(history.whole), history.now).charges
    names = ("usage", "kind", "rate", "free")
    assert sums(without, *names) == sums(charges, *names)


@holds(600, history=histories)
def test_each_second_belongs_to_the_split_or_the_last_switch_that_found_it(history):
    """The same answer as asking second by second, at seconds of chance."""
    splits = [event for event in history.events if isinstance(event, Split)]
    switches = [event for event in history.events if isinstance(event, Switch)]
    charges = bill(history.events, fixed(history.whole), history.now).charges
    usages = {usage.id: usage for usage in runs(history.events)}
    for charge in estimates(charges):
        if charge.usage not in usages or not charge.seconds:
            continue
        run = usages[charge.usage]
        at = charge.start + timedelta(seconds=history.random.randrange(charge.seconds))
        shared = [s for s in splits if s.resource == run.resource and s.since <= at < s.until]
        if shared:
            (split,) = shared
            assert charge.absorbed or charge.project in split.shares
            continue
        found = [s for s in switches if s.resource == run.resource and run.start <= s.at <= at]
        last = max(found, key=lambda s: (s.at, s.id), default=run)
        assert (charge.project, charge.absorbed) == (last.project, False)


@holds(500, history=histories)
def test_the_parts_of_a_split_are_in_its_proportions(history):
    for split in (event for event in history.events if isinstance(event, Split)):
        inside = fixed(Span(split.since, max(split.until, split.since)))
        charges = bill(history.events, inside, history.now).charges
        mine = [charge for charge in estimates(charges) if charge.resource == split.resource]
        whole = sum(split.shares.values()) + (split.idle if split.idle_absorbed else 0)
        for project, share in split.shares.items():
            theirs = total(charge for charge in mine if charge.project == project)
            assert theirs * Fraction(whole) == total(mine) * Fraction(share)


@holds(500, history=histories)
def test_what_a_report_prints_adds_up(history):
    charges = bill(history.events, fixed(history.whole), history.now).charges
    figures = report(charges, lambda project: Terms())
    mine = [charge for charge in charges if charge.payer is None]
    assert figures.total == round_half_up(total(mine), 2)
    costs = sum((account.cost for account in figures.accounts), Decimal(0))
    assert costs + figures.unattributed + figures.idle == figures.total
    for account in figures.accounts:
        assert sum((line.cost for line in account.lines), Decimal(0)) == account.cost


@holds(400, history=histories)
def test_the_rows_that_aws_prints_are_the_same_money(history):
    charges = bill(history.events, fixed(history.whole), history.now).charges
    rows = list(as_aws_prints(charges))
    names = ("usage", "kind", "project", "rate")
    assert sums(rows, *names) == sums(charges, *names)
    assert all(
        row.seconds <= 3_600 for row in rows if row.unit is Unit.HOUR and row.provider == "aws"
    )


@holds(500, history=histories)
def test_free_traffic_is_a_hundred_gb_a_month_and_account(history):
    usages = runs(history.events)
    parts = billed_parts(usages, history.now)
    sent = Counter()
    for run in usages:
        if (run.provider, run.kind) == ("aws", Kind.EGRESS):
            whole = billed_span(run, history.now)
            for month, piece in by_month(whole, "aws"):
                share = Fraction(run.quantity) * piece.seconds / whole.seconds
                sent["aws", run.account, Kind.EGRESS, month] += share
    assert parts.keys() == sent.keys()
    for key, size in sent.items():
        assert parts[key] * size == max(ZERO, size - 100)


numerators = st.lists(st.integers(-400_000, 400_000), max_size=6)


def parts_of_money(numerators, denominator):
    """Amounts by name, many of them half a cent or the same as another."""
    return {f"n{i}": Fraction(number, denominator) for i, number in enumerate(numerators)}


@holds(
    1_500,
    exact=st.builds(parts_of_money, numerators, st.sampled_from([3, 200, 2_000, 8_928])),
    places=st.sampled_from([0, 2, 3]),
    turn=st.integers(0, 5),
)
def test_rounded_parts_add_up_and_none_is_a_unit_off(exact, places, turn):
    unit = Fraction(1, 10**places)
    rounded = spread(exact, places)
    assert sum(rounded.values()) == round_half_up(sum(exact.values(), ZERO), places)
    assert all(abs(Fraction(part) - exact[name]) < unit for name, part in rounded.items())
    names = list(exact)
    turned = {name: exact[name] for name in names[turn:] + names[:turn]}
    assert spread(turned, places) == rounded
    for one, other in itertools.combinations(sorted(exact), 2):
        if exact[one] == exact[other]:
            assert rounded[one] >= rounded[other], "ties go to the first name"


@holds(
    600,
    exact=st.builds(parts_of_money, numerators, st.sampled_from([3, 200, 8_928])),
    per_usd=st.integers(1, 2_000_000),
    places=st.sampled_from([0, 2, 3]),
)
def test_converted_parts_are_the_converted_whole(exact, per_usd, places):
    """Whether each part is converted or their sum: the same; and back again nothing is lost."""
    rate = Fraction(per_usd, 10_000)
    converted = {name: usd * rate for name, usd in exact.items()}
    assert sum(converted.values(), ZERO) == sum(exact.values(), ZERO) * rate
    assert {name: amount / rate for name, amount in converted.items()} == exact
    rounded = spread(converted, places)
    assert sum(rounded.values()) == round_half_up(sum(exact.values(), ZERO) * rate, places)


def test_there_are_ten_thousand_examples():
    """Each property counts its own; these are their numbers together."""
    assert test_sustained
    assert sum(DECLARED.values()) >= 10_000, DECLARED


def test_the_ledgers_of_chance_have_all_that_the_properties_are_about():
    found = Counter()
    for seed in range(300):
        ledger = history(seed, runs=4, prices=2, switches=2, splits=1, adjusts=1, settles=1)
        for charge in bill(ledger.events, fixed(ledger.whole), ledger.now).charges:
            found.update([charge.kind, charge.ended_by, charge.market])
            found.update(name for name in ("free", "absorbed", "payer") if getattr(charge, name))
            found.update(["no price"] if charge.cost is None else ["priced"])
            found.update(["nobody's"] if charge.project is None else ["somebody's"])
    assert min(found[kind.value] for kind in Kind) > 0
    for name in (
        "discount",
        "settle",
        "free",
        "absorbed",
        "payer",
        "no price",
        "nobody's",
        "adjust",
    ):
        assert found[name] > 0, name
