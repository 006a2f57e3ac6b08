"""The ledger beside a bill: what agrees, what differs and why, what only one side knows."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, fixed
from gpuctl.core.billed import Category
from gpuctl.core.errors import UsageProblem
from gpuctl.core.events import Settle, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market
from gpuctl.core.reconcile import Asking, reconcile
from gpuctl.core.reconciliation import PARTS
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span, day_span
from gpuctl.core.tally import total
from tests.core.billdays import beside, billed, hour
from tests.core.docledger import EVER, NOW, read
from tests.core.stories import PROJECTS, RESOURCES, after, amounts, now, stories

CUR = Asking(source="cur.csv")


def events_of(text):
    """A ledger in the words of docledger."""
    return read(text)[0]


HOUR = events_of(
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    """
)
SHARED = events_of(
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 15:00      switch i-1 borealis/nlp
    03-10 16:00      close i-1 user
    03-10 14:00      open i-2 aws compute g5 on-demand x1 borealis/nlp
    03-10 16:00      close i-2 user
    """
)


def compare(days, events=HOUR, now=NOW, **asking):
    return reconcile(days, events, now, CUR._replace(**asking))


def reasons(found):
    return [item.reason for item in found.unmatched]


# Matching.


def test_what_agrees_is_settled_without_a_difference():
    found = compare([billed("2", hours="2")])
    (match,) = found.matched
    assert (match.difference, match.reason, match.by) == (0, None, "resource")
    assert (found.gap, found.unmatched, found.findings(Fraction(0))) == (0, (), 0)
    (fact,) = found.settles
    assert fact._replace(id="") == Settle(
        id="", provider="aws", account="1", resource="i-1", kind=Kind.COMPUTE,
        since=hour("03-10", "00:00"), until=hour("03-11", "00:00"), billed=Decimal(2),
        at=NOW, source="cur.csv",
    )  # fmt: skip


def test_rows_of_one_day_are_one_whatever_their_sku():
    found = compare([billed("1.5", sku="a"), billed("0.25", sku="b", invoice="INV-1")])
    (fact,) = found.settles
    assert (fact.billed, fact.invoice, found.rows) == (Decimal("1.75"), "INV-1", 2)
    assert found.gap == Fraction("-0.25")


def test_the_same_bill_again_adds_nothing_and_another_does():
    first = compare([billed("3")])
    events = [*HOUR, *first.settles]
    again = compare([billed("3.000")], events, now=NOW + timedelta(1))
    assert (again.settles, again.gap, again.ledger_total) == ([], 0, 3)
    other = compare([billed("2.5")], events, now=NOW + timedelta(1))
    assert [fact.billed for fact in other.settles] == [Decimal("2.5")]
    assert other.matched[0].difference == Fraction("-0.5")
    assert other.matched[0].reckoned.estimate == 2
    assert other.matched[0].reason == "an earlier bill asked 3"
    third = compare([billed("3")], [*events, *other.settles], now=NOW + timedelta(2))
    assert len({fact.id for fact in (*first.settles, *other.settles, *third.settles)}) == 3


def test_ids_come_from_content():
    assert compare([billed("3")]).settles == compare([billed("3")]).settles
    assert compare([billed("3")]).settles[0].id != compare([billed("4")]).settles[0].id


def test_a_path_that_ends_in_the_name_is_the_name():
    arn = "arn:aws:ec2:us-east-1:1:instance/i-1"
    assert len(compare([billed("2", arn)]).settles) == 1


def google(*resources):
    """A machine on Google: its number, and an address that is another one at each start."""
    run = next(e for e in HOUR if isinstance(e, Usage))
    machine = {"provider": "gcp", "machine": "gcp:us-central1-a:borealis-1"}
    cores = run._replace(resource="4711", kind=Kind.VCPU, **machine)
    addresses = [
        run._replace(
            id=f"ip{n}", resource=resource, kind=Kind.IPV4, start=start, end=end, **machine
        )
        for n, (resource, start, end) in enumerate(resources)
    ]
    price = next(e for e in HOUR if not isinstance(e, Usage))._replace(provider="gcp")
    return [
        cores, *addresses, price._replace(kind=Kind.VCPU),
        price._replace(id="p9", kind=Kind.IPV4),
    ]  # fmt: skip


EARLY = (hour("03-10", "14:00"), hour("03-10", "15:00"))
LATE = (hour("03-10", "15:00"), hour("03-10", "18:00"))
NEXT = (hour("03-12", "14:00"), hour("03-12", "15:00"))


@pytest.mark.parametrize("name", ["borealis-1", "projects/p/zones/z/instances/borealis-1", "4711"])
def test_google_names_a_machine_where_the_ledger_has_its_number_or_its_address(name):
    events = google(("34.1.1.1", *EARLY), ("34.2.2.2", *LATE), ("34.3.3.3", *NEXT))
    cores = billed("2", name, "vcpu", provider="gcp")
    addresses = [
        billed(cost, name, "ipv4", day, provider="gcp")
        for cost, day in (("8", "03-10"), ("3", "03-12"))
    ]
    found = compare([cores, *addresses], events)
    assert {(fact.resource, fact.kind.value, fact.billed) for fact in found.settles} == {
        ("4711", "vcpu", 2),
        ("34.1.1.1", "ipv4", 2),
        ("34.2.2.2", "ipv4", 6),
        ("34.3.3.3", "ipv4", 3),
    }
    assert {match.by for match in found.matched} == {"resource"}
    assert (found.bill_total, found.ledger_total) == (13, 7)


def test_a_part_of_a_known_machine_that_the_ledger_lacks_is_ours():
    found = compare([billed("1", "borealis-1", "disk", provider="gcp")], google())
    item = next(item for item in found.unmatched if item.side == "bill")
    assert (item.ours, item.projects) == (True, ("acme/vision",))
    assert "counts vcpu of it alone" in item.reason


def test_a_days_end_is_the_providers_own():
    events = events_of(
        """
        01-01 00:00      price gcp vcpu n1 on-demand 1
        03-10 06:00      open 42 gcp vcpu n1 on-demand x1 acme/vision
        03-10 08:00      close 42 user
        """
    )
    ninth = billed("1", "42", "vcpu", "03-09", provider="gcp")
    tenth = billed("1", "42", "vcpu", "03-10", provider="gcp")
    found = compare([ninth, tenth], events)
    # Clocks went forward on the ninth: its day has 23 hours and ends at 07:00Z.
    assert [(m.reckoned.day.day, m.difference) for m in found.matched] == [(9, 0), (10, 0)]
    assert next(fact.until for fact in found.settles) == hour("03-10", "07:00")


# Tags, where the bill names no resource.


def test_one_resource_of_a_project_is_found_by_its_tag():
    found = compare([billed("2.5", None, project="acme/vision")])
    assert [(m.by, m.billed) for m in found.matched] == [("tag", Fraction("2.5"))]
    assert [fact.resource for fact in found.settles] == ["i-1"]


def test_what_hangs_together_is_shared_exactly():
    days = [
        billed("1", None, project="acme/vision"),
        billed("4", None, project="borealis/nlp"),
        billed("9", None, project="acme/audio"),
    ]
    found = compare(days, SHARED)
    assert {fact.resource: fact.billed for fact in found.settles} == {
        "i-1": Decimal("2.5"),
        "i-2": Decimal("2.5"),
    }
    assert [(i.projects, i.cost, i.ours) for i in found.unmatched] == [(("acme/audio",), 9, True)]
    assert "nothing of acme/audio ran" in reasons(found)[0]


def test_thirds_add_up():
    usages = [e for e in HOUR if isinstance(e, Usage)]
    three = [usages[0]._replace(id=f"u{n}", resource=f"i-{n}") for n in range(3)]
    events = [e for e in HOUR if not isinstance(e, Usage)] + three
    found = compare([billed("1", None, project="acme/vision")], events)
    assert sum(fact.billed for fact in found.settles) == 1
    assert sum(match.billed for match in found.matched) == 1
    assert found.gap == -5


def test_without_a_price_units_share_and_without_units_each_gets_the_same():
    usages = [e for e in SHARED if not hasattr(e, "usd")]
    days = [billed("1", None, project="acme/vision"), billed("4", None, project="borealis/nlp")]
    found = compare(days, usages)
    assert {fact.billed for fact in found.settles} == {Decimal("2.5")}
    free = [
        e._replace(market=Market.SPOT, ended_by=EndedBy.PROVIDER, end=hour("03-10", "14:01"))
        if isinstance(e, Usage) else e
        for e in SHARED
    ]  # fmt: skip
    found = compare([billed("4", None, project="borealis/nlp")], [e for e in free if e.id != "s3"])
    assert [fact.billed for fact in found.settles] == [Decimal(4)]


def test_with_neither_id_nor_tag_nothing_is_known():
    found = compare([billed("2", None)])
    assert (found.settles, [item.ours for item in found.unmatched]) == ([], [True, False])
    assert "neither id nor tag" in reasons(found)[1]


# Only one side knows.


def test_usage_of_others_is_summed_and_is_no_finding():
    days = [billed("5", "i-9"), billed("6", "i-8", day="03-12"), billed("2")]
    found = compare(days)
    (other,) = found.unmatched
    assert (other.cost, other.ours, other.days) == (11, False, 3)
    assert (other.first.day, other.last.day) == (10, 12)
    assert (found.parts["not_ours"], found.gap, found.findings(Fraction(0))) == (11, 11, 0)


def test_usage_of_others_at_two_rates_is_one_line():
    euros = {"currency": "EUR", "kind": "compute", "resource": "i-9"}
    days = [
        billed("2", day="03-12", per_usd=Decimal(2), **euros),
        billed("3", day="03-10", per_usd=Decimal(3), **euros),
        billed("3", day="03-09", per_usd=Decimal(3), **euros),
    ]
    (other,) = (item for item in compare(days).unmatched if not item.ours)
    assert (other.cost, other.first.day, other.last.day) == (3, 9, 12)


@pytest.mark.parametrize(
    ("resource", "kind", "reason"),
    [
        ("i-9", "compute", "the ledger never saw: made by hand"),
        ("vol-9", "disk", "came and went between two looks"),
        ("eni-9", "ipv4", "an address with our tag"),
        ("4712", "gpu", "a machine with our label that the ledger never saw"),
        ("vol-9", "disk-iops", "it has our tag, and the ledger never saw it"),
        ("snap-9", "snapshot", "only where they were imported"),
        ("i-9", "egress", "does not measure traffic"),
        ("x-9", None, "does not count this kind of thing"),
    ],
)
def test_what_carries_our_tag_is_ours(resource, kind, reason):
    found = compare([billed("2"), billed("1", resource, kind, project="acme/vision")])
    (item,) = found.unmatched
    assert (item.ours, item.cost, item.projects, item.side) == (True, 1, ("acme/vision",), "bill")
    assert reason in item.reason
    assert found.findings(Fraction(0)) == 1


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("egress", "does not measure traffic"),
        ("ipv4", "the ledger counts compute of it alone"),
        (None, "the ledger counts compute of it alone"),
    ],
)
def test_other_kinds_of_what_we_know_are_ours(kind, reason):
    found = compare([billed("2"), billed("1", "i-1", kind)])
    (item,) = found.unmatched
    assert reason in item.reason
    assert item.projects == ("acme/vision",)
    assert found.parts["not_in_ledger"] == 1


def test_a_resource_that_is_billed_longer_than_the_ledger_has_it():
    found = compare([billed("2"), billed("24", day="03-11"), billed("24", day="03-12")])
    (item,) = found.unmatched
    assert (item.days, item.cost, item.kind) == (2, 48, Kind.COMPUTE)
    assert "its end is wrong, or it was kept" in item.reason


def test_the_last_minutes_of_a_run_may_be_billed_after_midnight():
    late = [
        e._replace(start=hour("03-10", "20:00"), end=hour("03-10", "23:58"))
        if isinstance(e, Usage) else e._replace(usd=Decimal(30))
        for e in SHARED if not hasattr(e, "at")
    ]  # fmt: skip
    days = [billed("119"), billed("1.5", day="03-11"), billed("119", "i-2")]
    found = compare(days, late)
    assert (found.unmatched, len(found.settles)) == ((), 3)
    assert found.gap == Fraction("1.5") == sum(found.parts.values())
    rest = next(match for match in found.matched if match.reckoned.day.day == 11)
    assert (rest.difference, rest.reason) == (Fraction("1.5"), "past midnight, on the bill")
    events = [*late, *found.settles]
    assert bill(events, EVER, NOW).total == Fraction("239.5")
    assert compare(days, events).settles == []
    # Six minutes are more than clocks differ by, and an hour's end is no midnight.
    assert len(compare([billed("119"), billed("3", day="03-11")], late).unmatched) > 0
    assert len(compare([billed("2"), billed("0.05", day="03-11")]).unmatched) == 1


def test_less_than_half_a_cent_is_no_finding():
    found = compare([billed("2"), billed("0.0049", "i-1", "egress")])
    assert (len(found.unmatched), found.findings(Fraction(0))) == (1, 0)


def ledger_alone(events, days, **how):
    """What the ledger alone has, beside some other usage that spans the bill's days."""
    found = compare(days, events, **how)
    return [item for item in found.unmatched if item.side == "ledger"]


OTHERS = [billed("1", "i-9", day=f"03-{day:02}") for day in range(1, 31)]


def test_a_run_that_the_bill_does_not_know_is_a_finding():
    (item,) = ledger_alone(HOUR, OTHERS)
    assert (item.cost, item.expected, item.is_finding) == (2, False, True)
    assert "the bill does not know it" in item.reason
    assert compare(OTHERS).parts["not_on_bill"] == -2


@pytest.mark.parametrize(
    ("change", "reason", "expected"),
    [
        ({"evidence": Evidence.DEADLINE}, "uncertain", False),
        ({"kind": Kind.IPV4}, "no ipv4 at all", False),
        (
            {
                "market": Market.SPOT,
                "ended_by": EndedBy.PROVIDER,
                "end": hour("03-10", "14:30"),
            },
            "first hour",
            True,
        ),
    ],
)
def test_why_the_bill_may_not_know_it(change, reason, expected):
    events = [e._replace(**change) if isinstance(e, Usage) else e for e in HOUR]
    (item,) = ledger_alone(events, OTHERS)
    assert reason in item.reason
    assert item.expected is expected


def test_seconds_before_midnight_are_billed_after_it():
    late = [e._replace(start=hour("03-10", "23:58"), end=hour("03-11", "02:00"))
            if isinstance(e, Usage) else e._replace(usd=Decimal(30)) for e in HOUR]  # fmt: skip
    found = compare([billed("60", day="03-11"), billed("1", "i-9", day="03-10")], late)
    (item,) = (item for item in found.unmatched if item.side == "ledger")
    assert (item.cost, item.is_finding) == (1, False)
    assert item.reason == "billed from running, which was after midnight"
    longer = [e._replace(start=hour("03-10", "23:50")) if isinstance(e, Usage) else e for e in late]
    found = compare([billed("60", day="03-11"), billed("1", "i-9", day="03-10")], longer)
    assert next(i for i in found.unmatched if i.side == "ledger").is_finding


def test_what_costs_nothing_need_not_be_billed():
    events = [e._replace(usd=Decimal(0)) if hasattr(e, "usd") else e for e in HOUR]
    (item,) = ledger_alone(events, OTHERS)
    assert (item.reason, item.is_finding) == ("it costs nothing", False)


def test_a_missing_price_is_a_finding_though_its_cost_is_not_known():
    events = [e for e in HOUR if not hasattr(e, "usd")]
    (item,) = ledger_alone(events, OTHERS)
    assert (item.cost, item.is_finding) == (None, True)


def test_outside_the_days_of_the_bill_nothing_is_counted_or_wrong():
    (item,) = ledger_alone(HOUR, [billed("1", "i-9", day="03-20")])
    assert (item.counted, item.expected, item.reason) == (
        False, True, "outside the days that the bill has",
    )  # fmt: skip
    found = compare([billed("1", "i-9", day="03-20")])
    assert (found.ledger_total, found.gap) == (0, 1)
    # A month that is named is compared whole.
    found = compare([billed("1", "i-9", day="03-20")], month=Month(2025, 3))
    assert (found.ledger_total, found.gap) == (2, -1)
    assert [item.counted for item in found.unmatched if item.side == "ledger"] == [True]


def test_the_bill_of_other_months_is_left_out():
    found = compare([billed("2"), billed("7", "i-9", day="04-01")], month=Month(2025, 3))
    assert (found.bill_total, found.rows) == (2, 1)


# Bills that are not final.


@pytest.mark.parametrize(("provider", "days"), [("aws", 1), ("gcp", 5)])
def test_a_day_is_settled_when_its_rows_have_arrived(provider, days):
    events = [e._replace(provider=provider) for e in HOUR if not hasattr(e, "at")]
    end = day_span(date(2025, 3, 10), billing_zone(provider)).end
    row = billed("1", provider=provider)
    early = compare([row], events, now=end + timedelta(days=days) - timedelta(seconds=1))
    (match,) = early.matched
    assert (early.settles, match.final, match.reason) == (
        [],
        False,
        "the bill of that day is not final yet",
    )
    assert early.findings(Fraction(0)) == 0
    assert len(compare([row], events, now=end + timedelta(days=days)).settles) == 1


def test_the_ledger_alone_has_what_is_not_billed_yet():
    now = hour("03-11", "12:00")
    items = ledger_alone(HOUR, [billed("1", "i-9")], now=now)
    assert [(i.expected, i.reason) for i in items] == [
        (True, "the bill of that day is not final yet")
    ]


def test_a_bill_that_was_made_while_it_ran_settles_nothing():
    row = billed("1", end=hour("03-10", "14:30"))
    found = compare([row])
    assert (found.settles, found.matched[0].final) == ([], False)
    assert len(compare([billed("2", end=hour("03-10", "16:00"))]).settles) == 1
    doubtful = [e._replace(evidence=Evidence.DEADLINE) if isinstance(e, Usage) else e for e in HOUR]
    assert len(compare([row], doubtful).settles) == 1
    items = ledger_alone(HOUR, [billed("1", "i-9", end=hour("03-10", "12:00"))])
    assert items[0].reason == "the bill ends at 2025-03-10T12:00:00Z, before it"


# Why.


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (billed("2.4", hours="2"), "price: 1.2 billed, 1 in the ledger"),
        (
            billed("1.99", hours="1.99"),
            "seconds: billed from running, the ledger counts from launch (-36 s)",
        ),
        (billed("1", hours="1"), "time: -3600 s on the bill"),
        (
            billed("1.2", hours="1"),
            "price: 1.2 billed, 1 in the ledger; and time: -3600 s on the bill",
        ),
        (billed("2.000001", hours="2"), "rounding of quantities in the bill"),
        (
            billed("0", hours="2"),
            "billed at nothing: a free tier, or interrupted in the first hour",
        ),
        (billed("2.5"), "price, or how long it ran"),
        (billed("2.5", hours="2", unit="Lightyears"), "price, or how long it ran"),
    ],
)
def test_the_likeliest_reason_is_told(row, reason):
    (match,) = compare([row]).matched
    assert match.reason == reason


