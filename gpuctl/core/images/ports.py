"""What may be asked of a cloud about images that exist. Each promise here is a contract test."""

from collections.abc import Sequence
from typing import Protocol

from gpuctl.core.images.making import ImageOrder, Taken
from gpuctl.core.images.stored import StoredImage


class KeepsImages(Protocol):
    """The part of a `Provider` that keeps images; the same errors as everywhere."""

    def images(self) -> Sequence[StoredImage]:
        """Every image of one's own that the account keeps: complete, or `ListingIncomplete`.

        Those that carry a name and version of gpuctl's, ours or another installation's, in
        every region, with what each costs.
        """

    def image(self, region: str, named: str) -> StoredImage:
        """The image that `NAME@VERSION`, `NAME@CHANNEL`, `NAME` or an id leads to in a region.

        Only one's own account's images are found by name. `NotFound` where it leads to none.
        """

    def copy_image(self, image: StoredImage, region: str) -> StoredImage:
        """Have the cloud copy it; returns once accepted, perhaps not `ready`.

        Where it is already, that one: never a second of the same version. Channels stay behind.
        """

    def promote_image(self, image: StoredImage, channel: str) -> None:
        """`NAME@CHANNEL` leads to it in its region from now on, and to no other version."""

    def check_share(self, image: StoredImage, whom: str) -> None:
        """`InvalidRequest` with the reason where it cannot be shared with them; shares nothing."""

    def share_image(self, image: StoredImage, whom: str) -> None:
        """Let another account (twelve digits) or project start machines from it, and copy it.

        `InvalidRequest` as `check_share`: nothing is shared then.
        """

    def remove_image(self, image: StoredImage) -> None:
        """It and its snapshots are gone. Idempotent; ValueError for what is not ours."""


class MakesImages(Protocol):
    """The part of a `Provider` that makes images of builders; the same errors as everywhere."""

    def make_image(self, order: ImageOrder) -> Taken:
        """Have the cloud make an image of the builder's disk; returns once it has accepted.

        The same token makes one image, whatever became of the answers. The builder may be stopped
        or restarted by it. `NotFound` when there is no such builder and no such image.
        """

    def taken_image(self, order: ImageOrder) -> Taken | None:
        """What became of an order; makes nothing. None = no trace of it."""

    def unmake_image(self, order: ImageOrder) -> None:
        """Nothing of that order's image remains, nor of its snapshots. Idempotent."""
