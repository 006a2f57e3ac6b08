"""Refusals are read once, by the code, and never by what the library makes of them."""

import ast
import json
from pathlib import Path

import pytest
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.protobuf.json_format import ParseError

from gpuctl.core.errors import (
    Busy,
    Denied,
    InvalidRequest,
    NotFound,
    NoZoneCapacity,
    QuotaReached,
    TypeNotOffered,
    UnknownOutcome,
)
from gpuctl.providers.gcp.errors import (
    CODES,
    Refusal,
    Step,
    error_of,
    refusal_from,
    refusal_of,
    refusals_in,
)
from gpuctl.sandbox.gcp import faults

QUOTED = Path(__file__).parents[4] / "shared/data/recorded/gcp/quoted_launch_errors.json"
KNOWN = [
    "ZONE_RESOURCE_POOL_EXHAUSTED",
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    "insufficientCapacity",
    "RESOURCE_NOT_READY",
    "UNSUPPORTED_OPERATION",
    "QUOTA_EXCEEDED",
    "IAM_PERMISSION_DENIED",
    "VPC_NOT_FOUND",
    "invalid",
    "BILLING_DISABLED",
    "RESOURCE_OPERATION_RATE_EXCEEDED",
    "rateLimitExceeded",
    "backendError",
    "INTERNAL_ERROR",
    "conditionNotMet",
    "alreadyExists",
]
"""What launch tools have learnt that Compute Engine answers."""


def quoted() -> list[dict]:
    if not QUOTED.exists():
        pytest.skip("the recorded answers are not beside this checkout")
    return json.loads(QUOTED.read_text())


@pytest.mark.parametrize("code", KNOWN)
def test_the_table_knows_what_google_is_known_to_say(code: str) -> None:
    assert code in CODES


@pytest.mark.parametrize("step", Step)
def test_every_step_has_an_error(step: Step) -> None:
    error = error_of(Refusal("code", "words", 400, step), doing="trying")
    assert "words" in error.message
    assert error.detail


def test_capacity_hints_are_read_from_the_details() -> None:
    for entry in (entry for entry in quoted() if "expect_zones" in entry):
        refusal = read(entry)
        assert refusal.step is Step.ZONE, entry
        assert list(refusal.zones) == entry["expect_zones"]
        error = error_of(refusal, doing="creating")
        assert isinstance(error, NoZoneCapacity)
        assert list(error.zones) == entry["expect_zones"]


def test_every_quoted_refusal_has_its_class() -> None:
    for entry in quoted():
        error = error_of(read(entry), doing="creating")
        text = json.dumps(entry)
        if "acceleratorTypes" in text:
            assert isinstance(error, TypeNotOffered), entry
        elif "Quota" in text:
            assert isinstance(error, QuotaReached), entry
            assert error.code.endswith("_ALL_REGIONS")
        elif "live migration" in text:
            assert isinstance(error, InvalidRequest), entry
        else:
            assert isinstance(error, NoZoneCapacity), entry


def read(entry: dict) -> Refusal:
    if "http_status" in entry:
        return refusal_of(entry["reason"], entry["message"], entry["http_status"])
    operation = {"status": "DONE", "error": {"errors": [entry]}}
    if "httpErrorStatusCode" in entry:
        operation["httpErrorStatusCode"] = entry["httpErrorStatusCode"]
    return refusals_in(operation | {"error": {"errors": [without_nulls(entry)]}})[0]


def without_nulls(entry: dict) -> dict:
    return {key: value for key, value in entry.items() if value is not None}


def test_an_operation_without_an_http_status_failed_all_the_same() -> None:
    operation = {"status": "DONE", "error": {"errors": [{"code": "QUOTA_EXCEEDED"}]}}
    assert [refusal.step for refusal in refusals_in(operation)] == [Step.QUOTA]
    assert refusals_in({"status": "DONE"}) == ()


