"""The rules: (image, machine type) -> fits, does not fit, cannot be known; with reason and fix."""

from collections.abc import Callable, Sequence

from gpuctl.core.images.facts import Branches, Finding, ImageFacts, Module, Verdict
from gpuctl.core.images.machines import MachineFacts, Platform
from gpuctl.core.images.wheels import build_of, has_code, least_driver

_FITS, _UNKNOWN, _NOT = Verdict.FITS, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT

_TRY = "start it once with --ttl 15m and run amis/common/smoke.py there"
_PORTABLE = "an image of amis/portable-cu126 (V100 to L40S)"
_LAYER = "an image of amis/dlami-layer (T4 to Blackwell)"
_ARM = "Graviton (arm64)"

Rule = Callable[[ImageFacts, MachineFacts], Finding | None]


def check(image: ImageFacts, machine: MachineFacts) -> tuple[Finding, ...]:
    """What each rule that applies says, in the order in which a start would meet it."""
    found = [rule(image, machine) for rule in RULES]
    return tuple(finding for finding in found if finding is not None)


def refusal(
    image: ImageFacts, machine: MachineFacts, rules: Sequence[Rule] | None = None
) -> Finding | None:
    """The first thing for which this pair certainly does not work; None = it may."""
    found = (rule(image, machine) for rule in (RULES if rules is None else rules))
    return next((one for one in found if one is not None and one.verdict is _NOT), None)


def no_row(type_: str) -> Finding:
    """What there is to say of a type that the table does not have."""
    says = f"the table has no row for {type_}"
    return Finding("type", _UNKNOWN, says, "gpuctl offers    (the types there are)")


