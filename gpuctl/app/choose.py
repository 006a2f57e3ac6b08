"""Which image a template's name leads to in each region, and what it can be started on."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app.attempts import Attempt
from gpuctl.config.template import Template
from gpuctl.core.errors import NotFound
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.images.stored import StoredImage, named
from gpuctl.core.model import Offer
from gpuctl.core.ports import CloudRef

_THREADS = 8


class Fit(NamedTuple):
    """The offers on which the image may work, the image of each region, and what is left out."""

    offers: tuple[Offer, ...]
    images: Mapping[str, StoredImage]
    skipped: tuple[Attempt, ...] = ()


def with_the_image(app: App, ref: CloudRef, template: Template, offers: Sequence[Offer]) -> Fit:
    """Leave out where the template's image is not, and the types on which it cannot work.

    A name of one's own is looked up once in every region that is left, so that what is started is
    known before it is asked for, and stands in the ledger. NotFound where no region has it.
    """
    if not template.image or template.vm is not None or not offers:
        return Fit(tuple(offers), {})
    here = _by_facts(app, template, offers, {})
    if named(template.image) is None or not here.offers:
        return here
    offers = here.offers
    regions = tuple(dict.fromkeys(offer.region for offer in offers))
    with ThreadPoolExecutor(min(_THREADS, len(regions))) as pool:
        found = dict(
            zip(
                regions,
                pool.map(lambda region: _look_up(app, ref, template.image or "", region), regions),
                strict=True,
            )
        )
    images = {where: got for where, got in found.items() if isinstance(got, StoredImage)}
    missing = {where: got for where, got in found.items() if isinstance(got, NotFound)}
    if not images:
        raise missing[regions[0]]
    fit = _by_facts(app, template, [o for o in offers if o.region in images], images)
    gone = [_left_out(offer, missing[offer.region]) for offer in offers if offer.region in missing]
    return fit._replace(skipped=(*here.skipped, *fit.skipped, *gone))


def _look_up(app: App, ref: CloudRef, text: str, region: str) -> StoredImage | NotFound:
    """By the cloud's own record; else by what the lock file says of this region."""
    provider = app.clouds.connect(ref)
    try:
        found = provider.image(region, text)
    except NotFound as missing:
        pinned = app.pinned(text, ref.provider, region)
        if pinned is None:
            return missing
        key, ident = pinned
        name, _, version = key.partition("@")
        try:
            found = replace(provider.image(region, ident), name=name, version=version)
        except NotFound:
            return missing
    if not found.ready:
        words = f"{found.key} ({found.id}) is not ready in {region}"
        return NotFound(words, hint="gpuctl ami list")
    return found


def _left_out(offer: Offer, missing: NotFound) -> Attempt:
    return Attempt(
        type=offer.type,
        zone=offer.zone,
        market=offer.market,
        outcome="skipped",
        code="image",
        reason=missing.message,
    )


def _by_facts(
    app: App, template: Template, offers: Sequence[Offer], images: Mapping[str, StoredImage]
) -> Fit:
    """The types on which the image of their region certainly does not work go."""
    reasons: dict[tuple[str, str], str | None] = {}
    for offer in offers:
        place = (offer.type, offer.region)
        if place not in reasons:
            reasons[place] = _why_not(app, template, offer, images.get(offer.region))
    bad = dict.fromkeys((type_, why) for (type_, _), why in reasons.items() if why is not None)
    return Fit(
        tuple(offer for offer in offers if reasons[offer.type, offer.region] is None),
        images,
        tuple(
            Attempt(type=type_, zone=None, market=None, outcome="skipped", code="image", reason=why)
            for type_, why in bad
        ),
    )


def _why_not(app: App, template: Template, offer: Offer, image: StoredImage | None) -> str | None:
    known = _facts(app, template, image)
    if known is None:
        return None
    from gpuctl.app.images import why_not  # noqa: PLC0415 - where an image is known alone

    return why_not(known, offer.type, template.gpu)


def _facts(app: App, template: Template, image: StoredImage | None) -> ImageFacts | None:
    if image is None:
        return app.images(template.image or "")
    from gpuctl.app.images import filled  # noqa: PLC0415 - as above

    local = app.images(image.key)
    return image.facts if local is None else filled(image.facts, local)
