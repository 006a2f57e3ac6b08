"""`price update`: the prices of what the templates need, from the clouds in use."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from gpuctl.app import market
from gpuctl.app.gather import Silence
from gpuctl.app.pricing import fetch_prices
from gpuctl.cli.session import Session
from gpuctl.core.errors import Denied
from gpuctl.core.events import Price
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.model import Offer
from gpuctl.core.rules import address_sku
from gpuctl.core.span import Span


def update(
    session: Session, names: Sequence[str], back: timedelta
) -> tuple[Sequence[Price], Sequence[Silence]]:
    """Ask where and as what the templates can be had, then for those prices; the new ones."""
    app, settings = session.app, session.settings
    in_use = {ref.provider for ref in app.clouds.accounts()}
    if not in_use and not names:
        raise Denied(
            "no cloud is in use: there are no credentials of AWS or Google", hint="gpuctl doctor"
        )
    templates = [settings.template(name) for name in names] or [
        template for template in settings.templates.values() if template.provider in in_use
    ]
    found = market.offers(app, templates, (Market.SPOT, Market.ON_DEMAND))
    now = session.now()
    span = Span(now - back, now)
    added: list[Price] = []
    for provider in sorted({offer.provider for offer in found.offers}):
        disks = {t.disk.type for t in templates if t.provider == provider}
        offers = [offer for offer in found.offers if offer.provider == provider]
        asked = {thing: span for offer in offers for thing in _things(offer, disks)}
        with app.progress.step(f"asking {provider} for {len(asked)} prices"):
            cloud = app.clouds.connect(app.clouds.of(provider, None))
            added += fetch_prices(app, cloud, asked).added
    return added, found.silent


def _things(offer: Offer, disks: set[str]) -> Iterator[Priced]:
    """The machine (or its parts, where those are priced apart), its disk, its address."""
    if not offer.available:
        return
    parts = [(part.kind, part.sku, part.market) for part in offer.components]
    for kind, sku, on in parts or [(Kind.COMPUTE, offer.type, offer.market)]:
        yield _thing(offer, kind, sku, on, Unit.HOUR)
    for disk in sorted(disks):
        yield _thing(offer, Kind.DISK, disk, Market.ON_DEMAND, Unit.MONTH)
    address = address_sku(offer.provider, offer.market)
    yield _thing(offer, Kind.IPV4, address, Market.ON_DEMAND, Unit.HOUR)


def _thing(offer: Offer, kind: Kind, sku: str, on: Market, unit: Unit) -> Priced:
    # One region, one price, except for spot on AWS: without the zone it is asked for once.
    zone = offer.zone if on is Market.SPOT else None
    return Priced(
        provider=offer.provider,
        region=offer.region,
        zone=zone,
        kind=kind,
        sku=sku,
        market=on,
        unit=unit,
    )
