"""What is known of prices: Google's list as last read, else what comes with the package."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib.resources import files

from gpuctl.core.kinds import Kind, Market, Priced
from gpuctl.core.model import Component, PricePoint
from gpuctl.providers.gcp.catalog import Catalog
from gpuctl.providers.gcp.shapes import Shape

_MARKET_PRICED = (Kind.VCPU, Kind.RAM, Kind.GPU)


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The bundled prices, and before them the list that was read, where there is one.

    `dated`: the day of the bundled spot prices; `list_since`: bundled list prices hold.
    """

    dated: date
    list_since: date
    same: Mapping[str, str]
    everywhere: Mapping[str, Decimal]
    by_market: Mapping[str, Mapping[str, Mapping[str, Decimal]]]
    catalog: Catalog | None = None

    @property
    def source(self) -> str:
        """`Google's price list of 2026-11-22`, or `bundled 2026-11-01`."""
        if self.catalog is not None and self.catalog.source is not None:
            return self.catalog.source
        return f"bundled {self.dated.isoformat()}"

    def rate(self, region: str | None, sku: str, market: Market) -> Decimal | None:
        """USD per unit, None when it is not known: spot never falls back to on demand."""
        if self.catalog is not None:
            listed = self.catalog.rate(region, sku, market)
            if listed is not None:
                return listed
        if sku in self.everywhere:
            return self.everywhere[sku]
        if region is None:
            return None
        return self.by_market[market.value].get(self.same.get(region, region), {}).get(sku)

    def points(self, thing: Priced) -> Sequence[PricePoint]:
        """What is known of one thing, as `Provider.prices` promises."""
        market = thing.market if thing.kind in _MARKET_PRICED else Market.ON_DEMAND
        listed = self.catalog and self.catalog.point(thing.region, thing.sku, market)
        if listed:
            return (listed,)
        rate = self.rate(thing.region, thing.sku, market)
        if rate is None:
            return ()
        since = self.dated if market is Market.SPOT else self.list_since
        at = datetime.combine(since, time(), UTC)
        return (PricePoint(at=at, usd=rate, source=f"bundled {self.dated.isoformat()}"),)

    def components(
        self, region: str, shape: Shape, gpu: str | None, gpus: int, market: Market
    ) -> tuple[Component, ...] | None:
        """What a machine costs by its parts; None when the price of a part is not known."""
        parts = [
            (Kind.VCPU, f"{shape.family}-core", shape.vcpus),
            (Kind.RAM, f"{shape.family}-ram", shape.memory_gib),
        ]
        if gpu and gpus:
            parts.append((Kind.GPU, gpu, Decimal(gpus)))
        found = []
        for kind, sku, quantity in parts:
            rate = self.rate(region, sku, market)
            if rate is None:
                return None
            found.append(
                Component(
                    kind=kind, sku=sku, quantity=quantity, market=market, hourly=rate * quantity
                )
            )
        return tuple(found)


@cache
def bundled() -> PriceBook:
    """The price book in the package."""
    text = files("gpuctl.providers.gcp").joinpath("prices.toml").read_text("utf-8")
    data = tomllib.loads(text)
    return PriceBook(
        dated=data["dated"],
        list_since=data["list_since"],
        same=data["same"],
        everywhere=_decimals(data["everywhere"]),
        by_market={
            market.value: {region: _decimals(rates) for region, rates in data[market.value].items()}
            for market in Market
        },
    )


def _decimals(rates: Mapping[str, str]) -> Mapping[str, Decimal]:
    return {sku: Decimal(rate) for sku, rate in rates.items()}
