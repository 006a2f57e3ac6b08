"""Every error that the SDK's own models name for the calls we make has a class of its own."""

import logging
from collections.abc import Iterator

import botocore.session
import pytest

from gpuctl.core.errors import GpuctlError
from gpuctl.providers.aws import policy
from gpuctl.providers.aws.calls import SETUP
from gpuctl.providers.aws.codes import BESIDE, NEXT, Next, classify
from gpuctl.providers.aws.errors import Refusal, as_error

SDK = {"servicequotas": "service-quotas"}
CONTRACT = {1, 2, 3, 4, 5, 75}
REPEATED = {Next.SAME_AGAIN, Next.UNREACHED, Next.SLOW_DOWN, Next.SETTLE}


def named_by_the_sdk() -> Iterator[tuple[str, str]]:
    """(operation, code); EC2's own model names none."""
    session = botocore.session.Session()
    every = [*policy.calls().items(), *policy.calls(SETUP).items()]
    for service, names in every:
        model = session.get_service_model(SDK.get(service, service))
        for name in names:
            operation = policy.action(service, name).partition(":")[2]
            for shape in model.operation_model(operation).error_shapes:
                yield operation, shape.metadata.get("error", {}).get("code") or shape.name


def test_no_code_of_the_models_goes_by_its_status(caplog: pytest.LogCaptureFixture) -> None:
    every = sorted(set(named_by_the_sdk()))
    assert len(every) > 100
    with caplog.at_level(logging.WARNING):
        for _, code in every:
            classify(code, "", 400)
    assert caplog.messages == []


def test_every_code_has_a_class_an_exit_code_and_its_own_words() -> None:
    assert not NEXT.keys() & BESIDE.keys()
    for code, step in (NEXT | BESIDE).items():
        for effect in (False, True):
            error = as_error(Refusal(step, code, "because"), "launching", effect=effect)
            assert isinstance(error, GpuctlError)
            assert error.exit_code in CONTRACT
            assert "because" in f"{error.message} {error.detail}"


@pytest.mark.parametrize("step", Next)
def test_what_passes_is_told_apart_from_what_does_not(step: Next) -> None:
    """75 only where something may have been done; 1 where the same may be typed again."""
    change = as_error(Refusal(step, "X", ""), "launching", effect=True).exit_code
    look = as_error(Refusal(step, "X", ""), "listing", effect=False).exit_code
    assert (change == 75) is (step in (Next.SAME_AGAIN, Next.TOKEN))
    assert (look == 1) is (step in REPEATED | {Next.TOKEN})
