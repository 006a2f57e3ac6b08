"""Throttling storms, lost packets, black holes, captive portals: an end, and a true word."""

import random
from collections.abc import Callable, Iterator
from datetime import timedelta

from tests.faults import judge
from tests.faults.cases import Result, Row, Stage, Story, stories
from tests.faults.errors import _answer
from tests.faults.kills import ended
from tests.faults.proxy import Answer, Call, Plan
from tests.faults.world import World

Meets = Answer | str | None
DEFINITE = (0, 1, 4, 5, 75)
"""Exit codes that tell how it stands; 75 = not known, and said so."""
LIMIT = timedelta(minutes=30)

_PORTAL = Answer(200, "text/html", b"<html><body>Please log in to this network</body></html>")
_THROTTLED = {"aws": "RequestLimitExceeded", "gcp": "rateLimitExceeded"}
KINDS: dict[str, Callable[[str, str], Meets]] = {
    "throttled": lambda cloud, action: _answer(cloud, action, _THROTTLED[cloud]),
    "lost": lambda cloud, action: "lost",
    "drop": lambda cloud, action: "drop",
    "half": lambda cloud, action: "half",
    "hole": lambda cloud, action: "hole:0.6",
    "slow": lambda cloud, action: "slow:0.05",
    "portal": lambda cloud, action: _PORTAL,
}
_STORMS = (
    ("throttled", 30),
    ("throttled", 60),
    ("throttled", 95),
    ("lost", 30),
    ("lost", 100),
    ("drop", 30),
    ("drop", 60),
    ("half", 30),
    ("hole", 15),
    ("slow", 50),
    ("portal", 30),
    ("portal", 100),
)


def storm(kind: str, percent: int, seed: str) -> Callable[[Call, str], Meets]:
    """So many of a hundred requests meet with it: the same ones, whatever order they come in."""

    def meet(call: Call, body: str) -> Meets:
        if random.Random(f"{seed} {call}").random() * 100 >= percent:
            return None
        return KINDS[kind](call.cloud, call.action)

    return meet


def in_storm(world: World, story: Story, kind: str, percent: int, turn: int) -> Result:
    """A command in a storm, and what two later ones in fair weather make of it."""
    case = f"{story.cloud} {story.name} {kind} {percent} % ({turn})"
    stage = Stage(world, story.cloud)
    story.before(stage)
    began = world.now()
    hooks = {"timeout": 0.3} if kind == "hole" else {}
    done = stage.run(*story.argv, plan=Plan(judge=storm(kind, percent, case)), **hooks)
    wrong = []
    if done.code not in DEFINITE:
        wrong.append(f"exit {done.code}")
    if world.now() - began > LIMIT:
        wrong.append(f"took {world.now() - began}")
    running = judge.live(world)
    if story.name == "down" and done.code == 0 and running:
        wrong.append("says that it is down, and it runs")
    if story.name == "down" and kind == "throttled" and percent == 30 and running:
        wrong.append("is not down")
    if story.name == "up" and done.code == 0 and not running:
        wrong.append("says that it is up, and nothing runs")
    world.traffic.begin()
    world.pass_time(seconds=61)
    stage.run("ps")
    world.pass_time(minutes=16)
    stage.run("ps")
    return stage.result(case, [*wrong, *ended(stage, 1)])


def every_storm(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 4)
    cases = [
        (story, kind, percent, turn)
        for cloud in ("aws", "gcp")
        for story in stories(cloud)
        if story.name in ("up", "down")
        for kind, percent in _STORMS
        for turn in range(3)
    ]
    for story, kind, percent, turn in cases if full else chance.sample(cases, 8):
        yield in_storm(world, story, kind, percent, seed * 100 + turn)


ROWS = (
    Row(
        "storms",
        "throttling of 30, 60 and 95 %, lost and cut connections, half answers, black holes, slow "
        "answers, captive portals",
        "it ends with a true word in 30 minutes, down at 30 % goes through; then as above",
        100,
        every_storm,
    ),
)