def test_reasons_that_lie_in_the_ledger():
    (match,) = compare([billed("2", hours="2")], [e for e in HOUR if not hasattr(e, "usd")]).matched
    assert match.reason == "the ledger has no price for it"
    doubtful = [e._replace(evidence=Evidence.DEADLINE) if isinstance(e, Usage) else e for e in HOUR]
    (match,) = compare([billed("1", hours="1")], doubtful).matched
    assert match.reason == "its end is uncertain in the ledger (-3600 s)"
    (match,) = compare([billed("1")], doubtful).matched
    assert match.reason == "its end is uncertain in the ledger"
    waived = [
        e._replace(market=Market.SPOT, ended_by=EndedBy.PROVIDER, end=hour("03-10", "14:30"))
        if isinstance(e, Usage) else e
        for e in HOUR
    ]  # fmt: skip
    (match,) = compare([billed("1")], waived).matched
    assert match.reason == "interrupted in its first hour, which the ledger counts as free"
    nothing = [e._replace(usd=Decimal(0)) if hasattr(e, "usd") else e for e in HOUR]
    (match,) = compare([billed("1")], nothing).matched
    assert match.reason == "the ledger counts nothing for it"


def test_a_run_that_goes_on_is_told_so():
    open_ = [e._replace(end=None, ended_by=None) if isinstance(e, Usage) else e for e in HOUR]
    (match, *_) = compare([billed("9", hours="9")], open_, now=hour("03-20", "00:00")).matched
    assert match.reason == "it goes on by the ledger (-3600 s)"


