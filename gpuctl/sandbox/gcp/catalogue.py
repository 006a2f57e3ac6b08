"""What the sandbox's Google has to offer, and where: one table for each thing."""

from collections.abc import Mapping
from dataclasses import dataclass

ZONES: Mapping[str, str] = {
    "us-central1": "abcf",
    "us-east4": "abc",
    "us-west1": "abc",
    "europe-west4": "abc",
}
"""Region -> letters of its zones."""

ALL_ZONES: tuple[str, ...] = tuple(f"{r}-{z}" for r, letters in ZONES.items() for z in letters)

DISK_TYPES: Mapping[str, tuple[int, int]] = {
    "pd-standard": (10, 65_536),
    "pd-balanced": (10, 65_536),
    "pd-ssd": (10, 65_536),
}
"""Disk type -> smallest and largest size in GiB."""

SSD_TYPES = frozenset({"pd-balanced", "pd-ssd"})
"""Disk types that count against SSD_TOTAL_GB; the rest against DISKS_TOTAL_GB."""


@dataclass(frozen=True, slots=True)
class MachineType:
    """A machine type; memory in MiB. `gpu` when the GPU is part of the type."""

    name: str
    cpus: int
    memory: int
    gpu: str | None = None
    gpus: int = 0

    @property
    def family(self) -> str:
        """`n1`, `g2`, `a2`…"""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Gpu:
    """An accelerator type, its quota metric, where it is, and what it can be attached to."""

    name: str
    metric: str
    title: str
    zones: frozenset[str]
    cpus_by_count: Mapping[int, int]
    """Count -> most vCPUs of an N1 machine it can be attached to; empty = part of a type."""

    @property
    def most(self) -> int:
        """Most cards on one instance."""
        return max(self.cpus_by_count) if self.cpus_by_count else 16


@dataclass(frozen=True, slots=True)
class Image:
    """A public image: its family's newest. Size in GiB."""

    project: str
    family: str
    name: str
    size: int
    licence: str


def _zones(text: str) -> frozenset[str]:
    """`us-central1:abf us-west1:b` -> zone names."""
    pairs = (part.split(":") for part in text.split())
    return frozenset(f"{region}-{letter}" for region, letters in pairs for letter in letters)


_T4 = _zones("us-central1:abcf us-east4:abc us-west1:ab europe-west4:abc")
_V100 = _zones("us-central1:abcf us-west1:ab europe-west4:abc")
_P100 = _zones("us-central1:cf us-west1:ab europe-west4:a")
_L4 = _zones("us-central1:abc us-east4:ac us-west1:abc europe-west4:abc")
_A100 = _zones("us-central1:abcf us-west1:b europe-west4:ab")

GPUS: Mapping[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        Gpu("nvidia-tesla-t4", "NVIDIA_T4_GPUS", "NVIDIA T4", _T4, {1: 48, 2: 48, 4: 96}),
        Gpu(
            "nvidia-tesla-v100",
            "NVIDIA_V100_GPUS",
            "NVIDIA V100",
            _V100,
            {1: 12, 2: 24, 4: 48, 8: 96},
        ),
        Gpu(
            "nvidia-tesla-p100",
            "NVIDIA_P100_GPUS",
            "NVIDIA Tesla P100",
            _P100,
            {1: 16, 2: 32, 4: 96},
        ),
        Gpu("nvidia-l4", "NVIDIA_L4_GPUS", "NVIDIA L4", _L4, {}),
        Gpu("nvidia-tesla-a100", "NVIDIA_A100_GPUS", "NVIDIA A100 40GB", _A100, {}),
    )
}

MACHINE_TYPES: Mapping[str, MachineType] = {
    machine.name: machine
    for machine in (
        *(MachineType(f"n1-standard-{n}", n, n * 3840) for n in (1, 2, 4, 8, 16, 32, 64, 96)),
        *(MachineType(f"n1-highmem-{n}", n, n * 6656) for n in (2, 4, 8, 16, 32, 64, 96)),
        *(MachineType(f"e2-standard-{n}", n, n * 4096) for n in (2, 4, 8, 16, 32)),
        MachineType("e2-micro", 2, 1024),
        MachineType("e2-medium", 2, 4096),
        *(
            MachineType(f"g2-standard-{n}", n, n * 4096, "nvidia-l4", gpus)
            for n, gpus in ((4, 1), (8, 1), (12, 1), (16, 1), (24, 2), (32, 1), (48, 4), (96, 8))
        ),
        *(
            MachineType(f"a2-highgpu-{n}g", 12 * n, 87_040 * n, "nvidia-tesla-a100", n)
            for n in (1, 2, 4, 8)
        ),
    )
}

IMAGES: tuple[Image, ...] = (
    *(
        Image(
            "deeplearning-platform-release",
            family,
            f"{family}-v20260818",
            50,
            "common-cu129",
        )
        for family in (
            "common-cu129-ubuntu-2204-nvidia-580",
            "common-cu129-ubuntu-2404-nvidia-580",
        )
    ),
    *(
        Image("ubuntu-os-cloud", family, f"ubuntu-{v}-v20260820", 10, v)
        for v, family in (
            ("2204-jammy", "ubuntu-2204-lts"),
            ("2404-noble", "ubuntu-2404-lts-amd64"),
        )
    ),
    Image("debian-cloud", "debian-12", "debian-12-bookworm-v20260812", 10, "debian-12"),
)

IMAGE_PROJECTS = frozenset(image.project for image in IMAGES)


def region_of(zone: str) -> str:
    """`us-central1-a` -> `us-central1`."""
    return zone.rpartition("-")[0]


def offered(machine: str, zone: str) -> bool:
    """Whether a machine type can be had in a zone."""
    known = MACHINE_TYPES.get(machine)
    if known is None or zone not in ALL_ZONES:
        return False
    return known.gpu is None or zone in GPUS[known.gpu].zones


def find_image(project: str, name: str) -> Image | None:
    """By image name, or by `family/…`."""
    family = name.removeprefix("family/") if name.startswith("family/") else None
    for image in IMAGES:
        if image.project == project and (image.family == family if family else image.name == name):
            return image
    return None
