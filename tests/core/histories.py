"""Whole ledgers from one number, thousands in seconds: what `stories` draws, drawn at once.

Hypothesis draws a size for each sort of fact, which it can shrink, and a seed for the rest. All
that the rules know is in them: both clouds, all kinds, spot hours, waivers, free traffic,
sustained use, minimums, months of all lengths and changed clocks, runs without an end, bills.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from gpuctl.core.events import Adjust, Ended, Price, Settle, Split, Switch, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market
from gpuctl.core.rules import MARKET_KINDS, billing_zone, rule_for
from gpuctl.core.span import Span, day_span

BASES = [
    datetime(2024, 2, 27, tzinfo=UTC),  # a leap year
    datetime(2025, 2, 27, tzinfo=UTC),
    datetime(2025, 3, 8, tzinfo=UTC),  # clocks go forward in Los Angeles
    datetime(2025, 10, 30, tzinfo=UTC),  # a month ends, clocks go back
    datetime(2025, 12, 30, tzinfo=UTC),  # a year ends
]
PROJECTS = ["acme/audio", "acme/vision", "borealis/nlp"]
RESOURCES = ["r1", "r2", "r3"]
SKUS = {
    ("aws", Kind.COMPUTE): ["g5.xlarge", "p3.2xlarge"],
    ("gcp", Kind.VCPU): ["n1-core", "n2-core", "g2-core"],
    ("gcp", Kind.RAM): ["n1-ram", "n2-ram", "g2-ram"],
    ("gcp", Kind.GPU): ["nvidia-tesla-t4", "nvidia-l4"],
}
OTHER_SKUS = ["one", "two"]
PLACES = {"aws": ("us-east-1", "us-east-1a"), "gcp": ("us-central1", "us-central1-a")}
SIZES = [Decimal(size) for size in ("1", "8", "27.5", "150")]
DAY = 86_400
KINDS = [*Kind, Kind.COMPUTE, Kind.COMPUTE, Kind.VCPU, Kind.GPU]  # the rules that are not plain
LENGTHS = [0, 1, 40, 60, 90, 2_520, 3_599, 3_600, 3_601, 8_000, DAY, 9 * DAY, 20 * DAY]


class History(NamedTuple):
    """A ledger, when it is looked back on, and a span that holds all it can cost."""

    events: list
    now: datetime
    whole: Span
    random: Random
    """For the test's own choices."""


class Maker:
    """Facts within a month of a base, chosen by a seeded generator."""

    def __init__(self, random, base):
        self.random, self.base = random, base

    def moment(self):
        step = self.random.choice([1, 1, 60, 3_600, DAY])
        return self.base + timedelta(seconds=self.random.randrange(12 * DAY) // step * step)

    def run(self, number):
        choice = self.random.choice
        provider = choice(["aws", "gcp"])
        kind = choice(KINDS)
        length = choice([self.random.randrange(5 * DAY), *LENGTHS])
        start = self.moment()
        closed = self.random.random() < 0.8
        return Usage(
            id=f"u{number}",
            provider=provider,
            account=choice(["1", "2"]),
            region=PLACES[provider][0],
            zone=PLACES[provider][1],
            resource=choice(RESOURCES),
            kind=kind,
            sku=choice(SKUS.get((provider, kind), OTHER_SKUS)),
            market=choice(list(Market)),
            quantity=choice(SIZES),
            start=start,
            end=start + timedelta(seconds=length) if closed else None,
            ended_by=choice([*EndedBy, None]) if closed else None,
            project=choice([*PROJECTS, None]),
            payer=choice([None, None, None, "acme"]),
        )

    def price(self, number, run, *, early):
        region, zone = self.random.choice(
            [(run.region, run.zone), (run.region, None), (None, None)]
        )
        since = self.base - timedelta(days=40) if early else self.moment()
        return Price(
            id=f"p{number}",
            provider=run.provider,
            region=region,
            zone=zone,
            kind=run.kind,
            sku=run.sku,
            market=run.market if run.kind in MARKET_KINDS else Market.ON_DEMAND,
            unit=rule_for(run.provider, run.kind).unit,
            usd=Decimal(self.random.randrange(400_000)) / 10_000,
            since=since,
        )

    def split(self, number, resource, since, until):
        names = self.random.sample(PROJECTS, self.random.randint(1, 3))
        return Split(
            id=f"x{number}",
            resource=resource,
            since=since,
            until=until,
            shares={name: Decimal(self.random.randint(1, 200)) for name in names},
            idle=Decimal(self.random.choice([0, 30, 90])),
            idle_absorbed=self.random.random() < 0.5,
        )

    def splits(self, count):
        for resource in self.random.sample(RESOURCES, min(count, len(RESOURCES))):
            a, b, c = sorted(self.moment() for _ in range(3))
            yield self.split(f"{resource}/1", resource, a, b)
            yield self.split(f"{resource}/2", resource, b, c)

    def settle(self, number, run):
        """What a bill asks for a day of a run, its first or the one after."""
        zone = billing_zone(run.provider)
        start = run.start + timedelta(days=self.random.choice([0, 0, 1]))
        day = day_span(start.astimezone(zone).date(), zone)
        currency, per_usd = self.random.choice([("USD", "1"), ("EUR", "0.93")])
        return Settle(
            id=f"t{number}",
            provider=run.provider,
            account=run.account,
            resource=run.resource,
            kind=run.kind,
            since=day.start,
            until=day.end,
            billed=Decimal(self.random.randrange(-100, 4_000)) / 100,
            at=day.end + timedelta(seconds=number),
            source="a bill",
            currency=currency,
            per_usd=Decimal(per_usd),
        )

    def project(self):
        return self.random.choice([*PROJECTS, None])


def history(seed, runs, prices, switches, splits, adjusts, settles=0):
    """The ledger of a seed; the first price of each run is there from before it began, mostly."""
    random = Random(seed)
    make = Maker(random, random.choice(BASES))
    usages = [make.run(number) for number in range(runs)]
    found = {}
    for number, run in enumerate(usages):
        for step in range(prices + 1):
            early = step == 0 and random.random() < 0.9
            price = make.price(f"{number}.{step}", run, early=early)
            key = price._replace(id="", usd=Decimal(0), extra=None)
            found.setdefault(key, price)
    ended = [
        Ended(
            id=f"e{usage.id}",
            usage=usage.id,
            end=make.moment(),
            ended_by=random.choice([*EndedBy, None]),
            evidence=random.choice([*Evidence, None]),
        )
        for usage in usages
        if usage.end is None and random.random() < 0.5
    ]
    events = [*usages, *found.values(), *ended]
    events += [
        Switch(
            id=f"s{n}", resource=random.choice(RESOURCES), project=make.project(), at=make.moment()
        )
        for n in range(switches)
    ]
    events += make.splits(splits)
    events += [
        Adjust(
            id=f"a{n}",
            project=make.project(),
            at=make.moment(),
            usd=Decimal(random.randrange(-5_000, 5_000)) / 1_000,
            note="by hand",
        )
        for n in range(adjusts)
    ]
    events += [make.settle(n, random.choice(usages)) for n in range(settles)]
    now = make.base + timedelta(seconds=random.randrange(14 * DAY))
    whole = Span(make.base - timedelta(days=2), make.base + timedelta(days=40))
    return History(events, now, whole, random)


histories = st.builds(
    history,
    st.integers(0, 2**48),
    runs=st.integers(1, 5),
    prices=st.integers(0, 3),
    switches=st.integers(0, 3),
    splits=st.integers(0, 2),
    adjusts=st.integers(0, 2),
    settles=st.integers(0, 2),
)
