"""An image that is being made of a builder's disk: what is ordered, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gpuctl.core.errors import GpuctlError
from gpuctl.core.model import MachineId


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrder:
    """Everything that making one image needs; stored in the ledger before it is sent.

    `token` belongs to this image alone: the same order sent twice makes one image. `lease` is the
    builder's. `project` is whose image it is; None = everybody's. `driver` to `torch` are what is
    in it, None where it is not known; `base` is the id of the image that the builder came from.
    """

    token: str
    lease: str
    install: str
    machine: MachineId
    name: str
    version: str
    recipe_sha256: str
    project: str | None = None
    base: str | None = None
    driver: str | None = None
    module: str | None = None
    cuda: str | None = None
    torch: str | None = None

    @property
    def key(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"

    @property
    def resource(self) -> str:
        """What the cloud is to call it: the same order gives the same name, no two orders do."""
        return f"{self.name}-{self.version}-{self.token[:8]}"


class OtherRecipe(GpuctlError):
    """On the builder lies another recipe than the one that is to be built: take a new one."""


class Making(StrEnum):
    """How far an image is."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """An image that a cloud has accepted. `id` is what launches it; `gb` its disk's size.

    `reason` is the cloud's own word where it has failed.
    """

    id: str
    region: str
    """`global` where one image serves every region."""
    making: Making
    gb: int
    architecture: str | None = None
    reason: str | None = None


def write_image_order(order: ImageOrder) -> Mapping[str, Any]:
    """For the intent's record."""
    machine = order.machine
    place = [machine.provider, machine.account, machine.region, machine.zone, machine.native]
    told = {name: getattr(order, name) for name in _TEXTS}
    return {**{name: value for name, value in told.items() if value is not None}, "machine": place}


def read_image_order(record: Mapping[str, Any]) -> ImageOrder:
    """The reverse. KeyError or TypeError for what is none."""
    texts = {name: record[name] for name in _TEXTS if name in record}
    return ImageOrder(machine=MachineId(*record["machine"]), **texts)


_TEXTS = (
    "token",
    "lease",
    "install",
    "name",
    "version",
    "recipe_sha256",
    "project",
    "base",
    "driver",
    "module",
    "cuda",
    "torch",
)
