"""What the machine types of the GPU families are made of, so that a listing asks for few."""

import re
from dataclasses import dataclass
from decimal import Decimal

from gpuctl.providers.gcp.errors import Json

GPU_MEMORY_GIB = {
    "nvidia-tesla-t4": 16,
    "nvidia-tesla-p4": 8,
    "nvidia-tesla-p100": 16,
    "nvidia-tesla-v100": 16,
    "nvidia-l4": 24,
    "nvidia-tesla-a100": 40,
    "nvidia-a100-80gb": 80,
    "nvidia-h100-80gb": 80,
}
_N1 = re.compile(r"n1-(standard|highmem|highcpu)-(\d+)\Z")
_CUSTOM = re.compile(r"(?:n1-)?custom-(\d+)-(\d+)(?:-ext)?\Z")
_N1_GIB = {"standard": Decimal("3.75"), "highmem": Decimal("6.5"), "highcpu": Decimal("0.9")}
_G2_GPUS = {4: 1, 8: 1, 12: 1, 16: 1, 24: 2, 32: 1, 48: 4, 96: 8}
_G2 = re.compile(r"g2-standard-(\d+)\Z")
_A2 = re.compile(r"a2-(highgpu|ultragpu)-(\d+)g\Z")
_A2_GIB = {"highgpu": 85, "ultragpu": 170}
_A2_GPU = {"highgpu": "nvidia-tesla-a100", "ultragpu": "nvidia-a100-80gb"}
_MEGA = "a2-megagpu-16g"
_SHARED = {"e2-micro": "0.25", "e2-small": "0.5", "e2-medium": "1"}


@dataclass(frozen=True, slots=True)
class Shape:
    """Billed cores and GiB of one machine, and the GPUs that are part of its type."""

    family: str
    vcpus: Decimal
    memory_gib: Decimal
    gpu: str | None = None
    gpus: int = 0


def family_of(machine_type: str) -> str:
    """`n1` of `n1-standard-4`; custom types without a family are N1."""
    first = machine_type.partition("-")[0]
    return "n1" if first == "custom" else first


def known_shape(machine_type: str) -> Shape | None:
    """The shape of a type of the families N1, G2 and A2; None = ask the API."""
    family = family_of(machine_type)
    if match := _N1.match(machine_type):
        cores = Decimal(match.group(2))
        return Shape(family, cores, cores * _N1_GIB[match.group(1)])
    if match := _CUSTOM.match(machine_type):
        return Shape(family, Decimal(match.group(1)), Decimal(match.group(2)) / 1024)
    if (match := _G2.match(machine_type)) and int(match.group(1)) in _G2_GPUS:
        size = int(match.group(1))
        return Shape(family, Decimal(size), Decimal(size * 4), "nvidia-l4", _G2_GPUS[size])
    if match := _A2.match(machine_type):
        kind, gpus = match.group(1), int(match.group(2))
        gib = Decimal(_A2_GIB[kind] * gpus)
        return Shape(family, Decimal(12 * gpus), gib, _A2_GPU[kind], gpus)
    if machine_type == _MEGA:
        return Shape(family, Decimal(96), Decimal(1360), "nvidia-tesla-a100", 16)
    return None


def shape_of(machine_type: Json) -> Shape:
    """The shape that `machineTypes.get` tells of. Shared cores are billed by their share."""
    name = machine_type["name"]
    built_in = (machine_type.get("accelerators") or [{}])[0]
    cores = _SHARED.get(name) or machine_type.get("guestCpus") or 0
    return Shape(
        family_of(name),
        Decimal(cores),
        Decimal(machine_type.get("memoryMb") or 0) / 1024,
        built_in.get("guestAcceleratorType"),
        int(built_in.get("guestAcceleratorCount") or 0),
    )


def short_gpu(accelerator: str) -> str:
    """For people: `nvidia-tesla-t4` -> `T4`, `nvidia-l4` -> `L4`."""
    return accelerator.removeprefix("nvidia-").removeprefix("tesla-").upper()


def full_gpu(name: str) -> str:
    """The reverse, as Google names the accelerator."""
    if name.startswith("nvidia-"):
        return name
    for known in GPU_MEMORY_GIB:
        if short_gpu(known) == name.upper():
            return known
    return f"nvidia-{name.lower()}"
