"""`ami prune`: old versions go, never what is promoted, running, or named by a template."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.gather import Silence
from gpuctl.app.locked import Locks, without
from gpuctl.app.stock import Stock, complete, is_named, look, monthly_cost, note_removed, price
from gpuctl.app.sync import Synced, sync
from gpuctl.config.recipe import Recipe
from gpuctl.core.errors import GpuctlError, NotFound
from gpuctl.core.images.pruning import Pruning, pruning
from gpuctl.core.images.stored import StoredImage, named
from gpuctl.core.kinds import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """What goes and what stays, with USD a month that going saves (None = a price is missing)."""

    found: Pruning
    saves: Fraction | None
    stock: Stock


def prunable(app: App, recipes: Sequence[Recipe], keep: int | None, name: str | None) -> Prune:
    """What `prune` would remove. NotFound for a name of no image."""
    synced = sync(app)
    stock = complete(look(app))
    if synced.silent:
        silent = synced.silent[0]
        raise GpuctlError(
            f"{silent.provider} could not be listed, so a machine there may use any image: "
            f"{silent.reason}",
            hint="gpuctl doctor",
        )
    images = [image for image in stock.images if name in (None, image.name)]
    if name is not None and not images:
        raise NotFound(f"there is no image {name} in any cloud", hint="gpuctl ami list")
    keeping = {recipe.name: recipe.keep_versions for recipe in recipes}
    if keep is not None:
        keeping = {image.name: keep for image in images}
    price(app, stock)
    used = {key: ", ".join(names) for key, names in used_by(app, synced, stock).items()}
    found = pruning(images, keeping, used)
    return Prune(found=found, saves=monthly_cost(app, found.goes), stock=stock)


def prune(app: App, asked: Prune, update: Locks) -> Sequence[StoredImage]:
    """Remove them, one after the other; their costs end in the ledger. What was removed.

    Which channel leads where is asked again right before: somebody may have promoted since.
    """
    fresh = complete(look(app, list(dict.fromkeys(asked.stock.refs.values()))))
    promoted = {image.key for image in fresh.images if image.channels}
    gone: list[StoredImage] = []
    for image in asked.found.goes:
        if image.key in promoted:
            app.progress.note(f"{image.key} was promoted in the meantime: it stays")
            continue
        provider = app.clouds.connect(asked.stock.refs[image.provider, image.account])
        with app.progress.step(f"removing {image.key} in {image.region}"):
            provider.remove_image(image)
        note_removed(app, [image])
        gone.append(image)
        update(lambda built, image=image: without(built, image))  # type: ignore[misc]
    return gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The images of every cloud that answered, who uses them, and who did not answer."""

    images: tuple[StoredImage, ...]
    used: Mapping[str, tuple[str, ...]]
    silent: tuple[Silence, ...]


def survey(app: App) -> Look:
    """For `ami list`: images with their prices, and the machines and templates that use them."""
    synced = sync(app)
    stock = look(app)
    price(app, stock)
    silent = dict.fromkeys([*synced.silent, *stock.silent])
    return Look(
        images=stock.images,
        used=used_by(app, synced, stock),
        silent=tuple({item.provider: item for item in silent}.values()),
    )


def used_by(app: App, synced: Synced, stock: Stock) -> Mapping[str, tuple[str, ...]]:
    """`NAME@VERSION` -> the machines and templates that use it, in words."""
    users: dict[str, list[str]] = {}
    for machine in synced.machines:
        if machine.state is State.GONE or machine.image is None:
            continue
        for image in stock.images:
            if is_named(image, machine.image) and machine.id.provider == image.provider:
                users.setdefault(image.key, []).append(machine.name)
    for template in app.settings.templates.values():
        for key in _meant(app, stock, template.provider, template.image):
            users.setdefault(key, []).append(f"template {template.name}")
    return {key: tuple(dict.fromkeys(names)) for key, names in users.items()}


def _meant(app: App, stock: Stock, provider: str, text: str | None) -> Sequence[str]:
    """The versions that a template's image leads to, in any region."""
    if text is None:
        return ()
    wanted = named(text)
    here = [image for image in stock.images if image.provider == provider]
    if wanted is None:
        return [image.key for image in here if is_named(image, text)]
    if wanted.version is not None:
        return [str(wanted)]
    led = [i.key for i in here if i.name == wanted.name and wanted.channel in i.channels]
    pins = [app.pinned(text, provider, image.region) for image in here]
    return [*led, *(pin[0] for pin in pins if pin is not None)]
