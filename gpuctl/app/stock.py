"""The images that the clouds keep: listed, and accounted for in the ledger as they come and go."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.gather import Silence, ask
from gpuctl.app.pricing import fetch_prices
from gpuctl.core.books import Books, books
from gpuctl.core.errors import GpuctlError, LedgerError, NotFound, UsageProblem
from gpuctl.core.events import Price
from gpuctl.core.images import costs
from gpuctl.core.images.stored import StoredImage, named, oldest_first, version_order
from gpuctl.core.meter import monthly, priced
from gpuctl.core.ports import CloudRef, Provider
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.span import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """All images of the accounts that answered, and who did not."""

    images: tuple[StoredImage, ...]
    refs: Mapping[tuple[str, str], CloudRef]
    """(provider, account id) -> the account to act through."""
    silent: tuple[Silence, ...] = ()


def look(app: App, refs: Sequence[CloudRef] | None = None) -> Stock:
    """List the images of these accounts (else of all), and note in the ledger what is new.

    Raises the first error when no account answers.
    """

    def question(provider: Provider) -> tuple[str, Sequence[StoredImage]]:
        return provider.account, provider.images()

    wanted = list(refs if refs is not None else app.clouds.accounts())
    answers = ask(wanted, app.clouds.connect, question)
    found: dict[tuple[str, str], CloudRef] = {}
    images: dict[tuple[str, str, str], StoredImage] = {}
    for ref, (account, listed) in answers.by_cloud.items():
        # Two references may lead to one account: the user's own is named first, and it pays.
        found.setdefault((ref.provider, account), ref)
        images |= {(image.provider, image.region, image.id): image for image in listed}
    stock = Stock(images=tuple(images.values()), refs=found, silent=answers.silent)
    _note(app, stock)
    return stock


def look_again(app: App, known: Books, refs: Mapping[tuple[str, str], CloudRef]) -> None:
    """Once a day, whether the images that the ledger has are still there.

    What cannot be looked at is looked at next time: images cost cents a day.
    """
    due = [refs[account] for account in sorted(costs.due(known, app.clock()) & refs.keys())]
    if not due:
        return
    try:
        stock = look(app, due)
    except GpuctlError as error:
        app.progress.note(f"images could not be listed: {error.message}")
        return
    price(app, stock)


def price(app: App, stock: Stock) -> None:
    """Put the prices of what they cost into the ledger, where they are known."""
    now = app.clock()
    for account, ref in stock.refs.items():
        asked = {
            priced(costs.run_of(image, billable, billable.since)): Span(billable.since, now)
            for image in stock.images
            if (image.provider, image.account) == account
            for billable in image.billed
        }
        fetch_prices(app, app.clouds.connect(ref), asked)


def note_removed(app: App, images: Collection[StoredImage]) -> None:
    """Their costs end now."""
    for image in images:
        known = books(app.ledger.events())
        app.ledger.append(costs.removed(known, image, app.clock()))


def monthly_cost(app: App, images: Iterable[StoredImage]) -> Fraction | None:
    """USD for 730 hours of keeping them, by the ledger's prices; None = one is missing."""
    book = PriceBook(event for event in app.ledger.events() if isinstance(event, Price))
    runs = [costs.run_of(image, one, one.since) for image in images for one in image.billed]
    return monthly(runs, book, app.clock())


def complete(stock: Stock) -> Stock:
    """GpuctlError unless every account answered: what is not seen may be what is meant."""
    if stock.silent:
        silent = stock.silent[0]
        raise GpuctlError(
            f"the images of {silent.provider} could not be listed: {silent.reason}",
            hint="gpuctl doctor",
        )
    return stock


def pick(stock: Stock, text: str) -> StoredImage:
    """One image for `NAME@VERSION`, `NAME@CHANNEL`, an id, or `NAME` (its stable or newest)."""
    wanted = named(text)
    found = [image for image in stock.images if is_named(image, text)]
    if wanted is not None:
        mine = [image for image in stock.images if image.name == wanted.name]
        found = [
            image
            for image in mine
            if (
                wanted.version == image.version
                if wanted.version
                else wanted.channel in image.channels
            )
        ]
        if not found and "@" not in text:
            found = [image for image in mine if image.ready]
    if not found:
        raise _nowhere(stock, text)
    return max(found, key=lambda one: (one.ready, version_order(one.version), one.region))


def versions(stock: Stock, text: str, regions: Sequence[str]) -> Sequence[StoredImage]:
    """All copies of one version. UsageProblem without a version, NotFound where there is none."""
    wanted = named(text)
    if wanted is None or wanted.version is None:
        raise UsageProblem(
            f"{text!r} names no version", hint="NAME@VERSION, as in: gpuctl ami list"
        )
    found = [i for i in stock.images if (i.name, i.version) == (wanted.name, wanted.version)]
    if not found:
        raise _nowhere(stock, text)
    missing = set(regions) - {image.region for image in found}
    if missing:
        raise NotFound(
            f"{text} is not in {', '.join(sorted(missing))}",
            hint=f"gpuctl ami copy {text} --to {min(missing)}",
        )
    return oldest_first(image for image in found if not regions or image.region in regions)


def is_named(image: StoredImage, text: str) -> bool:
    """Whether an id is the image's: Google's machines tell the last part of it alone."""
    return text == image.id or text == image.id.rpartition("/")[2]


def _nowhere(stock: Stock, text: str) -> NotFound:
    known = ", ".join(dict.fromkeys(image.key for image in oldest_first(stock.images))) or "none"
    return NotFound(f"no cloud has an image {text}; there are: {known}", hint="gpuctl ami list")


def _note(app: App, stock: Stock) -> None:
    seen = costs.Look(
        at=app.clock(),
        accounts=frozenset(stock.refs),
        images=stock.images,
        payers={key: ref.payer for key, ref in stock.refs.items() if ref.payer is not None},
    )
    while True:
        known = books(app.ledger.events())
        try:
            app.ledger.append(costs.plan(known, seen))
        except LedgerError:
            if books(app.ledger.events()) == known:
                raise
        else:
            return
