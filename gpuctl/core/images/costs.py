"""What images cost, as runs in the ledger: from when they exist until they are removed. Pure.

An image is nobody's run of a machine, so it has neither session nor machine: with no project it is
overhead, which `overhead.share` spreads. The field `image` of its record says what it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gpuctl.core.absence import PATIENCE
from gpuctl.core.books import Books
from gpuctl.core.endings import ended
from gpuctl.core.events import Event, Missed, Usage
from gpuctl.core.images.making import read_image_order
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import EndedBy, Evidence, Kind
from gpuctl.core.model import Billable, Ending
from gpuctl.core.span import format_time
from gpuctl.core.sync import usage_id

MARK = "image"
"""The field of a usage record that names its image: `NAME@VERSION`."""

MADE = "image"
"""The verb of an order for an image."""

DAILY = timedelta(hours=20)
"""So often at most it is noted that an image is still there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Complete listings of the images of some accounts (provider, id), and when they were made."""

    at: datetime
    accounts: frozenset[tuple[str, str]]
    images: Sequence[StoredImage] = ()
    payers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(provider, account) -> the client that owns and pays that account."""


def plan(books: Books, look: Look) -> Sequence[Event]:
    """The events to append; the same look again adds nothing."""
    events: list[Event] = []
    standing: set[tuple[str, str]] = set()
    for image in look.images:
        standing |= {(image.provider, billable.resource) for billable in image.billed}
        if image.ours and image.ready:
            for billable in image.billed:
                events.extend(_of_image(books, image, billable, look))
    for usage in open_runs(books):
        account = (usage.provider, usage.account or "")
        if account in look.accounts and (usage.provider, usage.resource) not in standing:
            events.extend(_of_missing(books, usage, look.at))
    return events


def open_runs(books: Books) -> Sequence[Usage]:
    """The runs of images that, by the ledger, still exist."""
    return [usage for usage in books.open if is_image(usage)]


def is_image(usage: Usage) -> bool:
    """Whether a run is that of a stored image; other records may have a field of that name."""
    return usage.kind is Kind.SNAPSHOT and isinstance(usage.extra.get(MARK), str)


def due(books: Books, at: datetime) -> frozenset[tuple[str, str]]:
    """The accounts (provider, id) whose images ought to be looked at.

    Those with one that was not seen for a day, and those where one was built that never was.
    """
    old = {
        (usage.provider, usage.account or "")
        for usage in open_runs(books)
        if at - last_seen(books, usage) >= DAILY
    }
    return frozenset(old | _built(books))


def _built(books: Books) -> set[tuple[str, str]]:
    noted = {usage.extra[MARK] for usage in books.usages if is_image(usage)}
    found = set()
    for intent in books.intents.values():
        outcome = books.outcomes.get(intent.id)
        if intent.verb != MADE or outcome is None or outcome.result != "done":
            continue
        order = read_image_order(intent.order)
        if order.key not in noted:
            found.add((order.machine.provider, order.machine.account))
    return found


def last_seen(books: Books, usage: Usage) -> datetime:
    """When an image was last known to exist."""
    return max(usage.start, books.found.get(usage.resource, usage.start))


def removed(books: Books, image: StoredImage, at: datetime) -> Sequence[Event]:
    """What it costs has ended: it was removed at `at`."""
    resources = {billable.resource for billable in image.billed}
    return [
        ended(usage, at, None)
        for usage in books.open
        if usage.provider == image.provider and usage.resource in resources
    ]


def run_of(image: StoredImage, billable: Billable, start: datetime) -> Usage:
    """The run that keeping an image is. Two laptops that see it write the same record."""
    return Usage(
        id=usage_id(image.provider, billable, start),
        provider=image.provider,
        account=image.account,
        region=image.region,
        zone=None,
        resource=billable.resource,
        kind=billable.kind,
        sku=billable.sku,
        market=billable.market,
        quantity=billable.quantity,
        start=start,
        end=None,
        ended_by=None,
        project=image.project,
        extra={MARK: image.key},
    )


def _of_image(books: Books, image: StoredImage, billable: Billable, look: Look) -> Iterator[Event]:
    known = [
        u for u in books.usages if (u.provider, u.resource) == (image.provider, billable.resource)
    ]
    open_ = [usage for usage in known if usage.end is None]
    for usage in open_:
        if (usage.sku, usage.quantity) == (billable.sku, billable.quantity):
            yield from _mark(books, usage, look.at)
            return
        # It is of another size by now; the cloud does not tell since when.
        yield ended(usage, look.at, None)
    ends = [usage.end for usage in known if usage.end is not None]
    start = look.at if open_ else max([billable.since, *ends])
    run = run_of(image, billable, start)
    if any(usage.id == run.id for usage in known):
        # It was taken for gone as soon as it was there, and is still there.
        run = run_of(image, billable, look.at)
    yield run._replace(payer=look.payers.get((image.provider, image.account)))
    if billable.resource in books.missed or look.at - run.start >= DAILY:
        yield _found(billable.resource, look.at)


def _mark(books: Books, usage: Usage, at: datetime) -> Iterator[Event]:
    """That it is still there, once a day, or at once after it was missed."""
    if usage.resource in books.missed or at - last_seen(books, usage) >= DAILY:
        yield _found(usage.resource, at)


def _found(resource: str, at: datetime) -> Missed:
    return Missed(id=f"found/{resource}/{format_time(at)}", machine=resource, at=at, found=True)


def _of_missing(books: Books, usage: Usage, at: datetime) -> Iterator[Event]:
    """Not listed twice, apart: it has ended, and no better time is known than when it was seen."""
    first = books.missed.get(usage.resource)
    yield Missed(id=f"missed/{usage.resource}/{format_time(at)}", machine=usage.resource, at=at)
    if first is not None and at - first >= PATIENCE:
        seen = last_seen(books, usage)
        by, evidence = EndedBy.USER, Evidence.DEADLINE
        guess = Ending(at=seen, by=by, evidence=evidence, reason="not listed any more")
        yield ended(usage, seen, guess)
