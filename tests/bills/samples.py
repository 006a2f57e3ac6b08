"""Where the samples of real bills lie, and plain readings of them to compare with."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from gpuctl.core.billed import Bill, Category
from gpuctl.core.rounding import EXACT

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data" / "billing"
FEED = "spot_datafeed"

needs_samples = pytest.mark.skipif(not DATA.is_dir(), reason="the samples of bills are not here")

CUR_COST, CUR_LINE = "lineItem/UnblendedCost", "lineItem/LineItemType"

COSTS = {
    "aws_cur_anonymised_focus_converters.csv": CUR_COST,
    "nise_aws_cur_p3_2025-03.csv": CUR_COST,
    "focus_sample_1.0.csv": "BilledCost",
    "fdt_focus_1.2_aws_seed7.csv": "BilledCost",
    "gpuctl_minimal_focus_1.2.csv": "BilledCost",
    "golden_aws_rows_from_focus_sample.csv": "BilledCost",
    "gcp_bq_export_koku_2020-11.csv": "cost",
    "nise_gcp_export_2025-03.csv": "cost",
}

_WORDS = {
    "Usage": Category.USAGE,
    "regular": Category.USAGE,
    "Tax": Category.TAX,
    "Purchase": Category.FEE,
    "Credit": Category.CREDIT,
    "Adjustment": Category.OTHER,
}


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, as Python's own reader has them."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def plain_totals(name: str) -> dict[tuple[Category, str], tuple[Decimal, int]]:
    """Totals of a sample, added up without anything of ours."""
    sums: dict[tuple[Category, str], tuple[Decimal, int]] = defaultdict(lambda: (Decimal(0), 0))
    for row in rows(DATA / name):
        word = row.get(CUR_LINE) or row.get("ChargeCategory") or row.get("cost_type") or "Usage"
        currency = next(
            (row[c] for c in ("lineItem/CurrencyCode", "BillingCurrency", "currency") if c in row),
            "USD",
        )
        for category, amount in [(_WORDS[word], row[COSTS[name]]), *plain_credits(row)]:
            cost, count = sums[category, currency]
            sums[category, currency] = (EXACT.add(cost, Decimal(amount)), count + 1)
    return dict(sums)


def plain_credits(row: dict[str, str]) -> Iterator[tuple[Category, str]]:
    """The credits of a Google row, printed as Python prints a list."""
    for entry in eval(row.get("credits") or "[]", {"__builtins__": {}}):
        yield Category.CREDIT, repr(entry["amount"])


def totals(bill: Bill) -> dict[tuple[Category, str], tuple[Decimal, int]]:
    """What a bill says."""
    return {(t.category, t.currency): (t.cost, t.rows) for t in bill.totals}


def of_days(bill: Bill) -> dict[tuple[Category, str], tuple[Decimal, int]]:
    """What its days add up to."""
    sums: dict[tuple[Category, str], tuple[Decimal, int]] = defaultdict(lambda: (Decimal(0), 0))
    for day in bill.days():
        cost, count = sums[day.category, day.currency]
        sums[day.category, day.currency] = (EXACT.add(cost, day.cost), count + day.rows)
    return dict(sums)
