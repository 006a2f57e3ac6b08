"""Bringing records into a ledger: what is new, and what contradicts what is there."""

from collections.abc import Iterable, Sequence

from gpuctl.core.attribution import overlapping
from gpuctl.core.bill import runs
from gpuctl.core.events import Ended, Event, Price, Split, Usage
from gpuctl.core.pricebook import PriceBook, PriceConflict


class Contradiction(ValueError):
    """A record that cannot be true beside another; `position` counts the incoming from 0."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(reason)
        self.position = position


def merge(known: Iterable[Event], incoming: Sequence[Event]) -> Sequence[Event]:
    """The events to append so that the ledger holds both. Contradiction when both cannot be.

    The same record again adds nothing; a run that was open may be closed, nothing else may change.
    """
    events = {event.id: event for event in known}
    current = {usage.id: usage for usage in runs(events.values())}
    added: list[Event] = []
    for position, event in enumerate(incoming):
        before = current.get(event.id) or events.get(event.id)
        news = [event] if before is None else _news(position, before, event)
        for item in news:
            added.append(item)
            events[item.id] = item
            if isinstance(item, Usage):
                current[item.id] = item
            elif isinstance(item, Ended) and isinstance(event, Usage):
                current[event.id] = event
    _check_together(events.values(), added, incoming)
    return added


def _news(position: int, before: Event, event: Event) -> list[Event]:
    # Events are tuples: of two types with the same fields, equal ones are still two facts.
    if type(before) is type(event) and before == event:
        return []
    if isinstance(before, Usage) and isinstance(event, Usage) and _open(before) == _open(event):
        if event.end is None:
            return []
        if before.end is None:
            return [ended(event)]
        if (before.end, before.ended_by) == (event.end, event.ended_by):
            return []
    raise Contradiction(position, f"id {event.id!r} is in the ledger already with other content")


def ended(usage: Usage) -> Ended:
    """The event that closes an open run as `usage` says."""
    if usage.end is None:
        raise ValueError(f"{usage.id} has no end")
    return Ended(
        id=f"{usage.id}/ended/{usage.evidence or 'import'}",
        usage=usage.id,
        end=usage.end,
        ended_by=usage.ended_by,
        evidence=usage.evidence,
    )


def _open(usage: Usage) -> Usage:
    return usage._replace(end=None, ended_by=None, evidence=None)


def _check_together(
    events: Iterable[Event], added: Sequence[Event], incoming: Sequence[Event]
) -> None:
    events = list(events)
    if any(isinstance(event, Price) for event in added):
        try:
            PriceBook(event for event in events if isinstance(event, Price))
        except PriceConflict as error:
            raise Contradiction(_position(incoming, error.second), str(error)) from None
    if any(isinstance(event, Split) for event in added):
        pair = overlapping(event for event in events if isinstance(event, Split))
        if pair is not None:
            later = max(pair, key=lambda split: _position(incoming, split))
            other = pair[0] if later is pair[1] else pair[1]
            reason = f"split {later.id!r} overlaps split {other.id!r} on {later.resource}"
            raise Contradiction(_position(incoming, later), reason)


def _position(incoming: Sequence[Event], event: Event) -> int:
    return next((at for at, item in enumerate(incoming) if item.id == event.id), -1)
