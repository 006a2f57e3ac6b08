"""What things cost: EC2's spot history, the Price List, and a dated file for when it is mute.

Spot history reaches 90 days back and includes the last change before the time asked for.
Everything else is from the Price List API (USD). Its entries tell since when they hold; for
time before that, or without the API, `prices.toml` tells since when a price is known to hold.
"""

import json
import logging
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from typing import Any

from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.model import PricePoint
from gpuctl.core.ports import Clock
from gpuctl.core.span import Span, parse_time, utc
from gpuctl.providers.aws.client import Clients, pages

log = logging.getLogger(__name__)

PRODUCTS = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")
"""Accounts older than 2013 see the second name for the same machines."""
_GIB = Decimal(1024)
_VOLUME = ("volumeApiName", "{sku}")

# kind -> (service code, filters): `{sku}` is the thing's sku
_PRODUCTS: Mapping[Kind, tuple[str, tuple[tuple[str, str], ...]]] = {
    Kind.COMPUTE: (
        "AmazonEC2",
        (
            ("instanceType", "{sku}"),
            ("operatingSystem", "Linux"),
            ("tenancy", "Shared"),
            ("preInstalledSw", "NA"),
            ("capacitystatus", "Used"),
            ("licenseModel", "No License required"),
            ("marketoption", "OnDemand"),
        ),
    ),
    Kind.DISK: ("AmazonEC2", (("productFamily", "Storage"), _VOLUME)),
    Kind.DISK_IOPS: (
        "AmazonEC2",
        (("productFamily", "System Operation"), ("group", "{group}"), _VOLUME),
    ),
    Kind.DISK_THROUGHPUT: (
        "AmazonEC2",
        (("productFamily", "Provisioned Throughput"), _VOLUME),
    ),
    Kind.SNAPSHOT: ("AmazonEC2", (("productFamily", "Storage Snapshot"),)),
    Kind.IPV4: ("AmazonVPC", (("group", "VPCPublicIPv4Address"),)),
}

# sku -> (volume type, group), where one type has several prices for its IOPS
_IOPS = {
    "io2.tier2": ("io2", "EBS IOPS Tier 2"),
    "io2.tier3": ("io2", "EBS IOPS Tier 3"),
}

# what the usage type must end with where the filters leave several products
_USAGE = {
    (Kind.SNAPSHOT, "standard"): "EBS:SnapshotUsage",
    (Kind.SNAPSHOT, "archive"): "EBS:SnapshotArchiveStorage",
    (Kind.IPV4, "in-use"): "PublicIPv4:InUseAddress",
    (Kind.IPV4, "idle"): "PublicIPv4:IdleAddress",
}


def price_points(clients: Clients, thing: Priced, span: Span, clock: Clock) -> Sequence[PricePoint]:
    """Oldest first; the first point at or before `span.start` where one is known."""
    if thing.kind is Kind.COMPUTE and " " in thing.sku:
        return ()  # no plain Linux machine: what the type costs is not what this one does
    if thing.kind is Kind.COMPUTE and thing.market is Market.SPOT:
        return spot_history(clients, thing, span, clock) if thing.zone and thing.region else ()
    listed: Sequence[PricePoint] = ()
    try:
        listed = list_price(clients, thing)
    except GpuctlError as error:
        log.warning("the Price List has no answer for %s: %s", thing.sku, error)
    return _within(_joined(bundled(thing), listed), span)


def spot_history(clients: Clients, thing: Priced, span: Span, clock: Clock) -> Sequence[PricePoint]:
    """The price changes of one type in one zone, from the last one before the span on."""
    zone = str(thing.zone)
    items = pages(
        clients.ec2(str(thing.region)).describe_spot_price_history,
        "SpotPriceHistory",
        f"reading spot prices of {thing.sku} in {zone}",
        InstanceTypes=[thing.sku],
        ProductDescriptions=list(PRODUCTS),
        AvailabilityZone=zone,
        StartTime=span.start,
        EndTime=min(max(span.end, span.start), clock()),
    )
    points: dict[datetime, PricePoint] = {}
    for item in sorted(items, key=lambda item: item.get("ProductDescription") == PRODUCTS[0]):
        if (item["InstanceType"], item["AvailabilityZone"]) == (thing.sku, zone):
            at = utc(item["Timestamp"])  # one price an instant: the plain name's, where both are
            points[at] = PricePoint(at=at, usd=Decimal(item["SpotPrice"]), source="spot-history")
    return _within(sorted(points.values(), key=lambda point: point.at), span)


def list_price(clients: Clients, thing: Priced) -> Sequence[PricePoint]:
    """The Price List's own; () when it has no such thing."""
    if thing.kind not in _PRODUCTS or thing.region is None:
        return ()
    service, fields = _PRODUCTS[thing.kind]
    sku, group = _IOPS.get(thing.sku, (thing.sku, "EBS IOPS"))
    filled = [(field, value.format(sku=sku, group=group)) for field, value in fields]
    products = _products(clients, service, [*filled, ("regionCode", thing.region)])
    ending = _USAGE.get((thing.kind, thing.sku), "")
    fitting = [one for one in products if one["usage"].endswith(ending)]
    if len({(one["usd"], one["at"]) for one in fitting}) != 1:
        return ()
    return (_point(fitting[0]),)


