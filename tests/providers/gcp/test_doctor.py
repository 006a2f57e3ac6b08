"""The doctor reads recorded quotas and tells what is missing, without raising."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from gpuctl.core.kinds import Market
from gpuctl.core.model import Accelerator, Check, Want
from gpuctl.providers.gcp import GcpProvider
from gpuctl.providers.gcp.doctor import open_to_all, quota_left
from gpuctl.sandbox.gcp import GcpCloud

REGIONS = Path(__file__).parents[4] / "shared/data/recorded/gcp/gcpdiag_gke1__compute-regions.json"
T4 = Want(
    types=("n1-standard-4",),
    markets=(Market.SPOT,),
    accelerator=Accelerator(type="nvidia-tesla-t4"),
)


def by_name(provider: GcpProvider, want: Want | None = None) -> dict[str, Check]:
    return {check.name: check for check in provider.checks(want)}


def test_recorded_quotas_are_read() -> None:
    if not REGIONS.exists():
        pytest.skip("the recorded answers are not beside this checkout")
    regions = {one["name"]: one["quotas"] for one in json.loads(REGIONS.read_text())["items"]}
    assert quota_left(regions["europe-west4"], "NVIDIA_V100_GPUS") == Decimal(7)
    assert quota_left(regions["europe-west4"], "NO_SUCH_QUOTA") is None


def test_enough_quota_is_well(provider: GcpProvider) -> None:
    found = by_name(provider, T4)
    assert found["quota GPUS_ALL_REGIONS"].ok
    assert found["quota PREEMPTIBLE_NVIDIA_T4_GPUS"].ok
    assert found["template"].ok


def test_no_quota_names_the_metric_and_the_page(provider: GcpProvider, cloud: GcpCloud) -> None:
    cloud.quota("GPUS_ALL_REGIONS", 0)
    check = by_name(provider, T4)["quota GPUS_ALL_REGIONS"]
    assert check.ok is False
    assert "quotas" in (check.fix or "")


def test_a_template_that_nobody_sells_fails(provider: GcpProvider) -> None:
    want = Want(types=("n1-standard-3",), markets=(Market.SPOT,))
    assert by_name(provider, want)["template"].ok is False


def test_an_api_that_is_off_names_the_command(provider: GcpProvider, cloud: GcpCloud) -> None:
    cloud.fault("projects.get", reason="accessNotConfigured", count=None)
    [check] = provider.checks(None)
    assert check.ok is False
    assert check.fix == "gcloud services enable compute --project sandbox-project"


def test_what_may_not_be_read_is_a_warning(provider: GcpProvider, cloud: GcpCloud) -> None:
    cloud.deny("firewalls.list")
    assert by_name(provider)["firewall"].ok is None


@pytest.mark.parametrize(
    ("change", "is_open"),
    [
        ({}, True),
        ({"allowed": [{"IPProtocol": "all"}]}, True),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["20-30"]}]}, True),
        ({"allowed": [{"IPProtocol": "tcp", "ports": ["80"]}]}, False),
        ({"allowed": [{"IPProtocol": "icmp"}]}, False),
        ({"sourceRanges": ["203.0.113.7/32"]}, False),
        ({"targetTags": ["web"]}, False),
        ({"disabled": True}, False),
        ({"direction": "EGRESS"}, False),
    ],
)
def test_rules_that_let_the_world_in_are_told(change: dict, is_open: bool) -> None:
    rule = {
        "name": "default-allow-ssh",
        "sourceRanges": ["0.0.0.0/0"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    } | change
    assert open_to_all([rule]) == (("default-allow-ssh",) if is_open else ())
