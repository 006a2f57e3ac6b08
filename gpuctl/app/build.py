"""`ami build`: a builder, the steps, the image, the lock; whatever breaks it off, nothing stays.

The image's order is in the ledger before it is sent, and stays open until the lock file tells of
it: whoever comes next finishes it, or takes the image away.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from gpuctl.app import App
from gpuctl.app.build_steps import CutOff, Write, run_steps
from gpuctl.app.builder import (
    Building,
    BuildPlan,
    Stand,
    builder_name,
    builder_template,
    end_builder,
    estimate,
    stand,
    standing,
)
from gpuctl.app.job import Interrupted
from gpuctl.app.settle import IMAGE, note_outcome, outcome_of
from gpuctl.app.sync import sync
from gpuctl.app.up import Asked, up
from gpuctl.config.lockfile import Built, read_lock, write_lock
from gpuctl.core.books import books
from gpuctl.core.errors import Busy, GpuctlError, NotFound, UnknownOutcome, UsageProblem
from gpuctl.core.events import Intent
from gpuctl.core.images.making import (
    ImageOrder,
    Making,
    OtherRecipe,
    Taken,
    read_image_order,
    write_image_order,
)
from gpuctl.core.model import Machine
from gpuctl.core.overhead import IMAGES
from gpuctl.core.ports import CloudRef

IMAGE_WITHIN = timedelta(hours=2)
"""AWS may take so long to register a large encrypted image."""
SHOWN_WITHIN = timedelta(minutes=3)
"""An image that was accepted and is not shown for so long has failed."""
_POLL_S = 5.0
_SENT = 5
"""Times that an order whose answer was lost is sent."""
_TOLD = 'cat "${GPUCTL_ROOT:-}/etc/gpuctl/image.json"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The image; None after --dry-run or a refusal. `existed`: nothing had to be done."""

    built: Built | None
    taken: Taken | None = None
    existed: bool = False


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
    return _finish(app, asked, ref, intent, lock)


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
        _ended_anyway(app, ref, name)
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
        _ended_anyway(app, ref, name)
        raise
    return intent


def _ended_anyway(app: App, ref: CloudRef, name: str) -> None:
    """After Ctrl-C: what cannot be ended now, its lease ends."""
    try:
        end_builder(app, ref, name)
    except GpuctlError as error:
        app.progress.note(f"{name} was not ended ({error.message}); its lease ends it")


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


def _finish(app: App, asked: Building, ref: CloudRef, intent: Intent, lock: Path) -> Made:
    """Take the image, end the builder, write the lock; the order is settled last."""
    name, order = builder_name(asked.recipe), read_image_order(intent.order)
    try:
        with app.progress.step(f"making the image {order.key}"):
            taken = _until_ready(app, ref, order)
    except GpuctlError as error:
        if not isinstance(error, NotFound):
            raise
        note_outcome(app, outcome_of(app, intent, "failed", code="no-builder"))
        raise Interrupted(
            f"{name} ended before its image was taken; nothing of it costs any more",
            hint=f"gpuctl ami build {asked.recipe.directory.name}",
        ) from None
    except BaseException:
        _ended_anyway(app, ref, name)
        raise
    if taken.making is Making.FAILED:
        app.clouds.connect(ref).unmake_image(order)
        note_outcome(app, outcome_of(app, intent, "failed", code="image-failed"))
        end_builder(app, ref, name)
        raise GpuctlError(f"the cloud could not make the image: {taken.reason}")
    end_builder(app, ref, name)
    built = _entry(app, asked, order, taken, lock)
    write_lock(lock, [*(one for one in read_lock(lock) if one.key != built.key), built])
    note_outcome(app, outcome_of(app, intent, "done", machine=intent.machine))
    return Made(built=built, taken=taken)


def _until_ready(app: App, ref: CloudRef, order: ImageOrder) -> Taken:
    provider, until = app.clouds.connect(ref), app.clock() + IMAGE_WITHIN
    for sent in range(1, _SENT + 1):
        try:
            provider.make_image(order)
            break
        except (Busy, UnknownOutcome) as error:
            if sent == _SENT:
                raise
            app.progress.note(f"{error.message}; asking again")
            app.sleep(_POLL_S)
    accepted = app.clock()
    while True:
        taken = provider.taken_image(order)
        if taken is not None and taken.making is not Making.PENDING:
            return taken
        if taken is None and app.clock() - accepted >= SHOWN_WITHIN:
            # Google forgets an image that failed.
            lost = "it was accepted, and there is no trace of it any more"
            return Taken(id="", region="", making=Making.FAILED, gb=0, reason=lost)
        if app.clock() >= until:
            raise Busy(
                f"the image {order.key} is not ready after {IMAGE_WITHIN.seconds // 3600} hours",
                hint="gpuctl ami build goes on with it",
            )
        app.sleep(_POLL_S)


def _entry(app: App, asked: Building, order: ImageOrder, taken: Taken, lock: Path) -> Built:
    recipe = asked.recipe
    before = next((one for one in read_lock(lock) if one.key == order.key), None)
    here = {taken.region: taken.id} if asked.provider == "aws" else {}
    return Built(
        name=recipe.name,
        version=recipe.version,
        built_at=app.clock(),
        recipe=recipe.directory.name,
        recipe_sha256=order.recipe_sha256,
        base=order.base,
        architecture=taken.architecture,
        driver=order.driver,
        module=order.module,
        cuda=order.cuda,
        torch=order.torch,
        python=recipe.python,
        snapshot_gb=taken.gb or recipe.disk_gb,
        tested=before.tested if before else (),
        aws={**(before.aws if before else {}), **here},
        gcp=taken.id if asked.provider == "gcp" else (before.gcp if before else None),
    )
