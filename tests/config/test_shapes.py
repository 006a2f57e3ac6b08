"""What each kind of value takes, and what it says of what it does not take."""

import tomllib
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.config.shapes import (
    Amount,
    Choice,
    Count,
    Day,
    Duration,
    Flag,
    Fraction,
    Percent,
    Wrong,
)
from gpuctl.config.toml import written


@given(st.decimals(0, 10**9 - 1, places=4))
def test_an_amount_is_exact(amount):
    assert Amount().read(str(amount)) == amount


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,50", "NaN", ".5", "1.", "٣", "1" * 10])
def test_what_is_no_amount(text):
    with pytest.raises(Wrong):
        Amount().read(text)


@pytest.mark.parametrize(
    ("shape", "value", "suggestion"),
    [
        (Amount(), 5, '"5"'),
        (Amount(), Fraction("0.40"), '"0.40"'),
        (Amount(), "$1.50", "1.50"),
        (Amount(), "1.50 USD", "1.50"),
        (Amount(positive=True), "0.00", None),
        (Percent(), 15, '"15%"'),
        (Percent(), Fraction("0.15"), '"15%"'),
        (Percent(), Fraction("12.5"), '"12.5%"'),
        (Percent(), "15", None),
        (Duration(), 8, '"8h"'),
        (Duration(), "8 hours", None),
        (Duration(), "off", None),
        (Flag(), "yes", "true"),
        (Flag(), 1, None),
        (Count(1, 9), "5", "5"),
        (Count(1, 9), 10, None),
        (Count(1, 9), True, None),
        (Choice(("red", "green")), "gren", "green"),
        (Day(), "2026-09-01", "2026-09-01"),
    ],
)
def test_what_is_wrong_says_what_to_write(shape, value, suggestion):
    with pytest.raises(Wrong) as caught:
        shape.read(value)
    assert caught.value.suggestion == suggestion


def test_what_is_right():
    assert Percent().read("12.5%") == Decimal("0.125")
    assert Duration().read("1h30m") == timedelta(minutes=90)
    assert Duration(off=True).read("off") is None
    assert Day().read(date(2026, 9, 1)) == date(2026, 9, 1)


VALUES = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), st.dates(), st.text(st.characters(exclude_categories=["Cs"]))
    ),
    lambda inner: st.lists(inner, max_size=3),
)


@given(VALUES)
def test_a_value_is_written_as_toml_reads_it(value):
    assert tomllib.loads(f"x = {written(value)}") == {"x": value}
