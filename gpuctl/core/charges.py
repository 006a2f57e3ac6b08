"""One run and the prices -> its charges, exact. Nothing here knows whose they are."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.events import Usage
from gpuctl.core.kinds import EndedBy, Kind, Market, Priced, Unit
from gpuctl.core.meter import priced
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import Rule, SpotPricing, billing_zone, rule_for
from gpuctl.core.span import Month, Span, seconds_between

_HOUR = 3_600


class Charge(NamedTuple):
    """A priced stretch of one billable thing.

    The billed amount is `units / per` and the cost that times `rate`, so that charges add up
    exactly: numerators are summed first, and divided last. `rate` None = the price is missing,
    and then so is the cost. `absorbed` marks the idle part of a shared machine.
    """

    provider: str | None
    account: str | None
    region: str | None
    zone: str | None
    resource: str | None
    kind: str
    sku: str | None
    market: Market | None
    start: datetime
    end: datetime
    quantity: Decimal
    unit: Unit | None
    units: Fraction
    per: int
    rate: Decimal | None
    project: str | None
    session: str | None
    ended_by: EndedBy | None
    usage: str | None = None
    machine: str | None = None
    payer: str | None = None
    absorbed: bool = False
    settled: bool = False
    note: str | None = None
    launched: datetime | None = None
    """When the run began: spot hours are counted from there, whatever was cut away since."""
    free: bool = False
    """Not billed by the provider's own rule (interrupted in the first hour): cost 0."""

    @property
    def seconds(self) -> int:
        """Length of the stretch."""
        return seconds_between(self.start, self.end)

    @property
    def amount(self) -> Fraction:
        """Billed units: hours, GB-months, GB."""
        return self.units / self.per

    @property
    def cost(self) -> Fraction | None:
        """USD, exact; None where the price is missing."""
        if self.free:
            return Fraction(0)
        return None if self.rate is None else self.units * Fraction(self.rate) / self.per

    @property
    def unpriced(self) -> bool:
        """Whether its price is missing, and no bill has said what it cost."""
        return self.rate is None and not (self.settled or self.free)


def basis(charges: Iterable[Charge]) -> str:
    """`settled` where a bill settled all of them, `estimated` where none, else `mixed`."""
    settled = {charge.settled for charge in charges if charge.provider is not None}
    if len(settled) > 1:
        return "mixed"
    return "settled" if True in settled else "estimated"


def billed_span(usage: Usage, now: datetime) -> Span:
    """[start, start + max(minimum, run)); a run without an end is counted until `now`.

    Sources: EC2 "Instance lifecycle", a one-minute minimum each time an instance is started;
    "EBS pricing", 60 seconds at least; Google "VM instance pricing", a minimum of one minute.
    """
    rule = rule_for(usage.provider, usage.kind)
    end = usage.end if usage.end is not None else max(usage.start, now)
    shortest = rule.minimum_s
    if rule.unit is Unit.GB and usage.end is not None:
        # Traffic is paid by size: noted at an instant, it still has to fall into some second.
        shortest = 1
    return Span(usage.start, max(end, usage.start + timedelta(seconds=shortest)))


def is_waived(usage: Usage) -> bool:
    """AWS charges nothing for a spot run that AWS itself ended within the first hour.

    Source: EC2 "Billing for interrupted Spot Instances", Linux. Disks, addresses and traffic are
    charged whoever interrupts.
    """
    rule = rule_for(usage.provider, usage.kind)
    return (
        usage.market is Market.SPOT
        and usage.ended_by is EndedBy.PROVIDER
        and usage.end is not None
        and seconds_between(usage.start, usage.end) < rule.waived_within_s
    )


FreeShares = Mapping[tuple[str, str | None, Kind, Month], Fraction]
"""(provider, account, kind, month) -> the part of that month's units that is billed at all."""


def charges_of(
    usage: Usage, book: PriceBook, window: Span, now: datetime, billed_part: FreeShares
) -> Iterator[Charge]:
    """The charges of one run inside `window`, in order of time."""
    whole = billed_span(usage, now)
    seen = whole.meet(window)
    if seen is None:
        return
    rule = rule_for(usage.provider, usage.kind)
    waived = is_waived(usage)
    for stretch, rate in _priced(usage, rule, book, whole, seen):
        for piece, per, part in _measured(usage, rule, stretch, whole, billed_part):
            units = Fraction(0) if waived else Fraction(usage.quantity) * piece.seconds * part
            yield Charge(
                provider=usage.provider,
                account=usage.account,
                region=usage.region,
                zone=usage.zone,
                resource=usage.resource,
                kind=usage.kind.value,
                sku=usage.sku,
                market=usage.market,
                start=piece.start,
                end=piece.end,
                quantity=usage.quantity,
                unit=rule.unit,
                units=units,
                per=per,
                rate=rate,
                project=usage.project,
                session=usage.session,
                ended_by=usage.ended_by,
                usage=usage.id,
                machine=usage.machine,
                payer=usage.payer,
                launched=usage.start,
                free=waived,
            )