def on_demand(
    clients: Clients, types: Sequence[str], regions: Sequence[str]
) -> Mapping[tuple[str, str], PricePoint]:
    """(region, type) -> today's on-demand price, all in one call; bundled ones fill the gaps."""
    found: dict[tuple[str, str], PricePoint] = {}
    for region in regions:
        for type_ in types:
            known = bundled(_compute(region, type_))
            if known:
                found[region, type_] = known[-1]
    _, fields = _PRODUCTS[Kind.COMPUTE]
    fixed = [pair for pair in fields if pair[0] != "instanceType"]
    several = [("instanceType", ",".join(types)), ("regionCode", ",".join(regions))]
    try:
        products = _products(clients, "AmazonEC2", fixed, several)
    except GpuctlError as error:
        log.warning("the Price List does not answer: %s", error)
        return found
    for one in products:
        found[one["region"], one["type"]] = _point(one)
    return found


def bundled(thing: Priced) -> Sequence[PricePoint]:
    """What the dated file in this package knows, oldest first."""
    source, entries = _bundle()
    points = [
        PricePoint(at=since, usd=usd, source=source)
        for kind, sku, unit, regions, since, usd in entries
        if (kind, sku, unit) == (thing.kind, thing.sku, thing.unit)
        and ("*" in regions or thing.region in regions)
    ]
    return sorted(points, key=lambda point: point.at)


def initialization(region: str) -> PricePoint | None:
    """USD per GB of snapshot that filling a volume at a bought rate costs, at most, once.

    AWS asks for each volume that is made with a rate, by the full size of its snapshot and by the
    rate (EBS pricing, "Provisioned Rate for Volume Initialization"); the dated file has the price
    of the highest, in the regions where it is known. None = not known.
    """
    data = _file()
    known = data["initialization"]
    usd = known["usd"].get(region)
    since = datetime(*_date(known["since"]), tzinfo=UTC)
    source = f"bundled {data['written']}"
    return None if usd is None else PricePoint(at=since, usd=Decimal(usd), source=source)


def _products(
    clients: Clients,
    service: str,
    fixed: Sequence[tuple[str, str]],
    several: Sequence[tuple[str, str]] = (),
) -> list[dict[str, Any]]:
    filters = [
        *({"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in fixed),
        *({"Type": "ANY_OF", "Field": field, "Value": value} for field, value in several),
    ]
    texts: Sequence[Any] = pages(
        clients.pricing().get_products,
        "PriceList",
        "reading the Price List",
        ServiceCode=service,
        Filters=filters,
    )
    return [one for text in texts if (one := _read(text)) is not None]


def _read(text: str) -> dict[str, Any] | None:
    """One entry of the Price List, a JSON string: its first price above nothing."""
    entry = json.loads(text)
    attributes = entry.get("product", {}).get("attributes", {})
    for term in entry.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            try:
                usd = Decimal(dimension["pricePerUnit"]["USD"])
            except (KeyError, InvalidOperation):
                continue
            if usd <= 0:  # the free tier, and dimensions that are priced elsewhere
                continue
            # throughput is listed per GiB/s, and bought and billed per MiB/s
            per = _GIB if str(dimension.get("unit", "")).lower().startswith("gibps") else Decimal(1)
            return {
                "usd": usd / per,
                "at": parse_time(term["effectiveDate"]),
                "type": attributes.get("instanceType", ""),
                "region": attributes.get("regionCode", ""),
                "usage": attributes.get("usagetype", ""),
            }
    return None


def _point(product: Mapping[str, Any]) -> PricePoint:
    return PricePoint(at=product["at"], usd=product["usd"], source="price-list")


def _joined(old: Sequence[PricePoint], new: Sequence[PricePoint]) -> Sequence[PricePoint]:
    """The Price List from its date on, the bundled file before it."""
    if not new:
        return old
    return [*(point for point in old if point.at < new[0].at), *new]


def _within(points: Sequence[PricePoint], span: Span) -> Sequence[PricePoint]:
    """From the last point at or before the start, to the end."""
    before = [point for point in points if point.at <= span.start]
    during = [point for point in points if span.start < point.at < span.end]
    return (*before[-1:], *during)


def _compute(region: str, type_: str) -> Priced:
    return Priced(
        provider="aws",
        region=region,
        zone=None,
        kind=Kind.COMPUTE,
        sku=type_,
        market=Market.ON_DEMAND,
        unit=Unit.HOUR,
    )


_Entry = tuple[Kind, str, Unit, frozenset[str], datetime, Decimal]


@cache
def _bundle() -> tuple[str, tuple[_Entry, ...]]:
    data = _file()
    entries = tuple(
        (
            Kind(block["kind"]),
            sku,
            Unit(block["unit"]),
            frozenset(block["regions"]),
            datetime(*_date(block["since"]), tzinfo=UTC),
            Decimal(usd),
        )
        for block in data["price"]
        for sku, usd in block["usd"].items()
    )
    return f"bundled {data['written']}", entries


@cache
def _file() -> dict[str, Any]:
    text = resources.files("gpuctl.providers.aws").joinpath("prices.toml").read_text("utf-8")
    return tomllib.loads(text)


def _date(day: Any) -> tuple[int, int, int]:
    return day.year, day.month, day.day
