"""What the clouds' own images hold, by the names they go by. Data, each row with its source."""

import re
from typing import NamedTuple

from gpuctl.core.images.facts import Branches, ImageFacts, Module

_DLAMI = "AWS, Deep Learning AMI release notes of September 2026 (driver 595.91, CUDA 13.2)"
_DLVM = "Google, Deep Learning VM images: the family names the driver branch"


class Base(NamedTuple):
    """Images by their name in a template or recipe, or by their own name on AWS (`Name`)."""

    form: str
    source: str
    provider: str
    driver: Branches | None = None
    module: Module | None = None
    bare: bool = False
    architecture: str | None = None
    nitro: bool | None = None
    """Whether it boots on Nitro (ENA and NVMe)."""


_SSM = r"(?:ssm:)?/aws/service/deeplearning/ami"
_NAMED = r"Deep Learning (?:Base )?"

BASES = (
    Base(
        rf"{_SSM}/(?P<arch>x86_64|arm64)/base-oss-nvidia-driver.*/latest/.*",
        _DLAMI,
        "aws",
        Branches(595),
        Module.OPEN,
        bare=True,
        nitro=True,
    ),
    Base(
        rf"{_SSM}/(?P<arch>x86_64|arm64)/oss-nvidia-driver.*",
        _DLAMI,
        "aws",
        module=Module.OPEN,
        nitro=True,
    ),
    Base(
        rf"{_SSM}/(?P<arch>x86_64|arm64)/(?:base-)?proprietary-nvidia-driver.*",
        "AWS, Deep Learning AMI names",
        "aws",
        module=Module.PROPRIETARY,
        nitro=True,
    ),
    Base(
        rf"{_NAMED}.*OSS Nvidia Driver.*",
        "AWS, Deep Learning AMI names",
        "aws",
        module=Module.OPEN,
        nitro=True,
    ),
    Base(
        rf"{_NAMED}.*Proprietary Nvidia Driver.*",
        "AWS, Deep Learning AMI names",
        "aws",
        module=Module.PROPRIETARY,
        nitro=True,
    ),
    Base(
        r"(?:ssm:)?/aws/service/canonical/ubuntu/server/.*/(?P<arch>amd64|arm64)/.*",
        "Canonical, Ubuntu on AWS",
        "aws",
        nitro=True,
    ),
    Base(
        r"(?:projects/)?deeplearning-platform-release/(?:global/images/(?:family/)?)?"
        r"common-.*-nvidia-(?P<driver>\d{3})(?:-v\d+)?",
        _DLVM,
        "gcp",
        bare=True,
        architecture="x86_64",
    ),
    Base(
        r"(?:projects/)?deeplearning-platform-release/(?:global/images/(?:family/)?)?"
        r".*-nvidia-(?P<driver>\d{3})(?:-v\d+)?",
        _DLVM,
        "gcp",
        architecture="x86_64",
    ),
    Base(
        r"projects/ubuntu-os-cloud/global/images/family/ubuntu-\d+-lts(?:-amd64)?",
        "Canonical, Ubuntu on Google Cloud",
        "gcp",
        architecture="x86_64",
    ),
)

_ARCHITECTURES = {"amd64": "x86_64"}


def base_facts(name: str) -> ImageFacts | None:
    """What is known of a cloud's own image by its name; None = no row takes it."""
    for base in BASES:
        match = re.fullmatch(base.form, name)
        if match is None:
            continue
        told = match.groupdict()
        branch = int(told["driver"]) if told.get("driver") else None
        named = told.get("arch")
        return ImageFacts(
            name=name,
            source=base.source,
            provider=base.provider,
            architecture=_ARCHITECTURES.get(named, named) if named else base.architecture,
            boot="default" if base.nitro else None,
            virtualization="hvm" if base.nitro else None,
            ena=base.nitro,
            nvme=base.nitro,
            driver=Branches(branch, branch) if branch else base.driver,
            module=base.module,
            bare=base.bare,
        )
    return None
