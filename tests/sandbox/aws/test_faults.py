"""Trouble on the wire, through the SDK's own retries."""

import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InsufficientInstanceCapacity", 500),
        ("RequestLimitExceeded", 503),
        ("Unavailable", 503),
        ("InternalError", 500),
        ("UnauthorizedOperation", 403),
        ("AuthFailure", 401),
        ("SpotMaxPriceTooLow", 400),
        ("MaxSpotInstanceCountExceeded", 400),
        ("VcpuLimitExceeded", 400),
        ("Unsupported", 400),
    ],
)
def test_a_scripted_error_has_awss_own_status(aws, refused, code, status):
    order = aws.order()
    aws.market.fault("RunInstances", code=code)
    assert refused(aws.ec2.run_instances, **order)[:2] == (code, status)
    aws.ec2.run_instances(**order)


def test_the_sdk_retries_throttling_and_counts(aws):
    aws.market.fault("DescribeInstances", code="RequestLimitExceeded", count=2)
    answer = aws.client("ec2", tries=5).describe_instances()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2


def test_a_cut_before_does_nothing_and_a_cut_after_has_done_it(aws):
    order = aws.order()
    for drop, launched in (("before", 0), ("after", 1)):
        aws.market.fault("RunInstances", drop=drop)
        with pytest.raises(ConnectionClosedError):
            aws.ec2.run_instances(**order)
        assert len(aws.cloud.truth()) == launched


def test_a_fault_ends_after_its_count_and_any_action_can_be_meant(aws):
    aws.market.fault("*", code="InternalError", count=2)
    for call in (aws.ec2.describe_vpcs, aws.client("sts").get_caller_identity):
        with pytest.raises(ClientError):
            call()
    aws.ec2.describe_vpcs()


def test_delay_and_latency_are_real_seconds(aws):
    aws.market.fault("DescribeVpcs", delay=0.2)
    start = time.monotonic()
    aws.ec2.describe_vpcs()
    assert time.monotonic() - start >= 0.2
    aws.market.latency(100)
    start = time.monotonic()
    aws.ec2.describe_vpcs()
    assert time.monotonic() - start >= 0.1
    aws.market.clear_faults()


def test_a_captive_portal_is_not_an_empty_account(aws):
    aws.launch()
    aws.market.fault("DescribeInstances", html=True)
    assert "Reservations" not in aws.ec2.describe_instances()


def test_denied_actions_are_refused_in_each_services_way(aws, refused):
    for action in ("TerminateInstances", "GetProducts", "GetParameter"):
        aws.market.deny(action)
    code, status, text = refused(aws.ec2.terminate_instances, InstanceIds=["i-0123456789abcdef0"])
    assert (code, status) == ("UnauthorizedOperation", 403)
    assert "is not authorized to perform: ec2:TerminateInstances" in text
    pricing, ssm = aws.client("pricing"), aws.client("ssm")
    assert refused(pricing.get_products, ServiceCode="AmazonEC2")[:2] == (
        "AccessDeniedException", 400,
    )  # fmt: skip
    assert refused(ssm.get_parameter, Name="/x")[0] == "AccessDeniedException"


@pytest.mark.parametrize(
    ("service", "call", "code", "status"),
    [
        ("ec2", "describe_instances", "AuthFailure", 401),
        ("sts", "get_caller_identity", "InvalidClientTokenId", 403),
        ("pricing", "describe_services", "UnrecognizedClientException", 400),
    ],
)
def test_only_the_dummy_key_is_let_in(aws, refused, service, call, code, status):
    stranger = aws.client(service, key="AKIAREALLOOKINGKEY00")
    assert refused(getattr(stranger, call))[:2] == (code, status)
    assert getattr(aws.client(service, key="testing"), call)()


def test_the_caller_is_the_sandboxs_account(aws):
    who = aws.client("sts").get_caller_identity()
    assert (who["Account"], who["Arn"]) == (
        "123456789012",
        "arn:aws:iam::123456789012:user/sandbox",
    )


def test_other_services_are_motos(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="a-bucket")
    s3.put_object(Bucket="a-bucket", Key="k", Body=b"data")
    assert s3.get_object(Bucket="a-bucket", Key="k")["Body"].read() == b"data"
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="a-bucket", Key="k", Body=b"other", IfNoneMatch="*")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_knobs_are_turned_by_name(aws, refused):
    aws.cloud.control("quota", code="L-3819A6DF", vcpus=0)
    assert refused(aws.ec2.run_instances, **aws.order(spot=True))[1] == 400
    with pytest.raises(ValueError, match="no such knob: banana"):
        aws.cloud.control("banana")
    with pytest.raises(ValueError, match="unknown quota"):
        aws.cloud.control("quota", code="L-0", vcpus=1)
