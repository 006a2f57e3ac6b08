"""The image of a builder that is ready: ordered, waited for, written into the lock, settled."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gpuctl.app import App
from gpuctl.app.builder import Building, builder_name, end_builder, ended_anyway
from gpuctl.app.job import Interrupted
from gpuctl.app.settle import note_outcome, outcome_of
from gpuctl.config.lockfile import Built, read_lock, write_lock
from gpuctl.core.errors import Busy, GpuctlError, NotFound, UnknownOutcome
from gpuctl.core.events import Intent
from gpuctl.core.images.making import ImageOrder, Making, Taken, read_image_order
from gpuctl.core.ports import CloudRef

IMAGE_WITHIN = timedelta(hours=2)
"""AWS may take so long to register a large encrypted image."""
SHOWN_WITHIN = timedelta(minutes=3)
"""An image that was accepted and is not shown for so long has failed."""
_POLL_S = 5.0
_SENT = 5
"""Times that an order whose answer was lost is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The image; None after --dry-run or a refusal. `existed`: nothing had to be done."""

    built: Built | None
    taken: Taken | None = None
    existed: bool = False


def finish(app: App, asked: Building, ref: CloudRef, intent: Intent, lock: Path) -> Made:
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
        ended_anyway(app, ref, name)
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
