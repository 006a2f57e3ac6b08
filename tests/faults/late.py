"""Somebody comes back late: hours or days after the command died, the machine long gone."""

from collections.abc import Iterator

from tests.faults.cases import Result, Row, Stage, Story, stories
from tests.faults.kills import ended
from tests.faults.proxy import Call, Plan
from tests.faults.world import World

HOURS = (0.5, 3, 7.9, 8.2, 8.9, 9.5, 11, 30)
"""After the launch; leases are of 8 hours, and EC2 forgets an hour after the end."""


def back_after(world: World, story: Story, call: Call | None, phase: str, hours: float) -> Result:
    """`up`, killed at a call or not at all; then nobody does anything for so long."""
    case = f"{story.cloud} up {phase} {call or 'whole'}, back after {hours} h"
    stage = Stage(world, story.cloud)
    story.before(stage)
    stage.run(*story.argv, plan=Plan(call, phase))
    world.pass_time(hours=hours)
    stage.run("ps")
    world.pass_time(minutes=16)
    stage.run("ps")
    return stage.result(case, ended(stage, 1))


def every_return(world: World, full: bool, seed: int) -> Iterator[Result]:
    del seed
    for cloud, action in (("aws", "RunInstances"), ("gcp", "instances.insert")):
        story = next(one for one in stories(cloud) if one.name == "up")
        calls = ((Call(cloud, action, 0), "post"), (Call(cloud, action, 0), "mid"), (None, ""))
        for call, phase in calls if full else calls[:1]:
            for hours in HOURS if full else (8.2, 11):
                yield back_after(world, story, call, phase, hours)


ROWS = (
    Row(
        "late",
        "up killed while it launched (or not), and nobody back for half an hour to 30 hours",
        "what ran unseen is accounted for: machine, disk and address, to the second",
        40,
        every_return,
    ),
)
