"""What a real bill asks, laid over what was estimated: the estimate stays, the difference is added.

Loaded only for a ledger that holds a `Settle`. The charges of a settled stretch keep their
amounts, rates and projects and are marked as settled; one charge of kind `settle` for each run and
project brings their sum to exactly what the bill asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.attribution import cut
from gpuctl.core.charges import Charge
from gpuctl.core.events import Settle, Usage
from gpuctl.core.span import Span

KIND = "settle"
"""The kind of the charges made here; their sku is the kind that was settled."""

Key = tuple[str, str, str]
"""Provider, resource, kind."""

Priced = Callable[[Usage, Span], Iterable[Charge]]
"""A run's charges inside a span, each with its project."""


def holding(settles: Iterable[Settle]) -> Mapping[Key, Sequence[Settle]]:
    """Those that hold, oldest stretch first: where stretches overlap, the one reconciled last.

    Of two reconciled at the same moment the one with the greater id. Their order and how often
    each comes does not matter.
    """
    found: dict[Key, list[Settle]] = {}
    for settle in sorted(settles, key=lambda settle: (settle.at, settle.id), reverse=True):
        known = found.setdefault(key_of(settle), [])
        if not any(other.since < settle.until and settle.since < other.until for other in known):
            known.append(settle)
    return {key: sorted(known, key=lambda settle: settle.since) for key, known in found.items()}


def key_of(thing: Settle | Usage) -> Key:
    """What a bill is settled for."""
    return thing.provider, thing.resource, thing.kind.value


def asked(settle: Settle) -> Fraction:
    """USD, exact."""
    return Fraction(settle.billed) / Fraction(settle.per_usd)


def settled(
    charges: Iterable[Charge],
    settles: Iterable[Settle],
    runs: Iterable[Usage],
    priced: Priced,
    window: Callable[[str | None], Span],
) -> Iterator[Charge]:
    """The charges of a window, cut and marked where a bill settled them, and the differences.

    Over a whole stretch the charges of its resource and kind add up to what the bill asks;
    over a part of it, to the part that the estimate has there.
    """
    held = holding(settles)
    seen_parts: dict[Key, list[Charge]] = {}
    for charge in charges:
        key = (charge.provider or "", charge.resource or "", charge.kind)
        if key not in held:
            yield charge
            continue
        pieces = list(_marked(charge, _joined(held[key])))
        seen_parts.setdefault(key, []).extend(pieces)
        yield from pieces
    mine: dict[Key, list[Usage]] = {}
    for run in runs:
        mine.setdefault(key_of(run), []).append(run)
    for key, stretches in held.items():
        seen = window(key[0])
        near = [(settle, part) for settle in stretches if (part := _span(settle).meet(seen))]
        if not near:
            continue
        own = mine.get(key, [])
        whole = Span(near[0][0].since, near[-1][0].until)
        parts = seen_parts.get(key, [])
        if whole.meet(seen) != whole:
            # A part of a stretch is known only beside the whole of it, which reaches further.
            parts = [part for run in own for part in priced(run, whole)]
        for settle, part_seen in near:
            inside = [piece for part in parts for piece in _inside(part, _span(settle))]
            yield from _differences(settle, inside or _stand_in(settle, own, priced), part_seen)


def _span(settle: Settle) -> Span:
    return Span(settle.since, settle.until)


def _joined(stretches: Sequence[Settle]) -> Sequence[Span]:
    """Neighbouring days as one: a charge is cut only where it begins or ceases to be settled."""
    spans: list[Span] = []
    for settle in stretches:
        if spans and spans[-1].end == settle.since:
            spans[-1] = Span(spans[-1].start, settle.until)
        else:
            spans.append(_span(settle))
    return spans


def _marked(charge: Charge, spans: Sequence[Span]) -> Iterator[Charge]:
    for piece in cut(charge, (edge for span in spans for edge in span)):
        yield piece._replace(settled=any(piece.start in span for span in spans))


def _inside(charge: Charge, stretch: Span) -> Iterator[Charge]:
    for piece in cut(charge, stretch):
        if piece.start in stretch:
            yield piece


class _Group(NamedTuple):
    """Whose a difference is: one charge for each."""

    usage: str | None
    project: str | None
    absorbed: bool


def _differences(settle: Settle, parts: Sequence[Charge], seen: Span) -> Iterator[Charge]:
    """What each run's projects owe more (or less) than was estimated, as far as it is seen."""
    weights = _weights(parts)
    whole = asked(settle) / sum(weights, Fraction(0))
    groups: dict[_Group, tuple[Charge, Fraction]] = {}
    for part, weight in zip(parts, weights, strict=True):
        common = Span(part.start, part.end).meet(seen)
        if common is None:
            continue
        more = (whole * weight - (part.cost or 0)) * Fraction(common.seconds, part.seconds)
        group = _Group(part.usage, part.project, part.absorbed)
        groups[group] = (part, groups.get(group, (part, Fraction(0)))[1] + more)
    for part, more in groups.values():
        if more:
            yield part._replace(
                kind=KIND,
                sku=settle.kind.value,
                market=None,
                start=seen.start,
                end=seen.end,
                quantity=Decimal(1),
                unit=None,
                units=more,
                per=1,
                rate=Decimal(1),
                settled=True,
                free=False,
                note=f"{settle.source} asks {settle.billed:f} {settle.currency}",
            )


def _weights(parts: Sequence[Charge]) -> Sequence[Fraction]:
    """By estimated cost; by billed units where that is zero or a price missing; else by time."""
    costs = [part.cost for part in parts]
    known = [cost for cost in costs if cost is not None]
    if len(known) == len(costs) and sum(known) > 0:
        return known
    amounts = [part.amount for part in parts]
    return amounts if any(amounts) else [Fraction(part.seconds) for part in parts]


def _stand_in(settle: Settle, runs: Sequence[Usage], priced: Priced) -> list[Charge]:
    """Nothing ran in the stretch by the ledger: whose it is, the run before it tells.

    Nobody's where no run of the resource is known: shown as unattributed, never dropped.
    """
    before = [run for run in runs if run.start < settle.until]
    if before:
        last = max(before, key=lambda run: (run.start, run.id))
        found = list(priced(last, Span(last.start, settle.until)))
        end = max((charge.end for charge in found), default=None)
        ended = [charge for charge in found if charge.end == end]
        if ended:
            return [_empty(charge, settle) for charge in ended]
    nobodys = Charge(
        provider=settle.provider,
        account=settle.account,
        region=None,
        zone=None,
        resource=settle.resource,
        kind=settle.kind.value,
        sku=None,
        market=None,
        start=settle.since,
        end=settle.until,
        quantity=Decimal(1),
        unit=None,
        units=Fraction(0),
        per=1,
        rate=None,
        project=None,
        session=None,
        ended_by=None,
    )
    return [nobodys]


def _empty(charge: Charge, settle: Settle) -> Charge:
    return charge._replace(
        start=settle.since, end=settle.until, units=Fraction(0), per=1, rate=None
    )
