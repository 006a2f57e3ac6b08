"""Which price held when: the most specific key that had begun, whatever its age."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from gpuctl.core.events import Price
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.rules import MARKET_KINDS

Key = tuple[str, str | None, str | None, Kind, str, Unit, Market]


def price_key(price: Price) -> Key:
    """What a price is the price of. Disks, addresses and traffic know no market."""
    return (
        price.provider,
        price.region,
        price.zone,
        price.kind,
        price.sku,
        price.unit,
        _market(price.kind, price.market),
    )


def _market(kind: Kind, market: Market) -> Market:
    return market if kind in MARKET_KINDS else Market.ON_DEMAND


class PriceConflict(ValueError):
    """Two prices with the same key and the same first instant, but other amounts."""

    def __init__(self, first: Price, second: Price) -> None:
        self.first, self.second = first, second
        super().__init__(
            f"price {second.id!r} says {second.usd} where {first.id!r} says {first.usd} "
            "for the same thing from the same instant"
        )


class PriceBook:
    """Prices by key, each a list of changes. Order and duplicates of the input do not matter."""

    def __init__(self, prices: Iterable[Price]) -> None:
        changes: dict[Key, dict[datetime, Price]] = {}
        for price in prices:
            known = changes.setdefault(price_key(price), {})
            other = known.setdefault(price.since, price)
            if other.usd != price.usd:
                raise PriceConflict(other, price)
        self._changes = {
            key: tuple(points[at] for at in sorted(points)) for key, points in changes.items()
        }
        self._begins = {
            key: tuple(price.since for price in points) for key, points in self._changes.items()
        }

    def at(self, thing: Priced, moment: datetime) -> Price | None:
        """The price in effect at `moment`, or None: a missing price is never zero."""
        for key in self._keys(thing):
            place = bisect_right(self._begins[key], moment)
            if place:
                return self._changes[key][place - 1]
        return None

    def changes(
        self, thing: Priced, start: datetime, end: datetime
    ) -> Sequence[tuple[datetime, Decimal | None]]:
        """(from, USD or None) over [start, end), the first at `start`; equal neighbours merged."""
        keys = self._keys(thing)
        moments = {start}
        for key in keys:
            begins = self._begins[key]
            moments.update(begins[bisect_right(begins, start) : bisect_left(begins, end)])
        steps: list[tuple[datetime, Decimal | None]] = []
        for moment in sorted(moments):
            price = self.at(thing, moment)
            usd = None if price is None else price.usd
            if not steps or steps[-1][1] != usd:
                steps.append((moment, usd))
        return steps

    def _keys(self, thing: Priced) -> list[Key]:
        market = _market(thing.kind, thing.market)
        region, zone = thing.region, thing.zone
        places = dict.fromkeys(((region, zone), (None, zone), (region, None), (None, None)))
        keys = [
            (thing.provider, *place, thing.kind, thing.sku, thing.unit, market) for place in places
        ]
        return [key for key in keys if key in self._changes]
