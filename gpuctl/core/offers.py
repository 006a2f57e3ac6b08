"""Which offer to try first, and which next: pure policy over what the market said."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from gpuctl.core.errors import CannotFill, NoZoneCapacity, PriceTooLow, QuotaReached, TypeNotOffered
from gpuctl.core.model import Offer, Want

_DEAR = Decimal(10**9)
"""Stands for an unknown price when sorting: known prices first."""


def matches(offer: Offer, want: Want) -> bool:
    """Whether an offer is one that was asked for; providers may answer more."""
    return (
        offer.type in want.types
        and offer.market in want.markets
        and (not want.regions or offer.region in want.regions)
        and (not want.zones or offer.zone in want.zones)
    )


def rank(offers: Iterable[Offer], want: Want) -> Sequence[Offer]:
    """The offers to try, in order: a market, then a region, then a type, then a zone by price.

    A region stands where its best offer puts it (type first, then price), so that the first
    offer is the cheapest of the most wanted type that anybody sells, and what follows stays
    near the data: other zones, then other types, then other regions.
    """
    fit = [offer for offer in offers if offer.available and matches(offer, want)]
    best: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for offer in fit:
        place = (offer.market, offer.region)
        worth = (want.types.index(offer.type), _price(offer))
        best[place] = min(best.get(place, worth), worth)

    def order(offer: Offer) -> tuple[object, ...]:
        return (
            want.markets.index(offer.market),
            offer.zone in want.avoid,
            best[offer.market, offer.region],
            offer.region,
            want.types.index(offer.type),
            _price(offer),
            offer.zone,
        )

    return sorted(fit, key=order)


def _price(offer: Offer) -> Decimal:
    return _DEAR if offer.hourly is None else offer.hourly


def after(remaining: Sequence[Offer], failed: Offer, error: CannotFill) -> Sequence[Offer]:
    """What is still worth trying once an offer was refused, best first.

    A zone's refusal leaves the other zones, those that the cloud's own text names first; a
    type's refusal takes the type out of that region; a quota holds for its market in the region
    and the type (another type may be under another quota).
    """
    match error:
        case QuotaReached():
            return [offer for offer in remaining if not _same_kind(offer, failed)]
        case TypeNotOffered():
            return [
                offer
                for offer in remaining
                if (offer.type, offer.region) != (failed.type, failed.region)
            ]
        case NoZoneCapacity() | PriceTooLow() | CannotFill():
            hinted = [offer for offer in remaining if _hinted(offer, failed, error.zones)]
            return [*hinted, *(offer for offer in remaining if offer not in hinted)]


def _same_kind(offer: Offer, failed: Offer) -> bool:
    return (offer.type, offer.region, offer.market) == (failed.type, failed.region, failed.market)


def _hinted(offer: Offer, failed: Offer, zones: Sequence[str]) -> bool:
    return offer.zone in zones and _same_kind(offer, failed)
