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
    searched,
)
from gpuctl.core.deadline.view import Observation, Place

HOUR = 3600.0
LONG_AGO = 8.0
"""Hours: a zone that was not asked for so long may have had spot for any time."""
HALF = 0.5
"""Spot that is found where there was none `u` hours ago has been there for half of it."""


class Memory(NamedTuple):
    """`on`: there was spot at the last look; since `age` hours, or for `age` hours there was none.

    `unseen` are the hours since the last look. `refused_at` tells for each zone when it last had
    nothing (hours since the job began; None = never asked).
    """

    at: float
    logs: Logs
    on: bool | None
    age: float
    unseen: float
    held: Place
    refused_at: tuple[float | None, ...]

    def absent(self, zone: Place) -> float:
        """Hours since that zone had nothing, `LONG_AGO` at most."""
        then = self.refused_at[zone]
        return LONG_AGO if then is None else min(LONG_AGO, self.at - then)


def learn(view: Observation) -> Memory:
    """What is known now: what was known, and what the interval since has shown."""
    old: Memory | None = view.memory
    zones = len(view.prices)
    now = view.elapsed / HOUR
    if old is None:
        return Memory(now, NOTHING, None, 0.0, 0.0, view.held, (None,) * zones)
    hours = now - old.at
    old = old._replace(logs=forgotten(old.logs, hours), held=view.held)
    if view.available is not None:
        return _seen(old, now, hours, searched(zones), there=any(view.available))
    refused = old.refused_at
    if view.refused or view.lost is not None:
        refused = tuple(
            [
                now if z == view.lost else old.at if z in view.refused else then
                for z, then in enumerate(refused)
            ]
        )
    new = _tried(view, old, hours, searched(zones))
    return new._replace(at=now, refused_at=refused)


def _seen(old: Memory, now: float, hours: float, faster: float, *, there: bool) -> Memory:
    """With every zone in sight: whether there is spot anywhere."""
    logs, age = old.logs, old.age + hours
    if old.on is None:
        return old._replace(at=now, on=there, age=0.0)
    if there == old.on:
        logs = after_on(logs, hours) if there else after_off(logs, hours, faster)
        return old._replace(at=now, logs=logs, age=age)
    logs = after_find(logs, age, faster) if there else after_loss(logs, age)
    return old._replace(at=now, logs=logs, on=there, age=0.0)


def _tried(view: Observation, old: Memory, hours: float, faster: float) -> Memory:
    """With tries alone: what was held, lost or refused."""
    if view.held >= 0 or view.lost is not None:
        held = old if old.on else _found(view, old, faster)
        age, logs = held.age + hours, after_on(held.logs, hours)
        if view.lost is None:
            return held._replace(logs=logs, on=True, age=age, unseen=0.0)
        return held._replace(logs=after_loss(logs, age), on=False, age=0.0, unseen=0.0)
    if view.refused:
        away = old.unseen + hours
        logs = after_off(old.logs, away, faster)
        return old._replace(logs=logs, on=False, age=old.age + away, unseen=0.0)
    return old._replace(unseen=old.unseen + hours)


def _found(view: Observation, old: Memory, faster: float) -> Memory:
    """A try that succeeded at the last decision."""
    zone = view.held if view.lost is None else view.lost
    if old.on is None:
        return old._replace(age=0.0)
    since = HALF * min(old.absent(zone), old.unseen)
    away = old.unseen - since
    logs = after_off(old.logs, away, faster)
    logs = after_on(after_find(logs, old.age + away, faster), since)
    return old._replace(logs=logs, age=since)
