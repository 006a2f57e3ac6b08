"""Google's sustained use discount: the longer a month something runs, the less its hours cost.

Sources: Google "Sustained use discounts": from a quarter of the month on, each further quarter
that a resource is used costs less, by itself; usage is taken together over a billing account and
a region, so that runs that follow one another count as one; spot, E2, A2, A3 and G2 machines and
the GPUs that are part of a machine type have none. On Google's bill it is a credit beside the
list price, which it leaves as it is.

Loaded only for a ledger that has such usage.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from gpuctl.core.charges import Charge, billed_span, by_month
from gpuctl.core.events import Usage
from gpuctl.core.kinds import Kind, Market, Priced
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import billing_zone, rule_for
from gpuctl.core.span import Month, Span

KIND = "discount"
"""The kind of the charges made here (contract, section 5, rule 10)."""

_NOTE = "sustained use"

Tiers = tuple[Fraction, ...]

Run = tuple[Span, Fraction]
"""A stretch within a month, and how much was used of it: cores, GiB, GPUs."""

_TO_30 = tuple(map(Fraction, ("0", "0.2", "0.4", "0.6")))
_TO_20 = tuple(map(Fraction, ("0", "0.1322", "0.267", "0.4")))
"""What is taken off in each quarter of the month: 30 % and 20 % of a month used whole."""

_FAMILIES: Mapping[str, Tiers] = {
    **dict.fromkeys(("n1", "m1", "m2", "f1", "g1"), _TO_30),
    **dict.fromkeys(("n2", "n2d", "c2"), _TO_20),
}
_GPUS = frozenset(f"nvidia-tesla-{name}" for name in ("k80", "p4", "p100", "v100", "t4"))
"""GPUs that are attached to N1 machines."""


class Pool(NamedTuple):
    """What Google counts together: cores, memory or GPUs of one sort in a region.

    `account` is the one the ledger knows, a project of Google's. Its billing account may have
    more of them, and more that gpuctl never saw: the discount is then larger than reckoned.
    """

    provider: str
    account: str | None
    region: str | None
    kind: Kind
    sku: str
    month: Month


def tiers_of(kind: Kind, sku: str) -> Tiers | None:
    """What is taken off in each quarter of the month; None = no sustained use discount."""
    if kind is Kind.GPU:
        return _TO_30 if sku in _GPUS else None
    return _FAMILIES.get(sku.partition("-")[0])


def discounted_parts(
    usages: Iterable[Usage], book: PriceBook, window: Callable[[str], Span], now: datetime
) -> Mapping[Pool, Fraction]:
    """Which part of each pool's list cost is taken off, in the months that the window touches.

    Reckoned over the whole month, whatever the window; a month that goes on counts until `now`.
    """
    used: dict[Pool, list[Run]] = {}
    for usage in filter(_eligible, usages):
        size, looked_at = Fraction(usage.quantity), window(usage.provider)
        for month, piece in by_month(billed_span(usage, now), usage.provider):
            if _whole(month, usage.provider).meet(looked_at) is not None:
                used.setdefault(_pool(usage, month), []).append((piece, size))
    parts = {}
    for pool, runs in used.items():
        tiers = tiers_of(pool.kind, pool.sku) or ()
        month_s = _whole(pool.month, pool.provider).seconds
        prices = _prices(pool, book)
        if len(prices) > 1:
            parts[pool] = part_off_by_price(runs, month_s, tiers, prices)
        else:
            parts[pool] = part_off(runs, month_s, tiers)
    return {pool: part for pool, part in parts.items() if part}


def part_off(runs: Iterable[Run], month_s: int, tiers: Tiers) -> Fraction:
    """The part that is taken off a pool's month.

    What runs side by side is stacked in levels, and the time that a level is used, by whatever
    run, decides what its quarters cost: one machine after the other is one level used long, two
    at once are two levels used short.
    """
    at_height: dict[Fraction, int] = {}
    for height, span in _heights(runs):
        at_height[height] = at_height.get(height, 0) + span.seconds
    used = off = Fraction(0)
    seconds = 0
    for top, below in pairwise(sorted({*at_height, Fraction(0)}, reverse=True)):
        seconds += at_height[top]
        used += (top - below) * seconds
        off += (top - below) * seconds_off(seconds, month_s, tiers)
    return off / used if used else Fraction(0)


def part_off_by_price(
    runs: Iterable[Run], month_s: int, tiers: Tiers, prices: Sequence[tuple[datetime, Fraction]]
) -> Fraction:
    """The same where the list price changes within the month: (from, USD), the first before all.

    Google takes the discount off the hours as they come, each at its own price.
    """
    cuts = [at for at, _ in prices[1:]]
    pieces = [(height, piece) for height, span in _heights(runs) for piece in _between(span, cuts)]
    tops = sorted({height for height, _ in pieces} | {Fraction(0)})
    used_s = dict.fromkeys(tops, 0)
    used = off = Fraction(0)
    for height, piece in pieces:
        price = next(usd for at, usd in reversed(prices) if at <= piece.start)
        for below, top in pairwise(tops):
            if top <= height:
                before, used_s[top] = used_s[top], used_s[top] + piece.seconds
                fewer = seconds_off(used_s[top], month_s, tiers)
                off += price * (top - below) * (fewer - seconds_off(before, month_s, tiers))
                used += price * (top - below) * piece.seconds
    return off / used if used else Fraction(0)


def _heights(runs: Iterable[Run]) -> Iterator[tuple[Fraction, Span]]:
    """How much of a pool was used when, in order of time."""
    steps: dict[datetime, Fraction] = {}
    for span, size in runs:
        steps[span.start] = steps.get(span.start, Fraction(0)) + size
        steps[span.end] = steps.get(span.end, Fraction(0)) - size
    height = Fraction(0)
    for start, end in pairwise(sorted(steps)):
        height += steps[start]
        yield height, Span(start, end)


def _between(span: Span, cuts: Iterable[datetime]) -> Iterator[Span]:
    edges = [span.start, *(at for at in cuts if span.start < at < span.end), span.end]
    return (Span(start, end) for start, end in pairwise(edges))


def _prices(pool: Pool, book: PriceBook) -> Sequence[tuple[datetime, Fraction]]:
    """The list prices of a pool's month, oldest first; () where one is not known for all of it."""
    thing = Priced(
        provider=pool.provider,
        region=pool.region,
        zone=None,
        kind=pool.kind,
        sku=pool.sku,
        market=Market.ON_DEMAND,
        unit=rule_for(pool.provider, pool.kind).unit,
    )
    month = _whole(pool.month, pool.provider)
    steps = book.changes(thing, month.start, month.end)
    known = [(at, Fraction(usd)) for at, usd in steps if usd is not None]
    return known if len(known) == len(steps) else ()


