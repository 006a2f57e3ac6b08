"""Sums that cost tools of this kind are known to get wrong: each is named for what goes wrong.

The wrong figure stands in each test beside the arithmetic of the right one, and is ruled out.
The prices are 1.40 an hour for spot and 3.06 on demand.
"""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.core.bill import bill, fixed
from gpuctl.core.events import Ended, Intent, Leased, Price, Usage
from gpuctl.core.kinds import EndedBy, Evidence
from gpuctl.core.report import Terms, report
from gpuctl.core.span import Span
from gpuctl.core.tally import total
from tests.core.docledger import EVER, NOW, at, ledger, read

HOUR = timedelta(hours=1)


def at_cost(project):
    return Terms()


def run_of(events, kind="compute"):
    (run,) = [event for event in events if isinstance(event, Usage) and event.kind == kind]
    return run


def ended(run, after, by, evidence):
    return Ended(
        id=f"e/{after}/{evidence}", usage=run.id, end=run.start + after, ended_by=by,
        evidence=evidence,
    )  # fmt: skip


def test_stop_then_down_does_not_bill_the_time_in_between():
    """2 h up, stopped, taken down 48 h later: 2 x 1.40 = 2.80, not 50 x 1.40 = 70.00."""
    events, _ = read(
        """
        03-01 00:00   price aws compute p3.2xlarge on-demand 1.40
        03-10 10:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
        """
    )
    run = run_of(events)
    stopped = ended(run, 2 * HOUR, EndedBy.USER, Evidence.STATE_REASON)
    taken_down = ended(run, 50 * HOUR, EndedBy.USER, Evidence.STATE_REASON)
    for order in ([stopped, taken_down], [taken_down, stopped]):
        found = bill([*events, *order], EVER, NOW)
        assert found.total == 2 * Fraction("1.40") == Fraction("2.80")
    # The disk of the stopped machine goes on all the while: 100 x 0.08 x 50 h of 744.
    disk, _ = read(
        """
        03-01 00:00   price aws disk gp3 on-demand 0.08
        03-10 10:00   open vol-1 aws disk gp3 on-demand x100 acme/vision
        03-12 12:00   close vol-1 user
        """
    )
    assert bill(disk, EVER, NOW).total == Fraction(8 * 50, 744)


def test_what_is_over_is_never_priced_again_when_the_price_moves():
    """10 h at 1.40 = 14.00 stays 14.00 when the price of today is 0.70; it never becomes 7.00."""
    events, _ = read(
        """
        03-01 00:00   price aws/us-east-1/us-east-1a compute p3.2xlarge spot 1.40
        03-10 10:00   open i-1 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 acme/vision
        03-10 20:00   close i-1 user
        """
    )
    (before,) = [event for event in events if isinstance(event, Price)]
    assert bill(events, EVER, NOW).total == 14
    moved = before._replace(id="p-today", usd=Decimal("0.70"), since=at("03-11", "00:00"))
    assert bill([*events, moved], EVER, NOW).total == 14
    assert bill([moved, *events], EVER, NOW).total == 14


def test_an_unknown_price_is_not_nothing():
    """A type that no list has costs an unknown sum, which is said: not 0.00 within a total."""
    events, _ = read(
        """
        03-01 00:00   price aws compute g5.xlarge on-demand 1.40
        03-10 10:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
        03-10 12:00   close i-1 user
        03-10 10:00   open i-2 aws compute g5.xlarge on-demand x1 acme/vision
        03-10 12:00   close i-2 user
        """
    )
    found = bill(events, EVER, NOW)
    assert sorted((c.sku, c.rate, c.cost) for c in found.charges) == [
        ("g5.xlarge", Decimal("1.40"), Fraction("2.80")),
        ("p3.2xlarge", None, None),
    ]
    (problem,) = found.problems
    assert problem.startswith("no price for compute p3.2xlarge on-demand in aws from 2025-03-10T10")


def test_a_window_cuts_a_long_run_and_does_not_only_choose_it():
    """Alive from 60 days ago until yesterday: of 1,416 h = 1,982.40 a week has 144 h = 201.60."""
    now = at("06-30", "00:00")
    events, _ = read(
        """
        01-01 00:00   price aws compute p3.2xlarge on-demand 1.40
        05-01 00:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
        06-29 00:00   close i-1 user
        """
    )
    assert bill(events, EVER, now).total == 1_416 * Fraction("1.40") == Fraction("1982.40")
    week = fixed(Span(now - timedelta(days=7), now))
    assert bill(events, week, now).total == 144 * Fraction("1.40") == Fraction("201.60")


@pytest.mark.parametrize("days", [30, 365])
def test_all_is_all_and_not_the_last_thirty_days(days):
    """What ran 100 days ago is in every span that holds it, and in no other."""
    now = at("06-30", "00:00")
    events, _ = read(
        """
        01-01 00:00   price aws compute p3.2xlarge on-demand 1.40
        03-22 00:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
        03-22 10:00   close i-1 user
        """
    )
    span = fixed(Span(now - timedelta(days=days), now))
    assert bill(events, span, now).total == (14 if days == 365 else 0)


