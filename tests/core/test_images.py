"""Which image runs on which machine: thirty pairs of the table, each rule, and the table itself."""

import gzip
import json
from pathlib import Path

import moto
import pytest

from gpuctl.core.images import machines, wheels
from gpuctl.core.images.bases import BASES, base_facts
from gpuctl.core.images.facts import Branches, ImageFacts, Module, Verdict, worst
from gpuctl.core.images.machines import machine_facts
from gpuctl.core.images.rules import RULES, check, no_row, refusal
from gpuctl.providers.aws import gpus
from gpuctl.providers.gcp import shapes

FITS, UNKNOWN, NOT = Verdict.FITS, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT

DLVM = "deeplearning-platform-release"
R580 = Branches(580, 580)
KNOWN = ImageFacts(
    name="portable",
    source="recipe",
    architecture="x86_64",
    boot="default",
    virtualization="hvm",
    ena=True,
    nvme=True,
    driver=R580,
    module=Module.PROPRIETARY,
    cuda="cu126",
    torch="2.10.0",
)
LAYER = KNOWN._replace(
    name="layer", driver=Branches(595), module=Module.OPEN, cuda="cu128", torch="2.10.0"
)
P3 = KNOWN._replace(name="old P3", ena=False, nvme=None, driver=Branches(470, 470), cuda="cu118")
"""An AMI that somebody made on a p3.2xlarge years ago."""
DLAMI = base_facts(
    "ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
)
STRANGER = ImageFacts("ami-0123", "DescribeImages", "aws", "x86_64", "default", "hvm", ena=True)

PAIRS = {
    "p3.2xlarge": (FITS, NOT, NOT, FITS, UNKNOWN),
    "g4dn.xlarge": (FITS, FITS, FITS, NOT, UNKNOWN),
    "g5.xlarge": (FITS, FITS, FITS, NOT, UNKNOWN),
    "g6.xlarge": (FITS, FITS, FITS, NOT, UNKNOWN),
    "g6e.xlarge": (FITS, FITS, FITS, NOT, UNKNOWN),
    "g7e.2xlarge": (NOT, FITS, FITS, NOT, UNKNOWN),
}
"""For KNOWN, LAYER, DLAMI, P3, STRANGER, in this order."""


@pytest.mark.parametrize("type_", PAIRS)
@pytest.mark.parametrize(
    "image", [KNOWN, LAYER, DLAMI, P3, STRANGER], ids=lambda one: one.name[-8:]
)
def test_thirty_pairs_are_answered_as_the_table_says(image, type_):
    wanted = PAIRS[type_][[KNOWN, LAYER, DLAMI, P3, STRANGER].index(image)]
    findings = check(image, machine_facts(type_))
    assert worst(findings) is wanted, findings
    for finding in findings:
        assert finding.fix or finding.verdict is FITS, finding
        assert finding.source or finding.rule in ("torch", "cloud"), finding
    assert (refusal(image, machine_facts(type_)) is not None) == (wanted is NOT)


