"""Facts -> charges: the pure function that every figure of gpuctl comes from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from gpuctl.core.attribution import Attribution
from gpuctl.core.charges import Charge, billed_parts, billed_span, charges_of
from gpuctl.core.events import Adjust, Ended, Event, Price, Settle, Split, Switch, Usage
from gpuctl.core.kinds import Evidence, Market
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import billing_zone, rule_for
from gpuctl.core.span import Month, Span, format_time
from gpuctl.core.tally import total

Window = Callable[[str | None], Span]
"""The span to look at, by provider: a billing month is not the same span on both clouds."""


def fixed(span: Span) -> Window:
    """The same span for every provider."""
    return lambda _provider: span


def monthly(month: Month) -> Window:
    """Each provider's own billing month: UTC on AWS, Los Angeles on Google."""
    return lambda provider: month.span(billing_zone(provider))


class Bill(NamedTuple):
    """Charges in a window, exact, and what is wrong with them in words for people."""

    charges: tuple[Charge, ...]
    problems: tuple[str, ...]

    @property
    def total(self) -> Fraction:
        """What we pay: everything priced, without the runs on a client's own account."""
        return total(charge for charge in self.charges if charge.payer is None)


_RANK = {evidence: rank for rank, evidence in enumerate(Evidence)}


def runs(events: Iterable[Event]) -> Sequence[Usage]:
    """Every run once, closed where its end is known by the best evidence there is."""
    opened: dict[str, Usage] = {}
    ends: dict[str, Ended] = {}
    for event in events:
        match event:
            case Usage():
                known = opened.get(event.id)
                if known is None or (known.end is None and event.end is not None):
                    opened[event.id] = event
            case Ended():
                known_end = ends.get(event.usage)
                if known_end is None or _order(event) < _order(known_end):
                    ends[event.usage] = event
            case _:
                pass
    return [_closed(usage, ends.get(usage.id)) for usage in opened.values()]


def _order(end: Ended) -> tuple[int, datetime, str]:
    # With equal evidence the earlier end holds: a user is never billed for a doubt.
    rank = -1 if end.evidence is None else _RANK[end.evidence]
    return rank, end.end, end.id


def _closed(usage: Usage, end: Ended | None) -> Usage:
    if end is None or usage.end is not None:
        return usage
    return usage._replace(
        end=max(end.end, usage.start),
        ended_by=end.ended_by,
        evidence=end.evidence,
    )


def bill(events: Iterable[Event], window: Window, now: datetime) -> Bill:
    """All charges in the window. Neither order nor repetition of the events matters."""
    facts = {event.id: event for event in events}.values()
    usages = runs(facts)
    book = PriceBook(event for event in facts if isinstance(event, Price))
    attribution = Attribution(
        (event for event in facts if isinstance(event, Switch)),
        (event for event in facts if isinstance(event, Split)),
    )
    parts = billed_parts(usages, now)
    discounted = _sustained_use(usages, book, window, now)
    charges: list[Charge] = []
    for usage in usages:
        whole = billed_span(usage, now)
        priced = charges_of(usage, book, window(usage.provider), now, parts)
        if discounted is not None:
            priced = discounted(usage, priced)
        charges.extend(attribution.attribute(usage, whole, priced))
    settles = [event for event in facts if isinstance(event, Settle)]
    if settles:
        from gpuctl.core.settling import settled  # noqa: PLC0415 - most ledgers have none yet

        def priced_in(usage: Usage, span: Span) -> Iterator[Charge]:
            found = charges_of(usage, book, span, now, parts)
            return attribution.attribute(usage, billed_span(usage, now), found)

        charges = list(settled(charges, settles, usages, priced_in, window))
    charges.extend(_adjustments(facts, window))
    charges.sort(key=_place)
    return Bill(charges=tuple(charges), problems=tuple(problems_of(charges, usages)))


Discounted = Callable[[Usage, Iterable[Charge]], Iterator[Charge]]
"""A run's charges -> the same, each with what is taken off beside it."""


def _sustained_use(
    usages: Iterable[Usage], book: PriceBook, window: Window, now: datetime
) -> Discounted | None:
    """None where nothing in the ledger has a discount for sustained use: most have none."""
    able = [
        usage
        for usage in usages
        if usage.market is Market.ON_DEMAND and rule_for(usage.provider, usage.kind).sustained_use
    ]
    if not able:
        return None
    from gpuctl.core.sustained import discounted_parts, with_discounts  # noqa: PLC0415 - seldom

    return partial(with_discounts, parts=discounted_parts(able, book, window, now))


def _place(charge: Charge) -> tuple[datetime, str, str, datetime, str, bool, str]:
    return (
        charge.start,
        charge.resource or "",
        charge.kind,
        charge.end,
        charge.project or "",
        charge.absorbed,
        charge.usage or "",
    )


def _adjustments(facts: Iterable[Event], window: Window) -> Iterator[Charge]:
    for fact in facts:
        if isinstance(fact, Adjust) and fact.at in window(None):
            yield Charge(
                provider=None,
                account=None,
                region=None,
                zone=None,
                resource=None,
                kind="adjust",
                sku=None,
                market=None,
                start=fact.at,
                end=fact.at,
                quantity=Decimal(1),
                unit=None,
                units=Fraction(1),
                per=1,
                rate=fact.usd,
                project=fact.project,
                session=None,
                ended_by=None,
                usage=fact.id,
                note=fact.note,
            )


def problems_of(charges: Sequence[Charge], usages: Sequence[Usage]) -> Iterator[str]:
    """What is wrong with charges, in words: missing prices, ends that nobody saw."""
    missing: dict[tuple[str, str], datetime] = {}
    for charge in charges:
        if charge.cost is None and not charge.settled:
            place = charge.zone or charge.region or charge.provider or ""
            market = f" {charge.market.value}" if charge.market else ""
            missing.setdefault((f"{charge.kind} {charge.sku}{market}", place), charge.start)
    for (thing, place), since in sorted(missing.items()):
        yield f"no price for {thing} in {place} from {format_time(since)}: its cost is not counted"
    seen = {charge.usage for charge in charges if not charge.settled}
    for usage in sorted(usages, key=lambda usage: (usage.start, usage.id)):
        if usage.id in seen and usage.evidence is not None and not usage.evidence.certain:
            end = format_time(usage.end) if usage.end else "?"
            yield (
                f"the end of {usage.resource} ({usage.kind}) at {end} is uncertain: "
                f"known only by its {usage.evidence.value}"
            )
