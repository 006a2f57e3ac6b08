"""What runs now costs per hour: open runs at the prices in effect."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.events import Usage
from gpuctl.core.kinds import Priced, Unit
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import billing_zone, rule_for
from gpuctl.core.span import Month

_HOUR = 3_600


def hourly(usages: Iterable[Usage], book: PriceBook, now: datetime) -> Fraction | None:
    """USD an hour of what is open at `now`; None when a price is missing."""
    whole = Fraction(0)
    for usage in usages:
        if usage.end is not None or rule_for(usage.provider, usage.kind).unit is Unit.GB:
            continue
        price = book.at(priced(usage), now)
        if price is None:
            return None
        whole += per_hour(usage, price.usd, now)
    return whole


def per_hour(usage: Usage, usd: Decimal, now: datetime) -> Fraction:
    """USD an hour of one run at a price; a monthly price over this month's real hours."""
    rate = Fraction(usd) * Fraction(usage.quantity)
    if rule_for(usage.provider, usage.kind).unit is Unit.MONTH:
        zone = billing_zone(usage.provider)
        return rate * _HOUR / Month.of(now, zone).span(zone).seconds
    return rate


def priced(usage: Usage) -> Priced:
    """The thing whose price a run is charged at."""
    return Priced(
        provider=usage.provider,
        region=usage.region,
        zone=usage.zone,
        kind=usage.kind,
        sku=usage.sku,
        market=usage.market,
        unit=rule_for(usage.provider, usage.kind).unit,
    )
