"""Cents: rounded once, over all together, so that every printed column adds up."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed
from gpuctl.core.report import Terms, report, spread
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.tally import total
from tests.core.docledger import ledger
from tests.core.stories import PROJECTS, now, stories, whole

CENT = Decimal("0.01")


def at_cost(project):
    return Terms()


@given(
    st.dictionaries(st.text(max_size=3), st.fractions(-50, 50), max_size=8),
    st.sampled_from([0, 2, 3]),
)
@settings(max_examples=100)
def test_parts_add_up_and_each_is_within_a_unit(exact, places):
    unit = Decimal(1).scaleb(-places)
    parts = spread(exact, places)
    assert parts.keys() == exact.keys()
    assert sum(parts.values()) == round_half_up(sum(exact.values(), Fraction(0)), places)
    for name, part in parts.items():
        assert part == part.quantize(unit)
        assert abs(Fraction(part) - exact[name]) < Fraction(unit)


@given(st.dictionaries(st.text(max_size=3), st.fractions(-50, 50), min_size=1), st.booleans())
@settings(max_examples=60)
def test_a_sum_that_was_rounded_before_is_kept_up_or_down(exact, up):
    cents = sum(exact.values()) * 100
    kept = Decimal(cents.__ceil__() if up else cents.__floor__()) / 100
    parts = spread(exact, 2, kept)
    assert sum(parts.values()) == kept
    assert all(abs(Fraction(part) - exact[name]) < Fraction(1, 100) for name, part in parts.items())


def test_ties_go_to_the_first_name():
    half = Fraction("0.005")
    assert spread({"b": half, "a": half, "c": half}, 2) == {
        "a": CENT, "b": CENT, "c": Decimal(0),
    }  # fmt: skip
    assert spread({"b": -half, "a": -half}, 2) == {"b": -CENT, "a": Decimal(0)}
    assert spread({}, 2) == {}


def test_yen_have_no_cents_and_dinars_three():
    assert (minor_units("JPY"), minor_units("KWD"), minor_units("EUR")) == (0, 3, 2)
    figures = report([], at_cost, "JPY")
    assert (figures.total, figures.accounts, figures.currency) == (0, (), "JPY")


@pytest.mark.parametrize(
    ("places", "currencies"),
    [
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (2, "CHF CNY EUR GBP HUF IDR MGA MRU TWD USD ZZZ"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    ],
)
def test_the_smallest_coin_is_that_of_iso_4217(places, currencies):
    assert {name: minor_units(name) for name in currencies.split()} == dict.fromkeys(
        currencies.split(), places
    )


terms_of_anybody = st.builds(
    Terms,
    absorbed=st.booleans(),
    markup=st.decimals(0, 1, places=2),
    cap=st.none() | st.decimals(0, 20, places=2),
    included=st.decimals(0, 20, places=2),
)


@given(stories(), st.fixed_dictionaries(dict.fromkeys(PROJECTS, terms_of_anybody)))
@settings(max_examples=60)
def test_every_printed_column_adds_up(story, terms):
    base, events = story
    charges = bill(events, fixed(whole(base)), now(base)).charges
    figures = report(charges, terms.__getitem__)
    mine = [charge for charge in charges if charge.payer is None]
    assert figures.total == round_half_up(total(mine), 2)
    costs = [account.cost for account in figures.accounts]
    assert sum(costs) + figures.unattributed + figures.idle == figures.total
    for account in figures.accounts:
        assert sum((line.cost for line in account.lines), Decimal(0)) == account.cost
        assert account.cost == account.recharged + account.absorbed
        assert account.billable == account.recharged + account.markup
        exact = total(c for c in mine if c.project == account.project)
        assert abs(Fraction(account.cost) - exact) < Fraction(1, 100)
        for money in (account.cost, account.absorbed, account.markup, account.billable):
            assert money == money.quantize(CENT)
    assert figures.billable == sum(account.billable for account in figures.accounts)
    assert figures.absorbed == figures.idle + sum(a.absorbed for a in figures.accounts)


@ledger
def test_cost_plus_markup_and_what_is_borne_oneself(events, charges):
    """
    03-10 15:00      adjust acme/vision 10.00
    03-10 15:00      adjust borealis/nlp 5.55
    03-10 15:00      adjust nobody 1.00
    = acme/vision 10
    = borealis/nlp 5.55
    = nobody 1
    """
    terms = {
        "acme/vision": Terms(markup=Decimal("0.125")),
        "borealis/nlp": Terms(absorbed=True, markup=Decimal("0.5")),
    }
    figures = report(charges, terms.__getitem__)
    acme, borealis = figures.accounts
    assert (acme.client, acme.markup, acme.billable) == ("acme", Decimal("1.25"), Decimal("11.25"))
    assert (borealis.absorbed, borealis.billable, borealis.markup) == (Decimal("5.55"), 0, 0)
    assert (figures.unattributed, figures.total) == (1, Decimal("16.55"))
    assert (figures.billable, figures.absorbed) == (Decimal("11.25"), Decimal("5.55"))


@ledger
def test_a_cap_and_a_retainer_are_the_clients_not_each_projects(events, charges):
    """
    03-10 15:00      adjust acme/audio 6
    03-10 15:00      adjust acme/vision 10
    03-10 15:00      adjust acme/zeta -2
    = acme/audio 6
    = acme/vision 10
    = acme/zeta -2
    """
    included = report(charges, lambda project: Terms(included=Decimal(7))).accounts
    assert [account.absorbed for account in included] == [6, 1, 0]
    capped = report(charges, lambda project: Terms(cap=Decimal(8))).accounts
    assert [account.recharged for account in capped] == [6, 2, -2]
    both = report(charges, lambda project: Terms(included=Decimal(4), cap=Decimal(5))).accounts
    assert [account.recharged for account in both] == [2, 3, -2]
    assert [account.billable for account in both] == [2, 3, -2]


@ledger
def test_lines_are_kinds_on_markets_with_one_rate_or_none(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 11:00      price aws compute g5 on-demand 2
    01-01 00:00      price gcp vcpu n1-core on-demand 0.1
    01-01 00:00      price gcp ram n1-ram on-demand 0.1
    03-10 10:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 12:00      close i-1 user
    03-10 10:00      open vm-1 gcp vcpu n1-core on-demand x8 acme/vision
    03-10 11:00      close vm-1 user
    03-10 10:00      open vm-1 gcp ram n1-ram on-demand x30 acme/vision
    03-10 11:00      close vm-1 user
    03-10 10:00      open vm-2 gcp ram n1-ram spot x30 acme/vision
    03-10 11:00      close vm-2 user
    = acme/vision ?
    """
    (account,) = report(charges, at_cost).accounts
    lines = [(line.kind, line.market, line.amount, line.rate, line.cost) for line in account.lines]
    assert lines == [
        ("compute", "on-demand", 2, None, 3),
        ("ram", "on-demand", 30, Decimal("0.1"), 3),
        ("ram", "spot", 30, None, 0),
        ("vcpu", "on-demand", 8, Decimal("0.1"), Decimal("0.8")),
    ]
    assert account.hours == 3
    assert [line.sessions for line in account.lines] == [1, 1, 1, 1]


@given(stories())
@settings(max_examples=40)
def test_a_clients_own_account_is_shown_and_counted_nowhere(story):
    base, events = story
    charges = bill(events, fixed(whole(base)), now(base)).charges
    mine = [charge for charge in charges if charge.payer is None]
    with_theirs, without = report(charges, at_cost), report(mine, at_cost)
    assert with_theirs.total == without.total
    assert with_theirs.billable == without.billable
    theirs = {c.project for c in charges if c.payer and c.project}
    shown = {account.project for account in with_theirs.accounts}
    assert shown == theirs | {account.project for account in without.accounts}
    for account in with_theirs.accounts:
        own = total(c for c in charges if c.payer and c.project == account.project)
        assert account.own_account == round_half_up(own, 2)


@pytest.mark.parametrize(
    ("prices", "printed"), [(("0.005", "0.005"), "0.01"), (("-0.005", "-0.005"), "-0.01")]
)
def test_halves_are_rounded_away_from_nothing_after_they_are_summed(prices, printed):
    exact = {str(n): Fraction(p) for n, p in enumerate(prices)}
    assert sum(spread(exact, 2).values()) == Decimal(printed)
