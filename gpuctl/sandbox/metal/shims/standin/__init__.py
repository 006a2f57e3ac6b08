"""A stand-in for torch on the sandbox's machines: what gpuctl's smoke test asks, and no more.

It computes nothing. It knows the machine's GPUs as its nvidia-smi does, needs a driver as the
real one does, and has code for the generations that the real build of that CUDA has.
"""

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_build = json.loads((Path(__file__).parent / "build.json").read_text(encoding="utf-8"))
_digits = _build["cuda"].removeprefix("cu")
_ARCHS = {
    "cu126": ("sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"),
    "cu128": ("sm_70", "sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"),
}
_GENERATIONS = {
    "V100": (7, 0),
    "T4": (7, 5),
    "A100": (8, 0),
    "A10G": (8, 6),
    "L40S": (8, 9),
    "L4": (8, 9),
    "H100": (9, 0),
    "H200": (9, 0),
    "RTX PRO": (12, 0),
}
_A_WHILE = 0.002
"""Seconds that a product of matrices takes."""

__version__ = f"{_build['version']}+{_build['cuda']}"
version = SimpleNamespace(cuda=f"{_digits[:-1]}.{_digits[-1]}")
float16, bfloat16, uint8 = "float16", "bfloat16", "uint8"


class Number(float):
    """A result."""

    def __truediv__(self, other: float) -> "Number":
        return Number(float(self) / other)

    def item(self) -> float:
        """Itself."""
        return float(self)


class Tensor:
    """Numbers that are all alike."""

    def __init__(self, value: float = 1.0) -> None:
        self._value = value

    def __matmul__(self, other: "Tensor") -> "Tensor":
        time.sleep(_A_WHILE)
        return Tensor(self._value * other._value)

    def __sub__(self, other: "Tensor") -> "Tensor":
        return Tensor(self._value - other._value)

    def __eq__(self, other: object) -> "Tensor":  # type: ignore[override]
        return Tensor(float(self._value == other))

    __hash__ = None  # type: ignore[assignment]

    def to(self, _: str) -> "Tensor":
        """The same."""
        return self

    def float(self) -> "Tensor":
        """The same."""
        return self

    def norm(self) -> Number:
        """Its size."""
        return Number(abs(self._value))

    def all(self) -> bool:
        """Whether nothing in it is zero."""
        return bool(self._value)

    def split(self, _: int) -> "list[Tensor]":
        """Pieces."""
        return [self, self]


def manual_seed(_: int) -> None:
    """Nothing is random here."""


def randn(*_: int, **__: Any) -> Tensor:
    """A matrix."""
    return Tensor()


def full(_: "tuple[int, ...]", value: float, **__: Any) -> Tensor:
    """A block."""
    return Tensor(value)


class _Cuda:
    """The machine's GPUs."""

    def _gpus(self) -> "tuple[str, int, int]":
        root = Path(os.environ.get("GPUCTL_ROOT", "/"))
        if not (root / "etc/sandbox-driver").exists():
            return "", 0, 0
        try:
            told = json.loads((root / "etc/sandbox-gpu.json").read_text(encoding="utf-8"))
        except OSError:
            return "", 0, 0
        return str(told["name"]), int(told["count"]), int(told["memory_mib"])

    def is_available(self) -> bool:
        """Whether there is one, and a driver."""
        return self.device_count() > 0

    def device_count(self) -> int:
        """How many."""
        return self._gpus()[1]

    def get_arch_list(self) -> "list[str]":
        """What this build has code for."""
        return list(_ARCHS.get(_build["cuda"], _ARCHS["cu128"]))

    def get_device_capability(self, _: int = 0) -> "tuple[int, int]":
        """The generation."""
        name = self._gpus()[0].upper()
        return next((sm for key, sm in _GENERATIONS.items() if key in name), (7, 5))

    def get_device_name(self, _: int = 0) -> str:
        """As nvidia-smi says it."""
        return self._gpus()[0]

    def get_device_properties(self, _: int = 0) -> SimpleNamespace:
        """Its memory."""
        return SimpleNamespace(total_memory=self._gpus()[2] << 20)

    def mem_get_info(self) -> "tuple[int, int]":
        """Bytes that are free, and all."""
        total = self._gpus()[2] << 20
        return total - (500 << 20), total

    def synchronize(self) -> None:
        """All is done."""

    def empty_cache(self) -> None:
        """Nothing is kept."""


cuda = _Cuda()
