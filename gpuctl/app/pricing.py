"""Prices into the ledger while they can still be had: what a run costs is fixed by facts."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.core.books import Books
from gpuctl.core.errors import GpuctlError
from gpuctl.core.events import Price, PricesKnown, Usage
from gpuctl.core.images.costs import is_image
from gpuctl.core.kinds import Market, Priced
from gpuctl.core.meter import priced
from gpuctl.core.model import PricePoint
from gpuctl.core.ports import CloudRef, Provider
from gpuctl.core.pricebook import price_key
from gpuctl.core.rules import MARKET_KINDS
from gpuctl.core.span import Span, format_time

_THREADS = 8

KEPT = timedelta(days=90)
"""So long a spot price can still be asked for (EC2 DescribeSpotPriceHistory)."""


class Fetched(NamedTuple):
    """What came of asking: the prices that were new, and the things that have any at all."""

    added: tuple[Price, ...]
    answered: frozenset[Priced]


def record_prices(app: App, known: Books, refs: Mapping[tuple[str, str], CloudRef]) -> None:
    """Fetch the prices of runs that are open, or over and not yet known to be priced whole.

    Only our own runs: what was imported brings its prices along.
    """
    events = app.ledger.events()
    whole = {event.usage for event in events if isinstance(event, PricesKnown)}
    oldest = app.clock() - KEPT
    by_ref: dict[CloudRef, list[Usage]] = {}
    for usage in known.usages:
        over = usage.end is not None and (usage.id in whole or usage.end <= oldest)
        ref = refs.get((usage.provider, usage.account or ""))
        ours = usage.session is not None or is_image(usage)
        if ref is not None and ours and not over:
            by_ref.setdefault(ref, []).append(usage)
    for ref, usages in by_ref.items():
        fetched = fetch_prices(app, app.clouds.connect(ref), _asked(usages, app.clock()))
        app.ledger.append(
            PricesKnown(id=f"prices-known/{usage.id}", usage=usage.id, at=usage.end)
            for usage in usages
            if usage.end is not None and priced(usage) in fetched.answered
        )


def _asked(usages: Iterable[Usage], now: datetime) -> dict[Priced, Span]:
    asked: dict[Priced, Span] = {}
    for usage in usages:
        thing = priced(usage)
        end = max(usage.end or now, usage.start)
        known = asked.get(thing, Span(usage.start, end))
        asked[thing] = Span(min(known.start, usage.start), max(known.end, end))
    return asked


def fetch_prices(app: App, provider: Provider, asked: Mapping[Priced, Span]) -> Fetched:
    """Ask for all at once; append what the ledger does not know yet.

    A price that cannot be had is said, and the command goes on: the run is known, and the
    price can still be fetched for ninety days.
    """

    def one(thing: Priced) -> Sequence[PricePoint]:
        try:
            return provider.prices(thing, asked[thing])
        except GpuctlError as error:
            app.progress.note(f"no price for {thing.kind} {thing.sku}: {error.message}")
            return ()

    if not asked:
        return Fetched((), frozenset())
    with ThreadPoolExecutor(min(_THREADS, len(asked))) as pool:
        answers = dict(zip(asked, pool.map(one, asked), strict=True))
    known = {
        (*price_key(event), event.since)
        for event in app.ledger.events()
        if isinstance(event, Price)
    }
    prices: dict[object, Price] = {}
    for thing, points in answers.items():
        for point in points:
            price = price_event(thing, point)
            key = (*price_key(price), price.since)
            if key not in known:
                prices.setdefault(key, price)
    app.ledger.append(prices.values())
    answered = frozenset(thing for thing, points in answers.items() if points)
    return Fetched(tuple(prices.values()), answered)


def price_event(thing: Priced, point: PricePoint) -> Price:
    """A price point as a fact. Disks and addresses have no market, and none of their own zone."""
    market = thing.market if thing.kind in MARKET_KINDS else Market.ON_DEMAND
    place = thing.zone if market is Market.SPOT else None
    where = place or thing.region or "anywhere"
    what = f"{thing.kind}/{thing.sku}/{market}"
    return Price(
        id=f"price/{thing.provider}/{where}/{what}/{format_time(point.at)}",
        provider=thing.provider,
        region=thing.region,
        zone=place,
        kind=thing.kind,
        sku=thing.sku,
        market=market,
        unit=thing.unit,
        usd=point.usd,
        since=point.at,
        source=point.source,
    )
