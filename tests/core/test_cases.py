"""Worked cases of the two clouds' billing rules, and rows of a real bill, to the last digit."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from gpuctl.cli.money_shapes import cur_amount, cur_cost
from gpuctl.core.bill import bill, fixed
from gpuctl.core.charges import as_aws_prints
from gpuctl.core.events import Price, Usage
from gpuctl.core.interchange import read_line
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.report import Terms, report
from gpuctl.core.rounding import decimal_text, round_half_up
from gpuctl.core.rules import rule_for
from gpuctl.core.span import Span, parse_moment
from gpuctl.core.tally import total

BILLING = Path(__file__).parents[3] / "shared/data/billing"
CASES = BILLING / "cases"
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
EVER = {"from": "2025-01-01", "to": "2026-01-01"}

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the worked cases are not here")


def answers():
    """(case, its window with what is expected in it); none where the data is absent."""
    if not CASES.is_dir():
        return []
    return [
        pytest.param(name, window, id=f"{name}{label and '-'}{label}")
        for name, case in json.loads((CASES / "expected.json").read_text())["cases"].items()
        for label, window in case.get("windows", {"": EVER | case}).items()
    ]


def charges_of(name, window):
    events = [read_line(line) for line in (CASES / f"{name}.jsonl").read_text().splitlines()]
    span = Span(parse_moment(window["from"]), parse_moment(window["to"]))
    found = bill(events, fixed(span), NOW)
    assert found.problems == ()
    return found.charges


def same(value, expected):
    """Expected values are exact, or shown to 10 decimals."""
    return round_half_up(value, 10) == Decimal(expected)


def by(charges, key):
    groups = {}
    for charge in charges:
        groups.setdefault(key(charge), []).append(charge)
    return {name: total(group) for name, group in groups.items()}


@pytest.mark.parametrize(("name", "window"), answers())
def test_a_case_costs_what_was_worked_out_by_hand(name, window):
    charges = charges_of(name, window)
    kinds = by(charges, lambda charge: charge.kind)
    if "by_kind" in window:
        for kind, cost in window["by_kind"].items():
            assert same(kinds[kind], cost), (kind, decimal_text(kinds[kind]))
    projects = by(charges, lambda charge: charge.project)
    for project, cost in window.get("by_project", {}).items():
        # Some answers are given with fewer than ten decimals.
        places = len(cost.partition(".")[2])
        assert round_half_up(projects[project], places) == Decimal(cost)
    egress = by((c for c in charges if c.kind == "egress"), lambda charge: charge.project)
    for project, cost in window.get("egress_by_project", {}).items():
        assert egress[project] == Fraction(cost)
    if "total" in window:
        assert same(total(charges), window["total"])


@pytest.mark.parametrize(
    ("name", "window"), [case for case in answers() if "report_cents" in case.values[1]]
)
def test_report_prints_the_cents(name, window):
    figures = report(charges_of(name, window), lambda project: Terms())
    cents = {account.project: account.cost for account in figures.accounts}
    cents["absorbed"] = figures.idle
    for project, cost in window["report_cents"].items():
        assert cents[project] == Decimal(cost)
    assert sum(cents.values()) == figures.total == Decimal("12.30")


def test_every_case_is_run():
    assert {p.values[0] for p in answers()} == {path.stem for path in CASES.glob("*.jsonl")}


def real_rows():
    """Rows that nobody of us wrote."""
    if not CASES.is_dir():
        return []
    rows = json.loads((BILLING / "cases.json").read_text())["real_bill_rows"]
    return [pytest.param(row, id=f"{row['what']} {row.get('seconds', 3600)}s") for row in rows]


def run_and_price(row):
    """A ledger that holds nothing but this row of the bill."""
    kind, size = Kind.COMPUTE, "1"
    if "IPv4" in row["what"]:
        kind = Kind.IPV4
    elif "GB" in row["what"]:
        kind, size = Kind.DISK, "100"
    start = datetime(2024, 9, 10, 14, tzinfo=UTC)
    run = Usage(
        id="u1", provider="aws", account="111122223333", region="us-east-1", zone=None,
        resource="r", kind=kind, sku="x", market=Market.ON_DEMAND, quantity=Decimal(size),
        start=start, end=start + timedelta(seconds=row.get("seconds", 3600)), ended_by=None,
        project=None,
    )  # fmt: skip
    price = Price(
        id="p1", provider="aws", region=None, zone=None, kind=kind, sku="x",
        market=Market.ON_DEMAND, unit=rule_for("aws", kind).unit, usd=Decimal(row["rate"]),
        since=start - timedelta(days=300),
    )  # fmt: skip
    return [run, price]


@pytest.mark.parametrize("row", real_rows())
def test_a_row_of_a_real_bill_is_printed_as_aws_printed_it(row):
    window = fixed(Span(parse_moment("2024-09-01"), parse_moment("2024-10-01")))
    (charge,) = as_aws_prints(bill(run_and_price(row), window, NOW).charges)
    assert cur_amount(charge) == Fraction(row["quantity"])
    assert cur_cost(charge) == Fraction(row["cost"])
