"""Machine types by family: their platform and their GPU. Data, each row with its source."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gpuctl.core.images.facts import Branches, Module

_NVIDIA_580 = "NVIDIA, release notes of driver 580 (the last for Maxwell, Pascal and Volta)"
_KERNEL = "NVIDIA, Driver Installation Guide, Kernel Modules (open: Turing and newer)"
_TOOLKIT = "NVIDIA, CUDA Toolkit Release Notes, toolkit and driver versions: CUDA {} is the first"
_BLACKWELL = "NVIDIA, open kernel modules (Blackwell: these alone), CUDA 12.8 needs R570"
_TYPES = "AWS, DescribeInstanceTypes"
_GCE = "Google Cloud, GPU machine types"
_K80 = "NVIDIA, driver support policy (R470 is the last for Kepler)"

BOTH = frozenset(Module)


class Chip(NamedTuple):
    """A generation of GPUs. `sm`: compute capability, 89 for 8.9."""

    name: str
    sm: int
    driver: Branches
    modules: frozenset[Module]
    bfloat16: bool
    source: str


class Platform(NamedTuple):
    """What a machine asks of an image's kernel. `boots`: the modes it can be started in."""

    name: str
    architecture: str = "x86_64"
    boots: tuple[str, ...] = ("legacy-bios", "uefi")
    ena: bool = False
    nvme: bool = False
    source: str = _TYPES


class MachineFacts(NamedTuple):
    """One machine type as an image meets it; `gpu` and `chip` None = it has no GPU."""

    type: str
    provider: str
    platform: Platform
    gpu: str | None = None
    chip: Chip | None = None


def _chip(name: str, sm: int, least: int, cuda: str) -> Chip:
    return Chip(name, sm, Branches(least), BOTH, sm >= 80, _TOOLKIT.format(cuda))  # noqa: PLR2004 - Ampere, the first with bfloat16


def _blackwell(sm: int) -> Chip:
    return Chip("Blackwell", sm, Branches(570), frozenset((Module.OPEN,)), True, _BLACKWELL)  # noqa: FBT003 - bfloat16


_OLD = frozenset((Module.PROPRIETARY,))
KEPLER = Chip("Kepler", 37, Branches(None, 470), _OLD, bfloat16=False, source=_K80)
PASCAL = Chip("Pascal", 60, Branches(384, 580), _OLD, bfloat16=False, source=_NVIDIA_580)
VOLTA = Chip(
    "Volta", 70, Branches(384, 580), _OLD, bfloat16=False, source=f"{_NVIDIA_580}; {_KERNEL}"
)
TURING = _chip("Turing", 75, 410, "10.0")
AMPERE = _chip("Ampere", 80, 450, "11.0")
AMPERE_86 = _chip("Ampere", 86, 455, "11.1")
ADA = _chip("Ada", 89, 520, "11.8")
HOPPER = _chip("Hopper", 90, 520, "11.8")
BLACKWELL_100 = _blackwell(100)
BLACKWELL_103 = _blackwell(103)
BLACKWELL_120 = _blackwell(120)

_XEN = Platform("Xen", boots=("legacy-bios",))
_NITRO = Platform("Nitro", ena=True, nvme=True)
_NITRO_BIOS = Platform("Nitro", boots=("legacy-bios",), ena=True, nvme=True)
_NITRO_ARM = Platform("Nitro", "arm64", ("uefi",), ena=True, nvme=True)
_GOOGLE = Platform("Compute Engine", source=_GCE)

