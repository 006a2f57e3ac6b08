"""Rows of a bill without a readable date: no day that may lack one is settled."""

from fractions import Fraction

import pytest

from gpuctl.core.reconcile import Asking, reconcile
from gpuctl.core.span import Month
from tests.core.billdays import billed
from tests.core.docledger import NOW, read

NO_DATE = "the bill has a row of it without a readable date"
MARCH, APRIL = Month(2025, 3), Month(2025, 4)

TWO_MONTHS = """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 16:00      close i-1 user
    03-10 14:00      open i-2 aws compute g5 on-demand x1 borealis/nlp
    03-10 16:00      close i-2 user
    04-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    04-10 16:00      close i-1 user
    """
DATED = (billed("1"), billed("2", "i-2"), billed("2", day="04-10"))


def lost(resource="i-1", day="03-01", **more):
    """A row whose date cannot be read: where it is placed means nothing."""
    return billed("1", resource, None, day, undated=True, **more)


def compare(*days, month=None, text=TWO_MONTHS):
    return reconcile(days, read(text)[0], NOW, Asking("cur.csv", month))


def settled(found):
    return [(fact.resource, fact.since.month) for fact in found.settles]


def test_no_day_of_its_resource_is_settled():
    found = compare(*DATED, lost())
    assert settled(found) == [("i-2", 3)]
    said = {m.reckoned.key[1:]: m.reason for m in found.matched if m.undated}
    assert {(resource, day.month) for resource, _, day in said} == {("i-1", 3), ("i-1", 4)}
    assert set(said.values()) == {NO_DATE}
    (item,) = found.unmatched
    assert (item.resource, item.cost, item.reason, item.is_finding) == ("i-1", 1, NO_DATE, True)
    assert found.gap == sum(found.parts.values())


def test_of_a_known_billing_period_only_the_days_in_it():
    assert settled(compare(*DATED, lost(period=MARCH))) == [("i-2", 3), ("i-1", 4)]
    assert settled(compare(*DATED, lost(period=APRIL))) == [("i-1", 3), ("i-2", 3)]


@pytest.mark.parametrize("day", ["03-01", "04-10"])
def test_it_counts_for_a_month_that_it_is_not_placed_in(day):
    assert settled(compare(*DATED, lost(day=day), month=APRIL)) == []
    assert settled(compare(*DATED, lost(day=day, period=MARCH), month=APRIL)) == [("i-1", 4)]


def test_what_is_billed_by_that_row_alone_says_so():
    found = compare(billed("2", "i-2"), lost())
    reasons = {(i.side, i.resource): i.reason for i in found.unmatched if i.counted}
    assert reasons == {("bill", "i-1"): NO_DATE, ("ledger", "i-1"): NO_DATE}


def test_of_others_and_of_what_is_not_usage_it_holds_back_nothing():
    assert len(compare(*DATED, lost("i-9")).settles) == 3
    assert len(compare(*DATED, lost("i-9", project="acme/vision")).settles) == 3
    assert len(compare(*DATED, lost(category="credit")).settles) == 3
    assert len(compare(*DATED, lost(provider="gcp")).settles) == 3


def test_a_row_by_its_tag_alone_holds_back_what_shares_with_its_project():
    march = [
        billed("1", None, project="acme/vision"),
        billed("4", None, project="borealis/nlp"),
        billed("2", day="04-10"),
    ]
    assert settled(compare(*march)) == [("i-1", 4), ("i-1", 3), ("i-2", 3)]
    found = compare(*march, lost(None, project="acme/vision"))
    # What the bill has by its id is not what the tag stands for.
    assert settled(found) == [("i-1", 4), ("i-2", 3)]


def test_what_hangs_together_is_held_back_together():
    text = """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 15:00      switch i-1 borealis/nlp
    03-10 16:00      close i-1 user
    03-10 14:00      open i-2 aws compute g5 on-demand x1 borealis/nlp
    03-10 16:00      close i-2 user
    """
    row = billed("4", None, project="borealis/nlp")
    assert len(compare(row, text=text).settles) == 2
    assert compare(row, lost(None, project="acme/vision"), text=text).settles == []
    assert compare(row, lost("i-1"), text=text).settles == []


def test_a_row_under_the_machines_name_is_of_all_that_the_machine_has():
    events = read(
        """
        01-01 00:00      price gcp disk pd on-demand 1
        03-10 14:00      open d-1 gcp disk pd on-demand x1 acme/vision
        03-10 16:00      close d-1 user
        """
    )[0]
    events = [
        e._replace(machine="p/z/vm:42") if getattr(e, "resource", "") == "d-1" else e
        for e in events
    ]
    days = [billed("1", "d-1", "disk", provider="gcp")]
    assert len(reconcile(days, events, NOW, Asking("x")).settles) == 1
    row = lost("42", provider="gcp")
    assert reconcile([*days, row], events, NOW, Asking("x")).settles == []


def test_the_gap_stays_whole():
    found = compare(*DATED, lost())
    assert found.bill_total == 6
    assert found.parts["not_in_ledger"] == Fraction(1)
