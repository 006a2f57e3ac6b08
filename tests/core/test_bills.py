"""The rules of the two clouds, each as a small ledger and what it comes to."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.core.bill import bill, fixed
from gpuctl.core.charges import as_aws_prints, billed_span
from gpuctl.core.events import Price, Usage
from gpuctl.core.kinds import Kind, Market, Unit
from gpuctl.core.rules import address_sku, rule_for
from gpuctl.core.span import Span
from tests.core.docledger import EVER, NOW, at, ledger, paid


@ledger
def test_spot_changes_its_price_at_the_next_hour_counted_from_launch():
    """
    03-10 09:00      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.9180
    03-10 14:40      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.9420
    03-10 15:50      price aws/us-east-1/us-east-1a compute p3.2xlarge spot 0.9615
    03-10 14:05:30   open i-1 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 acme/vision
    03-10 16:18:50   close i-1 user
    = acme/vision 2.0736666667
    """


@ledger
def test_on_demand_prices_and_googles_spot_change_at_once():
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:30      price aws compute g5 on-demand 3
    01-01 00:00      price gcp vcpu n1-core spot 1
    03-10 14:30      price gcp vcpu n1-core spot 3
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:00      open vm-1 gcp vcpu n1-core spot x1 borealis/nlp
    03-10 15:00      close i-1 user
    03-10 15:00      close vm-1 provider
    = acme/vision 2
    = borealis/nlp 2
    """


@ledger
def test_a_spot_hour_that_began_without_a_price_has_none(events, charges):
    """
    03-10 14:30      price aws compute g5 spot 1
    03-10 14:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision ?
    """
    assert [(charge.rate, charge.cost) for charge in charges] == [(None, None), (1, 1)]
    found = bill(events, EVER, NOW)
    assert found.total == 1
    assert found.problems == (
        "no price for compute g5 spot in aws from 2025-03-10T14:00:00Z: its cost is not counted",
    )


@ledger
def test_spot_never_falls_back_to_on_demand():
    """
    03-10 09:00      price aws/us-east-1/us-east-1a compute g5 on-demand 1
    03-10 14:00      open i-1 aws/us-east-1/us-east-1a compute g5 spot x1 acme/vision
    03-10 16:00      close i-1 user
    = acme/vision ?
    """


@ledger
def test_aws_charges_nothing_for_its_own_interruption_within_the_hour(events, charges):
    """
    01-01 00:00      price aws compute g5 spot 1
    01-01 00:00      price aws disk gp3 on-demand 0.744
    03-10 14:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 14:00      open vol-1 aws disk gp3 on-demand x1 acme/vision
    03-10 14:59:59   close i-1 provider
    03-10 15:00      close vol-1 provider
    = acme/vision 0.001
    """
    (run,) = [charge for charge in charges if charge.kind == "compute"]
    assert (run.cost, run.amount, run.rate, run.free) == (0, 0, 1, True)
    # A window that shows a part of it, even after its price was lost, shows nothing owed.
    part = fixed(Span(at("03-10", "14:30"), at("03-10", "14:40")))
    unpriced = [event for event in events if event.id != "p1"]
    assert [c.cost for c in bill(unpriced, part, NOW).charges if c.kind == "compute"] == [0]


@ledger
def test_from_the_first_full_hour_on_an_interruption_is_paid():
    """
    01-01 00:00      price aws compute g5 spot 1
    03-10 14:00      open i-1 aws compute g5 spot x1 acme/vision
    03-10 15:00      close i-1 provider
    03-10 14:00      open i-2 aws compute g5 spot x1 borealis/nlp
    03-10 14:42      close i-2 user
    = acme/vision 1
    = borealis/nlp 0.7
    """


@ledger
def test_a_provider_that_ends_what_is_no_spot_is_paid():
    """
    01-01 00:00      price aws compute g5 on-demand 1
    01-01 00:00      price gcp gpu t4 spot 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:30      close i-1 provider
    03-10 14:00      open vm-1 gcp gpu t4 spot x1 borealis/nlp
    03-10 14:30      close vm-1 provider
    = acme/vision 0.5
    = borealis/nlp 0.5
    """


@pytest.mark.parametrize("provider", ["aws", "gcp"])
@pytest.mark.parametrize("kind", Kind)
def test_the_minimum_minute_holds_for_these_and_nothing_else(provider, kind):
    minute = {
        "aws": {"compute", "disk", "disk-iops", "disk-throughput", "ipv4"},
        "gcp": {"compute", "vcpu", "ram", "gpu"},
    }
    assert rule_for(provider, kind).minimum_s == (60 if kind in minute[provider] else 0)
    start = at("03-10", "14:00")
    run = Usage(
        id="u", provider=provider, account="1", region=None, zone=None, resource="r", kind=kind,
        sku="x", market=Market.ON_DEMAND, quantity=Decimal(1), start=start,
        end=start + timedelta(seconds=40), ended_by=None, project=None,
    )  # fmt: skip
    assert billed_span(run, NOW).seconds == (60 if kind in minute[provider] else 40)


