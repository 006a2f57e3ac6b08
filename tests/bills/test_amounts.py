"""Amounts are exact or refused: the same in SQL and in Python, whatever way they are written."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuctl.bills.amounts import absent, amount, joined, with_amounts
from gpuctl.bills.engine import Engine
from gpuctl.core.rounding import EXACT


@pytest.fixture(scope="module")
def engine():
    return Engine()


def in_sql(engine: Engine, *texts: str) -> Decimal | None:
    """Their sum, as the readers add up; None when one is no amount."""
    rows = with_amounts("SELECT unnest(?::VARCHAR[]) AS amount")
    high, low, read = engine.connection.execute(
        f"SELECT sum(high), sum(low), count(high) FROM ({rows})", [list(texts)]
    ).fetchone()
    return joined(high, low) if read == len(texts) else None


def in_python(*texts: str) -> Decimal | None:
    total = Decimal(0)
    try:
        for text in texts:
            total = EXACT.add(total, amount(text))
    except ValueError:
        return None
    return total


decimals = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=12
)
doubles = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12)
scientific = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    st.from_regex(r"\A[0-9]{1,8}\.?[0-9]{0,20}\Z"),
    st.sampled_from("eE"),
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 40),
)
written = st.one_of(decimals.map(str), doubles.map(repr), scientific)


@given(texts=st.lists(written, min_size=1, max_size=6))
@example(texts=["1e-07", "-1e-07"])
@example(texts=["5e-06", "0.1234567890123456789", "9.999999999999999999999999999999e-19"])
@example(texts=["0e400", "-0"])
def test_amounts_add_up_exactly_in_sql_as_in_python(engine, texts):
    assert in_sql(engine, *texts) == in_python(*texts)


@given(value=doubles)
def test_a_double_is_the_shortest_decimal_that_reads_back_as_it(engine, value):
    written = engine.connection.execute("SELECT CAST(?::DOUBLE AS VARCHAR)", [value]).fetchone()[0]
    assert Decimal(written) == Decimal(repr(value))


@given(text=st.text(alphabet="0123456789.eE+-_, $x%", max_size=12))
@example(text="1_000")
@example(text="1,000.00")
@example(text=".")
@example(text="e5")
@example(text="5.")
@example(text=".5")
def test_what_is_an_amount_is_the_same_in_sql_and_python(engine, text):
    assert in_sql(engine, text) == in_python(text)


@pytest.mark.parametrize(
    "text",
    ["1,5", "$1", "1_000", "0x10", "nan", "inf", "", "NULL", "1e", "--1", "1 2", "٣", "1e-49"],
)
def test_what_is_no_amount_is_refused(engine, text):
    assert in_sql(engine, text) is None
    with pytest.raises(ValueError, match=r"amount|decimals"):
        amount(text)


def test_a_sum_that_does_not_fit_is_an_error_and_never_wraps(engine):
    with pytest.raises(engine.failures):
        in_sql(engine, *["9" * 20] * 200)


def test_nothing_has_several_words():
    assert all(map(absent, [None, "", " ", "NULL", "null", "None", "\\N"]))
    assert not absent("0")
