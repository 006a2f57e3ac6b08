"""How long machines took from the order until they could be used, by the ledger. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuctl.core.events import Armed, Event, Intent, Leased, Outcome

LONGEST = timedelta(minutes=20)
"""What took longer was not waited for: its switch was asked about by a later command."""


class Boot(NamedTuple):
    """One start of a new machine: seconds from the order until SSH answered and it was armed."""

    template: str
    image: str | None
    """`NAME@VERSION` of an image of one's own."""
    seconds: int
    at: datetime


class Times(NamedTuple):
    """Several starts together; `p50` is the middle one (of two, the shorter)."""

    starts: int
    p50: int


def boots(events: Iterable[Event]) -> Sequence[Boot]:
    """Every start of a new machine that was waited for, oldest first.

    A machine that is started again has its disk already, and tells nothing of its image.
    """
    leases: dict[str, Leased] = {}
    armed: dict[str, datetime] = {}
    ordered: list[Intent] = []
    done: set[str] = set()
    for event in events:
        match event:
            case Leased():
                leases[event.id] = event
            case Armed():
                armed[event.lease] = min(armed.get(event.lease, event.at), event.at)
            case Intent(verb="start") if not event.order.get("adopt"):
                ordered.append(event)
            case Outcome(result="done"):
                done.add(event.intent)
            case _:
                pass
    found = []
    for intent in ordered:
        ready, lease = armed.get(intent.lease), leases.get(intent.lease)
        if intent.id not in done or ready is None or lease is None:
            continue
        if timedelta(0) <= ready - intent.at <= LONGEST:
            name = intent.order.get("image_name")
            seconds = int((ready - intent.at).total_seconds())
            found.append(Boot(lease.template, str(name) if name else None, seconds, intent.at))
    return sorted(found, key=lambda boot: (boot.at, boot.template))


def times(found: Iterable[Boot]) -> Times | None:
    """The middle of these; None without any."""
    seconds = sorted(boot.seconds for boot in found)
    return Times(len(seconds), seconds[(len(seconds) - 1) // 2]) if seconds else None
