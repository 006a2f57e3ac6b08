"""Many at once: one machine a name, no fact lost, nobody waits for ever."""

import random
from collections import Counter
from collections.abc import Iterator

from tests.faults import judge
from tests.faults.cases import Result, Row, Stage
from tests.faults.world import PROJECT, World

_SPOT_G = "L-3819A6DF"
"""The quota that all of them count against: what is too much is not the question here."""


def _ups(stage: Stage, names: list[str | None]) -> list[str]:
    """All of them at the same moment; every one must end, and well."""
    world = stage.world
    world.traffic.begin()
    running = [
        world.start(
            stage.home,
            *("up", *([name] if name else []), "-p", stage.project, "-y", "--detach"),
            clouds=(stage.cloud,),
            **({"mutant": stage.mutant} if stage.mutant else {}),
        )
        for name in names
    ]
    stage.done += [world.finish(one, 300) for one in running]
    world.traffic.quiet()
    return [f"exit {d.code}: {d.argv}" for d in stage.done[-len(names) :] if d.code not in (0, 75)]


def _others(stage: Stage, number: int, chance: random.Random) -> list[str]:
    """down, audit and ps among themselves, all at once."""
    world = stage.world
    verbs = [("down", "--all", "-y"), ("audit",), ("ps",)]
    running = [
        world.start(stage.home, *chance.choice(verbs), clouds=(stage.cloud,))
        for _ in range(number - 1)
    ]
    running.append(world.start(stage.home, "down", "--all", "-y", clouds=(stage.cloud,)))
    stage.done += [world.finish(one, 300) for one in running]
    world.traffic.quiet()
    last = stage.done[-number:]
    return [f"exit {d.code}: {d.argv}" for d in last if d.code not in (0, 3, 8)]


def one_round(
    world: World,
    cloud: str,
    number: int,
    same: str,
    chance: random.Random,
    mutant: str | None = None,
) -> Result:
    """`number` at once: the same name, no name, or a name each; then all down at once."""
    names: list[str | None] = [
        {"name": "box", "none": None, "each": f"box-{n}"}[same] for n in range(number)
    ]
    stage = Stage(world, cloud, mutant)
    world.aws.control("quota", code=_SPOT_G, vcpus=8 * number)
    stage.well("ps")
    wrong = _ups(stage, names)
    world.pass_time(minutes=2)
    stage.run("ps")
    wrong += judge.faults(world, stage.home)
    want = number if same == "each" else 1
    names_now = Counter(one.name for one in judge.live(world))
    if len(names_now) != want or any(count > 1 for count in names_now.values()):
        wrong.append(f"{sum(names_now.values())} machines of {len(names_now)} names, not {want}")
    if not wrong:
        wrong += _others(stage, number, chance)
        world.pass_time(minutes=2)
        stage.run("ps")
        wrong += judge.faults(world, stage.home)
        wrong += [f"still runs: {one.id}" for one in judge.live(world)]
    return stage.result(f"{cloud} {number} at once, {same}", wrong)


def crowds(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 3)
    for number in (2, 8, 32) if full else (4,):
        for turn in range(20 if full else 2):
            for same in ("name", "none", "each") if full else ("name", "each")[turn : turn + 1]:
                if number == 32 and same != "name" and turn:
                    continue  # the same again, and minutes each time
                cloud = "gcp" if turn % 2 else "aws"
                yield one_round(world, cloud, number, same, chance)


ROWS = (
    Row(
        "crowds",
        "N = 2, 8, 32 at once, 20 rounds each: up with the same name, without one, with one each; "
        "then down, audit and ps at once",
        "one machine a name, no fact lost, all end",
        120,
        crowds,
    ),
)
__all__ = ["PROJECT", "ROWS", "one_round"]