@ledger
def test_the_padding_is_priced_attributed_and_clipped_like_other_seconds(events, charges):
    """
    01-01 00:00      price aws compute g5 on-demand 36
    03-10 14:00:50   price aws compute g5 on-demand 360
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:00:40   switch i-1 borealis/nlp
    03-10 14:00:10   close i-1 user
    = acme/vision 0.4
    = borealis/nlp 1.1
    """
    padding = fixed(Span(at("03-10", "14:00:30"), at("03-10", "14:00:45")))
    assert paid(bill(events, padding, NOW).charges) == {
        "acme/vision": "0.1",
        "borealis/nlp": "0.05",
    }


@ledger
def test_a_month_is_the_real_one_of_each_clouds_own_clocks():
    """
    01-01 00:00      price aws disk gp3 on-demand 720
    01-01 00:00      price gcp disk pd-ssd on-demand 721
    11-01 06:30      open vol-1 aws disk gp3 on-demand x1 acme/vision
    11-01 07:30      close vol-1 user
    11-01 07:00      open disk-1 gcp disk pd-ssd on-demand x1 borealis/nlp
    11-01 08:00      close disk-1 user
    10-31 23:00      open disk-2 gcp disk pd-ssd on-demand x744 acme/audio
    11-01 00:00      close disk-2 user
    = acme/vision 1
    = borealis/nlp 1
    = acme/audio 721
    """


@ledger
def test_a_day_of_storage_costs_more_in_a_shorter_month_and_least_where_clocks_go_back():
    """
    2024-01-01 00:00  price aws disk gp3 on-demand 1
    2024-01-01 00:00  price gcp disk pd-ssd on-demand 1
    2024-02-10 00:00  open vol-1 aws disk gp3 on-demand x29 leap/february
    2024-02-11 00:00  close vol-1 user
    2025-02-10 00:00  open vol-2 aws disk gp3 on-demand x28 plain/february
    2025-02-11 00:00  close vol-2 user
    2025-03-10 00:00  open vol-3 aws disk gp3 on-demand x31 utc/march
    2025-03-11 00:00  close vol-3 user
    2025-03-20 00:00  open d-1 gcp disk pd-ssd on-demand x743 pacific/march
    2025-03-20 01:00  close d-1 user
    2025-11-20 00:00  open d-2 gcp disk pd-ssd on-demand x721 pacific/november
    2025-11-20 01:00  close d-2 user
    2025-04-20 00:00  open d-3 gcp disk pd-ssd on-demand x720 pacific/april
    2025-04-20 01:00  close d-3 user
    = leap/february 1
    = plain/february 1
    = utc/march 1
    = pacific/march 1
    = pacific/november 1
    = pacific/april 1
    """


@ledger
def test_each_start_has_its_own_minimum_on_both_clouds():
    """
    01-01 00:00      price aws compute g5 on-demand 60
    01-01 00:00      price gcp vcpu n1-core on-demand 60
    01-01 00:00      price gcp disk pd-ssd on-demand 2592000
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 14:00:20   close i-1 user
    03-10 15:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 15:00:59   close i-1 user
    03-10 16:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:01:01   close i-1 user
    03-10 14:00      open vm-1 gcp vcpu n1-core on-demand x1 borealis/nlp
    03-10 14:00:20   close vm-1 user
    03-10 15:00      open vm-1 gcp vcpu n1-core on-demand x1 borealis/nlp
    03-10 15:00:20   close vm-1 user
    04-10 15:00      open disk-1 gcp disk pd-ssd on-demand x1 acme/audio
    04-10 15:00:20   close disk-1 user
    = acme/vision 3.0166666667
    = borealis/nlp 2
    = acme/audio 20
    """


@ledger
def test_an_address_costs_what_its_state_costs_and_its_machine_is_bought_as():
    """
    01-01 00:00      price aws ipv4 in-use on-demand 0.005
    01-01 00:00      price aws ipv4 idle on-demand 0.005
    01-01 00:00      price gcp ipv4 in-use on-demand 0.005
    01-01 00:00      price gcp ipv4 in-use-spot on-demand 0.0025
    01-01 00:00      price gcp ipv4 idle on-demand 0.01
    03-10 00:00      open eip-1 aws ipv4 in-use on-demand x1 acme/vision
    03-11 00:00      close eip-1 user
    03-11 00:00      open eip-1 aws ipv4 idle on-demand x1 acme/vision
    03-12 00:00      close eip-1 user
    03-10 00:00      open ip-1 gcp ipv4 in-use on-demand x1 borealis/nlp
    03-11 00:00      close ip-1 user
    03-11 00:00      open ip-1 gcp ipv4 idle on-demand x1 borealis/nlp
    03-12 00:00      close ip-1 user
    03-10 00:00      open ip-2 gcp ipv4 in-use-spot spot x1 acme/audio
    03-11 00:00      close ip-2 user
    = acme/vision 0.24
    = borealis/nlp 0.36
    = acme/audio 0.06
    """
    assert address_sku("gcp", Market.SPOT) == "in-use-spot"
    assert address_sku("gcp", Market.ON_DEMAND) == "in-use"
    assert {address_sku("aws", market) for market in Market} == {"in-use"}


