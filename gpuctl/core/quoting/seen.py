"""What the ledger has seen of spot and of starts: the past that a quote is made from."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import NamedTuple

from gpuctl.core.bill import runs
from gpuctl.core.events import Armed, Event, Intent, Outcome
from gpuctl.core.kinds import EndedBy, Kind, Market
from gpuctl.core.quoting.outlook import Stretch

BACK = timedelta(days=90)
"""So far back the past counts; spot prices are kept for as long by EC2."""
_REFUSALS = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacityOnHost",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "GCE_STOCKOUT",
        "insufficientCapacity",
    }
)
"""The clouds' codes for no capacity. A refusal for a quota or a price says nothing about spot."""
_AGAIN = timedelta(hours=1)
"""A zone that refuses again within the hour says the same thing once more: it counts once."""
_LONGEST_START = 3600
"""Seconds: a start that took longer waited for somebody."""


class Seen(NamedTuple):
    """`starts` are the seconds from request to usable of each start that was measured."""

    stretches: tuple[Stretch, ...]
    sessions: int
    attempts: int
    """Spot requests in those zones, those that were refused included."""
    interruptions: int
    starts: tuple[int, ...]

    @property
    def usable_s(self) -> int | None:
        """The median of the starts; None where none was measured."""
        return round(median(self.starts)) if self.starts else None


def seen(
    events: Sequence[Event], provider: str, skus: Collection[str], zones: Iterable[str],
    now: datetime,
) -> Seen:  # fmt: skip
    """Sessions and refusals of spot machines of these types in these zones, and all starts.

    `skus` are instance types, or attached GPUs where machines are priced in parts.
    """
    places = frozenset(zones)
    sessions = [
        run
        for run in runs(events)
        if run.provider == provider
        and run.kind in (Kind.COMPUTE, Kind.GPU)
        and run.sku in skus
        and run.market is Market.SPOT
        and run.zone in places
        and (run.end is None or run.end > now - BACK)
        and run.start < now
    ]
    stretches = [
        Stretch(
            run.zone or "",
            there=True,
            since=_hours(max(run.start, now - BACK), now),
            until=_hours(min(run.end or now, now), now),
            turned=run.ended_by is EndedBy.PROVIDER,
        )
        for run in sessions
    ]
    refused, granted = _attempts(events, provider, skus, places, now)
    looks = [
        Stretch(zone, there=False, since=_hours(at, now), until=_hours(at, now))
        for zone, at in refused
    ]
    return Seen(
        stretches=(*stretches, *looks),
        sessions=len(sessions),
        attempts=len(refused) + max(granted, len(sessions)),
        interruptions=sum(1 for one in stretches if one.turned),
        starts=tuple(_starts(events, provider, now)),
    )


def _hours(moment: datetime, now: datetime) -> float:
    return (moment - now).total_seconds() / 3600


def _attempts(
    events: Iterable[Event], provider: str, skus: Collection[str], zones: Collection[str],
    now: datetime,
) -> tuple[Sequence[tuple[str, datetime]], int]:  # fmt: skip
    """Where and when spot was refused, and how often it was granted."""
    asked: dict[str, tuple[str, datetime]] = {}
    outcomes: list[Outcome] = []
    for event in events:
        if isinstance(event, Outcome):
            outcomes.append(event)
        elif isinstance(event, Intent) and event.verb == "start" and event.at > now - BACK:
            order = event.order
            named = {order.get("type"), order.get("gpu")}
            spot = order.get("market") == Market.SPOT.value
            if spot and order.get("provider") == provider and named & set(skus):
                asked[event.id] = str(order.get("zone")), event.at
    refused: list[tuple[str, datetime]] = []
    granted = 0
    last: dict[str, datetime] = {}
    for outcome in sorted(outcomes, key=lambda one: (one.at, one.id)):
        zone, at = asked.get(outcome.intent, ("", now))
        if zone not in zones:
            continue
        granted += outcome.result == "done"
        again = zone in last and at - last[zone] < _AGAIN
        if outcome.result == "failed" and outcome.code in _REFUSALS and not again:
            refused.append((zone, at))
            last[zone] = at
    return refused, granted


def _starts(events: Iterable[Event], provider: str, now: datetime) -> Iterable[int]:
    """From the order that was granted to the machine's first word that it is usable."""
    done = {e.intent for e in events if isinstance(e, Outcome) and e.result == "done"}
    first: dict[str, datetime] = {}
    for event in events:
        if isinstance(event, Armed):
            first[event.lease] = min(first.get(event.lease, event.at), event.at)
    for event in events:
        if not isinstance(event, Intent) or event.verb != "start" or event.id not in done:
            continue
        if event.order.get("provider") != provider or event.at <= now - BACK:
            continue
        armed = first.get(event.lease)
        took = None if armed is None else int((armed - event.at).total_seconds())
        if took is not None and 0 < took <= _LONGEST_START:
            yield took