def _cloud(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    if image.provider in (None, machine.provider):
        return None
    says = f"it is an image on {image.provider}, and {machine.type} is a type of {machine.provider}"
    return Finding("cloud", _NOT, says, f"name an image on {machine.provider}")


def _architecture(image: ImageFacts, machine: MachineFacts) -> Finding:
    platform = machine.platform
    if image.architecture is None:
        says = f"its architecture is not known; {machine.type} needs {platform.architecture}"
        return Finding("architecture", _UNKNOWN, says, _TRY, platform.source)
    if image.architecture != platform.architecture:
        says = f"it is for {image.architecture}; {machine.type} is {platform.architecture}"
        other = "x86_64" if platform.architecture == "x86_64" else _ARM
        return Finding("architecture", _NOT, says, f"an image for {other}", platform.source)
    return Finding("architecture", _FITS, image.architecture, source=platform.source)


def _virtualization(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    if image.virtualization in (None, "hvm") or machine.provider != "aws":
        return None
    says = f"it is {image.virtualization}; every type with a GPU needs hvm"
    return Finding(
        "virtualization", _NOT, says, "build it anew on a current base", "AWS, AMI types"
    )


def _boot(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    platform = machine.platform
    if machine.provider != "aws":
        return None
    source = "AWS, Instance launch behavior with Amazon EC2 boot modes"
    if image.boot is None:
        says = "its boot mode is not known; most images leave it to the type"
        return Finding("boot", _UNKNOWN, says, "aws ec2 describe-images", source)
    wanted = _modes(image.boot, platform)
    if not set(wanted) & set(platform.boots):
        says = f"it boots by {image.boot} alone; {machine.type} by {' or '.join(platform.boots)}"
        fix = f"register it again with --boot-mode {platform.boots[0]}, if its disk can"
        return Finding("boot", _NOT, says, fix, source)
    return Finding("boot", _FITS, image.boot, source=source)


def _modes(boot: str, platform: Platform) -> Sequence[str]:
    """The modes an image can be started in; `default` is whatever the type has."""
    match boot:
        case "uefi-preferred":
            return ("uefi", "legacy-bios")
        case "default":
            return platform.boots
    return (boot,)


def _ena(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    if not machine.platform.ena:
        return None
    needs = f"{machine.type} is Nitro and has no other network"
    source = f"{machine.platform.source}, EnaSupport: required"
    if image.ena is None:
        return Finding(
            "ena", _UNKNOWN, f"ENA is not known; {needs}", "aws ec2 describe-images", source
        )
    if not image.ena:
        fix = (
            f"{_PORTABLE}; or, on a machine of it: install the ena driver, stop it, "
            "aws ec2 modify-instance-attribute --ena-support, make the image again"
        )
        return Finding("ena", _NOT, f"it is registered without ENA; {needs}", fix, source)
    return Finding("ena", _FITS, "it has ENA", source=source)


def _nvme(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    if not machine.platform.nvme:
        return None
    source = f"{machine.platform.source}, NvmeSupport: required"
    needs = f"{machine.type} shows its disks as NVMe"
    if image.nvme is None:
        says = f"{needs}; AWS does not record whether an image can boot from it"
        fix = "on a machine of it: modinfo nvme, no /dev/xvd in /etc/fstab; or " + _TRY
        return Finding("nvme", _UNKNOWN, says, fix, source)
    if not image.nvme:
        return Finding("nvme", _NOT, f"it cannot boot from NVMe; {needs}", _PORTABLE, source)
    return Finding("nvme", _FITS, "it boots from NVMe", source=source)


def _driver(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    chip = machine.chip
    if chip is None:
        return None
    needs = f"{machine.gpu} ({chip.name}) needs {chip.driver}"
    if image.driver is None:
        says = f"its driver is not known; {needs}"
        return Finding(
            "driver", _UNKNOWN, says, f"on a machine of it: nvidia-smi; or {_TRY}", chip.source
        )
    match _within(image.driver, chip.driver):
        case None:
            says = f"its driver is {image.driver}; {needs}"
            return Finding("driver", _UNKNOWN, says, _TRY, chip.source)
        case False:
            says = f"its driver is {image.driver}; {needs}"
            return Finding("driver", _NOT, says, _better(machine), chip.source)
    return Finding("driver", _FITS, f"{image.driver}, needed {chip.driver}", source=chip.source)


def _within(has: Branches, needs: Branches) -> bool | None:
    """Whether a driver that is somewhere in `has` is in `needs`; None = it may or may not be."""
    if needs.least is not None:
        if has.most is not None and has.most < needs.least:
            return False
        if has.least is None or has.least < needs.least:
            return None
    if needs.most is not None:
        if has.least is not None and has.least > needs.most:
            return False
        if has.most is None or has.most > needs.most:
            return None
    return True


def _module(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    chip = machine.chip
    if chip is None:
        return None
    if len(chip.modules) == len(Module):
        return Finding("module", _FITS, f"either, for {chip.name}", source=chip.source)
    (only,) = chip.modules
    needs = f"{machine.gpu} ({chip.name}) needs the {only} kernel module"
    if image.module is None:
        fix = f"on a machine of it: modinfo -F license nvidia (NVIDIA = proprietary); or {_TRY}"
        return Finding(
            "module", _UNKNOWN, f"{needs}; which one it has is not known", fix, chip.source
        )
    if image.module is not only:
        says = f"it has the {image.module} kernel module; {needs}"
        return Finding("module", _NOT, says, _better(machine), chip.source)
    return Finding("module", _FITS, f"{image.module}, as {chip.name} needs", source=chip.source)


def _torch(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    chip = machine.chip
    if chip is None or image.bare:
        return None
    if image.cuda is None:
        says = (
            f"which torch is in it, and for which CUDA, is not known; {machine.gpu} is sm_{chip.sm}"
        )
        fix = "on a machine of it: python -c 'import torch; print(torch.cuda.get_arch_list())'"
        return Finding("torch", _UNKNOWN, says, fix)
    build = build_of(image.cuda, image.torch)
    built = f"torch {image.torch or ''}+{image.cuda}".replace(" +", " ")
    if build is None:
        return Finding("torch", _UNKNOWN, f"the table has no row for {built}", _TRY)
    if has_code(build, chip.sm):
        return Finding("torch", _FITS, f"{built} has code for sm_{chip.sm}", source=build.source)
    says = f"{built} has no code for {machine.gpu} (sm_{chip.sm}): no kernel image is available"
    return Finding("torch", _NOT, says, _better(machine), build.source)


def _cuda(image: ImageFacts, machine: MachineFacts) -> Finding | None:
    asked = least_driver(image.cuda) if image.cuda and machine.chip else None
    if asked is None or image.driver is None:
        return None
    needs, source = asked
    if _within(image.driver, needs) is False:
        says = f"torch for {image.cuda} needs {needs}, and its driver is {image.driver}"
        return Finding("cuda", _NOT, says, "a newer driver, or a build for an older CUDA", source)
    return None


def _bfloat16(image: ImageFacts, machine: MachineFacts) -> Finding | None:  # noqa: ARG001 - as all rules
    if machine.chip is None or machine.chip.bfloat16:
        return None
    says = f"{machine.gpu} has no bfloat16 in hardware: a run tuned with it is another job there"
    return Finding("bfloat16", _FITS, says, source="NVIDIA, CUDA C++ Programming Guide, 8.0")


def _better(machine: MachineFacts) -> str:
    """The recipe whose image runs there."""
    assert machine.chip is not None  # noqa: S101 - asked for machines with a GPU alone
    if Module.PROPRIETARY not in machine.chip.modules:
        return _LAYER
    return _PORTABLE if machine.chip.sm >= 70 else "another type: no recipe here has one for it"  # noqa: PLR2004 - Volta


RULES: tuple[Rule, ...] = (
    _cloud,
    _architecture,
    _virtualization,
    _boot,
    _ena,
    _nvme,
    _driver,
    _module,
    _torch,
    _cuda,
    _bfloat16,
)
SILENT: tuple[Rule, ...] = (_driver, _module, _torch, _cuda)
"""What no cloud refuses by itself: the machine starts, costs, and its GPU computes nothing."""
