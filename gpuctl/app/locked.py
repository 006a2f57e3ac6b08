"""Changes to an entry of `images.lock.toml`, after images were copied, promoted, removed."""

from collections.abc import Callable, Sequence

from gpuctl.config.lockfile import Built
from gpuctl.core.images.stored import StoredImage

Locks = Callable[[Callable[[Built], Built | None]], None]
"""Rewrites each entry of the lock files; None = it goes."""


def with_ids(built: Built, made: Sequence[StoredImage]) -> Built:
    """With the ids of its copies."""
    ids = {i.region: i.id for i in made if i.key == built.key and i.provider == "aws"}
    return built._replace(aws={**built.aws, **ids}) if ids else built


def with_channel(built: Built, image: StoredImage, channel: str) -> Built:
    """A channel leads to one version of a name."""
    if built.name != image.name:
        return built
    others = tuple(one for one in built.channels if one != channel)
    mine = (*others, channel) if built.version == image.version else others
    return built._replace(channels=tuple(sorted(mine)))


def without(built: Built, image: StoredImage) -> Built | None:
    """Without an image that was removed; None when nothing is left of the version."""
    if built.key != image.key:
        return built
    aws = {region: ident for region, ident in built.aws.items() if ident != image.id}
    gcp = None if built.gcp == image.id else built.gcp
    return built._replace(aws=aws, gcp=gcp) if aws or gcp else None