def test_short_rows_have_each_their_minimum():
    run = next(e for e in HOUR if isinstance(e, Usage))
    short = run._replace(id="other", start=hour("03-10", "18:00"), end=hour("03-10", "18:05"))
    (match,) = compare([billed("2.1", hours="2.1")], [*HOUR, short]).matched
    assert match.reason == "rows cut at hours or days, each with its own minimum (+60 s)"


# Money beside usage, and other currencies.


def test_a_gap_is_told_apart():
    days = [
        billed("2.5"),
        billed("1", "i-9"),
        billed("0.5", "i-1", "egress"),
        beside("tax", "0.42"),
        beside("credit", "-1"),
        beside("refund", "-0.2"),
        beside("fee", "3"),
        beside("other", "0.01"),
    ]
    found = compare(days)
    assert dict(found.parts) == {
        "matched": Fraction("0.5"),
        "not_in_ledger": Fraction("0.5"),
        "not_ours": 1,
        "not_on_bill": 0,
        "credits": -1,
        "refunds": Fraction("-0.2"),
        "taxes": Fraction("0.42"),
        "fees": 3,
        "other": Fraction("0.01"),
    }
    assert (found.bill_total, found.ledger_total) == (Fraction("6.23"), 2)
    assert sum(found.parts.values()) == found.gap == Fraction("4.23")
    assert tuple(found.parts) == PARTS