_AWS: Mapping[str, tuple[Platform, str, Chip]] = MappingProxyType(
    {
        "p2": (_XEN, "K80", KEPLER),
        "p3": (_XEN, "V100", VOLTA),
        "p3dn": (_NITRO, "V100", VOLTA),
        "p4d": (_NITRO_BIOS, "A100", AMPERE),
        "p4de": (_NITRO_BIOS, "A100", AMPERE),
        "p5": (_NITRO, "H100", HOPPER),
        "p5e": (_NITRO, "H200", HOPPER),
        "p5en": (_NITRO, "H200", HOPPER),
        "p6-b200": (_NITRO, "B200", BLACKWELL_100),
        "p6-b300": (_NITRO, "B300", BLACKWELL_103),
        "p6e-gb200": (_NITRO_ARM, "GB200", BLACKWELL_100),
        "g4dn": (_NITRO, "T4", TURING),
        "g5": (_NITRO, "A10G", AMPERE_86),
        "g5g": (_NITRO_ARM, "T4g", TURING),
        "g6": (_NITRO, "L4", ADA),
        "g6e": (_NITRO, "L40S", ADA),
        "g6f": (_NITRO, "L4", ADA),
        "gr6": (_NITRO, "L4", ADA),
        "gr6f": (_NITRO, "L4", ADA),
        "g7": (_NITRO, "RTX PRO 4500", BLACKWELL_120),
        "g7e": (_NITRO, "RTX PRO 6000", BLACKWELL_120),
    }
)
"""AWS's families, as DescribeInstanceTypes describes them (hypervisor, boot modes, ENA, NVMe)."""

_GOOGLES: Mapping[str, tuple[str, Chip]] = MappingProxyType(
    {
        "nvidia-tesla-p4": ("P4", PASCAL._replace(sm=61)),
        "nvidia-tesla-p100": ("P100", PASCAL),
        "nvidia-tesla-v100": ("V100", VOLTA),
        "nvidia-tesla-t4": ("T4", TURING),
        "nvidia-l4": ("L4", ADA),
        "nvidia-tesla-a100": ("A100", AMPERE),
        "nvidia-a100-80gb": ("A100", AMPERE),
        "nvidia-h100-80gb": ("H100", HOPPER),
        "nvidia-h200-141gb": ("H200", HOPPER),
        "nvidia-b200": ("B200", BLACKWELL_100),
        "nvidia-rtx-pro-6000": ("RTX PRO 6000", BLACKWELL_120),
    }
)
"""Google's accelerators by the name that a template gives them."""

_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "g2": "nvidia-l4",
        "a2": "nvidia-tesla-a100",
        "a3": "nvidia-h100-80gb",
        "a4": "nvidia-b200",
        "g4": "nvidia-rtx-pro-6000",
    }
)
"""Google's families that come with their GPU."""

_GCP_TYPE = re.compile(r"(?:[a-z]\d[a-z]?-[a-z]+-[0-9a-z]+|(?:n1-)?custom-\d+-\d+(?:-ext)?)\Z")
_PLAIN_AWS = re.compile(
    r"[a-z][a-z0-9-]*\.(?:\d*x?large|medium|small|micro|nano|metal[0-9a-z-]*)\Z"
)
_GRAVITON = re.compile(r"(?:a1|[a-z]+\d+[a-z]*g[a-z]*)\Z")


def machine_facts(type_: str, accelerator: str | None = None) -> MachineFacts | None:
    """A type by its name, `n1-standard-4+nvidia-tesla-t4` with an attached GPU; None = no row.

    `accelerator` is Google's name of an attached GPU, where it is told apart from the type.
    """
    name, _, attached = type_.partition("+")
    attached = attached or accelerator or ""
    if "." in name:
        return None if attached else _of_aws(name)
    if not _GCP_TYPE.match(name):
        return None
    gpu = attached or _BUILT_IN.get(name.partition("-")[0], "")
    if not gpu:
        return MachineFacts(type_, "gcp", _GOOGLE)
    if gpu not in _GOOGLES:
        return None
    return MachineFacts(type_, "gcp", _GOOGLE, *_GOOGLES[gpu])


def _of_aws(name: str) -> MachineFacts | None:
    family = name.partition(".")[0]
    if family in _AWS:
        return MachineFacts(name, "aws", *_AWS[family])
    if not _PLAIN_AWS.match(name) or family[0] in "gp":
        return None
    return MachineFacts(name, "aws", _NITRO_ARM if _GRAVITON.match(family) else _NITRO)
