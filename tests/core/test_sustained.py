"""Google's sustained use discount: what is taken off, whose it is, and when there is none."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed, monthly
from gpuctl.core.events import Usage
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.report import Terms, report
from gpuctl.core.span import Month, Span
from gpuctl.core.sustained import part_off, part_off_by_price, seconds_off, tiers_of
from gpuctl.core.tally import total
from tests.core.docledger import EVER, NOW, at, ledger, read
from tests.core.examples import holds

HOUR = 3_600
N1 = tiers_of(Kind.VCPU, "n1-core")
N2 = tiers_of(Kind.VCPU, "n2-core")


def discounts(charges):
    return [charge for charge in charges if charge.kind == "discount"]


@pytest.mark.parametrize(
    ("hours", "paid_for"), [(0, 0), (180, 180), (360, 324), (400, 348), (540, 432), (720, 504)]
)
def test_each_quarter_of_a_month_of_720_hours_costs_less(hours, paid_for):
    """100, 80, 60 and 40 %: 10 % off half a month, 20 % off three quarters, 30 % off all of it."""
    assert hours - seconds_off(hours * HOUR, 720 * HOUR, N1) / HOUR == paid_for


def test_the_families_with_twenty_per_cent():
    """100, 86.78, 73.3 and 60 %: their mean over the month is 80.02 %."""
    assert seconds_off(360, 720, N2) == 180 * Fraction("0.1322")
    assert 1 - seconds_off(720, 720, N2) / 720 == Fraction("0.8002")


@pytest.mark.parametrize(
    ("kind", "sku", "most"),
    [
        (Kind.VCPU, "n1-core", "0.3"), (Kind.RAM, "n1-ram", "0.3"), (Kind.VCPU, "m1-core", "0.3"),
        (Kind.GPU, "nvidia-tesla-t4", "0.3"), (Kind.GPU, "nvidia-tesla-v100", "0.3"),
        (Kind.GPU, "nvidia-tesla-p100", "0.3"), (Kind.GPU, "nvidia-tesla-p4", "0.3"),
        (Kind.GPU, "nvidia-tesla-k80", "0.3"),
        (Kind.VCPU, "n2-core", "0.1998"), (Kind.RAM, "n2d-ram", "0.1998"),
        (Kind.VCPU, "c2-core", "0.1998"),
        (Kind.VCPU, "e2-core", None), (Kind.VCPU, "g2-core", None), (Kind.RAM, "a2-ram", None),
        (Kind.VCPU, "a3-core", None), (Kind.VCPU, "c3-core", None), (Kind.VCPU, "n10-core", None),
        (Kind.GPU, "nvidia-l4", None), (Kind.GPU, "nvidia-tesla-a100", None),
        (Kind.GPU, "nvidia-a100-80gb", None), (Kind.GPU, "nvidia-h100-80gb", None),
        (Kind.GPU, "n1-core", None),
    ],
)  # fmt: skip
def test_what_has_a_discount_and_how_much(kind, sku, most):
    tiers = tiers_of(kind, sku)
    whole_month = None if tiers is None else seconds_off(720, 720, tiers) / 720
    assert whole_month == (None if most is None else Fraction(most))


@ledger
def test_four_hundred_hours_of_n1_with_a_t4(events, charges):
    """
    01-01 00:00      price gcp/us-central1 vcpu n1-core on-demand 0.031611
    01-01 00:00      price gcp/us-central1 ram n1-ram on-demand 0.004237
    01-01 00:00      price gcp/us-central1 gpu nvidia-tesla-t4 on-demand 0.35
    04-02 00:00      open vm gcp/us-central1 vcpu n1-core on-demand x8 acme/vision
    04-18 16:00      close vm user
    04-02 00:00      open vm gcp/us-central1 ram n1-ram on-demand x30 acme/vision
    04-18 16:00      close vm user
    04-02 00:00      open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-18 16:00      close vm user
    = acme/vision 254.039304
    """
    assert total(discounts(charges)) == Fraction("-37.959896")
    assert total(charges) - total(discounts(charges)) == Fraction("291.9992")
    figures = report(charges, lambda project: Terms())
    (account,) = figures.accounts
    assert (account.cost, account.hours) == (Decimal("254.04"), 400)
    credit = {line.sku: line.cost for line in account.lines if line.kind == "discount"}
    assert sum(credit.values()) == Decimal("-37.96")
    assert {(c.rate, c.amount) for c in discounts(charges) if c.sku == "nvidia-tesla-t4"} == {
        (Decimal("0.35"), -52)
    }


@ledger
def test_machines_one_after_the_other_count_as_one():
    """
    01-01 00:00      price gcp/us-central1 gpu nvidia-tesla-t4 on-demand 1
    04-02 00:00      open vm-1 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-10 08:00      close vm-1 user
    04-10 08:00      open vm-2 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 borealis/nlp
    04-18 16:00      close vm-2 user
    = acme/vision 174
    = borealis/nlp 174
    """


@ledger
def test_machines_side_by_side_are_levels_that_each_have_their_own_time():
    """
    01-01 00:00      price gcp/us-central1 gpu nvidia-tesla-t4 on-demand 1
    04-02 00:00      open vm-1 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-17 00:00      close vm-1 user
    04-02 00:00      open vm-2 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 borealis/nlp
    04-09 12:00      close vm-2 user
    = acme/vision 336
    = borealis/nlp 168
    """
    # 360 h of the first level: 36 off; 180 h of the second: none. 36 of 540 h is a fifteenth.


@ledger
def test_other_regions_accounts_and_sorts_are_counted_apart(events, charges):
    """
    01-01 00:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    01-01 00:00      price gcp gpu nvidia-tesla-v100 on-demand 1
    04-02 00:00      open vm-1 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-09 00:00      close vm-1 user
    04-09 00:00      open vm-2 gcp/us-west1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-16 00:00      close vm-2 user
    04-16 00:00      open vm-3 gcp/us-central1 gpu nvidia-tesla-v100 on-demand x1 acme/vision
    04-23 00:00      close vm-3 user
    = acme/vision 504
    """
    assert discounts(charges) == []
    together = [e._replace(region="us-west1") if isinstance(e, Usage) else e for e in events]
    assert discounts(bill(together, EVER, NOW).charges)
    apart = [e._replace(account=e.resource) if isinstance(e, Usage) else e for e in together]
    assert discounts(bill(apart, EVER, NOW).charges) == []


@ledger
def test_spot_and_what_is_part_of_a_machine_type_have_none(events, charges):
    """
    01-01 00:00      price gcp vcpu n1-core spot 0.01
    01-01 00:00      price gcp vcpu g2-core on-demand 0.02
    01-01 00:00      price gcp gpu nvidia-l4 on-demand 0.5
    01-01 00:00      price aws compute n1-core on-demand 1
    04-02 00:00      open vm-1 gcp/us-central1 vcpu n1-core spot x1 acme/vision
    04-28 00:00      close vm-1 user
    04-02 00:00      open vm-2 gcp/us-central1 vcpu g2-core on-demand x1 acme/vision
    04-28 00:00      close vm-2 user
    04-02 00:00      open vm-3 gcp/us-central1 gpu nvidia-l4 on-demand x1 acme/vision
    04-28 00:00      close vm-3 user
    04-02 00:00      open i-1 aws/us-east-1 compute n1-core on-demand x1 acme/vision
    04-28 00:00      close i-1 user
    = acme/vision 954.72
    """
    assert discounts(charges) == []


@ledger
def test_spot_beside_the_same_on_demand_neither_gets_nor_makes_a_discount():
    """
    01-01 00:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    01-01 00:00      price gcp gpu nvidia-tesla-t4 spot 1
    04-01 07:00      open vm-1 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-08 19:00      close vm-1 user
    04-08 19:00      open vm-2 gcp/us-central1 gpu nvidia-tesla-t4 spot x1 borealis/nlp
    04-23 19:00      close vm-2 user
    04-23 19:00      open vm-3 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    05-01 07:00      close vm-3 user
    = acme/vision 324
    = borealis/nlp 360
    """


@ledger
def test_the_month_is_los_angeles_own(events, charges):
    """
    01-01 00:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    11-01 07:00      open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    12-01 08:00      close vm user
    10-31 07:00      open vm-2 gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 borealis/nlp
    11-01 07:00      close vm-2 user
    = acme/vision 504.7
    = borealis/nlp 24
    """
    # 721 hours, all of November: 30 % off. The day before is October, and used too little.
    assert [charge.seconds for charge in discounts(charges)] == [721 * HOUR]
    march = [e._replace(start=at("03-01", "08:00"), end=at("04-01", "07:00")) for e in events[1:2]]
    found = bill([events[0], *march], EVER, NOW).charges
    assert [charge.amount for charge in found] == [-Fraction(743 * 3, 10), 743]


@ledger
def test_a_discount_goes_wherever_its_charge_goes(events, charges):
    """
    01-01 00:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    04-01 07:00      open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    04-16 07:00      switch vm borealis/nlp
    04-21 07:00      split vm 05-01 07:00 acme/vision=1 borealis/nlp=2 idle=1 absorbed
    05-01 07:00      close vm user
    = acme/vision 294
    = borealis/nlp 168
    = idle 42
    """
    # A month used whole: 70 % of 360 h + a quarter of 240 h; 120 h + a half; a quarter.
    assert len(discounts(charges)) == 5
    month = bill(events, monthly(Month(2025, 4)), NOW)
    assert month.charges == charges
    halves = [Span(at("04-01", "07:00"), at("04-11", "00:00")), Span(at("04-11", "00:00"), NOW)]
    parts = [bill(events, fixed(span), NOW) for span in halves]
    assert sum(part.total for part in parts) == total(charges) == 504
    assert all(discounts(part.charges) for part in parts)


def test_a_month_that_goes_on_counts_until_now():
    run = Usage(
        id="u", provider="gcp", account="1", region="us-central1", zone=None, resource="vm",
        kind=Kind.GPU, sku="nvidia-tesla-t4", market=Market.ON_DEMAND, quantity=Decimal(1),
        start=datetime(2025, 4, 1, 7, tzinfo=UTC), end=None, ended_by=None, project="acme/vision",
    )  # fmt: skip
    (price,) = _events("01-01 00:00 price gcp gpu nvidia-tesla-t4 on-demand 1")
    costs = []
    for hours in (180, 181, 400, 720):
        now = run.start + timedelta(hours=hours)
        costs.append(bill([run, price], fixed(Span(run.start, now)), now).total)
    assert costs == [180, Fraction("180.8"), 348, 504]


def test_without_a_price_nothing_is_taken_off():
    events = _events("04-01 07:00 open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 a/b")
    found = bill(events, EVER, NOW)
    assert [charge.kind for charge in found.charges] == ["gpu"]
    assert len(found.problems) == 1


@ledger
def test_where_the_price_changes_within_the_month_each_hour_is_discounted_at_its_own(
    events, charges
):
    """
    01-01 00:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    04-16 07:00      price gcp gpu nvidia-tesla-t4 on-demand 2
    04-01 07:00      open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    05-01 07:00      close vm user
    = acme/vision 684
    """
    # 180 + 0.8 x 180 at 1, then 0.6 x 180 + 0.4 x 180 at 2: 180 + 144 + 216 + 144. Of 1,080 in
    # the list 396 are taken off, from each hour alike.
    assert [charge.cost for charge in discounts(charges)] == [-132, -264]


@ledger
def test_without_the_price_of_the_whole_month_the_part_is_of_the_hours(events, charges):
    """
    04-11 07:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    04-16 07:00      price gcp gpu nvidia-tesla-t4 on-demand 2
    04-01 07:00      open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x1 acme/vision
    05-01 07:00      close vm user
    = acme/vision ?
    """
    assert [charge.cost for charge in discounts(charges)] == [-36, -216]


@ledger
def test_a_gpu_of_which_nothing_is_had_costs_nothing():
    """
    01-01 00:00      price gcp gpu nvidia-tesla-t4 on-demand 1
    04-01 07:00      open vm gcp/us-central1 gpu nvidia-tesla-t4 on-demand x0 acme/vision
    05-01 07:00      close vm user
    = acme/vision 0
    """


def spell(number):
    """(start, length, size) within a month of 120 seconds."""
    number, start = divmod(number, 60)
    size, length = divmod(number, 60)
    return start, length + 1, size + 1


spells = st.lists(st.integers(0, 60 * 60 * 4 - 1).map(spell), max_size=5)


@holds(
    1_200,
    drawn=spells,
    tiers=st.sampled_from([N1, N2]),
    change=st.integers(0, 120),
    prices=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_levels_are_what_counting_each_second_gives(drawn, tiers, change, prices):
    """By hand: for each second, each level in use takes the next of its own month's seconds."""
    start, month_s = datetime(2025, 4, 1, 7, tzinfo=UTC), 120

    def after(seconds):
        return start + timedelta(seconds=seconds)

    runs = [(Span(after(s), after(s + length)), Fraction(size)) for s, length, size in drawn]
    used_before = {}
    off, used, off_usd, used_usd = Fraction(0), 0, Fraction(0), 0
    for second in range(month_s):
        height = sum(size for s, length, size in drawn if s <= second < s + length)
        usd = prices[second >= change]
        for level in range(height):
            quarter = used_before.get(level, 0) // 30
            used_before[level] = used_before.get(level, 0) + 1
            used += 1
            off += tiers[quarter]
            used_usd += usd
            off_usd += tiers[quarter] * usd
    assert part_off(runs, month_s, tiers) == (off / used if used else 0)
    assert part_off(runs[::-1], month_s, tiers) == part_off(runs, month_s, tiers)
    changes = [(after(-1), Fraction(prices[0])), (after(change), Fraction(prices[1]))]
    by_price = part_off_by_price(runs, month_s, tiers, changes)
    assert by_price == (off_usd / used_usd if used else 0)


def _events(line):
    return read(line)[0]
