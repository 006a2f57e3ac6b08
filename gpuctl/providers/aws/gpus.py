"""Which GPU an instance type has, so that listing machines needs no further round trip."""

import re
from dataclasses import dataclass
from decimal import Decimal

_COUNTS_BY_SIZE = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8, "metal": 8}
_P3 = {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8, "24xlarge": 8}
_P2 = {"xlarge": 1, "8xlarge": 8, "16xlarge": 16}
_G7 = {"12xlarge": 2, "24xlarge": 4, "48xlarge": 8}
_EIGHT = {"24xlarge": 8, "48xlarge": 8}

# family -> GPU as DescribeInstanceTypes names it, count by size (every other size has one)
_FAMILIES: dict[str, tuple[str, dict[str, int]]] = {
    "p2": ("K80", _P2),
    "p3": ("V100", _P3),
    "p3dn": ("V100", _P3),
    "p4d": ("A100", _EIGHT),
    "p4de": ("A100", _EIGHT),
    "p5": ("H100", _EIGHT),
    "p5e": ("H200", _EIGHT),
    "p5en": ("H200", _EIGHT),
    "p6-b200": ("B200", _EIGHT),
    "p6-b300": ("B300", _EIGHT),
    "g4dn": ("T4", {"12xlarge": 4, "metal": 8}),
    "g5": ("A10G", _COUNTS_BY_SIZE),
    "g5g": ("T4g", {"16xlarge": 2, "metal": 2}),
    "g6": ("L4", _COUNTS_BY_SIZE),
    "g6e": ("L40S", _COUNTS_BY_SIZE),
    "g6f": ("L4", {}),
    "gr6": ("L4", {}),
    "gr6f": ("L4", {}),
    "g7": ("RTX PRO 4500", _G7),
    "g7e": ("RTX PRO Server 6000", _G7),
}

_ARM = re.compile(r"(?:a1|[a-z]+\d+[a-z]*g[a-z]*|p6e-gb\d+)\Z")


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a type has; `memory_gib` is all of its GPUs' memory, where known."""

    name: str | None
    count: int
    memory_gib: Decimal | None = None


NONE = Gpu(None, 0)


def family_of(type_: str) -> str:
    """`p3` of `p3.2xlarge`."""
    return type_.partition(".")[0]


def gpu_of(type_: str) -> Gpu:
    """From the table above; `NONE` for every type that is not in it."""
    family, _, size = type_.partition(".")
    if family not in _FAMILIES:
        return NONE
    name, counts = _FAMILIES[family]
    return Gpu(name, counts.get(size, 1))


def architecture_of(type_: str) -> str:
    """`arm64` for Graviton families (a `g` after the generation), else `x86_64`."""
    return "arm64" if _ARM.match(family_of(type_)) else "x86_64"
