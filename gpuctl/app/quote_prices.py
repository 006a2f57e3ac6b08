"""What a quote is priced with: the zones that sell the machine, prices now and for ninety days."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app.pricing import KEPT, fetch_prices
from gpuctl.config.template import Template
from gpuctl.core.errors import GpuctlError, NotFound
from gpuctl.core.events import Price
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.meter import per_hour
from gpuctl.core.model import Offer, Want
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rounding import round_half_up
from gpuctl.core.rules import address_sku
from gpuctl.core.span import Span

_HOUR = timedelta(hours=1)
_BOTH = (Market.SPOT, Market.ON_DEMAND)


class Part(NamedTuple):
    """One priced part of a machine: the whole of it on AWS."""

    thing: Priced
    quantity: Decimal


class Place(NamedTuple):
    """A machine of one type in one zone, as its parts are priced."""

    type: str
    region: str
    zone: str
    spot: tuple[Part, ...]
    on_demand: tuple[Part, ...]


class ZonePrice(NamedTuple):
    """USD an hour on spot: now, and at each hour before it, oldest first."""

    zone: str
    region: str
    now: Fraction
    before: tuple[Fraction, ...]


class Sold(NamedTuple):
    """One type, where it is sold. `skus` are how sessions of it are called in the ledger."""

    provider: str
    payer: str | None
    type: str
    skus: frozenset[str]
    zones: tuple[ZonePrice, ...]
    region: str
    """Where on-demand costs least."""
    on_demand: Fraction
    days: int
    notes: tuple[str, ...]


class Around(NamedTuple):
    """USD an hour beside the machine: while one is held, and from beginning to end."""

    held: Fraction
    always: Fraction
    notes: tuple[str, ...]


def sold(app: App, project: str, template: Template, now: datetime, *, ask: bool) -> Sold:
    """The first of the template's types that has a price, with ninety days of its past.

    The cloud is asked (`ask`), and the ledger keeps what it says; where it cannot be asked, the
    ledger's own prices do. NotFound where the price of spot or on-demand is not known.
    """
    ref = app.clouds.of(template.provider, project)
    notes: list[str] = []
    places: Sequence[Place] = ()
    if ask:
        try:
            with app.progress.step(f"asking {template.provider} for prices"):
                provider = app.clouds.connect(ref)
                want = _want(template)
                places = _offered(provider.offers(want), template)
                fetch_prices(app, provider, _things(places, template, Span(now - KEPT, now)))
        except GpuctlError as error:
            notes.append(f"the prices are the ledger's: {error.message}")
    prices = [event for event in app.ledger.events() if isinstance(event, Price)]
    places = places or _known(prices, template)
    book = PriceBook(prices)
    for type_ in template.types:
        found = _priced([place for place in places if place.type == type_], book, template, now)
        if found is None:
            continue
        if type_ != template.type:
            notes.append(f"{template.type} has no price: quoted as {type_}")
        zones, region, on_demand, days = found
        if template.max_price is not None and on_demand > template.max_price:
            notes.append(
                f"on demand costs {round_half_up(on_demand, 4)} USD an hour, more than the "
                f"template's max_price allows: --max-price, should it come to that"
            )
        return Sold(
            provider=template.provider,
            payer=ref.payer,
            type=type_,
            skus=_skus(type_, places),
            zones=zones,
            region=region,
            on_demand=on_demand,
            days=days,
            notes=tuple(notes),
        )
    raise NotFound(
        f"no price is known of {' or '.join(template.types)}, and a quote needs the one on demand"
        + (" and one on spot" if Market.SPOT in template.market.markets else "")
        + "".join(f"\n  {note}" for note in notes),
        hint=f"gpuctl price update -t {template.name} --days 90",
    )


def around(app: App, found: Sold, template: Template, now: datetime) -> Around:
    """Address, disk and data volume. A price that is missing is said."""
    book = PriceBook(event for event in app.ledger.events() if isinstance(event, Price))
    notes: list[str] = []

    def hourly(thing: Priced, quantity: int) -> Fraction:
        price = book.at(thing, now)
        if price is None:
            notes.append(f"no price for {thing.kind} {thing.sku}: its cost is not in the quote")
            return Fraction(0)
        return per_hour(thing, Decimal(quantity), price.usd, now)

    disks = [template.disk, *([template.data.disk] if template.data is not None else [])]
    address = address_sku(found.provider, template.market.markets[0])
    return Around(
        held=hourly(_extra(found.provider, found.region, Kind.IPV4, address, Unit.HOUR), 1),
        always=sum(
            (
                hourly(
                    _extra(found.provider, found.region, Kind.DISK, disk.type, Unit.MONTH), disk.gb
                )
                for disk in disks
            ),
            Fraction(0),
        ),
        notes=tuple(dict.fromkeys(notes)),
    )


def _want(template: Template) -> Want:
    from dataclasses import replace  # noqa: PLC0415 - light already

    return replace(template.want(), markets=_BOTH, name=None, max_hourly=None)


def _offered(offers: Iterable[Offer], template: Template) -> Sequence[Place]:
    """The zones in which a type is sold, whatever it costs."""
    parts: dict[tuple[str, str, str], dict[Market, tuple[Part, ...]]] = {}
    for offer in offers:
        if offer.available and offer.type in template.types and _fits(template, offer):
            key = (offer.type, offer.region, offer.zone)
            parts.setdefault(key, {})[offer.market] = _parts(offer)
    return [
        Place(*key, spot=found.get(Market.SPOT, ()), on_demand=found.get(Market.ON_DEMAND, ()))
        for key, found in sorted(parts.items())
    ]


def _fits(template: Template, offer: Offer) -> bool:
    return _within(template, offer.region, offer.zone)


def _within(template: Template, region: str | None, zone: str | None) -> bool:
    in_region = not template.regions or region in template.regions
    return in_region and (not template.zones or zone in template.zones)


def _parts(offer: Offer) -> tuple[Part, ...]:
    zone = offer.zone if offer.market is Market.SPOT else None
    place = (offer.provider, offer.region, zone)
    if not offer.components:
        return (
            Part(Priced(*place, Kind.COMPUTE, offer.type, offer.market, Unit.HOUR), Decimal(1)),
        )
    return tuple(
        Part(Priced(*place, part.kind, part.sku, part.market, Unit.HOUR), part.quantity)
        for part in offer.components
    )


def _known(prices: Iterable[Price], template: Template) -> Sequence[Place]:
    """The zones that the ledger has spot prices of; machines that are priced whole alone."""
    places = {
        (price.sku, price.region or "", price.zone or "")
        for price in prices
        if price.provider == template.provider
        and price.kind is Kind.COMPUTE
        and price.sku in template.types
        and _within(template, price.region, price.zone)
        and (price.zone is not None or price.market is Market.ON_DEMAND)
    }

    def part(type_: str, region: str, zone: str, market: Market) -> tuple[Part, ...]:
        where = (template.provider, region or None, zone or None)
        return (Part(Priced(*where, Kind.COMPUTE, type_, market, Unit.HOUR), Decimal(1)),)

    return [
        Place(
            *key,
            spot=part(*key, Market.SPOT) if key[2] else (),
            on_demand=part(key[0], key[1], "", Market.ON_DEMAND),
        )
        for key in sorted(places)
    ]


def _things(places: Sequence[Place], template: Template, span: Span) -> Mapping[Priced, Span]:
    """All whose prices are asked for: spot over the span, all else as it is now."""
    now = Span(span.end, span.end)
    asked: dict[Priced, Span] = {}
    for place in places:
        for part in place.spot:
            asked[part.thing] = span
        for part in place.on_demand:
            asked[part.thing] = now
        for disk in {template.disk.type, *([template.data.disk.type] if template.data else [])}:
            asked[_extra(template.provider, place.region, Kind.DISK, disk, Unit.MONTH)] = now
        address = address_sku(template.provider, template.market.markets[0])
        asked[_extra(template.provider, place.region, Kind.IPV4, address, Unit.HOUR)] = now
    return asked


def _extra(provider: str, region: str, kind: Kind, sku: str, unit: Unit) -> Priced:
    return Priced(provider, region, None, kind, sku, Market.ON_DEMAND, unit)


def _priced(
    places: Sequence[Place], book: PriceBook, template: Template, now: datetime
) -> tuple[tuple[ZonePrice, ...], str, Fraction, int] | None:
    """Zones with their prices, where on-demand costs least and what, and the days known."""
    on_demand = [
        (usd, place.region)
        for place in places
        if place.on_demand and (usd := _hourly(place.on_demand, book, now)) is not None
    ]
    if not on_demand:
        return None
    least, region = min(on_demand)
    if Market.SPOT not in template.market.markets:
        return (), region, least, 0
    zones: list[ZonePrice] = []
    first = now
    for place in places:
        usd = _hourly(place.spot, book, now) if place.spot else None
        if usd is not None:
            begun = _begun(place.spot, book, now)
            first = min(first, begun)
            zones.append(
                ZonePrice(place.zone, place.region, usd, _past(place.spot, book, begun, now))
            )
    return (tuple(zones), region, least, (now - first).days) if zones else None


def _skus(type_: str, places: Sequence[Place]) -> frozenset[str]:
    """The type itself, and the GPU where machines are priced in parts."""
    parts = [part for place in places if place.type == type_ for part in place.spot]
    return frozenset({type_, *(p.thing.sku for p in parts if p.thing.kind is Kind.GPU)})


def _hourly(parts: Sequence[Part], book: PriceBook, at: datetime) -> Fraction | None:
    whole = Fraction(0)
    for part in parts:
        price = book.at(part.thing, at)
        if price is None:
            return None
        whole += Fraction(price.usd) * Fraction(part.quantity)
    return whole


def _begun(parts: Sequence[Part], book: PriceBook, now: datetime) -> datetime:
    """Since when all parts have a price, ninety days ago at the earliest."""
    begun = now - KEPT
    for part in parts:
        known = [at for at, usd in book.changes(part.thing, now - KEPT, now) if usd is not None]
        begun = max(begun, known[0] if known else now)
    return begun


def _past(
    parts: Sequence[Part], book: PriceBook, begun: datetime, now: datetime
) -> tuple[Fraction, ...]:
    hours = int((now - begun) / _HOUR)
    found = (_hourly(parts, book, begun + _HOUR * i) for i in range(hours))
    return tuple(usd for usd in found if usd is not None)
