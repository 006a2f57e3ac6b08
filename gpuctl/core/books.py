"""What the ledger knows now: open runs, leases, unsettled intents, machines as last seen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gpuctl.core.bill import runs
from gpuctl.core.events import (
    Armed,
    Ended,
    Event,
    Extended,
    Insured,
    Intent,
    Leased,
    Missed,
    Outcome,
    Seen,
    Switch,
    Usage,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease with its extensions counted in."""

    id: str
    name: str
    project: str
    provider: str
    account: str
    template: str
    at: datetime
    deadline: datetime
    ceiling: datetime
    payer: str | None
    armed: datetime | None
    """The deadline that the machine itself last reported, None = never reported."""
    heard: datetime | None = None
    """When it last did so."""
    insured: bool = False
    """Whether its cloud was asked to end it, should it hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """The ledger's present, computed from its events; nothing of it is stored."""

    usages: tuple[Usage, ...]
    leases: Mapping[str, Lease]
    unsettled: tuple[Intent, ...]
    """Intents nobody knows the outcome of, oldest first."""
    intents: Mapping[str, Intent]
    outcomes: Mapping[str, Outcome]
    """By intent."""
    seen: Mapping[str, Seen]
    """By the cloud's id of the machine: the latest."""
    missed: Mapping[str, datetime]
    """By machine: when it was first missed since it was last seen."""
    switches: tuple[Switch, ...]
    found: Mapping[str, datetime] = field(default_factory=dict)
    """By the id of storage of no machine: when it was last noted that it is still there."""

    @property
    def open(self) -> tuple[Usage, ...]:
        """Runs without an end."""
        return tuple(usage for usage in self.usages if usage.end is None)

    def owner(self, usage: Usage, at: datetime) -> str | None:
        """Whose a run is at a moment: the last switch that found it running, else its own."""
        found = [
            switch
            for switch in self.switches
            if switch.resource == usage.resource and usage.start <= switch.at <= at
        ]
        last = max(found, key=lambda switch: (switch.at, switch.id), default=None)
        return usage.project if last is None else last.project

    def lease_named(self, name: str) -> Lease | None:
        """The youngest lease of that machine name."""
        named = [lease for lease in self.leases.values() if lease.name == name]
        return max(named, key=lambda lease: (lease.at, lease.id), default=None)


def books(events: Iterable[Event]) -> Books:
    """Events -> the present. Their order does not matter."""
    of: dict[type[Event], list[Any]] = {}
    for fact in {event.id: event for event in events}.values():
        of.setdefault(type(fact), []).append(fact)
    deadlines: dict[str, tuple[datetime, datetime]] = {}
    for fact in of.get(Extended, ()):
        _keep_latest(deadlines, fact.lease, (fact.at, fact.deadline))
    armed: dict[str, tuple[datetime, datetime]] = {}
    for fact in of.get(Armed, ()):
        _keep_latest(armed, fact.lease, (fact.at, fact.deadline))
    seen: dict[str, Seen] = {}
    for fact in of.get(Seen, ()):
        known = seen.get(fact.machine)
        if known is None or (known.at, known.id) < (fact.at, fact.id):
            seen[fact.machine] = fact
    missed: dict[str, list[datetime]] = {}
    found: dict[str, datetime] = {}
    for fact in of.get(Missed, ()):
        if fact.found:
            found[fact.machine] = max(found.get(fact.machine, fact.at), fact.at)
        else:
            missed.setdefault(fact.machine, []).append(fact.at)
    insured = {fact.lease for fact in of.get(Insured, ())}
    settled = {fact.intent for fact in of.get(Outcome, ())}
    intents = sorted(of.get(Intent, ()), key=lambda fact: (fact.at, fact.id))
    usages = tuple(runs([*of.get(Usage, ()), *of.get(Ended, ())]))
    return Books(
        usages=usages,
        leases={
            fact.id: _lease(
                fact, deadlines.get(fact.id), armed.get(fact.id), insured=fact.id in insured
            )
            for fact in of.get(Leased, ())
        },
        unsettled=tuple(intent for intent in intents if intent.id not in settled),
        intents={intent.id: intent for intent in intents},
        outcomes={fact.intent: fact for fact in of.get(Outcome, ())},
        seen=seen,
        missed=_since_seen(missed, found, seen, usages),
        switches=tuple(of.get(Switch, ())),
        found=found,
    )


def _keep_latest(
    kept: dict[str, tuple[datetime, datetime]], key: str, value: tuple[datetime, datetime]
) -> None:
    kept[key] = max(kept.get(key, value), value)


def _lease(
    fact: Leased,
    extended: tuple[datetime, datetime] | None,
    armed: tuple[datetime, datetime] | None,
    *,
    insured: bool,
) -> Lease:
    return Lease(
        id=fact.id,
        name=fact.name,
        project=fact.project,
        provider=fact.provider,
        account=fact.account,
        template=fact.template,
        at=fact.at,
        deadline=extended[1] if extended else fact.deadline,
        ceiling=fact.ceiling,
        payer=fact.payer,
        armed=armed[1] if armed else None,
        heard=armed[0] if armed else None,
        insured=insured,
    )


def _since_seen(
    missed: Mapping[str, list[datetime]],
    found: Mapping[str, datetime],
    seen: Mapping[str, Seen],
    usages: Iterable[Usage],
) -> dict[str, datetime]:
    last: dict[str, datetime] = {machine: fact.at for machine, fact in seen.items()} | dict(found)
    for usage in usages:
        if usage.machine and usage.end is None:
            last[usage.machine] = max(last.get(usage.machine, usage.start), usage.start)
    first: dict[str, datetime] = {}
    for machine, moments in missed.items():
        since = [at for at in moments if machine not in last or at > last[machine]]
        if since:
            first[machine] = min(since)
    return first
