"""Where an exchange rate comes from."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from gpuctl.config.paths import paths
from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.wiring.rates import rates

DAY = date(2025, 3, 31)


def chosen(tmp_path, **how):
    environ = {"GPUCTL_HOME": str(tmp_path), "GPUCTL_SANDBOX": "1"}
    return rates(environ, paths(environ, tmp_path), lambda: datetime(2025, 4, 1, tzinfo=UTC), **how)


@pytest.mark.parametrize(
    ("given", "per_usd", "quoted"),
    [
        ("0.92", Fraction("0.92"), "1 USD = 0.92 EUR"),
        ("1/1.0842", 1 / Fraction("1.0842"), "1 EUR = 1.0842 USD"),
        ("150", Fraction(150), "1 USD = 150 EUR"),
    ],
)
def test_a_rate_that_was_agreed(tmp_path, given, per_usd, quoted):
    rate = chosen(tmp_path, given=given)("EUR", DAY)
    assert (rate.per_usd, rate.day, rate.quoted) == (per_usd, DAY, quoted)


def test_a_rate_is_for_one_currency(tmp_path):
    agreed = chosen(tmp_path, given="0.92")
    assert agreed("EUR", DAY) == agreed("EUR", DAY)
    with pytest.raises(UsageProblem, match="cannot be both EUR and GBP"):
        agreed("GBP", DAY)


@pytest.mark.parametrize("given", ["", "0", "-1", "1,08", "1/0", "0.92 EUR", "1/2/3", "\uff11"])
def test_what_is_no_rate(tmp_path, given):
    with pytest.raises(UsageProblem, match="is no rate"):
        chosen(tmp_path, given=given)


def test_a_file_or_a_rate_not_both(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("Date,USD,\n2025-03-31,1.0842,\n")
    assert chosen(tmp_path, file=path)("EUR", DAY).source == "ECB, r.csv"
    with pytest.raises(UsageProblem, match="name one"):
        chosen(tmp_path, file=path, given="1")


def test_the_sandbox_never_asks_the_bank(tmp_path):
    with pytest.raises(GpuctlError, match="nothing is fetched from here") as refused:
        chosen(tmp_path)("EUR", DAY)
    assert "--rate 0.92" in refused.value.hint