def test_a_discount_that_the_ledger_reckons_is_held_against_the_credits():
    events = events_of(
        """
        01-01 00:00      price gcp vcpu n1-core on-demand 1
        03-05 08:00      open 42 gcp/us-central1 vcpu n1-core on-demand x1 acme/vision
        03-25 07:00      close 42 user
        """
    )
    discount = total(c for c in bill(events, EVER, NOW).charges if c.kind == "discount")
    assert discount < 0
    days = [
        billed("24", "42", "vcpu", f"03-{day:02}", provider="gcp", hours="24")
        for day in range(5, 25)
    ]
    credit = beside("credit", "-50", "03-24", provider="gcp")
    found = compare([*days, credit], events)
    assert found.parts["credits"] == -50 - discount
    assert found.gap == sum(found.parts.values()) == -50 - discount + found.parts["matched"]


def test_euros_are_converted_exactly_and_kept():
    days = [billed("1.5", currency="EUR", per_usd=Decimal("0.9"))]
    found = compare(days)
    assert found.bill_total == Fraction(15, 9)
    (fact,) = found.settles
    assert (fact.billed, fact.currency, fact.per_usd) == (Decimal("1.5"), "EUR", Decimal("0.9"))
    settled = bill([*HOUR, fact], EVER, NOW)
    assert settled.total == Fraction(15, 9)


