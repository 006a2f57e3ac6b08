"""Which builds of torch have code for which GPUs, and which driver they ask for."""

import re
from typing import NamedTuple

from gpuctl.core.images.facts import Branches

_ALL = (50, 60, 70, 75, 80, 86, 90)
_NEW = (75, 80, 86, 90, 100, 120)
_RELEASES = "PyTorch, RELEASE.md, compatibility matrix"
_VOLTA = "PyTorch, 2.11 removed sm_70 from the CUDA 12.8 builds; those for 12.6 keep it to 2.14"
_DRIVERS = "NVIDIA, CUDA Toolkit Release Notes, minor version compatibility"


class Build(NamedTuple):
    """One line of torch's builds: codes (compute capabilities) up to a version of torch."""

    cuda: str
    codes: tuple[int, ...]
    upto: tuple[int, int] | None = None
    source: str = _RELEASES


BUILDS = (
    Build("cu118", _ALL),
    Build("cu121", _ALL),
    Build("cu124", _ALL),
    Build("cu126", _ALL, (2, 14), _VOLTA),
    Build("cu128", (70, *_NEW), (2, 10), _VOLTA),
    Build("cu128", _NEW, source=_VOLTA),
    Build("cu129", _NEW),
    Build("cu130", _NEW),
    Build("cu132", _NEW),
)
"""In each build the first row that takes its version of torch holds."""

_LEAST_DRIVER = {"11": 450, "12": 525, "13": 580}


def build_of(cuda: str, torch: str | None) -> Build | None:
    """The row of a build; None where none is known for that version.

    Without a version: the row with the fewest codes, so that nothing is promised.
    """
    version = None if torch is None else version_of(torch)
    rows = [row for row in BUILDS if row.cuda == cuda]
    if version is None:
        return rows[-1] if rows else None
    return next((row for row in rows if row.upto is None or version <= row.upto), None)


def version_of(torch: str) -> tuple[int, int] | None:
    """`2.10.0`, `2.10.*`, `2.10.0+cu126` -> (2, 10)."""
    match = re.match(r"(?:==)?(\d+)\.(\d+)", torch)
    return None if match is None else (int(match[1]), int(match[2]))


def has_code(build: Build, sm: int) -> bool:
    """Whether a GPU finds code: its own, or that of an earlier one of its generation."""
    return any(code // 10 == sm // 10 and code <= sm for code in build.codes)


def least_driver(cuda: str) -> tuple[Branches, str] | None:
    """The driver that programs of this CUDA need, and the source; None = no row."""
    match = re.fullmatch(r"cu(\d\d)\d", cuda)
    if match is None or match[1] not in _LEAST_DRIVER:
        return None
    return Branches(_LEAST_DRIVER[match[1]]), _DRIVERS
