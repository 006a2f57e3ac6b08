"""A quote is kept as a fact, comes back as it was, and is measured against what was spent."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gpuctl.core.events import Adjust, Price, Quoted, Usage
from gpuctl.core.interchange import is_public, read_line, write_line
from gpuctl.core.kinds import Kind, Market, Unit
from gpuctl.core.quoting.actual import actuals
from gpuctl.core.quoting.quote import quote_shape, quoted, read_quote
from tests.core.quoting.quotes import NOW, a_quote

CONTRACT = (
    "project", "template", "hours", "deadline", "currency", "p50", "p90", "ceiling", "finish_p50",
    "finish_p90", "basis",
)  # fmt: skip


def spent(start, hours, project="acme/vision"):
    start = NOW + timedelta(hours=start)
    end = None if hours is None else start + timedelta(hours=hours)
    return Usage(
        f"run/{start.isoformat()}", "aws", "1", "us-east-2", "us-east-2a", "i-1", Kind.COMPUTE,
        "g6.xlarge", Market.SPOT, Decimal(1), start, end, None, project, session="s1",
    )  # fmt: skip


PRICE = Price(
    "price/1", "aws", "us-east-2", "us-east-2a", Kind.COMPUTE, "g6.xlarge", Market.SPOT,
    Unit.HOUR, Decimal("0.50"), NOW - timedelta(days=9),
)  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"deadline": None, "finish_p90": None, "exchange": None}])
def test_it_comes_back_from_the_ledger_as_it_was(more):
    event = quoted(a_quote(**more))
    assert read_quote(read_line(write_line(event))) == a_quote(**more)
    assert not is_public(event)


def test_a_broken_one_is_an_error_that_names_it():
    event = Quoted("quote/1", "acme/vision", "l4-spot", NOW, {"id": "x"})
    with pytest.raises(ValueError, match="quote quote/1"):
        read_quote(event)


def test_the_shape_is_that_of_the_contract():
    shape = quote_shape(a_quote())
    assert set(CONTRACT) <= set(shape)
    assert shape["hours"] == ["25", "40.5"]
    assert (shape["p50"], shape["p90"], shape["ceiling"]) == ("35.27", "52.90", "63.48")
    assert shape["finish_p90"] == "2026-03-05T09:00:00Z"
    assert shape["basis"]["price_days"] == 90
    assert quote_shape(a_quote(finish_p90=None, deadline=None))["finish_p90"] is None


def test_nothing_spent_is_nothing_and_open():
    [one] = actuals([quoted(a_quote())], NOW + timedelta(hours=1))
    assert (one.usd, one.sessions, one.open, one.missing) == (0, 0, True, False)
    assert one.line.spent == 0


def test_what_the_project_costs_since_is_its_own():
    events = [PRICE, quoted(a_quote()), spent(-5, 2), spent(1, 4), spent(8, 2, "acme/other")]
    [one] = actuals(events, NOW + timedelta(hours=12))
    assert (one.usd, one.sessions) == (2, 1)
    assert one.line.spent == Decimal("2.12")  # 2 USD at 0.92, and 15 %
    assert one.until == NOW + timedelta(hours=12)


def test_a_run_that_goes_on_counts_until_now():
    [one] = actuals([PRICE, quoted(a_quote()), spent(0, None)], NOW + timedelta(hours=6))
    assert one.usd == 3


def test_the_next_quote_of_the_project_takes_over():
    later = NOW + timedelta(hours=3)
    events = [
        PRICE,
        quoted(a_quote(id="quote/2", at=later)),
        quoted(a_quote()),
        quoted(a_quote(id="quote/3", at=later, project="acme/other")),
        spent(1, 4),
    ]
    first, second = actuals(events, NOW + timedelta(hours=9), ["acme/vision"])
    assert (first.usd, first.open, first.until) == (1, False, later)
    assert (second.usd, second.open) == (1, True)


def test_two_weeks_after_its_finish_it_is_over():
    over = NOW + timedelta(days=17)
    events = [PRICE, quoted(a_quote()), spent(24 * 16.5, 24)]
    [one] = actuals(events, over + timedelta(days=30))
    assert (one.until, one.open, one.usd) == (over, False, 6)
    [endless] = actuals([quoted(a_quote(finish_p90=None))], NOW + timedelta(days=100))
    assert endless.open


def test_a_missing_price_is_told_and_an_adjustment_counts():
    credit = Adjust("adjust/1", "acme/vision", NOW + timedelta(hours=2), Decimal(-1), "credit")
    [one] = actuals([quoted(a_quote()), spent(1, 4), credit], NOW + timedelta(hours=9))
    assert one.missing
    assert one.usd == -1
