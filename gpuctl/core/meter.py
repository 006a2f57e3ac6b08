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
_MONTH_HOURS = 730
"""What people take for a month when a thing has no end (365 days / 12)."""


def hourly(usages: Iterable[Usage], book: PriceBook, now: datetime) -> Fraction | None:
    """USD an hour of what is open at `now`; None when a price is missing."""
    whole = Fraction(0)
    for usage in usages:
        if usage.end is not None or rule_for(usage.provider, usage.kind).unit is Unit.GB:
            continue
        thing = priced(usage)
        price = book.at(thing, now)
        if price is None:
            return None
        whole += per_hour(thing, usage.quantity, price.usd, now)
    return whole


def monthly(usages: Iterable[Usage], book: PriceBook, now: datetime) -> Fraction | None:
    """USD for 730 hours of what is open; None when a price is missing."""
    rate = hourly(usages, book, now)
    return None if rate is None else rate * _MONTH_HOURS


def per_hour(thing: Priced, quantity: Decimal, usd: Decimal, now: datetime) -> Fraction:
    """USD an hour of so much of a thing; a monthly price over this month's real hours."""
    rate = Fraction(usd) * Fraction(quantity)
    if thing.unit is Unit.MONTH:
        zone = billing_zone(thing.provider)
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