def said(rule, image, type_):
    """What one rule says of a pair; None when it does not apply."""
    found = [one for one in check(image, machine_facts(type_)) if one.rule == rule]
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize(
    ("rule", "changes", "type_", "verdict", "words"),
    [
        ("cloud", {"provider": "gcp"}, "g6.xlarge", NOT, "an image on gcp"),
        ("architecture", {}, "g6.xlarge", FITS, "x86_64"),
        ("architecture", {}, "g5g.xlarge", NOT, "it is for x86_64; g5g.xlarge is arm64"),
        ("architecture", {"architecture": "arm64"}, "g6.xlarge", NOT, "it is for arm64"),
        ("architecture", {"architecture": None}, "g6.xlarge", UNKNOWN, "not known"),
        ("virtualization", {"virtualization": "paravirtual"}, "p3.2xlarge", NOT, "needs hvm"),
        ("boot", {"boot": "uefi"}, "p3.2xlarge", NOT, "boots by uefi alone"),
        ("boot", {"boot": "uefi"}, "p4d.24xlarge", NOT, "boots by uefi alone"),
        ("boot", {"boot": "uefi"}, "g6.xlarge", FITS, "uefi"),
        ("boot", {"boot": "uefi-preferred"}, "p3.2xlarge", FITS, "uefi-preferred"),
        (
            "boot",
            {"boot": "legacy-bios", "architecture": "arm64"},
            "g5g.xlarge",
            NOT,
            "legacy-bios",
        ),
        ("boot", {"boot": None}, "g6.xlarge", UNKNOWN, "not known"),
        ("ena", {"ena": False}, "g6.xlarge", NOT, "registered without ENA"),
        ("ena", {"ena": None}, "g6.xlarge", UNKNOWN, "ENA is not known"),
        ("nvme", {"nvme": False}, "g6.xlarge", NOT, "cannot boot from NVMe"),
        ("nvme", {"nvme": None}, "g6.xlarge", UNKNOWN, "does not record"),
        ("driver", {"driver": Branches(595, 595)}, "p3.2xlarge", NOT, "R384 to R580"),
        ("driver", {"driver": Branches(550)}, "p3.2xlarge", UNKNOWN, "R550 or later"),
        ("driver", {"driver": Branches(470, 470)}, "g6.xlarge", NOT, "needs R520 or later"),
        ("driver", {"driver": Branches(470, 470)}, "g4dn.xlarge", FITS, "R470"),
        ("driver", {"driver": Branches(535, 535)}, "g7e.2xlarge", NOT, "needs R570 or later"),
        ("driver", {"driver": Branches(535)}, "g7e.2xlarge", UNKNOWN, "R535 or later"),
        ("driver", {"driver": Branches(None, 550)}, "p3.2xlarge", UNKNOWN, "R550 or earlier"),
        ("driver", {"driver": Branches()}, "g6.xlarge", UNKNOWN, "its driver is any"),
        ("driver", {"driver": None}, "g6.xlarge", UNKNOWN, "not known"),
        ("driver", {}, "p2.xlarge", NOT, "K80 (Kepler) needs R470 or earlier"),
        ("module", {"module": Module.OPEN}, "p3.2xlarge", NOT, "needs the proprietary"),
        ("module", {}, "g7e.2xlarge", NOT, "needs the open kernel module"),
        ("module", {"module": None}, "g7e.2xlarge", UNKNOWN, "not known"),
        ("module", {"module": None}, "g6.xlarge", FITS, "either"),
        ("torch", {"cuda": "cu130", "torch": "2.11.0"}, "p3.2xlarge", NOT, "no kernel image"),
        ("torch", {"cuda": "cu128", "torch": "2.11.0"}, "p3.2xlarge", NOT, "no code for V100"),
        ("torch", {"cuda": "cu128", "torch": "2.10.0"}, "p3.2xlarge", FITS, "sm_70"),
        ("torch", {"cuda": "cu126", "torch": "2.15.0"}, "p3.2xlarge", UNKNOWN, "no row"),
        ("torch", {"cuda": "cu126"}, "g7e.2xlarge", NOT, "sm_120"),
        ("torch", {"cuda": "cu128"}, "p6-b300.48xlarge", FITS, "sm_103"),
        ("torch", {"cuda": None}, "g6.xlarge", UNKNOWN, "not known"),
        (
            "cuda",
            {"cuda": "cu130", "driver": Branches(570, 570)},
            "g6.xlarge",
            NOT,
            "R580 or later",
        ),
        ("bfloat16", {}, "g4dn.xlarge", FITS, "no bfloat16 in hardware"),
    ],
)
def test_a_rule(rule, changes, type_, verdict, words):
    finding = said(rule, KNOWN._replace(**changes), type_)
    assert finding.verdict is verdict
    assert words in finding.says
    assert (finding.fix is None) == (verdict is FITS)


@pytest.mark.parametrize(
    ("rule", "changes", "type_"),
    [
        ("cloud", {}, "g6.xlarge"),
        ("virtualization", {}, "g6.xlarge"),
        ("boot", {}, "g2-standard-4"),
        ("ena", {"ena": None}, "p3.2xlarge"),
        ("nvme", {"nvme": None}, "p3.2xlarge"),
        ("driver", {}, "c7i.large"),
        ("module", {}, "c7i.large"),
        ("torch", {"bare": True, "cuda": None}, "g6.xlarge"),
        ("cuda", {"driver": None}, "g6.xlarge"),
        ("cuda", {"cuda": "cu999"}, "g6.xlarge"),
        ("bfloat16", {}, "g6.xlarge"),
    ],
)
def test_a_rule_that_does_not_apply_says_nothing(rule, changes, type_):
    assert said(rule, KNOWN._replace(**changes), type_) is None


def test_what_is_better_is_named():
    assert "dlami-layer" in refusal(KNOWN, machine_facts("g7e.2xlarge")).fix
    assert "portable-cu126" in refusal(DLAMI, machine_facts("p3.2xlarge")).fix
    assert "no recipe" in refusal(KNOWN, machine_facts("p2.xlarge")).fix
    assert no_row("x9.large").verdict is UNKNOWN