def seconds_off(seconds: int, month_s: int, tiers: Tiers) -> Fraction:
    """Of so many seconds used in a month, how many are not paid for."""
    quarter = Fraction(month_s, len(tiers))
    return sum(
        (
            part * min(seconds - number * quarter, quarter)
            for number, part in enumerate(tiers)
            if seconds > number * quarter
        ),
        Fraction(0),
    )


def with_discounts(
    usage: Usage, charges: Iterable[Charge], parts: Mapping[Pool, Fraction]
) -> Iterator[Charge]:
    """A run's charges, each with what is taken off it: the same part for all of a pool's month.

    So a discount has its charge's own stretch, rate and place, and goes wherever that goes, and
    nobody gets more of it for having come later in the month.
    """
    eligible = _eligible(usage)
    for charge in charges:
        yield charge
        if not eligible or charge.rate is None:
            continue
        for month, piece in by_month(Span(charge.start, charge.end), usage.provider):
            part = parts.get(_pool(usage, month))
            if part is not None:
                yield charge._replace(
                    kind=KIND,
                    start=piece.start,
                    end=piece.end,
                    units=-charge.units * part * Fraction(piece.seconds, charge.seconds),
                    note=_NOTE,
                )


def _eligible(usage: Usage) -> bool:
    return (
        usage.market is Market.ON_DEMAND
        and rule_for(usage.provider, usage.kind).sustained_use
        and tiers_of(usage.kind, usage.sku) is not None
    )


def _pool(usage: Usage, month: Month) -> Pool:
    return Pool(usage.provider, usage.account, usage.region, usage.kind, usage.sku, month)


@cache
def _whole(month: Month, provider: str) -> Span:
    return month.span(billing_zone(provider))
