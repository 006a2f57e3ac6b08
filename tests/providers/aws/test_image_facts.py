"""What one image of DescribeImages tells, and which launches it forbids."""

from typing import Any

import pytest

from gpuctl.core.errors import TypeNotOffered
from gpuctl.core.images.facts import Branches, Module
from gpuctl.providers.aws.image_facts import facts_of, refuse_known_bad

PLAIN: dict[str, Any] = {
    "ImageId": "ami-0123456789abcdef0",
    "Architecture": "x86_64",
    "VirtualizationType": "hvm",
    "EnaSupport": True,
    "OwnerId": "111122223333",
    "Name": "Deep Learning Base OSS Nvidia Driver GPU AMI (Ubuntu 22.04) 20260901",
}


def tagged(**tags: str) -> dict[str, Any]:
    return {**PLAIN, "Tags": [{"Key": f"gpuctl:{key}", "Value": tags[key]} for key in tags]}


def test_an_image_of_somebody_tells_little() -> None:
    """Its name could be anybody's: only AWS's own account is believed."""
    facts = facts_of(PLAIN)
    assert (facts.name, facts.boot, facts.ena) == (PLAIN["ImageId"], "default", True)
    assert (facts.nvme, facts.driver, facts.module, facts.bare) == (None, None, None, False)
    assert facts_of({**PLAIN, "EnaSupport": None, "BootMode": "uefi"})[4:7] == (
        "uefi",
        "hvm",
        False,
    )


@pytest.mark.parametrize("owner", [{"ImageOwnerAlias": "amazon"}, {"OwnerId": "898082745236"}])
def test_an_image_of_aws_tells_by_its_name(owner: dict[str, str]) -> None:
    facts = facts_of({**PLAIN, **owner})
    assert (facts.module, facts.nvme) == (Module.OPEN, True)
    assert facts_of({**PLAIN, **owner, "Name": "amzn2-ami"}).module is None


def test_an_image_of_gpuctl_tells_by_its_tags() -> None:
    tags = {"image": "torch", "version": "3", "driver": "580.95.05", "module": "proprietary"}
    facts = facts_of(tagged(**tags, cuda="cu126", torch="2.10.0"))
    assert (facts.name, facts.driver) == ("torch@3", Branches(580, 580))
    assert (facts.module, facts.cuda, facts.torch) == (Module.PROPRIETARY, "cu126", "2.10.0")
    odd = facts_of(tagged(image="torch", driver="new", module="closed"))
    assert (odd.name, odd.driver, odd.module) == (PLAIN["ImageId"], None, None)


def test_a_launch_that_would_compute_nothing_is_refused() -> None:
    portable = tagged(driver="580.95.05", module="proprietary", cuda="cu126", torch="2.10.0")
    refuse_known_bad(portable, "torch@3", "p3.2xlarge")
    refuse_known_bad(portable, "torch@3", "p9.large")
    refuse_known_bad(PLAIN, PLAIN["ImageId"], "g7e.2xlarge")
    with pytest.raises(TypeNotOffered, match=r"torch@3 does not run on g7e\.2xlarge") as caught:
        refuse_known_bad(portable, "torch@3", "g7e.2xlarge")
    assert "dlami-layer" in str(caught.value.hint)


def test_what_ec2_refuses_itself_is_left_to_it() -> None:
    refuse_known_bad({**PLAIN, "EnaSupport": False, "BootMode": "uefi"}, "ami", "g6.xlarge")
