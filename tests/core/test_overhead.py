"""Overhead is shared by machine-hours: nothing is made, nothing is lost."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.bill import bill, monthly
from gpuctl.core.names import client_of
from gpuctl.core.overhead import KIND, shared
from gpuctl.core.report import Terms, report
from gpuctl.core.span import Month
from gpuctl.core.tally import total
from tests.core import docledger
from tests.core.stories import now, stories

AT = docledger.at("03-31", "23:59:59")
LEDGER = """
    03-01 00:00   price aws/us-east-1 compute g6.xlarge on-demand 0.80
    03-01 00:00   price aws/us-east-1 snapshot standard on-demand 9.00
    03-01 00:00   price aws/us-east-1 disk gp3 on-demand 3.00
    03-01 00:00   open snap-1 aws/us-east-1 snapshot standard on-demand x1 nobody
    04-01 00:00   close snap-1 user
    03-10 10:00   open i-1 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 acme/vision
    03-10 12:00   close i-1 user
    03-11 10:00   open i-2 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 borealis/nlp
    03-11 11:00   close i-2 user
"""


def paid(text, bears):
    events, _ = docledger.read(text)
    charges = bill(events, monthly(Month(2025, 3)), docledger.NOW).charges
    return docledger.paid(shared(charges, bears, AT)), shared(charges, bears, AT)


def test_by_hours_among_all_clients():
    owed, charges = paid(LEDGER, lambda client: True)
    assert owed == {"acme/vision": "7.6", "borealis/nlp": "3.8"}
    lines = [charge for charge in charges if charge.kind == KIND]
    assert [(charge.project, charge.cost, charge.start) for charge in lines] == [
        ("acme/vision", 6, AT), ("borealis/nlp", 3, AT),
    ]  # fmt: skip


def test_what_a_client_does_not_bear_stays_ones_own():
    owed, _ = paid(LEDGER, lambda client: client == "acme")
    assert owed == {"acme/vision": "7.6", "borealis/nlp": "0.8", "nobody": "3"}
    owed, _ = paid(LEDGER, lambda client: False)
    assert owed == {"acme/vision": "1.6", "borealis/nlp": "0.8", "nobody": "9"}


def test_without_machines_nobody_bears_it():
    alone = "\n".join(line for line in LEDGER.splitlines() if " i-" not in line)
    assert paid(alone, lambda client: True)[0] == {"nobody": "9"}


def test_a_machine_that_awaits_its_project_is_no_overhead():
    events, _ = docledger.read(
        LEDGER
        + """
    03-12 10:00   open i-3 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 nobody
    03-12 11:00   close i-3 user
    03-01 00:00   open vol-3 aws/us-east-1/us-east-1a disk gp3 on-demand x1 nobody
    04-01 00:00   close vol-3 user
    """
    )
    events = [
        event._replace(machine="m-3") if getattr(event, "resource", "") == "vol-3" else event
        for event in events
    ]
    charges = bill(events, monthly(Month(2025, 3)), docledger.NOW).charges
    owed = docledger.paid(shared(charges, lambda client: True, AT))
    assert owed == {"acme/vision": "7.6", "borealis/nlp": "3.8", "nobody": "3.8"}


def test_a_builder_of_images_is_overhead_and_bears_none():
    builder = """
    03-12 10:00   open i-3 aws/us-east-1/us-east-1a compute g6.xlarge on-demand x1 overhead/images
    03-12 11:30   close i-3 user
    """
    owed, _ = paid(LEDGER + builder, lambda client: True)
    assert owed == {"acme/vision": "8.4", "borealis/nlp": "4.2"}
    owed, _ = paid(LEDGER + builder, lambda client: False)
    assert owed["overhead/images"] == "1.2"


@given(stories(), st.sets(st.sampled_from(["acme", "borealis"])))
@settings(max_examples=80, deadline=None)
def test_the_whole_stays_the_whole(story, bearing):
    base, events = story
    month = Month(base.year, base.month)
    charges = bill(events, monthly(month), now(base)).charges
    after = shared(charges, bearing.__contains__, AT)
    assert total(c for c in after if c.payer is None) == total(
        c for c in charges if c.payer is None
    )
    assert [c for c in after if c.payer] == [c for c in charges if c.payer]
    parts = [charge for charge in after if charge.kind == KIND]
    assert {client_of(charge.project) for charge in parts} <= bearing
    hours = {a.project: a.hours for a in report(charges, lambda _: Terms()).accounts}
    whole = sum((h for h in hours.values() if h > 0), Fraction(0))
    if parts and len(bearing) == 2:
        pool = sum((charge.cost for charge in parts), Fraction(0))
        for charge in parts:
            assert charge.cost == pool * hours[charge.project] / whole