def test_a_bill_without_its_rate_needs_one():
    days = [billed("1.5", currency="EUR")]
    with pytest.raises(UsageProblem, match="is in EUR and does not say"):
        compare(days)
    assert compare(days, per_usd=Decimal(3)).bill_total == Fraction(1, 2)


def test_two_rates_of_one_day_are_settled_in_usd():
    days = [
        billed("1", currency="EUR", per_usd=Decimal("0.9")),
        billed("1", currency="EUR", per_usd=Decimal("0.8")),
    ]
    found = compare(days)
    (fact,) = found.settles
    assert (fact.currency, fact.per_usd) == ("USD", 1)
    assert abs(Fraction(fact.billed) - Fraction(10, 9) - Fraction(10, 8)) < Fraction(1, 10**19)
    assert found.bill_total == Fraction(10, 9) + Fraction(10, 8)


def test_more_decimals_than_a_record_has_are_rounded():
    (fact,) = compare([billed("2." + "1" * 40)]).settles
    assert fact.billed == Decimal("2." + "1" * 30)


# Accounts, clients, feeds.


def test_the_ledgers_other_accounts_are_not_compared():
    run = next(e for e in HOUR if isinstance(e, Usage))
    other = run._replace(id="other", account="2", resource="i-2")
    assert compare([billed("2")], [*HOUR, other]).ledger_total == 2
    assert compare([billed("2", account=None)], [*HOUR, other]).ledger_total == 4
    # A bill may name the payer: an account with a resource on the bill is meant all the same.
    paid = compare([billed("2", account="9"), billed("1", "i-9", account="9")], [*HOUR, other])
    assert paid.ledger_total == 2
    assert paid.findings(Fraction(0)) == 0


