"""What a job has learnt of its market so far: one immutable value, made anew at each decision."""

from typing import NamedTuple

from gpuctl.core.deadline.regimes import (
    NOTHING,
    Logs,
    after_find,
    after_loss,
    after_off,
    after_on,
    forgotten,
)
from gpuctl.core.deadline.view import Observation

HOUR = 3600.0
LONG_AGO = 8.0
"""Hours: a zone that was not asked for so long may have had spot for any time."""


class Spell(NamedTuple):
    """One zone. `on`: it had spot at the last look, and since `age` hours; or had none for so long.

    `unseen` are the hours since that look; None = it was never looked at.
    """

    logs: Logs = NOTHING
    on: bool | None = None
    age: float = 0.0
    unseen: float = 0.0

    @property
    def absent(self) -> float:
        """Hours since it last had nothing, `LONG_AGO` at most."""
        if self.on is None:
            return LONG_AGO
        return min(LONG_AGO, self.age + self.unseen if self.on else self.unseen)


class Memory(NamedTuple):
    """Hours since the job began, and what is known of each zone."""

    at: float
    zones: tuple[Spell, ...]

    @property
    def away(self) -> float | None:
        """Hours for which no zone is known to have had spot; None when none was looked at."""
        off = [zone.age + zone.unseen for zone in self.zones if zone.on is False]
        if off:
            return min(off)
        return None if all(zone.on is None for zone in self.zones) else 0.0


def learn(view: Observation) -> Memory:
    """What is known now: what was known, and what the interval since has shown."""
    old: Memory | None = view.memory
    now = view.elapsed / HOUR
    if old is None:
        sight = view.available or (None,) * len(view.prices)
        return Memory(now, tuple([Spell(on=there) for there in sight]))
    hours = now - old.at
    return Memory(
        now, tuple([_later(spell, zone, view, hours) for zone, spell in enumerate(old.zones)])
    )


def _later(spell: Spell, zone: int, view: Observation, hours: float) -> Spell:
    """With every zone in sight what is there; with tries alone what was held, lost or refused."""
    spell = spell._replace(logs=forgotten(spell.logs, hours))
    if view.available is not None:
        return _seen(spell, hours, there=view.available[zone])
    if zone in (view.held, view.lost):
        return _held(spell, hours, lost=zone == view.lost)
    if zone in view.refused:
        return _refused(spell, hours)
    return spell._replace(unseen=spell.unseen + hours)


def _seen(old: Spell, hours: float, *, there: bool) -> Spell:
    logs, _, age, _ = old
    age += hours
    if there == old.on:
        return Spell(after_on(logs, hours) if there else after_off(logs, hours), there, age)
    return Spell(after_find(logs, age) if there else after_loss(logs, age), there)


def _held(old: Spell, hours: float, *, lost: bool) -> Spell:
    """Spot that is found is taken to have been there since the zone was last looked at."""
    logs, on, age, unseen = old
    if on is None:
        age = 0.0
    elif on:
        age += unseen
    else:
        logs, age = after_on(after_find(logs, age), unseen), unseen
    age += hours
    logs = after_on(logs, hours)
    return Spell(after_loss(logs, age), on=False) if lost else Spell(logs, on=True, age=age)


def _refused(old: Spell, hours: float) -> Spell:
    """It had nothing when this interval began."""
    logs, on, age, unseen = old
    if on:
        return Spell(after_loss(logs, age + unseen / 2), on=False, age=unseen / 2, unseen=hours)
    return Spell(after_off(logs, unseen), on=False, age=age + unseen, unseen=hours)
