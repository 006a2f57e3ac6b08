"""Errors know their exit code, and say where and what next."""

import pytest

from gpuctl.core import errors
from gpuctl.core.ports import CloudRef

CODES = {
    "GpuctlError": 1, "UsageProblem": 2, "ConfigError": 2, "InvalidRequest": 2, "NotFound": 3,
    "Denied": 4, "CannotFill": 5, "NoZoneCapacity": 5, "TypeNotOffered": 5, "PriceTooLow": 5,
    "QuotaReached": 5, "Busy": 1, "BudgetExceeded": 6, "ChecksFailed": 8, "UnknownOutcome": 75,
    "RemoteFailed": 125, "LedgerError": 1, "ListingIncomplete": 1,
}  # fmt: skip


def test_every_error_has_the_exit_code_of_the_contract():
    known = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.GpuctlError)
    }
    assert {name: known.get(name) for name in CODES} == CODES


@pytest.mark.parametrize(
    ("line", "key", "suggestion", "says"),
    [
        (None, None, None, "f.toml: wrong"),
        (3, None, None, "f.toml:3: wrong"),
        (3, "regin", "region", "f.toml:3: regin: wrong (did you mean 'region'?)"),
    ],
)
def test_a_problem_says_where_it_is(line, key, suggestion, says):
    problem = errors.Problem("f.toml", line, key, "wrong", suggestion)
    assert str(problem) == says
    assert str(errors.ConfigError([problem, problem])) == f"{says}\n{says}"


def test_what_a_refusal_and_a_silence_carry():
    refusal = errors.QuotaReached("no", code="L-1", hint="ask", zones=["a"])
    assert (refusal.code, refusal.zones, refusal.hint) == ("L-1", ("a",), "ask")
    silence = errors.ListingIncomplete("no", provider="aws", region="us-east-1", detail="d")
    assert (silence.provider, silence.region, silence.detail) == ("aws", "us-east-1", "d")


def test_an_account_reads_as_whose_it_is():
    assert str(CloudRef("aws")) == "aws"
    assert str(CloudRef("aws", "acme")) == "aws (acme's account)"