def test_another_clouds_ledger_is_not_compared():
    assert compare([billed("2", provider="gcp", resource="42")]).ledger_total == 0


def test_a_client_is_compared_alone():
    days = [
        billed("2"),
        billed("3", "i-2"),
        billed("5", "i-9"),
        billed("1", "vol-9", "disk", project="acme/vision"),
        billed("1", "vol-8", "disk", project="borealis/nlp"),
        beside("tax", "0.1"),
        beside("credit", "-0.2", project="acme/vision"),
    ]
    found = compare(days, SHARED, client="acme")
    assert [fact.resource for fact in found.settles] == ["i-1"]
    assert [item.resource for item in found.unmatched] == ["vol-9"]
    assert (found.bill_total, found.ledger_total) == (Fraction("2.8"), 2)
    assert found.gap == sum(found.parts.values())
    assert len(compare(days, SHARED, client="borealis").settles) == 2


def test_a_feed_of_spot_machines_is_held_against_those_alone():
    spot = events_of(
        """
        01-01 00:00      price aws compute g5 spot 1
        01-01 00:00      price aws disk gp3 on-demand 0.744
        03-10 14:00      open i-1 aws compute g5 spot x1 acme/vision
        03-10 14:00      open vol-1 aws disk gp3 on-demand x1 acme/vision
        03-10 16:00      close i-1 user
        03-10 16:00      close vol-1 user
        """
    )
    found = compare([billed("1.9", market=Market.SPOT)], spot, only=Market.SPOT)
    assert (found.ledger_total, found.unmatched) == (2, ())
    assert len(compare([billed("1.9", market=Market.SPOT)], spot).unmatched) == 1