def test_an_http_status_without_errors_is_a_failure() -> None:
    operation = {"status": "DONE", "httpErrorStatusCode": 403, "httpErrorMessage": "FORBIDDEN"}
    assert [refusal.step for refusal in refusals_in(operation)] == [Step.ACCESS]


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (None, Step.AMBIGUOUS),
        (500, Step.AMBIGUOUS),
        (599, Step.AMBIGUOUS),
        (400, Step.FIX),
        (418, Step.FIX),
        (401, Step.ACCESS),
        (404, Step.MISSING),
        (429, Step.LATER),
    ],
)
def test_an_unknown_code_is_classed_by_status_and_logged(status, step, caplog) -> None:
    assert refusal_of("neverSeen", "words", status).step is step
    assert "neverSeen" in caplog.text


def test_what_cost_nothing_is_busy_and_what_may_cost_is_unknown() -> None:
    refusal = Refusal("backendError", "words", 503, Step.AMBIGUOUS)
    assert isinstance(error_of(refusal, doing="labelling"), Busy)
    assert isinstance(error_of(refusal, doing="starting", effect=True), UnknownOutcome)


def test_a_403_is_permission_quota_or_rate_by_its_reason() -> None:
    steps = [refusal_of(reason, "", 403).step for reason in ("forbidden", "quotaExceeded")]
    assert steps == [Step.ACCESS, Step.QUOTA]
    assert refusal_of("rateLimitExceeded", "", 403).step is Step.LATER


def test_exceptions_of_the_libraries_are_read() -> None:
    gone = refusal_from(requests.exceptions.ConnectionError("reset"))
    assert isinstance(gone, Refusal)
    assert gone.step is Step.AMBIGUOUS
    late = refusal_from(api.RetryError("timed out", api.ServiceUnavailable("503")))
    assert isinstance(late, Refusal)
    assert late.status == 503
    assert isinstance(refusal_from(auth.RefreshError("expired")), Denied)
    assert isinstance(refusal_from(auth.InvalidOperation("anonymous")), Denied)
    assert refusal_from(KeyError("ours")) is None
    portal = refusal_from(ParseError("Failed to load JSON: <html>"))
    assert isinstance(portal, Refusal)
    assert portal.step is Step.AMBIGUOUS
    missing = refusal_from(api.NotFound("x", errors=[{"reason": "notFound"}]))
    assert isinstance(missing, Refusal)
    assert isinstance(error_of(missing, doing="reading"), NotFound)


CONTRACT = {1, 2, 3, 4, 5, 75}


def answered_by_the_emulator() -> set[str]:
    """Each reason of a refusal, and each code of a failed operation, in the emulator's source."""
    told = {"Refusal": 1, "OperationFailed": 0}
    found = {*faults._REASONS, *faults._REASON_OF_STATUS.values()}
    for file in Path(faults.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = node.args[told.get(node.func.id, 99) :][:1]
                found |= {str(one.value) for one in words if isinstance(one, ast.Constant)}
    return found


def test_no_reason_that_is_known_goes_by_its_status() -> None:
    emulated = answered_by_the_emulator()
    assert {"resourceInUseByAnotherResource", "CONDITION_NOT_MET", "QUOTA_EXCEEDED"} <= emulated
    assert len(emulated) > 15
    assert {*KNOWN, *emulated} - CODES.keys() == set()


@pytest.mark.parametrize("effect", [False, True])
def test_every_reason_has_a_class_an_exit_code_and_its_own_words(effect: bool) -> None:
    for code, step in CODES.items():
        refusal = refusal_of(code, "because", 400)
        assert refusal.step is step, code
        error = error_of(refusal, doing="starting", effect=effect)
        assert error.exit_code in CONTRACT
        assert "because" in f"{error.message} {error.detail}"
        assert (error.exit_code == 75) is (effect and step is Step.AMBIGUOUS), code
        assert isinstance(error, Busy) is (
            step in (Step.LATER, Step.STALE) or (step is Step.AMBIGUOUS and not effect)
        ), code


@pytest.mark.parametrize("step", Step)
def test_every_step_is_of_some_reason(step: Step) -> None:
    """TYPE is told by the words of a reason that is MISSING otherwise."""
    assert step in CODES.values() or step is Step.TYPE