def _priced(
    usage: Usage, rule: Rule, book: PriceBook, whole: Span, seen: Span
) -> Iterator[tuple[Span, Decimal | None]]:
    thing = priced(usage)
    if usage.market is Market.SPOT and rule.spot is SpotPricing.AT_INSTANCE_HOUR:
        yield from _by_instance_hour(book, thing, whole.start, seen)
        return
    steps = book.changes(thing, seen.start, seen.end)
    for (start, rate), end in zip(steps, [*(at for at, _ in steps[1:]), seen.end], strict=True):
        yield Span(start, end), rate


def _by_instance_hour(
    book: PriceBook, thing: Priced, launch: datetime, seen: Span
) -> Iterator[tuple[Span, Decimal | None]]:
    """Each hour counted from launch costs what the price was at its start.

    Source: EC2 FAQ, "You pay the Spot price that's in effect at the beginning of each
    instance-hour". Neighbouring hours of one price are given as one stretch.
    """
    hour = launch + timedelta(hours=seconds_between(launch, seen.start) // _HOUR)
    begun, rate = seen.start, _rate(book, thing, hour)
    while (hour := hour + timedelta(hours=1)) < seen.end:
        following = _rate(book, thing, hour)
        if following != rate:
            yield Span(begun, hour), rate
            begun, rate = hour, following
    yield Span(begun, seen.end), rate


def _rate(book: PriceBook, thing: Priced, moment: datetime) -> Decimal | None:
    price = book.at(thing, moment)
    return None if price is None else price.usd


def _measured(
    usage: Usage, rule: Rule, stretch: Span, whole: Span, billed_part: FreeShares
) -> Iterator[tuple[Span, int, Fraction]]:
    """Cut a stretch where its divisor changes: (piece, seconds of one unit, billed part).

    A month is the calendar's, on the provider's clocks. Sources: "EBS pricing" (price x GB x
    seconds / seconds of the month), Google "Disks and images pricing"; rows of real bills of both.
    """
    if rule.unit is Unit.HOUR:
        yield stretch, _HOUR, Fraction(1)
        return
    zone = billing_zone(usage.provider)
    for month, piece in by_month(stretch, usage.provider):
        if rule.unit is Unit.MONTH:
            yield piece, month.span(zone).seconds, Fraction(1)
        else:
            part = billed_part.get((usage.provider, usage.account, usage.kind, month), Fraction(1))
            yield piece, whole.seconds, part


def by_month(stretch: Span, provider: str | None) -> Iterator[tuple[Month, Span]]:
    """A stretch cut at the provider's own month ends."""
    zone = billing_zone(provider)
    month = Month.of(stretch.start, zone)
    while stretch.start < stretch.end:
        end = min(month.span(zone).end, stretch.end)
        yield month, Span(stretch.start, end)
        stretch, month = Span(end, stretch.end), month.next()


def billed_parts(usages: Iterable[Usage], now: datetime) -> FreeShares:
    """How much of each month's traffic is billed after the free allowance, shared by size.

    Source: EC2 on-demand pricing, "data transfer": the first 100 GB out to the internet in a
    month are free, over all services and regions of the account.
    """
    moved: dict[tuple[str, str | None, Kind, Month], Fraction] = {}
    for usage in usages:
        rule = rule_for(usage.provider, usage.kind)
        if not rule.free_per_month:
            continue
        whole = billed_span(usage, now)
        for month, piece in by_month(whole, usage.provider):
            key = (usage.provider, usage.account, usage.kind, month)
            share = Fraction(usage.quantity) * piece.seconds / whole.seconds
            moved[key] = moved.get(key, Fraction(0)) + share
    return {key: _part_above(size, key[:3]) for key, size in moved.items()}


def _part_above(size: Fraction, key: tuple[str, str | None, Kind]) -> Fraction:
    free = Fraction(rule_for(key[0], key[2]).free_per_month)
    return Fraction(0) if size <= free else (size - free) / size


def as_aws_prints(charges: Sequence[Charge]) -> Iterator[Charge]:
    """The same charges in the form of AWS's own bill: cut at UTC clock hours where it does.

    Spot rows stay whole instance-hours' stretches; everything timed on AWS has hourly rows.
    Amounts are rounded by `cur_amount`, costs by `cur_cost`.
    """
    for charge in charges:
        if charge.provider != "aws" or charge.unit in (None, Unit.GB):
            yield charge
            continue
        for piece in _hour_rows(charge):
            part = Fraction(piece.seconds, charge.seconds)
            yield charge._replace(start=piece.start, end=piece.end, units=charge.units * part)


def _hour_rows(charge: Charge) -> Iterator[Span]:
    hours = timedelta(hours=1)
    if charge.market is Market.SPOT and charge.kind == Kind.COMPUTE:
        launched = charge.launched or charge.start
        edge = launched + hours * (seconds_between(launched, charge.start) // _HOUR + 1)
    else:
        edge = charge.start.astimezone(UTC).replace(minute=0, second=0) + hours
    start = charge.start
    while start < charge.end:
        end = min(edge, charge.end)
        yield Span(start, end)
        start, edge = end, edge + hours
