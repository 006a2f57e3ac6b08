"""Settling against a bill: whole or not at all, and only what was asked for."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.app.reconcile import days_to_ask, month_named, settle
from gpuctl.core.errors import LedgerError, NotFound, UsageProblem
from gpuctl.core.events import Close, Settle
from gpuctl.core.kinds import Market
from gpuctl.core.reconcile import Asking
from gpuctl.core.span import Month
from tests.app.ledgers import Failing
from tests.core.billdays import billed
from tests.core.docledger import NOW, read
from tests.ledger.facts import ledger_of

EVENTS = read(
    """
    01-01 00:00      price aws compute g5 on-demand 1
    03-10 14:00      open i-1 aws compute g5 on-demand x1 acme/vision
    03-10 15:00      switch i-1 borealis/nlp
    03-10 16:00      close i-1 user
    03-10 14:00      open i-2 aws compute g5 on-demand x1 nobody
    03-10 16:00      close i-2 user
    """
)[0]
ASKING = Asking(source="-")


class Opened:
    """A bill made by hand."""

    source = "hand-made"
    totals = ()
    problems = ("one row was read leniently",)

    def __init__(self, *days, source=source):
        self._days = days
        self.rows = len(days)
        self.source = source

    def days(self):
        return iter(self._days)


@pytest.fixture
def ledger(tmp_path):
    made = ledger_of(tmp_path / "ledger.db")
    made.append(EVENTS)
    yield made
    made.close()


def settled_in(ledger):
    return [event for event in ledger.events() if isinstance(event, Settle)]


def test_what_changes_is_told_by_project(ledger):
    made = settle(ledger, Opened(billed("4"), billed("2.5", "i-2")), NOW, ASKING)
    assert [(c.project, c.before, c.after) for c in made.changes] == [
        ("acme/vision", 1, 2),
        ("borealis/nlp", 1, 2),
        (None, 2, Fraction("2.5")),
    ]
    assert (made.before, made.after, made.settled) == (4, Fraction("6.5"), 2)
    assert made.problems == ("one row was read leniently",)
    assert {event.source for event in settled_in(ledger)} == {"hand-made"}


def test_a_bill_that_agrees_changes_nobody(ledger):
    made = settle(ledger, Opened(billed("2"), billed("2", "i-2")), NOW, ASKING)
    assert (made.changes, made.settled, made.before == made.after) == ((), 2, True)


def test_nothing_is_written_where_the_ledger_cannot_be(ledger):
    failing = Failing(ledger)
    failing.after = 0
    with pytest.raises(LedgerError, match="disk is full"):
        settle(failing, Opened(billed("4"), billed("2.5", "i-2")), NOW, ASKING)
    assert settled_in(ledger) == []


def test_a_dry_run_writes_nothing_and_says_the_same(ledger):
    opened = Opened(billed("4"))
    shown = settle(ledger, opened, NOW, ASKING, dry_run=True)
    assert settled_in(ledger) == []
    assert settle(ledger, opened, NOW, ASKING) == shown
    assert [event.billed for event in settled_in(ledger)] == [Decimal(4)]


def test_a_spot_feed_is_known_by_its_name(ledger):
    feed = Opened(billed("4", market=Market.SPOT), source="EC2 Spot data feed: a.gz")
    assert settle(ledger, feed, NOW, ASKING).found.ledger_total == 0


def test_a_closed_month_that_changes_is_named(ledger):
    values = {"at": NOW, "invoice": None, "costs": {}, "corrects": {}, "statement": {}}
    ledger.append(
        Close(id=f"c{client}{month}", client=client, month=month, **values)
        for client, month in [
            ("acme", "2025-03"), ("acme", "2025-04"), ("cetus", "2025-03"), ("borealis", "2025-03")
        ]
    )  # fmt: skip
    made = settle(ledger, Opened(billed("4")), NOW, ASKING)
    assert made.closed == (("acme", "2025-03"), ("borealis", "2025-03"))
    assert settle(ledger, Opened(billed("4")), NOW, ASKING).closed == ()


def test_nothing_to_compare_is_refused(ledger):
    with pytest.raises(UsageProblem, match="hand-made: there is no usage in it"):
        settle(ledger, Opened(), NOW, ASKING)
    april = ASKING._replace(month=Month(2025, 4))
    with pytest.raises(UsageProblem, match="no usage of 2025-04"):
        settle(ledger, Opened(billed("4")), NOW, april)
    with pytest.raises(NotFound, match="nothing of a client nobody"):
        settle(ledger, Opened(billed("4")), NOW, ASKING._replace(client="nobody"))


@pytest.mark.parametrize(
    ("month", "first", "end"),
    [(None, "2026-03-01", "2026-03-03"), ("2026-02", "2026-02-01", "2026-03-01")],
)
def test_cost_explorer_is_asked_for_whole_days_that_have_begun(month, first, end):
    span = days_to_ask(month_named(month, NOW), NOW)
    assert [f"{at:%Y-%m-%dT%H:%M}" for at in span] == [f"{first}T00:00", f"{end}T00:00"]


def test_a_month_that_has_not_begun_cannot_be_asked_for():
    with pytest.raises(UsageProblem, match="2026-04 has not begun"):
        days_to_ask(Month(2026, 4), NOW)


def test_months_by_name():
    now = datetime(2026, 1, 15, tzinfo=UTC)
    assert month_named("this", now) == Month(2026, 1)
    assert month_named("last", now) == Month(2025, 12)
    assert month_named(None, now) is None
