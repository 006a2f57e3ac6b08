"""Ledgers as hypothesis draws them: all kinds, both clouds, across months and changed clocks."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from gpuctl.core.events import Adjust, Price, Split, Switch, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market
from gpuctl.core.pricebook import price_key
from gpuctl.core.rules import rule_for
from gpuctl.core.span import Span

BASES = [
    datetime(2025, 2, 27, tzinfo=UTC),  # the end of a short month, on both clouds' clocks
    datetime(2025, 3, 8, tzinfo=UTC),  # clocks go forward in Los Angeles
    datetime(2025, 10, 30, tzinfo=UTC),  # a month ends, clocks go back
]
LENGTH_S = 5 * 86_400
PROJECTS = ["acme/audio", "acme/vision", "borealis/nlp"]
PLACES = {"aws": ("us-east-1", "us-east-1a"), "gcp": ("us-central1", "us-central1-a")}
RESOURCES = ["r1", "r2", "r3"]


def after(base, seconds):
    return base + timedelta(seconds=seconds)


def moments(base):
    """Any second of the story, edges and whole hours more often."""
    hours = st.integers(0, LENGTH_S // 3600).map(lambda hour: hour * 3600)
    return (st.integers(0, LENGTH_S) | hours).map(lambda seconds: after(base, seconds))


def amounts(top="40", places=4):
    return st.decimals("0", top, places=places, allow_nan=False)


def lengths():
    """Seconds: moments, around the minimum minute, around the first hour, days."""
    return (
        st.integers(0, 130) | st.integers(3_500, 3_700) | st.integers(0, 80_000) | st.just(200_000)
    )


@st.composite
def usages(draw, base, number, kinds=tuple(Kind)):
    provider = draw(st.sampled_from(sorted(PLACES)))
    region, zone = PLACES[provider]
    kind = draw(st.sampled_from(kinds))
    start = draw(moments(base))
    closed = draw(st.booleans() | st.just(True))
    return Usage(
        id=f"u{number}",
        provider=provider,
        account=draw(st.sampled_from(["1", "2"])),
        region=region,
        zone=zone,
        resource=draw(st.sampled_from(RESOURCES)),
        kind=kind,
        sku=f"{kind}-sku",
        market=draw(st.sampled_from(Market)),
        quantity=draw(st.sampled_from([Decimal(size) for size in ("1", "8", "27.5", "150")])),
        start=start,
        end=after(start, draw(lengths())) if closed else None,
        ended_by=draw(st.sampled_from([*EndedBy, None])) if closed else None,
        project=draw(st.sampled_from([*PROJECTS, None])),
        evidence=draw(st.sampled_from([*Evidence, None])) if closed else None,
        payer=draw(st.sampled_from([None, None, None, "acme"])),
    )


@st.composite
def prices(draw, base, usage, number):
    """A price of a run's thing, from before or within the story, for its zone or wider."""
    region, zone = draw(
        st.sampled_from([(usage.region, usage.zone), (usage.region, None), (None, None)])
    )
    since = draw(moments(base) | st.just(after(base, -86_400)))
    return Price(
        id=f"p{number}",
        provider=usage.provider,
        region=region,
        zone=zone,
        kind=usage.kind,
        sku=usage.sku,
        market=usage.market,
        unit=rule_for(usage.provider, usage.kind).unit,
        usd=draw(amounts()),
        since=since,
    )


@st.composite
def splits(draw, base, resource, number):
    """Of one resource, never overlapping: the cuts are sorted first."""
    edges = sorted(draw(st.sets(moments(base), min_size=2, max_size=4)))
    found = []
    for index, (since, until) in enumerate(itertools.pairwise(edges)):
        names = draw(st.lists(st.sampled_from(PROJECTS), min_size=1, max_size=3, unique=True))
        shares = {name: draw(st.integers(1, 200).map(Decimal)) for name in names}
        found.append(
            Split(
                id=f"x{number}.{index}",
                resource=resource,
                since=since,
                until=until,
                shares=shares,
                idle=draw(st.integers(0, 90).map(Decimal)),
                idle_absorbed=draw(st.booleans()),
            )
        )
    return found


@st.composite
def stories(draw, kinds=tuple(Kind), priced=False):
    """(base, events): runs with their prices, switches, splits and adjustments.

    `priced`: every run has a price from before it began, so that nothing is missing.
    """
    base = draw(st.sampled_from(BASES))
    runs = [draw(usages(base, n, kinds)) for n in range(draw(st.integers(1, 4)))]
    found = {}
    for n, run in enumerate(runs):
        for m in range(draw(st.integers(0, 4))):
            price = draw(prices(base, run, f"{n}.{m}"))
            key = (price.region, price.zone, price.sku, price.provider, price.market, price.since)
            found.setdefault(key, price)
        if priced:
            price = draw(prices(base, run, f"{n}.first"))
            since = after(base, -2 * 86_400)
            key = (None, None, run.sku, run.provider, run.market, since)
            found.setdefault(
                key,
                Price(
                    id=price.id, provider=run.provider, region=None, zone=None, kind=run.kind,
                    sku=run.sku, market=run.market, unit=price.unit, usd=price.usd, since=since,
                ),
            )  # fmt: skip
    events = [*runs, *_without_market_conflicts(found.values())]
    for n in range(draw(st.integers(0, 3))):
        project = draw(st.sampled_from([*PROJECTS, None]))
        resource = draw(st.sampled_from(RESOURCES))
        at = draw(moments(base))
        events.append(Switch(id=f"s{n}", resource=resource, project=project, at=at))
    for resource in draw(st.sets(st.sampled_from(RESOURCES), max_size=2)):
        events += draw(splits(base, resource, resource))
    for n in range(draw(st.integers(0, 2))):
        project = draw(st.sampled_from([*PROJECTS, None]))
        usd = draw(st.decimals("-5", "5", places=3, allow_nan=False))
        at = draw(moments(base))
        events.append(Adjust(id=f"a{n}", project=project, at=at, usd=usd, note="by hand"))
    return base, events


def _without_market_conflicts(prices):
    """Disks and traffic know no market: two prices that differ in it alone would contradict."""
    found = {}
    for price in prices:
        found.setdefault((price_key(price), price.since), price)
    return found.values()


def whole(base):
    """A span that holds all that a story of this base can cost."""
    return Span(after(base, -90_000), after(base, 3 * LENGTH_S))


def now(base):
    """When a story is looked back on; runs without an end are counted until then."""
    return after(base, LENGTH_S + 4_321)
