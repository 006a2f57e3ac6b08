"""The training example is killed anywhere and goes on to the very same numbers; its pages hold."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.providers.aws.bucket import machine_policy

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "examples/train.py"
STEPS = 120


def argv(folder: Path) -> list[str]:
    steps = ("--steps", str(STEPS), "--every", "10")
    return [sys.executable, str(TRAIN), *steps, "--checkpoints", str(folder)]


def losses(out: str) -> dict[int, str]:
    return {
        int(step): loss for step, loss in re.findall(r"^step (\d+) loss (\S+)$", out, re.MULTILINE)
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("whole")
    return subprocess.run(argv(folder), capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("at", [1, 35, 64])
def test_it_goes_on_to_the_very_same_numbers(tmp_path: Path, whole: str, number, at: int) -> None:
    command = [*argv(tmp_path), "--seconds", "0.002"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout is not None
        for line in job.stdout:
            if line.startswith(f"step {at} "):
                job.send_signal(number)
                break
        rest = job.stdout.read()
        code = job.wait()
    assert code == (143 if number is signal.SIGTERM else -9)
    again = subprocess.run(argv(tmp_path), capture_output=True, text=True, check=True).stdout
    resumed = re.search(r"^resumed at step (\d+)", again, re.MULTILINE)
    begun = int(resumed[1]) if resumed else 0
    if number is signal.SIGTERM:
        assert f"saved at step {begun}\n" in rest
    assert begun >= at // 10 * 10 if at > 1 else True
    numbers = losses(whole)
    assert losses(again) == {step: numbers[step] for step in range(begun + 1, STEPS + 1)}
    assert again.splitlines()[-1] == whole.splitlines()[-1]


def test_it_learns(whole: str) -> None:
    numbers = [float(loss) for loss in losses(whole).values()]
    assert sum(numbers[-10:]) < sum(numbers[:10]) / 2


def test_the_pages_policy_is_the_programs() -> None:
    page = (ROOT / "docs/jobs.md").read_text()
    shown = re.search(r"machine policy: begin -->\n```json\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    assert json.loads(shown[1]) == machine_policy("my-checkpoints", "training")
