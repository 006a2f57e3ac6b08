"""`ami build`: a builder, the steps, the image, the lock; whatever breaks it off, nothing stays.

The image's order is in the ledger before it is sent, and stays open until the lock file tells of
it: whoever comes next finishes it, or takes the image away.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuctl.app import App
from gpuctl.app.build_image import Made, finish
from gpuctl.app.build_steps import CutOff, Write, run_steps
from gpuctl.app.builder import (
    Building,
    BuildPlan,
    Stand,
    builder_name,
    builder_template,
    end_builder,
    ended_anyway,
    estimate,
    stand,
    standing,
)
from gpuctl.app.job import Interrupted
from gpuctl.app.settle import IMAGE, note_outcome, outcome_of
from gpuctl.app.sync import sync
from gpuctl.app.up import Asked, up
from gpuctl.config.lockfile import Built, read_lock
from gpuctl.core.books import books
from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.events import Intent
from gpuctl.core.images.making import (
    ImageOrder,
    OtherRecipe,
    read_image_order,
    write_image_order,
)
from gpuctl.core.model import Machine
from gpuctl.core.overhead import IMAGES
from gpuctl.core.ports import CloudRef

_TOLD = 'cat "${GPUCTL_ROOT:-}/etc/gpuctl/image.json"'


def build(
    app: App, asked: Building, lock: Path, confirm: Callable[[BuildPlan], bool], log: Write
) -> Made:
    """Make the image of a recipe's version, or go on where a build before was broken off.

    Raises what `up` does, StepFailed (1), CutOff and Interrupted (7), UsageProblem (2) where that
    version was built of other steps. Unless `keep`, no builder is left by any of them but CutOff.
    """
    ref = app.clouds.of(asked.provider, asked.project)
    known = _built(asked, lock)
    if known is not None:
        return Made(built=known, existed=True)
    name = builder_name(asked.recipe)
    intent = _waiting(app, asked, ref)
    if asked.dry_run:
        _builder(app, asked, ref, name, confirm)
        return Made(built=None)
    if intent is None:
        intent = _built_anew(app, asked, ref, name, confirm, log)
    if intent is None:
        return Made(built=None)
    return finish(app, asked, ref, intent, lock)


def _built(asked: Building, lock: Path) -> Built | None:
    """The lock's own entry, where it is of these very steps and of this cloud and region."""
    recipe = asked.recipe
    key = f"{recipe.name}@{recipe.version}"
    for built in read_lock(lock):
        if built.key != key:
            continue
        if built.recipe_sha256 not in (None, asked.key):
            raise UsageProblem(
                f"{key} was built of other steps than the recipe has now",
                hint=f"raise version in {recipe.directory / 'image.toml'}",
            )
        if asked.provider == "gcp" and built.gcp:
            return built
        if asked.provider == "aws" and (asked.region in built.aws if asked.region else built.aws):
            return built
    return None


def _waiting(app: App, asked: Building, ref: CloudRef) -> Intent | None:
    """An image of this very recipe that was ordered and is in no lock yet.

    Of another recipe of that name: it is taken away.
    """
    synced = sync(app, refs=[ref])
    provider, account = ref.provider, app.clouds.connect(ref).account
    for intent in synced.books.unsettled:
        lease = synced.books.leases.get(intent.lease)
        if intent.verb != IMAGE or lease is None:
            continue
        order = read_image_order(intent.order)
        here = (lease.provider, lease.account) == (provider, account)
        if not here or order.name != asked.recipe.name:
            continue
        if (order.version, order.recipe_sha256) == (asked.recipe.version, asked.key):
            begun = app.clouds.connect(ref).taken_image(order) is not None
            if begun or standing(synced, lease.name) is not None:
                app.progress.note(f"going on with the image of {order.key}")
                return intent
            note_outcome(app, outcome_of(app, intent, "failed", code="no-builder"))
            continue
        if order.version == asked.recipe.version and not asked.dry_run:
            app.clouds.connect(ref).unmake_image(order)
            note_outcome(app, outcome_of(app, intent, "failed", code="other-recipe"))
    return None


def _built_anew(
    app: App,
    asked: Building,
    ref: CloudRef,
    name: str,
    confirm: Callable[[BuildPlan], bool],
    log: Write,
) -> Intent | None:
    machine = _builder(app, asked, ref, name, confirm)
    if machine is None:
        return None
    try:
        return _prepared(app, asked, ref, name, machine, log)
    except OtherRecipe:
        app.progress.note(f"{name} was begun with other steps; a new one takes its place")
        end_builder(app, ref, name)
    machine = _builder(app, asked, ref, name, confirm)
    return None if machine is None else _prepared(app, asked, ref, name, machine, log)


def _builder(
    app: App,
    asked: Building,
    ref: CloudRef,
    name: str,
    confirm: Callable[[BuildPlan], bool],
) -> Machine | None:
    template = builder_template(app, asked)
    if books(app.ledger.events()).lease_named(name) is not None and not asked.dry_run:
        synced = sync(app, refs=[ref])
        before = standing(synced, name)
        match None if before is None else stand(app, synced, before, template):
            case Stand.READY:
                app.progress.note(f"going on with {name}")
                return before
            case Stand.LOST:
                app.progress.note(f"{name} lets nobody in any more; a new one takes its place")
                end_builder(app, ref, name)
    wanted = Asked(project=asked.project, template=template, name=name, dry_run=asked.dry_run)
    try:
        done = up(app, wanted, lambda plan: confirm(estimate(app, asked, plan)))
    except GpuctlError:
        raise
    except BaseException:
        ended_anyway(app, ref, name)
        raise
    return None if done.machine is None else done.machine.machine


def _prepared(
    app: App, asked: Building, ref: CloudRef, name: str, machine: Machine, log: Write
) -> Intent:
    """The builder's steps, then the image's order in the ledger; a failure ends the builder."""
    told: dict[str, Any] = {}

    def last() -> None:
        told.update(_told(app, machine))

    try:
        run_steps(app, asked, ref, machine, log, last)
        order = _order(app, asked, machine, told)
        record = write_image_order(order)
        intent = Intent(
            id=order.token,
            lease=machine.lease or "",
            verb=IMAGE,
            at=app.clock(),
            machine=str(machine.id),
            order=record,
        )
        app.ledger.append([intent])
    except (CutOff, OtherRecipe):
        raise
    except GpuctlError as error:
        if not asked.keep or isinstance(error, Interrupted):
            end_builder(app, ref, name)
        raise
    except BaseException:
        ended_anyway(app, ref, name)
        raise
    return intent


def _told(app: App, machine: Machine) -> dict[str, Any]:
    """What the image says of itself; {} where it says nothing."""
    code, said = app.reach.run(machine, ["sh", "-c", _TOLD])
    try:
        found = json.loads(said) if code == 0 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _order(app: App, asked: Building, machine: Machine, told: dict[str, Any]) -> ImageOrder:
    recipe = asked.recipe
    return ImageOrder(
        token=app.new_id(),
        lease=machine.lease or "",
        install=app.ledger.install,
        machine=machine.id,
        name=recipe.name,
        version=recipe.version,
        recipe_sha256=asked.key,
        project=None if asked.project == IMAGES else asked.project,
        base=machine.image,
        driver=told.get("driver") or recipe.driver,
        module=told.get("module") or recipe.module,
        cuda=told.get("cuda") or recipe.cuda,
        torch=told.get("torch") or recipe.torch,
    )