@pytest.mark.parametrize(
    ("cost", "tolerance", "findings"),
    [
        ("2.02", "0.01", 0),
        ("2.03", "0.01", 1),
        ("2.03", "0.05", 0),
        ("2.004", "0", 0),
        ("0", "0", 1),
    ],
)
def test_a_difference_beyond_the_tolerance_is_a_finding(cost, tolerance, findings):
    assert compare([billed(cost)]).findings(Fraction(tolerance)) == findings


def test_an_empty_bill_compares_nothing():
    found = compare([])
    assert (found.bill_total, found.ledger_total, found.gap, found.matched) == (0, 0, 0, ())


# What holds for every ledger and every bill.


@st.composite
def bills(draw, base, events):
    runs = [event for event in events if isinstance(event, Usage)]
    days = []
    for _ in range(draw(st.integers(0, 8))):
        run = draw(st.sampled_from(runs))
        on = after(base, draw(st.integers(-1, 6)) * 86_400).date()
        span = day_span(on, billing_zone(run.provider))
        category = draw(st.sampled_from([Category.USAGE] * 6 + list(Category)))
        days.append(
            billed(
                draw(amounts() | st.decimals("-5", "5", places=3, allow_nan=False)),
                draw(st.sampled_from([run.resource, run.resource, *RESOURCES, "r9", None])),
                draw(st.sampled_from([run.kind, run.kind, Kind.IPV4, None])),
                provider=run.provider,
                category=category,
                account=draw(st.sampled_from(["1", "2", None])),
                project=draw(st.sampled_from([*PROJECTS, None, None])),
                currency="EUR",
                per_usd=draw(st.sampled_from([Decimal(1), Decimal("0.9"), Decimal("1.3")])),
            )._replace(day=on, start=span.start, end=span.end)
        )
    return days