def test_every_rule_was_asked():
    asked = {finding.rule for finding in check(KNOWN, machine_facts("p3.2xlarge"))}
    names = {rule.__name__.lstrip("_") for rule in RULES}
    assert asked | {"cloud", "virtualization", "ena", "nvme", "cuda"} == names


# --- the table ------------------------------------------------------------------------------


def test_types_of_both_clouds():
    assert machine_facts("g6.12xlarge").gpu == "L4"
    assert machine_facts("n1-standard-8", "nvidia-tesla-v100").chip is machines.VOLTA
    assert machine_facts("n1-standard-8+nvidia-tesla-t4").gpu == "T4"
    assert machine_facts("n1-standard-8").chip is None
    assert machine_facts("g2-standard-4").gpu == "L4"
    assert machine_facts("c7g.large").platform.architecture == "arm64"
    for unknown in (
        "x",
        "g99.large",
        "g6.xlarge+nvidia-tesla-t4",
        "g2-standard-4+other",
        "p8.large",
    ):
        assert machine_facts(unknown) is None, unknown


def test_the_rows_are_what_aws_describes():
    """moto carries the answers of DescribeInstanceTypes."""
    file = Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
    described = json.loads(gzip.decompress(file.read_bytes()))
    seen = set()
    for name, type_ in described.items():
        family = name.partition(".")[0]
        if family not in machines._AWS or name.endswith("metal"):
            continue
        seen.add(family)
        platform, gpu, _ = machines._AWS[family]
        assert type_.get("Hypervisor", "nitro") == platform.name.lower(), name
        assert platform.architecture in type_["ProcessorInfo"]["SupportedArchitectures"], name
        assert tuple(type_["SupportedBootModes"]) == platform.boots, name
        assert (type_["NetworkInfo"]["EnaSupport"] == "required") == platform.ena, name
        assert (type_["EbsInfo"]["NvmeSupport"] == "required") == platform.nvme, name
        assert gpu.split()[-1] in type_["GpuInfo"]["Gpus"][0]["Name"], name
    assert len(seen) > 12


def test_the_rows_are_those_of_the_providers():
    ours = {family for family in machines._AWS if not family.startswith("p6e")}
    assert set(gpus._FAMILIES) == ours
    assert set(shapes.GPU_MEMORY_GIB) <= set(machines._GOOGLES)


def test_every_row_has_a_source():
    rows = [*BASES, *wheels.BUILDS, *(row[0] for row in machines._AWS.values())]
    rows += [chip for _, _, chip in machines._AWS.values()]
    rows += [chip for _, chip in machines._GOOGLES.values()]
    assert all(row.source.strip() for row in rows)


def test_the_build_without_a_version_promises_nothing():
    assert wheels.has_code(wheels.build_of("cu128", "2.9.1"), 70)
    assert not wheels.has_code(wheels.build_of("cu128", None), 70)
    assert wheels.build_of("cu999", None) is wheels.build_of("cu999", "2.9") is None
    assert wheels.version_of("==2.10.*") == (2, 10)
    assert wheels.version_of("latest") is None


def test_the_clouds_own_images():
    assert (DLAMI.module, DLAMI.driver, DLAMI.bare) == (Module.OPEN, Branches(595), True)
    google = base_facts("deeplearning-platform-release/common-cu129-ubuntu-2204-nvidia-580")
    assert (google.driver, google.module, google.provider) == (R580, None, "gcp")
    assert worst(check(google, machine_facts("n1-standard-4+nvidia-tesla-t4"))) is FITS
    assert worst(check(google, machine_facts("n1-standard-4+nvidia-tesla-v100"))) is UNKNOWN
    family = f"projects/{DLVM}/global/images/family/pytorch-2-9-cu129-ubuntu-2204-nvidia-580"
    assert not base_facts(family).bare
    arm = "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"
    assert base_facts(arm).architecture == "arm64"
    named = "Deep Learning Base Proprietary Nvidia Driver GPU AMI (Amazon Linux 2) 20251101"
    assert base_facts(named).module is Module.PROPRIETARY
    assert base_facts("my-own-image") is None


def test_a_range_of_branches_in_words():
    words = [str(Branches(*ends)) for ends in ((), (570,), (None, 580), (384, 580), (580, 580))]
    assert words == ["any", "R570 or later", "R580 or earlier", "R384 to R580", "R580"]
