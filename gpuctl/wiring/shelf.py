"""The images that this computer knows: recipes and lock files, read from where they lie."""

import logging
from collections.abc import Callable
from pathlib import Path

from gpuctl.app.images import Shelf, known_facts
from gpuctl.config.builtin import recipes
from gpuctl.config.lockfile import LOCK, Built, in_order, read_lock, write_lock
from gpuctl.config.paths import Paths
from gpuctl.config.recipe import read_recipe
from gpuctl.core.errors import ConfigError
from gpuctl.core.images.bases import base_facts
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.images.stored import named

log = logging.getLogger(__name__)


def own_recipes(paths: Paths) -> Path | None:
    """`amis/` beside the project file, where there is one."""
    if paths.project_file is None:
        return None
    directory = paths.project_file.parent / "amis"
    return directory if directory.is_dir() else None


def lock_file(paths: Paths) -> Path:
    """Where what is built is written: with the project's recipes, else beside the user's file."""
    return (own_recipes(paths) or paths.config.parent) / LOCK


def shelf(paths: Paths) -> Shelf:
    """Everything. ConfigError with every mistake of the first file that has some.

    The project's own come before those that come with gpuctl, and its lock before the user's.
    """
    own = own_recipes(paths)
    places = [place for place in (own, recipes()) if place is not None]
    directories: dict[Path, None] = {}
    for place in places:
        directories |= {file.parent.resolve(): None for file in sorted(place.glob("*/image.toml"))}
    locks = dict.fromkeys([lock_file(paths), paths.config.parent / LOCK])
    built = {image.key: image for file in reversed(locks) for image in read_lock(file)}
    return Shelf(tuple(read_recipe(path) for path in directories), in_order(built.values()))


def update_locks(paths: Paths, change: Callable[[Built], Built | None]) -> None:
    """Rewrite what the lock files have of images, each where it stands; None = it goes."""
    for file in dict.fromkeys([lock_file(paths), paths.config.parent / LOCK]):
        known = read_lock(file)
        wanted = in_order(built for one in known if (built := change(one)) is not None)
        if wanted != known:
            write_lock(file, wanted)


def pinned(paths: Paths, text: str, provider: str, region: str) -> tuple[str, str] | None:
    """`NAME@VERSION` and its id in a region, as the lock file has it; None = it does not."""
    wanted = named(text)
    if wanted is None:
        return None
    try:
        built = [one for one in shelf(paths).built if one.name == wanted.name]
    except ConfigError as error:
        log.warning("images.lock.toml: %s", error)
        return None
    fit = [
        one
        for one in built
        if (one.version == wanted.version if wanted.version else wanted.channel in one.channels)
    ]
    for one in reversed(fit):
        ident = one.gcp if provider == "gcp" else one.aws.get(region)
        if ident:
            return one.key, ident
    return None


def known_image(paths: Paths, named: str) -> ImageFacts | None:
    """What is certain of an image by its name in a template, without asking a cloud.

    A mistake in a recipe is no reason to start no machine: nothing is known then.
    """
    base = base_facts(named)
    if base is not None:
        return base
    try:
        return known_facts(shelf(paths), named, exact=True)
    except ConfigError as error:
        log.warning("recipes of images: %s", error)
        return None
