"""Jobs that lose their machines and their engines, by the real program: the same result, the same
money as the emulator's, no machine twice, nothing left running.

Two stories run side by side, once for all tests of this module; the tests look at what came of
them. Moments are drawn from a seed.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any, NamedTuple

import pytest

from gpuctl.sandbox.control import Control
from gpuctl.sandbox.furnish import furnish
from gpuctl.sandbox.state import SandboxState
from tests.cli.program import Program
from tests.jobs.sight import PACED, TRAIN, Running
from tests.jobs.truth import MOMENT, Machine, machines
from tests.sandboxed import home_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SEED = 20
STEPS = 700
INTERVAL_S = 1
TASK = ("--steps", str(STEPS), "--every", "5", "--seconds", ".05")
IMAGE = (
    "ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
)
USD = {f"us-east-1{zone}": Decimal("0.30") + Decimal(n) / 100 for n, zone in enumerate("abcdef")}
CONFIG = f"""
[template.saved]
provider = "aws"
type = "g6.xlarge"
image = "{IMAGE}"
regions = ["us-east-1"]
instance_profile = "keeper"

[template.saved.checkpoint]
dir = "checkpoints"
interval = "{INTERVAL_S}s"
bucket = "s3://ckpt-bucket/anna"
"""


class Told(NamedTuple):
    """What a job came to: in its log, in the ledger, in the bucket, and in the cloud itself."""

    said: list[str]
    job: Mapping[str, Any]
    charges: list[Mapping[str, Any]]
    machines: list[Machine]
    state: bytes


class Stories(NamedTuple):
    """Both, and what the cloud was like behind them."""

    told: Mapping[str, Told]
    truth: Mapping[str, Any]


class Box:
    """The sandbox that both stories are told in, and the clock that they share."""

    def __init__(self, sandbox: SandboxState) -> None:
        self.sandbox, self.control = sandbox, Control(sandbox)
        self.random = random.Random(SEED)
        self._both = Barrier(2, timeout=60)
        self.control.reset()
        furnish(sandbox, bucket="ckpt-bucket", profile="keeper")
        for zone, usd in USD.items():
            self.control.knob("aws", "spot_price", type="g6.xlarge", zone=zone, usd=str(usd))

    def home(self, *files: Path, **environ: str) -> Program:
        home = home_in(self.sandbox, CONFIG, **environ)
        (home.home / "work").mkdir()
        for file in files:
            shutil.copy(file, home.home / "work")
        return home

    def pass_time(self, running: Running, least: timedelta, *, computes: bool = True) -> None:
        """For both jobs at once; then a job that computes has saved itself again."""
        if self._both.wait() == 0:
            for name in ("vision-1", "learning-1"):
                self.control.gpu(name, busy=True)
            self.control.advance(least + timedelta(seconds=self.random.randrange(600)))
        self._both.wait()
        for _ in range(2 * computes):  # the first may have been on its way before
            running.until(lambda line: "gpuctl: saved" in line)

    def told(self, said: list[str], home: Program, project: str) -> Told:
        (job,) = home("jobs", "-a", "--json").json["jobs"]
        charges = home("spend", "--from", "2020-01-01", "--json").json["charges"]
        pulled = home("checkpoint", "pull", "train", "-t", "saved", "-p", project, "--json").json
        return Told(
            said,
            job,
            [one for one in charges if one["project"] == project],
            machines(self.control.truth(), project, USD),
            (Path(pulled["path"]) / "model.json").read_bytes(),
        )


def run_of(project: str, home: Program) -> tuple[str, ...]:
    job = ("python3", "paced.py", str(hurry(home)), *TASK)
    return (
        "run", "--up", "-p", project, "-t", "saved", "-y", "--name", "train",
        "--resume", "auto", "--down", "--", *job,
    )  # fmt: skip


def hurry(home: Program) -> Path:
    """Where it is, nothing is waited for any more."""
    return home.home / "hurry"


def interrupted(box: Box) -> tuple[list[str], Program, str]:
    """Five times at random moments. The first machine is older than an hour, and has a notice."""
    anna, draw = box.home(TRAIN, PACED), random.Random(SEED)
    with Running(anna, *run_of("acme/vision", anna)) as running:
        running.until_step(1)
        box.pass_time(running, timedelta(minutes=61))
        for leg in range(1, 6):
            running.until_step(running.step + draw.randrange(2, 22))
            box.control.interrupt(f"vision-{leg}", notice_seconds=120 if leg == 1 else 0)
            if leg == 1:
                running.until(lambda line: "its machine is about to" in line)
                box.pass_time(running, timedelta(minutes=2), computes=False)
            running.until(lambda line, leg=leg: f"train runs on vision-{leg + 1}" in line)
        hurry(anna).touch()
        assert running.end() == 0, "\n".join(running.said)
    return running.said, anna, "acme/vision"


def killed(box: Box) -> tuple[list[str], Program, str]:
    """The engine is killed while the job runs, then while the next machine is being had."""
    anna, draw = box.home(TRAIN, PACED), random.Random(SEED + 1)
    with Running(anna, *run_of("me/learning", anna)) as running:
        running.until_step(1)
        box.pass_time(running, timedelta(minutes=61))
        box.pass_time(running, timedelta(minutes=2))
        running.until_step(running.step + draw.randrange(2, 10))
        running.kill()
    # Whoever goes on has the tree from the bucket.
    shutil.rmtree(anna.home / "work")
    (anna.home / "work").mkdir()
    berta = box.home(GPUCTL_LEDGER=f"sqlite:///{anna.home}/data/ledger.db")
    watch = ("watch", "train", "--every", "1s")
    with Running(berta, *watch) as watching:
        watching.until(lambda line: "train runs on learning-1" in line)
        box.control.interrupt("learning-1", notice_seconds=0)
        watching.until(lambda line: "took learning-1 back" in line)
        time.sleep(draw.uniform(0, 2))  # a random moment of the start of the next
        watching.kill()
    with Running(berta, *watch) as watching, Running(anna, *watch) as beside:
        watching.until(lambda line: "train runs on learning-2" in line)
        time.sleep(draw.uniform(0.2, 1))
        box.control.interrupt("learning-2", notice_seconds=0)
        hurry(anna).touch()
        assert (watching.end(), beside.end()) == (0, 0), "\n".join(watching.said + beside.said)
    return [*running.said, *watching.said, *beside.said], berta, "me/learning"


@pytest.fixture(scope="module")
def stories(sandbox: SandboxState) -> Stories:
    box = Box(sandbox)
    with ThreadPoolExecutor(2) as pool:
        going = [pool.submit(tale, box) for tale in (interrupted, killed)]
        first, second = (future.result() for future in going)
    # What is billed for a minute at least is billed by then.
    box.control.advance(timedelta(minutes=2))
    return Stories(
        {"interrupted": box.told(*first), "killed": box.told(*second)}, box.control.truth()
    )


@pytest.fixture(params=["interrupted", "killed"])
def told(request: pytest.FixtureRequest, stories: Stories) -> Told:
    return stories.told[request.param]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], bytes]:
    """What a run that nobody interrupts prints, and its last state."""
    folder = tmp_path_factory.mktemp("whole")
    argv = [sys.executable, str(TRAIN), *TASK[:-2], "--checkpoints", str(folder)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), (folder / f"step_{STEPS:06d}/model.json").read_bytes()


def test_the_result_is_that_of_a_run_that_nobody_interrupted(
    told: Told, whole: tuple[list[str], bytes]
) -> None:
    lines, state = whole
    assert told.state == state
    assert json.loads(told.state)["step"] == STEPS
    assert {line for line in told.said if line.startswith("step ")} <= set(lines)
    assert (told.job["code"], told.job["state"]) == (0, "ended 0")


def test_each_step_of_the_log_is_there_whatever_was_taken(
    stories: Stories, whole: tuple[list[str], bytes]
) -> None:
    said = stories.told["interrupted"].said
    assert {line for line in said if line.startswith(("step ", "weights "))} == set(whole[0])


def test_of_no_leg_more_is_lost_than_an_interval(told: Told) -> None:
    legs = told.job["legs"]
    assert [leg["how"] for leg in legs[:-1]] == ["interrupted"] * (len(legs) - 1)
    assert legs[-1]["how"] == "exit"
    assert all(0 <= leg["lost_seconds"] <= INTERVAL_S + 5 for leg in legs), json.dumps(
        legs, indent=1
    )


def test_a_machine_for_each_leg_and_never_two_at_once(told: Told) -> None:
    legs = told.job["legs"]
    assert [leg["machine"] for leg in legs] == [machine.name for machine in told.machines]
    assert [leg["zone"] for leg in legs] == [machine.zone for machine in told.machines]
    for one, other in pairwise(told.machines):
        assert one.end <= other.start
        assert one.zone != other.zone, "the zone that took the last one is asked last"
    spans = [one for one in told.charges if one["kind"] == "compute" and one["from"] != one["to"]]
    for machine in told.machines:
        mine = [one for one in spans if one["resource"] == machine.id]
        assert {one["session"] for one in mine} == {mine[0]["session"]}
        assert all(one["to"] == other["from"] for one, other in pairwise(mine))


def test_the_ledger_costs_what_the_emulator_says(told: Told) -> None:
    ledger: dict[str, Fraction] = {}
    for one in told.charges:
        key = f"{one['session']} {one['kind']}"
        ledger[key] = ledger.get(key, Fraction(0)) + Fraction(one["cost"])
    truth = {key: cost for machine in told.machines for key, cost in machine.costs.items()}
    assert ledger.keys() == truth.keys()
    for key, cost in truth.items():
        # Exact inside, printed with 20 decimals.
        assert abs(ledger[key] - cost) <= (MOMENT if key.endswith("disk") else Fraction(1, 10**18))
    assert [machine.free for machine in told.machines] == [
        Fraction(leg["waived"]) > 0 for leg in told.job["legs"]
    ]
    legs = sum(Fraction(leg["cost"]) for leg in told.job["legs"])
    assert round(legs, 15) == round(sum(ledger.values()), 15)


def test_the_first_machine_was_too_old_to_be_free(told: Told) -> None:
    free = [machine.free for machine in told.machines]
    assert free == [False, *[True] * (len(free) - 2), False]


def test_nothing_is_left(stories: Stories) -> None:
    aws = stories.truth["aws"]
    assert {one["state"] for one in aws["instances"]} == {"terminated"}
    assert [one["id"] for one in aws["volumes"] if one["deleted"] is None] == []
