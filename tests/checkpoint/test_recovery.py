"""The whole way, by the real program: jobs that lose their machines and end all the same."""

import os
import re
import shutil
import signal
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import SandboxState
from tests.checkpoint.test_sandbox import CONFIG, TRAIN, client, lines_of, straight_through
from tests.cli.program import Program
from tests.sandboxed import home_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

STEPS = 80
JOB = ("python3", "train.py", "--steps", str(STEPS), "--every", "10", "--seconds", ".1")
RUN = ("run", "--up", "-p", "acme/vision", "-t", "saved", "-y", "--name", "train", "--resume")


def computer(sandbox: SandboxState, ledger: Path | None = None) -> Program:
    """A computer with keys of its own; `ledger` is another one's."""
    shared = {} if ledger is None else {"GPUCTL_LEDGER": f"sqlite:///{ledger}"}
    program = home_in(sandbox, CONFIG, **shared)
    (program.home / "work").mkdir()
    return program


@pytest.fixture
def anna(sandbox: SandboxState, control: Control) -> Program:
    client(sandbox, "iam").create_instance_profile(InstanceProfileName="keeper")
    client(sandbox, "s3").create_bucket(Bucket="ckpt-bucket")
    program = computer(sandbox)
    shutil.copy(TRAIN, program.home / "work")
    return program


class Running:
    """`gpuctl run` as a process whose words can be waited for."""

    def __init__(self, home: Program, *argv: str) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gpuctl", *argv],
            cwd=home.home / "work",
            env={**os.environ, **home.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.out = self.process.stdout

    def until_saved(self, step: int) -> None:
        """Not each checkpoint is uploaded: the first one from that step on."""
        for line in self.out:
            self.said += line
            saved = re.search(r"gpuctl: saved step_(\d+)", line)
            if saved is not None and int(saved[1]) >= step:
                return
        raise AssertionError(self.said)

    def end(self) -> int:
        self.said += self.out.read()
        return self.process.wait(60)

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        self.out.close()


def numbers(text: str) -> dict[str, str]:
    """Step -> its line: one that was computed twice must have come out the same."""
    found: dict[str, str] = {}
    for line in lines_of(text, "step "):
        step = line.split()[1]
        assert found.setdefault(step, line) == line
    return found


def test_interrupted_again_and_again_it_ends_with_the_same_numbers(
    anna: Program, sandbox: SandboxState, tmp_path: Path
) -> None:
    with Running(anna, *RUN, "auto", "--down", "--", *JOB) as running:
        for number, (step, notice) in enumerate([(10, 0), (30, 3)], 1):
            running.until_saved(step)
            Control(sandbox).interrupt(f"vision-{number}", notice_seconds=notice)
        assert running.end() == 0, running.said
    whole = straight_through(STEPS, tmp_path / "whole")
    assert numbers(running.said) == numbers(whole), running.said
    assert lines_of(running.said, "weights ") == lines_of(whole, "weights ")
    (job,) = anna("jobs", "-a", "--json").json["jobs"]
    assert [leg["how"] for leg in job["legs"]] == ["interrupted", "interrupted", "exit"]
    assert (job["code"], job["command"][:2]) == (0, ["python3", "train.py"])
    assert all(leg["lost_seconds"] <= 12 for leg in job["legs"]), job
    assert all(Decimal(leg["waived"]) > 0 for leg in job["legs"][:2]), job
    zones = [leg["zone"] for leg in job["legs"]]
    assert all(one != other for one, other in pairwise(zones))
    assert anna("ps", "--json").json["machines"] == []


def test_killed_in_the_middle_and_finished_by_another_computer(
    anna: Program, sandbox: SandboxState, tmp_path: Path
) -> None:
    with Running(anna, *RUN, "auto", "--", *JOB) as running:
        running.until_saved(10)
        running.process.send_signal(signal.SIGKILL)
        Control(sandbox).interrupt("vision-1", notice_seconds=2)
    berta = computer(sandbox, anna.home / "data/ledger.db")
    shutil.rmtree(anna.home / "work")
    with Running(berta, "watch", "train", "--every", "1s") as watching:
        assert watching.end() == 0, watching.said
    log = berta("logs", "vision-2", "--job", "train-2").out
    whole = straight_through(STEPS, tmp_path / "whole")
    assert lines_of(log, "weights ") == lines_of(whole, "weights ")
    assert "resumed at step" in log
    assert numbers(log).items() <= numbers(whole).items()
