"""Prices into the ledger while they can still be had: what a run costs is fixed by facts."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from gpuctl.app import App
from gpuctl.core.books import Books
from gpuctl.core.errors import GpuctlError
from gpuctl.core.events import Event, Price, Usage
from gpuctl.core.kinds import Market, Priced
from gpuctl.core.meter import priced
from gpuctl.core.model import PricePoint
from gpuctl.core.ports import CloudRef, Provider
from gpuctl.core.pricebook import PriceBook, price_key
from gpuctl.core.rules import MARKET_KINDS
from gpuctl.core.span import Span, format_time

_THREADS = 8

KEPT = timedelta(days=90)
"""So long a spot price can still be asked for (EC2 DescribeSpotPriceHistory)."""


def record_prices(
    app: App, before: Books, after: Books, refs: Mapping[tuple[str, str], CloudRef]
) -> None:
    """Fetch the prices of runs that are open, that ended since the last look, or have none yet."""
    over = {usage.id for usage in before.usages if usage.end is not None}
    book = PriceBook(event for event in app.ledger.events() if isinstance(event, Price))
    oldest = app.clock() - KEPT
    fresh = [
        usage
        for usage in after.usages
        if usage.end is None
        or usage.id not in over
        or (usage.end > oldest and book.at(priced(usage), usage.start) is None)
    ]
    by_ref: dict[CloudRef, list[Usage]] = {}
    for usage in fresh:
        ref = refs.get((usage.provider, usage.account or ""))
        if ref is not None:
            by_ref.setdefault(ref, []).append(usage)
    for ref, usages in by_ref.items():
        fetch_prices(app, app.clouds.connect(ref), _asked(usages, app.clock()))


def _asked(usages: Iterable[Usage], now: datetime) -> dict[Priced, Span]:
    asked: dict[Priced, Span] = {}
    for usage in usages:
        thing = priced(usage)
        end = max(usage.end or now, usage.start)
        known = asked.get(thing, Span(usage.start, end))
        asked[thing] = Span(min(known.start, usage.start), max(known.end, end))
    return asked


def fetch_prices(app: App, provider: Provider, asked: Mapping[Priced, Span]) -> Sequence[Event]:
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
        return ()
    with ThreadPoolExecutor(min(_THREADS, len(asked))) as pool:
        answers = list(pool.map(one, asked))
    known = {
        (*price_key(event), event.since)
        for event in app.ledger.events()
        if isinstance(event, Price)
    }
    prices: dict[object, Price] = {}
    for thing, points in zip(asked, answers, strict=True):
        for point in points:
            price = price_event(thing, point)
            key = (*price_key(price), price.since)
            if key not in known:
                prices.setdefault(key, price)
    app.ledger.append(prices.values())
    return list(prices.values())


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