@given(stories(), st.data())
@settings(max_examples=150, deadline=None)
def test_the_gap_is_explained_whole(story, data):
    base, events = story
    days = data.draw(bills(base, events))
    later = now(base) + timedelta(days=data.draw(st.sampled_from([0, 1, 60])))
    client = data.draw(st.sampled_from([None, None, "acme"]))
    found = reconcile(days, events, later, CUR._replace(client=client))
    assert found.gap == sum(found.parts.values())
    assert found.parts["matched"] == sum(match.difference for match in found.matched)
    counted = {"bill": Fraction(0), "ledger": Fraction(0)}
    for item in found.unmatched:
        if item.counted:
            counted[item.side] += item.cost or 0
    assert counted["bill"] == found.parts["not_in_ledger"] + found.parts["not_ours"]
    if client is None:
        every = sum((Fraction(d.cost) / Fraction(d.per_usd) for d in days), Fraction(0))
        assert found.bill_total == every
        assert found.rows == len(days)


@given(stories(), st.data())
@settings(max_examples=100, deadline=None)
def test_after_it_the_ledger_says_what_the_bill_asks_and_nothing_is_new(story, data):
    base, events = story
    days = data.draw(bills(base, events))
    later = now(base) + timedelta(days=60)
    found = reconcile(days, events, later, CUR)
    assert len({fact.id for fact in found.settles}) == len(found.settles)
    after_ = [*events, *found.settles]
    again = reconcile(days, after_, later + timedelta(1), CUR)
    settled = {match.reckoned.key for match in found.matched if match.settle is not None}
    for match in again.matched:
        if match.reckoned.key in settled:
            # Rates that differ within a day are settled to as many decimals as are printed.
            assert abs(match.difference) <= Fraction(1, 10**19)
            assert match.settle is None
    # Nothing moved but what was settled.
    span = fixed(Span(datetime(2024, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    moved = bill(after_, span, later).total - bill(events, span, later).total
    mine = [m for m in found.matched if m.settle and not _is_theirs(events, m.reckoned)]
    if not any(isinstance(e, Usage) and e.payer for e in events):
        assert abs(moved - sum(m.difference for m in mine)) <= Fraction(1, 10**17)


def _is_theirs(events, day):
    return any(isinstance(e, Usage) and e.resource == day.resource and e.payer for e in events)


@given(stories(), st.data(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_a_bill_does_not_matter(story, data, random):
    base, events = story
    days = data.draw(bills(base, events))
    mixed = list(days)
    random.shuffle(mixed)
    one = reconcile(days, events, now(base), CUR)
    other = reconcile(mixed, events, now(base), CUR)
    assert (one.parts, one.bill_total) == (other.parts, other.bill_total)
    assert {(f.resource, f.kind, f.since, f.billed) for f in one.settles} == {
        (f.resource, f.kind, f.since, f.billed) for f in other.settles
    }