@ledger
def test_the_free_traffic_is_the_whole_accounts_and_each_account_has_its_own(events, charges):
    """
    01-01 00:00      price aws egress internet on-demand 1
    03-05 00:00      open net-1 aws/us-east-1 egress internet on-demand x110 acme/vision
    03-06 00:00      close net-1 user
    03-05 00:00      open net-2 aws/eu-west-1 egress internet on-demand x27.5 borealis/nlp
    03-06 00:00      close net-2 user
    = acme/vision 30
    = borealis/nlp 7.5
    """
    apart = [e._replace(account=e.resource) if isinstance(e, Usage) else e for e in events]
    assert paid(bill(apart, EVER, NOW).charges) == {"acme/vision": "10", "borealis/nlp": "0"}


@ledger
def test_traffic_is_spread_evenly_and_its_first_hundred_gb_a_month_are_free(events, charges):
    """
    01-01 00:00      price aws egress internet on-demand 0.09
    03-31 00:00      open net-1 aws egress internet on-demand x400 acme/vision
    04-02 00:00      close net-1 user
    04-10 00:00      open net-2 aws egress internet on-demand x200 borealis/nlp
    04-10 00:00      close net-2 user
    = acme/vision 22.5
    = borealis/nlp 13.5
    """
    # 200 GB in March, 100 over; 400 GB in April, three quarters over: 9 + 13.5, and 13.5.
    assert [charge.cost for charge in charges] == [9, Fraction("13.5"), Fraction("13.5")]
    assert {charge.seconds for charge in charges} == {86_400, 1}


@ledger
def test_cross_az_has_no_allowance_and_google_none_at_all():
    """
    01-01 00:00      price aws cross-az both on-demand 0.01
    01-01 00:00      price gcp egress internet on-demand 0.12
    03-05 00:00      open net-1 aws cross-az both on-demand x80 acme/vision
    03-15 00:00      close net-1 user
    03-05 00:00      open net-2 gcp egress internet on-demand x10 borealis/nlp
    03-15 00:00      close net-2 user
    = acme/vision 0.8
    = borealis/nlp 1.2
    """


@ledger
def test_hourly_rows_of_spot_follow_its_own_hours_and_others_the_clock(events, charges):
    """
    01-01 00:00      price aws compute g5 spot 1
    01-01 00:00      price aws ipv4 in-use on-demand 0.005
    03-10 14:20      open i-1 aws compute g5 spot x1 acme/vision
    03-10 16:30      close i-1 user
    03-10 14:20      open eni-1 aws ipv4 in-use on-demand x1 acme/vision
    03-10 16:30      close eni-1 user
    = acme/vision 2.1775
    """
    rows = list(as_aws_prints(charges))
    assert [r.seconds for r in rows if r.kind == "compute"] == [3600, 3600, 600]
    assert [r.seconds for r in rows if r.kind == "ipv4"] == [2400, 3600, 1800]
    assert sum(r.cost for r in rows) == sum(c.cost for c in charges)


def test_a_kind_on_an_unknown_cloud_has_a_plain_rule():
    rule = rule_for("lambda", Kind.GPU)
    assert (rule.unit, rule.minimum_s, rule.waived_within_s) == (Unit.HOUR, 0, 0)
    assert datetime(2025, 3, 10, tzinfo=UTC) in Span(at("03-10", "00:00"), at("03-11", "00:00"))


def test_spot_rows_as_aws_prints_them_are_hours_from_launch_whatever_the_window():
    launch = datetime(2025, 3, 10, 14, 5, 30, tzinfo=UTC)
    run = Usage(
        id="u", provider="aws", account="1", region="us-east-1", zone="us-east-1a",
        resource="i-1", kind=Kind.COMPUTE, sku="p3.2xlarge", market=Market.SPOT,
        quantity=Decimal(1), start=launch, end=launch + timedelta(hours=2, minutes=13),
        ended_by=None, project=None,
    )  # fmt: skip
    price = Price(
        id="p", provider="aws", region=None, zone=None, kind=Kind.COMPUTE, sku="p3.2xlarge",
        market=Market.SPOT, unit=Unit.HOUR, usd=Decimal("0.9"), since=launch,
    )  # fmt: skip
    late = Span(launch + timedelta(minutes=20), launch + timedelta(hours=9))
    rows = as_aws_prints(bill([run, price], fixed(late), late.end).charges)
    assert [row.seconds for row in rows] == [40 * 60, 3600, 13 * 60]
