"""This computer's clock is wrong: what is billed is told by the clouds' own."""

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.faults import judge
from tests.faults.cases import Result, Row, Stage
from tests.faults.kills import ended
from tests.faults.proxy import Answer, Call, Plan, aws_error
from tests.faults.world import World

MINUTE, DAY = 60, 86_400
DRIFTS: tuple[int | list[int], ...] = (
    *(sign * by for by in (30, 14 * MINUTE, 16 * MINUTE, DAY) for sign in (1, -1)),
    [0, 3_600],
    [0, -3_600],
    [0, 14 * MINUTE, -14 * MINUTE],
    [-1, 0, 1],
)
ALLOWED = 15 * MINUTE
"""AWS refuses requests that are signed further off than that."""
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")
CHANGES = tuple((zone, way) for zone in ZONES[:2] for way in ("forth", "back"))
"""Nights in which clocks change in Berlin and New York."""
_HALF_AN_HOUR = timedelta(minutes=30)


def drifting(world: World, cloud: str, drift: int | list[int], verbs: str) -> Result:
    """`up` and `down`, both or one of them by a clock that is wrong."""
    stage = Stage(world, cloud)
    worst = max(map(abs, drift)) if isinstance(drift, list) else abs(drift)
    refused = cloud == "aws" and worst > ALLOWED
    wrong: list[str] = []
    hooks = {"drift": drift}
    up = stage.run(
        *("up", "-p", stage.project, "-y"),
        plan=_expired(refused and "up" in verbs),
        **(hooks if "up" in verbs else {}),
    )
    wrong += _said(up, refused=refused and "up" in verbs)
    world.pass_time(minutes=47)
    down = stage.run(
        "down",
        plan=_expired(refused and "down" in verbs),
        **(hooks if "down" in verbs else {}),
    )
    if "up" not in verbs:
        wrong += _said(down, refused=refused)
    world.traffic.begin()
    stage.run("ps")
    world.pass_time(minutes=16)
    stage.run("ps")
    wrong += ended(stage, 1)
    return stage.result(f"{cloud} {verbs} off by {drift} s", [*wrong, *_priced(stage)])


def _expired(refused: bool) -> Plan:
    def meet(call: Call, body: str) -> Answer | None:
        return aws_error(call.action, "RequestExpired") if call.cloud == "aws" else None

    return Plan(judge=meet) if refused else Plan()


def _said(done, *, refused: bool) -> list[str]:
    if not refused:
        return []
    if done.code != 4 or "clock" not in done.err:
        return [f"a wrong clock is not named: {done}"]
    return []


def _priced(stage: Stage) -> list[str]:
    """Every run has its price, whatever the time was thought to be."""
    spent = stage.run("spend", "--json", "--from", "2020-01-01", "--to", "2040-01-01")
    charges = json.loads(spent.out)["charges"]
    return [f"no cost: {c['kind']} {c['resource']}" for c in charges if c["cost"] is None]


def before_change(zone: str, way: str, after: datetime) -> datetime:
    """Half an hour before that zone's clocks are next put forth or back, not before `after`."""
    there = ZoneInfo(zone)
    at = (after + _HALF_AN_HOUR).replace(minute=0, second=0, microsecond=0)
    while True:
        was, at = at.astimezone(there).utcoffset(), at + timedelta(hours=1)
        now = at.astimezone(there).utcoffset()
        assert was is not None
        assert now is not None
        if now > was if way == "forth" else now < was:
            return at - _HALF_AN_HOUR


def in_zone(world: World, cloud: str, zone: str, change: tuple[str, str]) -> Result:
    """A run over the night in which local clocks change."""
    stage = Stage(world, cloud)
    now = world.now()
    world.clock.advance(before_change(*change, now) - now)
    zoned = {"zone": zone}
    stage.run("up", "-p", stage.project, "-y", **zoned)
    world.pass_time(minutes=70)
    stage.run("down", **zoned)
    wrong = judge.faults(world, stage.home, most=1)
    return stage.result(f"{cloud} {zone} over {' '.join(change)}", [*wrong, *_priced(stage)])


def every_clock(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 5)
    cases = [
        (cloud, drift, verbs)
        for cloud in ("aws", "gcp")
        for drift in DRIFTS
        for verbs in ("up", "down", "up and down")
    ]
    for cloud, drift, verbs in cases if full else chance.sample(cases, 5):
        yield drifting(world, cloud, drift, verbs)
    zones = [
        (cloud, zone, change)
        for cloud in ("aws", "gcp")
        for zone in ZONES[:2]
        for change in CHANGES
    ]
    for cloud, zone, change in zones if full else chance.sample(zones, 1):
        yield in_zone(world, cloud, zone, change)


ROWS = (
    Row(
        "clocks",
        "this computer's clock off by up to 16 minutes or a day, stepping, in zones whose clocks "
        "change that night",
        "every span is the cloud's own to the second, every run priced; a refusal names the clock",
        40,
        every_clock,
    ),
)
