"""An answer that cannot be read is told by what was asked and what it lacks."""

from decimal import Decimal

import pytest

from gpuctl.core.answers import Unreadable, read_as, reading
from gpuctl.core.errors import Busy, NotFound, UnknownOutcome


@pytest.mark.parametrize(
    ("read", "why"),
    [
        (lambda: {}["LaunchTime"], "it has no LaunchTime"),
        (lambda: Decimal("x"), "ConversionSyntax"),
        (lambda: int("junk"), "junk"),
    ],
)
def test_junk_is_an_error_that_names_call_and_field(read, why):
    with pytest.raises(Unreadable) as caught, reading("listing VMs", "Google"):
        read()
    assert caught.value.message.startswith("listing VMs: the answer of Google cannot be read: ")
    assert why in caught.value.message
    assert caught.value.hint


def test_after_an_effect_the_outcome_is_not_known():
    @read_as("starting vision-1", "AWS", effect=True)
    def start(inner):
        if inner:
            with reading("reading i-1", "AWS"):
                return {}["State"]
        return {}["InstanceId"]

    for inner in (False, True):
        with pytest.raises(UnknownOutcome, match="it has no"):
            start(inner)


def test_errors_that_mean_something_stay_as_they_are():
    for error in (Busy("wait"), NotFound("none")):
        with pytest.raises(type(error)) as caught, reading("x", "AWS", effect=True):
            raise error
        assert caught.value is error