def test_the_total_is_of_all_sessions_and_not_of_those_that_are_shown():
    """8 sessions of 10 h: 8 x 14.00 = 112.00, not the first five's 70.00."""
    lines = ["03-01 00:00 price aws compute p3.2xlarge on-demand 1.40"]
    for day in range(10, 18):
        lines.append(f"03-{day} 10:00 open i-{day} aws compute p3.2xlarge on-demand x1 acme/vision")
        lines.append(f"03-{day} 20:00 close i-{day} user")
    events, _ = read("\n".join(lines))
    found = bill(events, EVER, NOW)
    assert (len(found.charges), found.total) == (8, 112)
    figures = report(found.charges, at_cost)
    assert (figures.total, figures.accounts[0].lines[0].sessions) == (112, 8)


def test_disks_addresses_snapshots_and_traffic_are_not_free():
    """The same day with 100 GB and with 5 TB: 0.08 x 4,900 / 31 = 12.645… apart, not nothing."""
    costs = []
    for size in (100, 5_000):
        events, _ = read(
            f"""
            03-01 00:00   price aws compute p3.2xlarge on-demand 3.06
            03-01 00:00   price aws disk gp3 on-demand 0.08
            03-01 00:00   price aws ipv4 in-use on-demand 0.005
            03-01 00:00   price aws snapshot standard on-demand 0.05
            03-01 00:00   price aws cross-az both on-demand 0.01
            03-10 00:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
            03-11 00:00   close i-1 user
            03-10 00:00   open vol-1 aws disk gp3 on-demand x{size} acme/vision
            03-11 00:00   close vol-1 user
            03-10 00:00   open eni-1 aws ipv4 in-use on-demand x1 acme/vision
            03-11 00:00   close eni-1 user
            03-10 00:00   open snap-1 aws snapshot standard on-demand x31 acme/vision
            03-11 00:00   close snap-1 user
            03-10 00:00   open net-1 aws cross-az both on-demand x80 acme/vision
            03-11 00:00   close net-1 user
            """
        )
        costs.append(bill(events, EVER, NOW).total)
    machine, address = 24 * Fraction("3.06"), 24 * Fraction("0.005")
    assert costs[0] == machine + Fraction(8, 31) + address + Fraction("0.05") + Fraction("0.80")
    assert costs[1] - costs[0] == Fraction("0.08") * 4_900 / 31


def test_an_interruption_ends_when_it_ended_and_not_when_somebody_looked():
    """Taken by AWS after 30 min, seen 64 h later: 0, by its first hour, not 64 x 1.40 = 89.60."""
    events, _ = read(
        """
        03-01 00:00   price aws/us-east-1/us-east-1a compute p3.2xlarge spot 1.40
        03-07 17:00   open i-1 aws/us-east-1/us-east-1a compute p3.2xlarge spot x1 acme/vision
        """
    )
    run = run_of(events)
    looked = ended(run, 64 * HOUR, None, Evidence.HEARTBEAT)
    taken = ended(run, HOUR / 2, EndedBy.PROVIDER, Evidence.STATE_REASON)
    found = bill([*events, looked, taken], EVER, NOW)
    assert (found.total, found.problems) == (0, ())
    assert [(c.free, c.seconds) for c in found.charges] == [(True, 1_800)]
    # Had the user ended it: 0.5 x 1.40. Had nobody ever known better: a guess, and said to be.
    by_user = ended(run, HOUR / 2, EndedBy.USER, Evidence.STATE_REASON)
    assert bill([*events, looked, by_user], EVER, NOW).total == Fraction("0.70")
    (doubt,) = bill([*events, looked], EVER, NOW).problems
    assert "is uncertain" in doubt


def test_waiting_for_a_machine_is_not_billed():
    """2 h in the queue and 1 h running: 1 x 3.06 = 3.06, not 3 x 3.06 = 9.18."""
    events, _ = read(
        """
        03-01 00:00   price aws compute p3.2xlarge on-demand 3.06
        03-10 12:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
        03-10 13:00   close i-1 user
        """
    )
    asked = at("03-10", "10:00")
    lease = Leased(
        id="l1", name="vision-1", project="acme/vision", provider="aws", account="1",
        template="gpu", at=asked, deadline=asked + 8 * HOUR, ceiling=asked + 24 * HOUR,
    )  # fmt: skip
    tried = Intent(id="t1", lease="l1", verb="start", at=asked)
    found = bill([lease, tried, *events], EVER, NOW)
    assert found.total == Fraction("3.06")
    assert [charge.start for charge in found.charges] == [asked + 2 * HOUR]


@ledger
def test_two_on_one_machine_do_not_each_pay_for_all_of_it(events, charges):
    """An hour of a machine that two share evenly: 2 x 1.53 = 3.06, not 2 x 3.06 = 6.12.

    03-01 00:00   price aws compute p3.2xlarge on-demand 3.06
    03-10 10:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
    03-10 10:00   split i-1 03-10 11:00 acme/vision=1 borealis/nlp=1
    03-10 11:00   close i-1 user
    = acme/vision 1.53
    = borealis/nlp 1.53
    """
    assert total(charges) == Fraction("3.06")


@ledger
def test_the_idle_time_of_a_machine_is_somebodys(events, charges):
    """An hour's work on a machine that then waits three days: 73 h, of which 72 are idle, and said.

    03-01 00:00   price aws compute p3.2xlarge on-demand 3.06
    03-10 10:00   open i-1 aws compute p3.2xlarge on-demand x1 acme/vision
    03-10 11:00   switch i-1 nobody
    03-13 11:00   close i-1 user
    = acme/vision 3.06
    = nobody 220.32
    """
    figures = report(charges, at_cost)
    assert (figures.unattributed, figures.total) == (Decimal("220.32"), Decimal("223.38"))
