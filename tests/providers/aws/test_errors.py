"""Every refusal has its next step, the zones that AWS recommends, and AWS's own words."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions as sdk

from gpuctl.core import errors
from gpuctl.providers.aws.codes import NEXT, Next, bare, classify, zones_with_capacity
from gpuctl.providers.aws.errors import as_error, refusal_of, translated

QUOTED = Path(__file__).parents[4] / "shared/data/recorded/aws/quoted_launch_errors.json"

TAXONOMY = {
    Next.SAME_AGAIN: """InternalError InternalFailure ServerInternal ServiceUnavailable Unavailable
        RequestTimeout""",
    Next.SLOW_DOWN: """RequestLimitExceeded Throttling ThrottlingException EC2ThrottledException
        ConcurrentTagAccess SnapshotCreationPerVolumeRateExceeded""",
    Next.SETTLE: """InvalidGroup.NotFound InvalidSpotInstanceRequestID.NotFound
        IncorrectInstanceState IncorrectState""",
    Next.OTHER_ZONE: """InsufficientInstanceCapacity UnfulfillableCapacity
        InsufficientFreeAddressesInSubnet InsufficientVolumeCapacity
        VolumeTypeNotAvailableInZone""",
    Next.OTHER_TYPE: "InvalidInstanceType Unsupported UnsupportedOperation",
    Next.PRICE: "SpotMaxPriceTooLow",
    Next.QUOTA: """MaxSpotInstanceCountExceeded VcpuLimitExceeded InstanceLimitExceeded
        ResourceLimitExceeded VolumeLimitExceeded MaxIOPSLimitExceeded
        SecurityGroupLimitExceeded""",
    Next.CREDENTIALS: """UnauthorizedOperation AuthFailure InvalidClientTokenId
        SignatureDoesNotMatch RequestExpired OptInRequired PendingVerification Blocked
        AccountDisabled AuthFailure.ServiceLinkedRoleCreationNotPermitted
        AuthFailure.SomethingNew CustomerKeyHasBeenRevoked""",
    Next.MISSING: """InvalidAMIID.NotFound InvalidAMIID.Malformed InvalidSubnetID.NotFound
        InvalidSubnetID.Whatever InvalidKeyPair.NotFound InvalidInstanceID.NotFound""",
    Next.REQUEST: """InvalidParameter InvalidParameterValue InvalidParameterCombination
        InvalidParameterOfTomorrow InvalidBlockDeviceMapping InvalidUserData.Malformed
        EncryptedVolumesNotSupported TagPolicyViolation TagLimitExceeded VPCIdNotSpecified
        InvalidAMIID.Unavailable InvalidClientToken""",
    Next.TOKEN: "IdempotentParameterMismatch IdempotentInstanceTerminated",
    Next.LOCKED: "OperationNotPermitted",
}
CODES = [(code, step) for step, codes in TAXONOMY.items() for code in codes.split()]


def client_error(code: str, message: str = "no", status: int = 400) -> sdk.ClientError:
    reply: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "req-1"},
    }
    return sdk.ClientError(reply, "RunInstances")


@pytest.mark.parametrize(("code", "step"), CODES)
def test_every_code_of_the_taxonomy_has_its_step(
    code: str, step: Next, caplog: pytest.LogCaptureFixture
) -> None:
    assert classify(code) is step
    assert caplog.records == []


def test_every_step_has_codes_and_an_error_of_its_own() -> None:
    assert set(NEXT.values()) == set(Next) - {Next.UNREACHED}
    for code, step in NEXT.items():
        error = as_error(refusal_of(client_error(code)), "trying")
        assert isinstance(error, errors.GpuctlError), step
        assert "req-1" in (error.detail or "")


@pytest.mark.parametrize(
    ("status", "step"),
    [(500, Next.SAME_AGAIN), (503, Next.SAME_AGAIN), (400, Next.REQUEST), (403, Next.CREDENTIALS)],
)
def test_an_unknown_code_goes_by_its_status_and_is_logged(
    status: int, step: Next, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert classify("NeverHeardOf", "hm", status) is step
    assert "NeverHeardOf" in caplog.text


def test_a_prefix_of_the_audit_log_is_no_other_code() -> None:
    assert bare("Client.VcpuLimitExceeded") == bare("VcpuLimitExceeded") == "VcpuLimitExceeded"
    assert classify("Server.InsufficientInstanceCapacity") is Next.OTHER_ZONE


@pytest.mark.skipif(not QUOTED.exists(), reason="the recorded answers are not here")
def test_what_aws_really_said_is_understood(caplog: pytest.LogCaptureFixture) -> None:
    steps = {}
    for quote in json.loads(QUOTED.read_text()):
        step = classify(quote["code"], quote["message"], quote.get("http_status"))
        steps.setdefault(step, []).append(quote["code"])
        if "expect_zones" in quote:
            assert list(zones_with_capacity(quote["message"])) == quote["expect_zones"]
            assert step is Next.OTHER_ZONE
    assert caplog.records == []
    assert set(steps) == {Next.OTHER_ZONE, Next.QUOTA, Next.PRICE}


def test_no_zones_are_read_out_of_other_advice() -> None:
    said = "You can currently get capacity by not specifying a zone or choosing other types."
    assert zones_with_capacity(said) == ()


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("InsufficientInstanceCapacity", "none, or choosing us-east-1b.", errors.NoZoneCapacity),
        ("Unsupported", "The requested configuration is not supported", errors.TypeNotOffered),
        (
            "Unsupported",
            "Your type (p3.2xlarge) is not supported in your requested Availability Zone (a).",
            errors.NoZoneCapacity,
        ),
        ("InvalidParameterValue", "Invalid value 'g9.x' for InstanceType.", errors.TypeNotOffered),
        ("SpotMaxPriceTooLow", "too low", errors.PriceTooLow),
        ("VcpuLimitExceeded", "16", errors.QuotaReached),
        ("UnauthorizedOperation", "no", errors.Denied),
        ("OperationNotPermitted", "protected", errors.Denied),
        ("InvalidParameterValue", "bad size", errors.InvalidRequest),
        ("InvalidAMIID.NotFound", "gone", errors.NotFound),
        ("RequestLimitExceeded", "slow down", errors.Busy),
        ("InternalError", "oops", errors.Busy),
    ],
)
def test_each_refusal_is_named_by_the_next_step(
    code: str, message: str, kind: type[errors.GpuctlError]
) -> None:
    with pytest.raises(kind) as caught, translated("launching"):
        raise client_error(code, message)
    assert caught.value.message.startswith("launching: ")
    assert f"{code}" in (caught.value.detail or "")


def test_zones_with_capacity_travel_with_the_error() -> None:
    said = "or choosing us-east-1b, us-east-1c."
    with pytest.raises(errors.NoZoneCapacity) as caught, translated("launching"):
        raise client_error("InsufficientInstanceCapacity", said, 500)
    assert caught.value.zones == ("us-east-1b", "us-east-1c")
    assert caught.value.code == "InsufficientInstanceCapacity"


def test_a_lost_answer_is_unknown_only_where_something_changes() -> None:
    lost = sdk.ReadTimeoutError(endpoint_url="https://ec2")
    with pytest.raises(errors.Busy), translated("listing"):
        raise lost
    with pytest.raises(errors.UnknownOutcome), translated("ending", effect=True):
        raise lost


def test_an_unreached_cloud_is_busy_even_where_something_changes() -> None:
    never_sent = sdk.EndpointConnectionError(endpoint_url="https://ec2")
    with pytest.raises(errors.Busy, match="ending") as caught, translated("ending", effect=True):
        raise never_sent
    assert "network" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (sdk.NoCredentialsError(), "get-caller-identity"),
        (client_error("RequestExpired"), "clock"),
        (client_error("ExpiredToken"), "sso login"),
        (client_error("UnauthorizedOperation"), "policy"),
    ],
)
def test_denied_tells_what_to_do(error: Exception, word: str) -> None:
    with pytest.raises(errors.Denied) as caught, translated("asking"):
        raise error
    assert word in (caught.value.hint or "")


def test_the_encoded_message_is_for_debugging_only() -> None:
    said = "You are not authorized. Encoded authorization failure message: abc_DEF-123"
    with pytest.raises(errors.Denied) as caught, translated("launching"):
        raise client_error("UnauthorizedOperation", said, 403)
    assert "abc_DEF" not in caught.value.message
    assert "abc_DEF" in (caught.value.detail or "")


def test_a_mistake_of_our_own_is_not_translated() -> None:
    with pytest.raises(KeyError), translated("anything"):
        raise KeyError("ours")
    with pytest.raises(TypeError):
        refusal_of(KeyError("ours"))
