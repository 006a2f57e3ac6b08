"""What doctor says before anything is launched."""

import pytest

from gpuctl.core.kinds import Market
from gpuctl.core.model import Check, Want
from gpuctl.providers.aws.gpus import architecture_of, gpu_of
from gpuctl.providers.aws.quotas import quota_code
from tests.providers.aws.rig import Rig


def want(*types: str) -> Want:
    return Want(types=types, markets=(Market.SPOT, Market.ON_DEMAND), regions=("us-east-1",))


def named(found: object, word: str) -> Check:
    (check,) = [one for one in found if word in one.name]  # type: ignore[attr-defined]
    return check


def test_who_we_are(rig: Rig) -> None:
    check = named(rig.provider().checks(None), "credentials")
    assert check.ok
    assert "account 123456789012" in check.says


def test_without_credentials_nothing_else_is_asked(rig: Rig) -> None:
    rig.cloud.market.fault("GetCallerIdentity", code="InvalidClientTokenId", status=403)
    (check,) = rig.provider().checks(want("g4dn.xlarge"))
    assert check.ok is False
    assert check.fix
    assert rig.sent.total() == 1


def test_a_quota_that_is_too_small_gives_the_exact_request(rig: Rig) -> None:
    rig.cloud.market.quota("L-3819A6DF", 0)
    check = named(rig.provider().checks(want("g4dn.xlarge")), "quota spot g4dn us-east-1")
    assert check.ok is False
    assert check.says == "0 vCPUs (L-3819A6DF); one g4dn.xlarge needs 4"
    assert check.fix == (
        "aws service-quotas request-service-quota-increase --service-code ec2 "
        "--quota-code L-3819A6DF --desired-value 4 --region us-east-1"
    )


def test_a_quota_that_suffices_is_fine(rig: Rig) -> None:
    found = rig.provider().checks(want("g4dn.xlarge", "g5.xlarge"))
    quotas = [check for check in found if "quota" in check.name]
    assert [check.ok for check in quotas] == [True, True]


def test_a_quota_that_may_not_be_read_is_a_warning(rig: Rig) -> None:
    rig.cloud.market.deny("GetServiceQuota")
    quotas = [one for one in rig.provider().checks(want("g4dn.xlarge")) if "quota" in one.name]
    assert {check.ok for check in quotas} == {None}


def test_a_retired_first_choice_is_a_warning_when_another_is_sold(rig: Rig) -> None:
    found = rig.provider().checks(want("p3.2xlarge", "g4dn.xlarge"))
    assert named(found, "p3.2xlarge").ok is None
    assert "retired" in named(found, "p3.2xlarge").says
    assert named(found, "aws g4dn.xlarge").ok


def test_nothing_that_can_be_had_is_a_problem(rig: Rig) -> None:
    assert named(rig.provider().checks(want("p3.2xlarge")), "p3.2xlarge").ok is False


def test_tags_are_a_reminder_and_no_problem(rig: Rig) -> None:
    check = named(rig.provider().checks(None), "tags")
    assert check.ok is None
    assert check.fix


@pytest.mark.parametrize(
    ("type_", "spot", "on_demand"),
    [
        ("g4dn.xlarge", "L-3819A6DF", "L-DB2E81BA"),
        ("gr6.4xlarge", "L-3819A6DF", "L-DB2E81BA"),
        ("g6e.xlarge", "L-3819A6DF", "L-DB2E81BA"),
        ("p3.2xlarge", "L-7212CCBC", "L-417A185B"),
        ("p4d.24xlarge", "L-7212CCBC", "L-417A185B"),
        ("p5.48xlarge", "L-C4BD4855", "L-417A185B"),
        ("p5en.48xlarge", "L-C4BD4855", "L-417A185B"),
        ("p6-b200.48xlarge", None, "L-417A185B"),
        ("t3.micro", "L-34B43A08", "L-1216C47A"),
        ("trn1.2xlarge", "L-6B0D517C", "L-2C3B7624"),
        ("inf2.xlarge", "L-B5D1601B", "L-1945791B"),
        ("dl1.24xlarge", "L-85EED4F7", "L-6E869C2A"),
        ("u-6tb1.metal", None, None),
        ("", None, None),
    ],
)
def test_families_and_their_quotas(type_: str, spot: str | None, on_demand: str | None) -> None:
    assert quota_code(type_, Market.SPOT) == spot
    assert quota_code(type_, Market.ON_DEMAND) == on_demand


def test_the_gpu_table_agrees_with_the_cloud(rig: Rig) -> None:
    """Every GPU type that EC2 describes, with the table's name and count."""
    described = []
    token: dict[str, str] = {}
    while True:
        reply = rig.raw("us-east-1").describe_instance_types(**token)
        described += reply["InstanceTypes"]
        if not reply.get("NextToken"):
            break
        token = {"NextToken": reply["NextToken"]}
    nvidia = [
        one
        for one in described
        if any(gpu["Manufacturer"] == "NVIDIA" for gpu in one.get("GpuInfo", {}).get("Gpus", ()))
    ]
    assert len(nvidia) > 30
    for one in nvidia:
        told = one["GpuInfo"]["Gpus"][0]
        known = gpu_of(one["InstanceType"])
        assert (known.name, known.count) == (told["Name"], told["Count"] or 1), one["InstanceType"]
        assert (
            architecture_of(one["InstanceType"]) in one["ProcessorInfo"]["SupportedArchitectures"]
        ), one["InstanceType"]
