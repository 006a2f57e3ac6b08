"""What DescribeImages tells of an AMI, for the rules of core/images; nothing here costs."""

from collections.abc import Mapping
from typing import Any

from gpuctl.core.errors import TypeNotOffered
from gpuctl.core.images.bases import base_facts
from gpuctl.core.images.facts import Branches, ImageFacts, Module
from gpuctl.core.images.machines import machine_facts
from gpuctl.core.images.rules import SILENT, refusal
from gpuctl.providers.aws import tags

IMAGE, VERSION = "gpuctl:image", "gpuctl:version"
DRIVER, MODULE = "gpuctl:driver", "gpuctl:module"
CUDA, TORCH = "gpuctl:cuda", "gpuctl:torch"
RECIPE = "gpuctl:recipe-sha256"

_VENDOR = "898082745236"
"""AWS's account of the Deep Learning AMIs: only there does a name tell what is inside."""


def facts_of(image: Mapping[str, Any]) -> ImageFacts:
    """One image of the reply. Its contents are known by gpuctl's tags, or by the vendor's name.

    AWS leaves `EnaSupport` out where it is not set, and `BootMode` where the type decides.
    """
    told = tags.read(image)
    name = told.get(IMAGE)
    version = told.get(VERSION)
    known = ImageFacts(
        name=f"{name}@{version}" if name and version else str(image["ImageId"]),
        source="AWS, DescribeImages",
        provider="aws",
        architecture=image.get("Architecture"),
        boot=image.get("BootMode") or "default",
        virtualization=image.get("VirtualizationType"),
        ena=bool(image.get("EnaSupport")),
        driver=_branch(told.get(DRIVER)),
        module=_module(told.get(MODULE)),
        cuda=told.get(CUDA),
        torch=told.get(TORCH),
    )
    if image.get("ImageOwnerAlias") != "amazon" and image.get("OwnerId") != _VENDOR:
        return known
    base = base_facts(str(image.get("Name") or ""))
    if base is None:
        return known
    return known._replace(
        nvme=base.nvme,
        driver=known.driver or base.driver,
        module=known.module or base.module,
        bare=base.bare,
    )


def refuse_known_bad(image: Mapping[str, Any], named: str, type_: str) -> None:
    """TypeNotOffered for an image whose driver or torch cannot work there.

    Only what EC2 would not refuse itself: such a machine starts, costs, and computes nothing.
    """
    machine = machine_facts(type_)
    if machine is None:
        return
    found = refusal(facts_of(image), machine, SILENT)
    if found is not None:
        raise TypeNotOffered(
            f"image {named} does not run on {type_}: {found.says}",
            code="ImageDoesNotFit",
            hint=found.fix,
        )


def _branch(driver: str | None) -> Branches | None:
    """`580.95.05` or `580` -> that branch."""
    number = (driver or "").partition(".")[0]
    return Branches(int(number), int(number)) if number.isdecimal() else None


def _module(text: str | None) -> Module | None:
    return Module(text) if text in tuple(Module) else None
