"""Costs of real bills worked out again with our own arithmetic: reproduced, or refused with why."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from gpuctl.bills import open_bill
from gpuctl.cli.money_shapes import cur_amount, cur_cost
from gpuctl.core.bill import bill, fixed
from gpuctl.core.charges import as_aws_prints
from gpuctl.core.events import Price, Usage
from gpuctl.core.kinds import Kind, Market, Unit
from gpuctl.core.rounding import round_half_up
from gpuctl.core.span import Span
from tests.bills.samples import DATA, needs_samples, rows

pytestmark = needs_samples

GOLDEN = "golden_aws_rows_from_focus_sample.csv"
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def golden(*, timed):
    return [row for row in rows(DATA / GOLDEN) if bool(row["implied_seconds"]) is timed]


def as_we_bill(row):
    """The row as a run in a ledger that holds nothing else, in the form of AWS's own bill."""
    start = datetime.fromisoformat(row["ChargePeriodStart"]).replace(tzinfo=UTC)
    end = start + timedelta(seconds=int(row["implied_seconds"]))
    kind = Kind.IPV4 if "IPv4" in row["ChargeDescription"] else Kind.COMPUTE
    run = Usage(
        id="u1", provider="aws", account="111122223333", region="us-east-1", zone=None,
        resource="r", kind=kind, sku="x", market=Market.ON_DEMAND, quantity=Decimal(1),
        start=start, end=end, ended_by=None, project=None,
    )  # fmt: skip
    price = Price(
        id="p1", provider="aws", region=None, zone=None, kind=kind, sku="x",
        market=Market.ON_DEMAND, unit=Unit.HOUR, usd=Decimal(row["ListUnitPrice"]), since=start,
    )  # fmt: skip
    charges = bill([run, price], fixed(Span(start, end)), NOW).charges
    (charge,) = as_aws_prints(charges)
    return charge


def test_every_timed_row_is_printed_as_aws_printed_it():
    timed = golden(timed=True)
    assert len(timed) == 67
    for row in timed:
        charge = as_we_bill(row)
        assert cur_amount(charge) == Fraction(row["PricingQuantity"]), row
        assert cur_cost(charge) == Fraction(row["ListCost"]), row
    # What is covered by a commitment costs its list price, and is billed elsewhere.
    covered = [row for row in timed if row["BilledCost"] != row["ListCost"]]
    assert {Decimal(row["BilledCost"]) for row in covered} == {Decimal(0)}
    assert len(covered) == 3


def test_every_other_row_is_quantity_times_price():
    others = golden(timed=False)
    assert len(others) == 75
    for row in others:
        cost = Decimal(row["PricingQuantity"]) * Decimal(row["ListUnitPrice"])
        assert abs(cost - Decimal(row["BilledCost"])) <= Decimal("2e-10"), row
        assert round_half_up(cost, 10) == Decimal(row["BilledCost"])


NEAR = Decimal("5e-10")
"""The samples have quantities of ten or eleven decimals."""


def judged(row, quantity, price, cost):
    """`reproduced`, or why a row's cost is not its quantity times its price."""
    word = row.get("lineItem/LineItemType") or row.get("ChargeCategory") or "Usage"
    if word in ("Tax", "Credit", "Adjustment"):
        return f"{word}: an amount without quantity and price"
    billed, product = Decimal(row[cost]), Decimal(row[quantity]) * Decimal(row[price])
    if abs(product - billed) <= NEAR:
        return "reproduced"
    if row.get("PricingCategory") == "Committed" and billed == 0:
        return "committed: paid with the commitment, billed 0"
    if row.get("ProviderName") == "Microsoft" and product * 10_000 == billed:
        return "Azure: priced by ten thousand, and the quantity is in ten thousands already"
    return "no reason"


LIST = ("PricingQuantity", "ListUnitPrice", "BilledCost")
CONTRACT = ("PricingQuantity", "ContractedUnitPrice", "BilledCost")
CUR = ("lineItem/UsageAmount", "lineItem/UnblendedRate", "lineItem/UnblendedCost")


@pytest.mark.parametrize(
    ("name", "columns", "reproduced"),
    [
        ("aws_cur_anonymised_focus_converters.csv", CUR, 1269),
        ("nise_aws_cur_p3_2025-03.csv", CUR, 72),
        ("focus_sample_1.0.csv", LIST, 962),
        ("fdt_focus_1.2_aws_seed7.csv", CONTRACT, 71),
        ("gpuctl_minimal_focus_1.2.csv", CONTRACT, 4),
    ],
)
def test_costs_of_the_samples_are_reproduced_or_refused_with_why(name, columns, reproduced):
    verdicts = Counter(judged(row, *columns) for row in rows(DATA / name))
    assert verdicts["no reason"] == 0
    assert verdicts["reproduced"] == reproduced


def test_what_was_read_is_what_quantity_and_price_make_of_each_day():
    """A day's own quantity times the one price in its description, after reading."""
    compared = 0
    for day in open_bill([DATA / GOLDEN]).days():
        price = Decimal((day.sku or "").split()[0].lstrip("$").removeprefix("USD"))
        if day.kind in (Kind.DISK, Kind.IPV4, Kind.SNAPSHOT):
            assert abs(day.quantity * price - day.cost) <= day.rows * NEAR, day
            compared += day.rows
    assert compared == 74 + 42
