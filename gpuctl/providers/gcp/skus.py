"""What Google's price list calls the things that gpuctl pays for, and what they cost there.

Source: Cloud Billing Catalog API, services.skus.list of Compute Engine (6F81-5844-456A). A SKU is
known by its description, which ends in a place in words; `serviceRegions` names the regions.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from gpuctl.core.kinds import Market
from gpuctl.core.span import parse_time
from gpuctl.providers.gcp.errors import Json

COMPUTE_ENGINE = "6F81-5844-456A"
"""The service's id, the same for everybody."""

_log = logging.getLogger(__name__)

_NANO = Decimal(1).scaleb(-9)
_GLOBAL = "global"


class Listed(NamedTuple):
    """USD per unit of one thing on one market in one region (None = everywhere), from `since`."""

    region: str | None
    sku: str
    market: Market
    usd: Decimal
    since: datetime


def _same(sku: str) -> Callable[[re.Match[str]], str]:
    return lambda _: sku


_ACCELERATORS = {
    "Tesla A100": "nvidia-tesla-a100",
    "Tesla A100 80GB": "nvidia-a100-80gb",
    "H100 80GB Mega": "nvidia-h100-mega-80gb",
    "H200 141GB": "nvidia-h200-141gb",
}
"""Where a GPU's API name does not follow from the name in the list."""


def _accelerator(match: re.Match[str]) -> str:
    name = match["gpu"]
    return _ACCELERATORS.get(name) or "nvidia-" + name.lower().replace(" ", "-")


_NAMES: tuple[tuple[str, str, Callable[[re.Match[str]], str]], ...] = (
    # pattern of the description, unit, what we call it
    (
        (
            r"(?:Spot Preemptible )?(?P<family>[A-Z]\d[A-Z]?)(?: AMD| Arm| Predefined)*"
            r" Instance (?P<part>Core|Ram) running in "
        ),
        "h|GiBy.h",
        lambda match: f"{match['family'].lower()}-{match['part'].lower()}",
    ),
    (r"Nvidia (?P<gpu>.+?) GPU running in ", "h", _accelerator),
    (r"Nvidia (?P<gpu>.+?) GPU attached to Spot Preemptible VMs running in ", "h", _accelerator),
    (r"SSD backed PD Capacity in ", "GiBy.mo", _same("pd-ssd")),
    (r"Balanced PD Capacity in ", "GiBy.mo", _same("pd-balanced")),
    (r"Storage PD Capacity in ", "GiBy.mo", _same("pd-standard")),
    (r"Storage PD Snapshot in ", "GiBy.mo", _same("snapshot")),
    (r"Storage Image\Z", "GiBy.mo", _same("image")),
    (r"Static Ip Charge in ", "h", _same("idle")),
    (r"External IP Charge on a Standard VM\Z", "h", _same("in-use")),
    (r"External IP Charge on a Spot Preemptible VM\Z", "h", _same("in-use-spot")),
    (
        r"SSD backed Local Storage attached to Spot Preemptible VMs(?: .+)?\Z",
        "GiBy.mo",
        _same("local-ssd-spot"),
    ),
    (r"SSD backed Local Storage(?: (?:running )?in .+)?\Z", "GiBy.mo", _same("local-ssd")),
)
_PATTERNS = tuple((re.compile(text), units.split("|"), name) for text, units, name in _NAMES)

_MARKETS = {"OnDemand": Market.ON_DEMAND, "Preemptible": Market.SPOT}


def read_all(skus: Iterable[Json]) -> Iterator[Listed]:
    """What the whole list says; an entry that cannot be read costs itself alone, and is logged."""
    for sku in skus:
        try:
            yield from list(read(sku))
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            _log.warning("SKU %s of the price list is left out: %r", sku.get("skuId"), error)


def read(sku: Json) -> Iterator[Listed]:
    """What one entry of the list says of things we know; nothing for the thousands of others.

    The last tier is taken: earlier ones are the account's free allowance. ValueError, KeyError
    or TypeError where the entry is not of the documented form.
    """
    description = sku["description"]
    market = _MARKETS.get(sku["category"]["usageType"])
    if market is None:
        return
    for pattern, units, name in _PATTERNS:
        match = pattern.match(description)
        if match is None:
            continue
        for info in sku["pricingInfo"][-1:]:
            expression = info["pricingExpression"]
            if expression["usageUnit"] not in units:
                continue
            tier = max(expression["tieredRates"], key=lambda tier: tier.get("startUsageAmount", 0))
            usd = _amount(tier["unitPrice"])
            since = parse_time(info["effectiveTime"])
            for region in sku["serviceRegions"]:
                place = None if region == _GLOBAL else region
                yield Listed(place, name(match), market, usd, since)
        return


def _amount(price: Json) -> Decimal:
    if price["currencyCode"] != "USD":
        raise ValueError(f"asked for USD and was given {price['currencyCode']}")
    return Decimal(price.get("units") or 0) + int(price.get("nanos") or 0) * _NANO
