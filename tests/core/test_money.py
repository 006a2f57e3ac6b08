"""Money is exact, has a currency, and never was a float."""

from decimal import Decimal, Inexact
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.money import Money
from gpuctl.core.rounding import decimal_text, round_half_up

EUR = Money(Decimal("1.10"), "EUR")
USD = Money(Decimal("1.10"))


def test_sums_and_products_are_exact():
    third = Decimal("0." + "3" * 60)
    assert (Money(third) + Money(third)).amount == Decimal("0." + "6" * 60)
    assert (USD - Money(Decimal("0.1"))).amount == 1
    assert (USD * Decimal("0.5")).amount == Decimal("0.55")
    assert (USD * 3).amount == Decimal("3.30")
    assert str(USD) == "1.10 USD"
    assert USD < USD * 2
    assert Money(Decimal("1.1")) >= USD


@pytest.mark.parametrize(
    "work", [lambda: USD + EUR, lambda: USD - EUR, lambda: USD < EUR, lambda: USD <= EUR]
)
def test_two_currencies_never_meet(work):
    with pytest.raises(ValueError, match="USD and EUR do not add up"):
        work()


def test_no_float_and_nothing_without_an_end_gets_in():
    with pytest.raises(TypeError, match="money is Decimal, not float"):
        Money(1.1)
    with pytest.raises(TypeError, match="not money"):
        _ = USD * 1.5
    for endless in ("NaN", "Infinity"):
        with pytest.raises(ValueError, match="money is finite"):
            Money(Decimal(endless))
    with pytest.raises(Inexact):
        _ = Money(Decimal("1e-250")) + Money(Decimal("1e250"))


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (Decimal("4.590"), 20, "4.59"),
        (Fraction(1, 3), 20, "0." + "3" * 20),
        (Fraction(2, 3), 10, "0.6666666667"),
        (Decimal("1E+3"), 20, "1000"),
        (Decimal("1E-21"), 20, "0"),
        (Decimal("-1E-21"), 20, "0"),
        (Fraction(-1, 10**21), 20, "0"),
        (Decimal(100), 2, "100"),
        (Decimal("0.005"), 2, "0.01"),
        (Fraction(-1, 200), 2, "-0.01"),
        (Decimal("2.5"), 0, "3"),
        (Decimal("-0"), 2, "0"),
    ],
)
def test_printed_without_exponent_or_padding(value, places, text):
    assert decimal_text(value, places) == text


@given(st.decimals(-1000, 1000, places=9, allow_nan=False), st.integers(0, 6))
@settings(max_examples=60)
def test_a_decimal_and_its_fraction_round_alike(value, places):
    rounded = round_half_up(value, places)
    assert rounded == round_half_up(Fraction(value), places)
    assert abs(Fraction(rounded) - Fraction(value)) * 2 <= Fraction(1, 10**places)
