"""Which images may go. Pure: what is asked for, what is in use, what is kept and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gpuctl.core.images.stored import StoredImage, oldest_first, version_order

KEEP = 3
"""Newest versions that stay where no recipe says otherwise."""


class Kept(NamedTuple):
    """An image that stays, and why, in words."""

    image: StoredImage
    why: str


class Pruning(NamedTuple):
    """What goes, oldest first, and what stays."""

    goes: tuple[StoredImage, ...]
    stays: tuple[Kept, ...]


def pruning(
    images: Iterable[StoredImage], keep: Mapping[str, int], used: Mapping[str, str]
) -> Pruning:
    """`keep`: newest versions by name; `used`: `NAME@VERSION` -> who uses it.

    A version stays in every region where it is promoted or used in one: machines, templates and
    channels name versions, and the next `up` may look in any region.
    """
    ordered = oldest_first(images)
    promoted = {image.key: ", ".join(image.channels) for image in ordered if image.channels}
    newest = _newest(ordered, keep)
    goes: list[StoredImage] = []
    stays: list[Kept] = []
    for image in ordered:
        if image.key in promoted:
            stays.append(Kept(image, f"promoted to {promoted[image.key]}"))
        elif image.key in used:
            stays.append(Kept(image, f"used by {used[image.key]}"))
        elif not image.ours:
            stays.append(Kept(image, "made by another installation"))
        elif not image.ready:
            stays.append(Kept(image, "still being written"))
        elif image.key in newest:
            stays.append(Kept(image, f"one of the {keep.get(image.name, KEEP)} newest"))
        else:
            goes.append(image)
    return Pruning(tuple(goes), tuple(stays))


def _newest(images: Sequence[StoredImage], keep: Mapping[str, int]) -> frozenset[str]:
    versions: dict[str, set[str]] = {}
    for image in images:
        if image.ready:
            versions.setdefault(image.name, set()).add(image.version)
    return frozenset(
        f"{name}@{version}"
        for name, found in versions.items()
        for version in sorted(found, key=version_order, reverse=True)[: keep.get(name, KEEP)]
    )
