"""`ami copy|promote|share`: what is done with images once they were made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.locked import Locks, with_channel, with_ids
from gpuctl.app.stock import complete, look, monthly_cost, pick, price, versions
from gpuctl.core.errors import GpuctlError, InvalidRequest, NotFound, UsageProblem
from gpuctl.core.images.stored import StoredImage, channel_name
from gpuctl.core.ports import CloudRef

COPIED_WITHIN = timedelta(hours=2)
"""So long AWS may take for an encrypted image of 200 GB."""
_POLL_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What a copy makes: from which, to which regions, and USD a month for all of them."""

    source: StoredImage
    regions: tuple[str, ...]
    there: tuple[str, ...]
    """Regions that have it already."""
    monthly: Fraction | None


def copies(app: App, text: str, regions: Sequence[str]) -> Copies:
    """What `copy` would do; nothing is copied. NotFound, UsageProblem."""
    stock = complete(look(app))
    source = pick(stock, text)
    if source.region == "global":
        raise UsageProblem(
            f"{source.key} is an image on {source.provider}, which has it in every region",
            hint="gpuctl ami list",
        )
    there = {image.region for image in stock.images if _same(image, source)}
    wanted = tuple(region for region in dict.fromkeys(regions) if region not in there)
    later = [replace(source, region=region) for region in wanted]
    price(app, replace(stock, images=tuple(later)))
    return Copies(
        source=source,
        regions=wanted,
        there=tuple(region for region in dict.fromkeys(regions) if region in there),
        monthly=monthly_cost(app, later),
    )


def copy(app: App, asked: Copies, update: Locks, *, wait: bool = True) -> Sequence[StoredImage]:
    """Copy it everywhere at once; `wait` until it can be started from there.

    A region that refuses is an error after the others were asked; what was made stays.
    """
    source = asked.source
    ref = _ref_of(app, source)
    provider = app.clouds.connect(ref)
    made: list[StoredImage] = []
    error: GpuctlError | None = None
    for region in asked.regions:
        try:
            with app.progress.step(f"copying {source.key} to {region}"):
                made.append(provider.copy_image(source, region))
        except GpuctlError as refused:
            app.progress.note(f"{region}: {refused.message}")
            error = error or refused
    update(lambda built: with_ids(built, made))
    if wait:
        made = [_until_ready(app, image) for image in made]
        look(app, [ref])
    if error is not None:
        raise error
    return made


def promote(
    app: App, text: str, channel: str, regions: Sequence[str], update: Locks
) -> Sequence[StoredImage]:
    """`NAME@CHANNEL` leads to this version, in these regions (else wherever it is).

    A version is named in full: promoting "the newest" would promote whatever came last.
    """
    channel_name(channel)
    stock = complete(look(app))
    chosen = versions(stock, text, regions)
    waiting = [image for image in chosen if not image.ready]
    if waiting:
        where = ", ".join(image.region for image in waiting)
        raise InvalidRequest(
            f"{waiting[0].key} is not ready in {where}: nothing was promoted",
            hint="gpuctl ami list",
        )
    for image in chosen:
        provider = app.clouds.connect(stock.refs[image.provider, image.account])
        with app.progress.step(f"promoting {image.key} to {channel} in {image.region}"):
            provider.promote_image(image, channel)
    if not regions:
        # The lock file knows no regions: it says what holds in all of them.
        update(lambda built: with_channel(built, chosen[0], channel))
    return chosen


def shares(app: App, text: str, whom: str, regions: Sequence[str]) -> Sequence[StoredImage]:
    """What `share` would share: this version, in these regions (else wherever it is).

    NotFound; InvalidRequest where one of them cannot be shared with `whom`. Nothing is shared.
    """
    stock = complete(look(app))
    chosen = versions(stock, text, regions)
    for image in chosen:
        ref = stock.refs[image.provider, image.account]
        app.clouds.connect(ref).check_share(image, whom)
    return chosen


def share(app: App, chosen: Sequence[StoredImage], whom: str) -> None:
    """Let somebody else use what `shares` found."""
    for image in chosen:
        provider = app.clouds.connect(_ref_of(app, image))
        with app.progress.step(f"sharing {image.key} in {image.region} with {whom}"):
            provider.share_image(image, whom)


def _same(image: StoredImage, other: StoredImage) -> bool:
    place = (image.provider, image.account, image.key)
    return place == (other.provider, other.account, other.key)


def _ref_of(app: App, image: StoredImage) -> CloudRef:
    for ref in app.clouds.accounts():
        if ref.provider == image.provider and app.clouds.connect(ref).account == image.account:
            return ref
    raise NotFound(f"the account {image.account} is not in use any more", hint="gpuctl doctor")


def _until_ready(app: App, image: StoredImage) -> StoredImage:
    provider = app.clouds.connect(_ref_of(app, image))
    until = app.clock() + COPIED_WITHIN
    with app.progress.step(f"waiting for {image.key} in {image.region}"):
        while not image.ready:
            if app.clock() >= until:
                raise GpuctlError(
                    f"{image.key} is not ready in {image.region} after 2 hours; it goes on",
                    hint="gpuctl ami list",
                )
            app.sleep(_POLL_S)
            try:
                image = provider.image(image.region, image.id)
            except NotFound:
                continue  # not shown yet (EC2 developer guide, "Eventual consistency")
    return image
