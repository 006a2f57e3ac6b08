"""What can be had now. Everything is asked at once, so it takes as long as one round trip.

Per region three calls (offerings by zone, instance types, current spot prices) and one more
where the config names a subnet; over all regions one (on-demand prices).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import Market
from gpuctl.core.model import Offer, PricePoint, Want
from gpuctl.core.ports import Clock
from gpuctl.core.rounding import decimal_text
from gpuctl.providers.aws import prices, tags
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.gpus import NONE, Gpu, family_of, gpu_of
from gpuctl.providers.aws.parallel import attempts, together
from gpuctl.providers.aws.settings import AwsSettings
from gpuctl.providers.aws.translate import NAME

_RETIRED = {
    "p2": "AWS has retired P2 (K80) in 2025",
    "p3": "AWS has retired P3 (V100): migration was due by 2025-12-20, and no region has sold "
    "it since spring 2026",
    "g3": "AWS has retired G3 (M60)",
    "g3s": "AWS has retired G3 (M60)",
}
_MIB = Decimal(1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What DescribeInstanceTypes says of a type."""

    vcpus: int | None = None
    memory_gib: Decimal | None = None
    gpu: Gpu = NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What one region sells of the wanted types."""

    zones: Mapping[str, tuple[str, ...]]
    kinds: Mapping[str, Kind]
    spot: Mapping[tuple[str, str], PricePoint]
    """(zone, type) -> its price now."""
    subnet_zone: str | None = None
    """The only zone that can be used, where the config names a subnet."""


def find_offers(
    clients: Clients, settings: AwsSettings, want: Want, account: str, clock: Clock
) -> Sequence[Offer]:
    """One offer per type, zone and market, available or with the reason why not.

    A region that does not answer is left out; when none answers, its error is raised.
    """
    regions = [region for region in want.regions or settings.regions if region]
    shelves, on_demand = together(
        lambda: attempts(
            regions,
            lambda region: shelf(clients, region, want, settings.subnets.get(region), clock),
            GpuctlError,
        ),
        lambda: prices.on_demand(clients, want.types, regions),
    )
    good = {region: got for region, got in shelves if isinstance(got, Shelf)}
    errors = [got for _, got in shelves if isinstance(got, Exception)]
    if errors and not good:
        raise errors[0]
    offers = [
        offer
        for rank, type_ in enumerate(want.types)
        for offer in _of_type(type_, rank, want, account, good, on_demand)
    ]
    return tuple(offers)


def shelf(clients: Clients, region: str, want: Want, subnet: str | None, clock: Clock) -> Shelf:
    """Asks one region, three or four calls at once."""
    ec2 = clients.ec2(region)
    types = [tags.where("instance-type", *want.types)]
    doing = f"asking what {region} sells"
    now = clock()

    def current_spot() -> list[Mapping[str, Any]]:
        if Market.SPOT not in want.markets:
            return []
        return pages(
            ec2.describe_spot_price_history,
            "SpotPriceHistory",
            doing,
            Filters=types,
            ProductDescriptions=list(prices.PRODUCTS),
            StartTime=now,
            EndTime=now,
        )

    def named_subnet() -> list[Mapping[str, Any]]:
        return pages(ec2.describe_subnets, "Subnets", doing, SubnetIds=[subnet]) if subnet else []

    offered, kinds, spot, subnets = together(
        lambda: pages(
            ec2.describe_instance_type_offerings,
            "InstanceTypeOfferings",
            doing,
            LocationType="availability-zone",
            Filters=types,
        ),
        lambda: pages(ec2.describe_instance_types, "InstanceTypes", doing, Filters=types),
        current_spot,
        named_subnet,
    )
    return Shelf(
        zones=_zones(offered, want.types),
        kinds={kind["InstanceType"]: _kind(kind) for kind in kinds},
        spot=latest(spot),
        subnet_zone=subnets[0]["AvailabilityZone"] if subnets else None,
    )


def latest(history: Sequence[Mapping[str, Any]]) -> Mapping[tuple[str, str], PricePoint]:
    """(zone, type) -> the newest price in a spot price history."""
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for item in history:
        key = (item["AvailabilityZone"], item["InstanceType"])
        if key not in newest or item["Timestamp"] > newest[key]["Timestamp"]:
            newest[key] = item
    return {
        key: PricePoint(at=item["Timestamp"], usd=Decimal(item["SpotPrice"]), source="spot-history")
        for key, item in newest.items()
    }


def _of_type(
    type_: str,
    rank: int,
    want: Want,
    account: str,
    shelves: Mapping[str, Shelf],
    on_demand: Mapping[tuple[str, str], PricePoint],
) -> list[Offer]:
    sold = [
        (region, zone)
        for region, shelf in shelves.items()
        for zone in shelf.zones.get(type_, ())
        if not want.zones or zone in want.zones
    ]
    if not sold:
        return [_not_sold(type_, rank, want, account, shelves)]
    return [
        _offer(type_, rank, market, zone, want, account, region, shelves[region], on_demand)
        for region, zone in sold
        for market in want.markets
    ]


def _offer(  # noqa: PLR0913, PLR0917 - one offer is made of all of these
    type_: str,
    rank: int,
    market: Market,
    zone: str,
    want: Want,
    account: str,
    region: str,
    shelf: Shelf,
    on_demand: Mapping[tuple[str, str], PricePoint],
) -> Offer:
    kind = shelf.kinds.get(type_, Kind(gpu=gpu_of(type_)))
    listed = on_demand.get((region, type_))
    point = shelf.spot.get((zone, type_)) if market is Market.SPOT else listed
    reason = _reason(point, market, zone, want.max_hourly, shelf.subnet_zone)
    return Offer(
        provider=NAME,
        account=account,
        region=region,
        zone=zone,
        type=type_,
        gpu=kind.gpu.name,
        gpus=kind.gpu.count,
        market=market,
        hourly=point.usd if point else None,
        on_demand_hourly=listed.usd if listed else None,
        available=reason is None,
        reason=reason,
        source=point.source if point else None,
        vcpus=kind.vcpus,
        memory_gib=kind.memory_gib,
        gpu_memory_gib=kind.gpu.memory_gib,
        rank=rank,
    )


def _reason(
    point: PricePoint | None,
    market: Market,
    zone: str,
    ceiling: Decimal | None,
    subnet_zone: str | None,
) -> str | None:
    if subnet_zone is not None and zone != subnet_zone:
        return f"the configured subnet lies in {subnet_zone}"
    if point is None:
        return f"no {market} price is known for it in {zone}"
    if ceiling is not None and point.usd > ceiling:
        return f"{decimal_text(point.usd)} $/h is over the maximum of {decimal_text(ceiling)} $/h"
    return None


def _not_sold(
    type_: str, rank: int, want: Want, account: str, shelves: Mapping[str, Shelf]
) -> Offer:
    elsewhere = sorted(zone for shelf in shelves.values() for zone in shelf.zones.get(type_, ()))
    where = ", ".join(want.zones or shelves)
    retired = _RETIRED.get(family_of(type_))
    if elsewhere:
        reason = f"not sold in {where}, but in {', '.join(elsewhere)}"
    elif retired:
        reason = f"{retired}; the next type of the template is used instead"
    else:
        reason = f"not sold in {where}"
    gpu = gpu_of(type_)
    region = next(iter(shelves))
    return Offer(
        provider=NAME,
        account=account,
        region=region,
        zone=want.zones[0] if want.zones else region,
        type=type_,
        gpu=gpu.name,
        gpus=gpu.count,
        market=want.markets[0],
        hourly=None,
        on_demand_hourly=None,
        available=False,
        reason=reason,
        rank=rank,
    )


def _zones(
    offered: Sequence[Mapping[str, Any]], types: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for one in offered:
        if one["InstanceType"] in types:
            found.setdefault(one["InstanceType"], []).append(one["Location"])
    return {type_: tuple(sorted(zones)) for type_, zones in found.items()}


def _kind(described: Mapping[str, Any]) -> Kind:
    info = described.get("GpuInfo") or {}
    gpus = info.get("Gpus") or ()
    memory = info.get("TotalGpuMemoryInMiB")
    gpu = gpu_of(described["InstanceType"])
    if gpus:
        # a part of a GPU counts 0 there (g6f), and is one GPU to whoever uses it
        gpu = Gpu(
            gpus[0].get("Name"),
            sum(int(one.get("Count") or 1) for one in gpus),
            Decimal(memory) / _MIB if memory else None,
        )
    ram = (described.get("MemoryInfo") or {}).get("SizeInMiB")
    return Kind(
        vcpus=(described.get("VCpuInfo") or {}).get("DefaultVCpus"),
        memory_gib=Decimal(ram) / _MIB if ram else None,
        gpu=gpu,
    )
