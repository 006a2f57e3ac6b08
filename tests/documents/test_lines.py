"""The words for a statement's lines."""

from decimal import Decimal

from gpuctl.core.kinds import Kind, Market, Unit
from gpuctl.core.statement import StatementLine
from gpuctl.documents.lines import KINDS, UNITS, amount_of, cost_of, details_of, kind_of, unit_of


def line(kind, sku=None, market=Market.ON_DEMAND, unit=Unit.MONTH, note=None):
    return StatementLine(kind, sku, market, unit, Decimal("2.5"), None, Decimal(1), note)


def test_every_kind_has_a_name_and_a_unit():
    assert set(Kind) == set(UNITS)
    assert set(Kind) <= set(KINDS)
    assert kind_of(line("odd")) == "odd"


def test_how_it_was_bought_is_told_where_it_decides_the_price():
    assert details_of(line("compute", "g6.xlarge", Market.SPOT)) == ["g6.xlarge", "spot"]
    assert details_of(line("disk", "gp3")) == ["gp3"]


def test_a_settled_difference_names_what_was_settled():
    assert details_of(line("settle", "disk", None, note="the bill asks 3")) == [
        "Disk",
        "the bill asks 3",
    ]


def test_amounts_have_the_units_of_their_kind():
    assert amount_of(line("disk")) == "2.5 GB-months"
    assert amount_of(line("odd")) == "2.5 month"
    assert amount_of(line("adjust", unit=None)) == ""


def test_google_counts_in_gib():
    assert amount_of(line("disk", "pd-balanced")) == "2.5 GiB-months"
    assert amount_of(line("disk", "hyperdisk-balanced")) == "2.5 GiB-months"
    assert amount_of(line("ram", "n1-ram", unit=Unit.HOUR)) == "2.5 GiB-h"
    assert unit_of(line("adjust", unit=None)) == ""


def test_a_missing_price_is_not_nothing():
    known = line("compute", unit=Unit.HOUR)
    assert cost_of(known, "USD") == "1.00"
    assert cost_of(known._replace(unpriced=True), "USD") == "1.00 + ?"
    assert cost_of(known._replace(unpriced=True, cost=Decimal("0.00")), "USD") == "?"
