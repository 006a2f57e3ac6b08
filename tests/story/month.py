"""A freelancer's month, told by the real program on both emulated clouds, from a seed.

Three clients, forty sessions, interruptions, a machine that changes hands, one that is shared, a
monthly cap, an adjustment; the month is over when it ends.
"""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gpuctl.core.span import format_time
from tests.faults.world import CONFIG, Done, World

SESSIONS = 40

CLIENTS = """
[me]
name = "Ada Moreau, machine learning"
address = ["Rue de l'Exemple 7", "1000 Brussels"]
vat = "BE0123456789"
contact = "ada@example.org"

[client.acme]
name = "Acme Robotics Inc."
markup = "15%"

[client.acme.project.vision]
title = "Defect detection"
template = "aws"
tags = { order = "PO-2291" }

[client.acme.project.nlp]
template = "gcp"

[client.borealis]
name = "Borealis Språk AB"
currency = "EUR"
vat_rate = "25%"
cap = { month = "20" }

[client.borealis.project.speech]
template = "aws"

[client.me]
absorbed = true

[client.me.project.lab]
template = "gcp"
"""
PROJECTS = {
    "acme/vision": "aws",
    "acme/nlp": "gcp",
    "borealis/speech": "aws",
    "me/lab": "gcp",
}


@dataclass
class Month:
    """How the month was told: what it is called, and what happened in it."""

    name: str
    end: datetime
    sessions: int
    interrupted: int
    switched: int
    shared: int


class Teller:
    """Types the commands, and lets time pass between them."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        world.reset()
        self.home = world.home(("aws", "gcp"))
        config = self.home / "config" / "config.toml"
        head = CONFIG[: CONFIG.index("[client.")]
        templates = CONFIG[CONFIG.index("[template.") :]
        in_use = config.read_text().split("[limits]")[0]
        config.write_text(in_use + head + CLIENTS + templates)
        # Both of one kind and market as a rule; the second Google VM is the lab's own.
        self.interrupted = self.switched = self.shared = 0

    def run(self, *argv: str, ok: tuple[int, ...] = (0,)) -> Done:
        done = self.world.run(self.home, *argv, clouds=("aws", "gcp"))
        assert done.code in ok, done
        return done

    def data(self, *argv: str) -> dict:
        return json.loads(self.run(*argv, "-o", "json").out)

    def month(self) -> Month:
        """Everything, from the first of the next month on."""
        begin = _next_month(self.world.now())
        end = _next_month(begin)
        self._until(begin + timedelta(hours=10))
        room = (end - begin - timedelta(hours=40)) / SESSIONS
        for number in range(SESSIONS):
            self._until(begin + timedelta(hours=10) + room * number)
            self._session(number)
        self.run("adjust", "acme/vision", "-1.20", "--note", "two hours lost to our own bug")
        self._until(end + timedelta(hours=30))
        self.run("ps")
        return Month(f"{begin:%Y-%m}", end, SESSIONS, self.interrupted, self.switched, self.shared)

    def _session(self, number: int) -> None:
        project = self.chance.choice(sorted(PROJECTS))
        cloud = PROJECTS[project]
        up = self.data("up", "-p", project, "--detach", "-y")
        machine = up["machine"]
        begun = self.world.now()
        fate = self.chance.random()
        self.world.pass_time(seconds=self.chance.randrange(120, 5 * 3600))
        if fate < 0.25 and cloud == "aws":
            self._interrupt(machine["id"])
            return
        if fate < 0.35:
            other = self.chance.choice([name for name in sorted(PROJECTS) if name != project])
            self.run("switch", machine["name"], other)
            self.switched += 1
            self.world.pass_time(minutes=50)
        self.run("down", machine["name"])
        if number % 13 == 5:
            self._share(machine, begun)

    def _interrupt(self, machine: str) -> None:
        self.world.aws.market.interrupt(machine)
        self.world.pass_time(minutes=5)
        self.run("ps")
        self.interrupted += 1

    def _share(self, machine: dict, begun: datetime) -> None:
        """An evening that two clients' runs took turns on one machine."""
        until = format_time(self.world.now())
        self.run(
            "split", machine["id"], "acme/vision=150", "borealis/speech=60", "--idle", "30",
            "--from", format_time(begun - timedelta(minutes=5)), "--to", until,
        )  # fmt: skip
        self.shared += 1

    def _until(self, moment: datetime) -> None:
        left = moment - self.world.now()
        if left > timedelta():
            self.world.pass_time(seconds=left.total_seconds())


def _next_month(moment: datetime) -> datetime:
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def write(world: World, seed: int, folder: Path) -> Month:
    """Tell a month and leave its home in `folder`, for looking at."""
    teller = Teller(world, seed)
    month = teller.month()
    teller.home.rename(folder)
    return month
