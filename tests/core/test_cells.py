"""Cells that a spreadsheet cannot run."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuctl.core.cells import cell


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "\tplain",
        "  =cmd|' /C calc'!A0",
        "\ufeff=1",
        "\uff1d1",
        "-1.5\n=1",
        "-",
    ],
)
def test_what_could_be_a_formula_is_text(text):
    assert cell(text) == "'" + text


@pytest.mark.parametrize(
    "text", ["", "-1", "-0.50", "12", "0.00001", "acme/vision", "a=b", " a", "1-2"]
)
def test_numbers_and_names_stay_as_they_are(text):
    assert cell(text) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6))
def test_amounts_can_be_added_up(amount):
    assert cell(f"{amount:f}") == f"{amount:f}"


@given(st.text())
@example("\u0661")
def test_nothing_begins_like_a_formula_but_plain_numbers(text):
    done = cell(text)
    assert done.endswith(text)
    begins = done.lstrip()[:1]
    if begins and begins in "=+-@":
        assert float(done) <= 0, "a plain negative number"
