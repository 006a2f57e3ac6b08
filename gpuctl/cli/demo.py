"""The demonstration: the real program, command by command, in a sandbox of its own."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuctl.cli.embedded import launch
from gpuctl.cli.marks import sparkline
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError

if TYPE_CHECKING:
    from gpuctl.sandbox.state import SandboxState

TRAIN = '''\
"""A stand-in for training: a step every 50 ms, a checkpoint every 5 steps, resumes by itself."""
import json, pathlib, sys, time

state = pathlib.Path("runs/checkpoint.json")
state.parent.mkdir(exist_ok=True)
step = json.loads(state.read_text())["step"] if state.exists() else 0
print(f"starting from step {step}", flush=True)
until = int(sys.argv[1])
while step < until:
    time.sleep(0.05)
    step += 1
    if step % 5 == 0:
        new = state.with_suffix(".new")
        new.write_text(json.dumps({"step": step, "loss": round(2.0 / (1 + step / 10), 3)}))
        new.replace(state)
        print(f"step {step:3d}  loss {2.0 / (1 + step / 10):.3f}", flush=True)
'''

DESCENT = '''\
"""Descends a noisy valley; saves itself every 5 steps, and goes on from its newest checkpoint."""
import json, os, pathlib, random, sys, time

folder = pathlib.Path("checkpoints")
saved = sorted(folder.glob("step_*"))
state = json.loads((saved[-1] / "state.json").read_text()) if saved else {"step": 0, "x": 4.0}
print(f"starting from step {state['step']}", flush=True)
while state["step"] < int(sys.argv[1]):
    time.sleep(0.12)
    state["step"] += 1
    noise = random.Random(state["step"]).gauss(0, 0.4)
    state["x"] -= 0.025 * (2 * state["x"] + noise)
    print(f"step {state['step']} loss {state['x'] ** 2 + 0.02 * abs(noise):.4f}", flush=True)
    if state["step"] % 5 == 0:
        part = folder / ".part"
        part.mkdir(parents=True, exist_ok=True)
        with open(part / "state.json", "w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(folder / f"step_{state['step']:06d}")
'''

_IMAGE = (
    "ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
)
_BUCKET, _PROFILE = "sandbox-checkpoints", "sandbox-keeper"
_SAVED = f"""
[template.l4-saved]
provider = "aws"
type = "g6.xlarge"
regions = ["us-east-1"]
instance_profile = "{_PROFILE}"
image = "{_IMAGE}"

[template.l4-saved.checkpoint]
dir = "checkpoints"
interval = "1s"
bucket = "s3://{_BUCKET}/demo"
"""
_RESUMED = "run --up -p acme/vision -t l4-saved -y --name descent --resume auto --down"
_STEPS = 60
_TAKEN_AFTER = 20
"""Steps; and a checkpoint, of whichever step the keeper came by."""
_STEP = re.compile(r"step (\d+) loss (\S+)")

_STORY: tuple[tuple[str, str], ...] = (
    ("A machine for ACME. P3 is retired, so a fallback is taken.", ""),
    ("", "up -p acme/vision -t v100-spot -y"),
    ("Real work over real SSH: push the tree, run, bring the checkpoint back.", ""),
    ("", "run vision-1 --pull runs -- python3 train.py 20"),
    ("", "sandbox advance 3h"),
    ("AWS takes the machine back, with two minutes' notice.", ""),
    ("", "sandbox interrupt vision-1"),
    ("", "sandbox advance 3m"),
    ("", "ps --all"),
    ("A job with checkpoints in a bucket: its machine is taken, and it goes on by itself.", ""),
    ("", f"{_RESUMED} -- python3 descent.py {_STEPS}"),
    ("", "jobs descent"),
    ("Borealis has a VM on Google that is started and stopped; its disk stays.", ""),
    ("", "up gcp-vm -p borealis/nlp -t gcp-t4 -y"),
    ("", "sandbox advance 4h"),
    ("", "down gcp-vm"),
    ("And something of one's own, at one's own cost.", ""),
    ("", "up -p me/learning -t l4-spot -y"),
    ("", "sandbox advance 1h"),
    ("", "down"),
    ("Five days later the stopped VM's disk has still cost something.", ""),
    ("", "sandbox advance 5d"),
    ("", "audit"),
    ("Whom is each cent for?", ""),
    ("", "report --from {start}"),
    ("", "ledger verify"),
)

_EXPECTED = {"audit": 8}
"""The audit finds the stopped VM's disk, and says so with its exit code."""


def play(session: Session, *, seed: int, keep: bool) -> int:
    """Play it; 0 when every command ended as it should."""
    from gpuctl.sandbox.process import stop
    from gpuctl.sandbox.state import environment

    began = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="gpuctl-demo-"))
    start = f"{session.now():%Y-%m-%d}"
    try:
        click.echo(
            "[sandbox] two emulated clouds on this computer: nothing leaves it, nothing is billed"
        )
        state = launch(base / "sandbox", seed)
        environ = environment(state).over(dict(os.environ)) | {"GPUCTL_DEBUG": ""}
        tree = base / "tree"
        tree.mkdir()
        (tree / "train.py").write_text(TRAIN, encoding="utf-8")
        (tree / "descent.py").write_text(DESCENT, encoding="utf-8")
        _furnish(state)
        for says, line in _STORY:
            if line.startswith(_RESUMED):
                _play_interrupted(line, environ, tree, state)
            else:
                _play_line(says, line.format(start=start), environ, tree)
        click.echo(
            f"\nDone in {int(time.monotonic() - began)} s. "
            'Try yourself: gpuctl sandbox start; eval "$(gpuctl sandbox env)"'
        )
        if keep:
            click.echo(
                f"It goes on: export GPUCTL_SANDBOX={base / 'sandbox'}; "
                'eval "$(gpuctl sandbox env)"'
            )
        return 0
    finally:
        if not keep:
            stop(base / "sandbox")
            shutil.rmtree(base, ignore_errors=True)


def _play_line(says: str, line: str, environ: dict[str, str], tree: Path) -> None:
    if says:
        click.echo(f"\n# {says}")
        return
    click.echo(f"$ gpuctl {line}")
    with _running(line, environ, tree) as running:
        for told in running.stdout or ():
            click.echo(told, nl=False)
    if running.returncode != _EXPECTED.get(line.split(maxsplit=1)[0], 0):
        raise GpuctlError(f"gpuctl {line} ended with {running.returncode}")


def _running(line: str, environ: dict[str, str], tree: Path) -> "subprocess.Popen[str]":
    """The program itself, in a process; what it says on either stream is its `stdout`."""
    return subprocess.Popen(
        [sys.executable, "-m", "gpuctl", *shlex.split(line)],
        cwd=tree,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _furnish(state: "SandboxState") -> None:
    """The account's bucket and role, and the template that names them."""
    from gpuctl.sandbox.furnish import furnish

    furnish(state, bucket=_BUCKET, profile=_PROFILE)
    config = state.directory / "home" / "config" / "config.toml"
    with config.open("a", encoding="utf-8") as file:
        file.write(_SAVED)


def _play_interrupted(
    line: str, environ: dict[str, str], tree: Path, state: "SandboxState"
) -> None:
    """Take the job's machine away in the middle; then draw the loss that it printed."""
    from gpuctl.sandbox.control import Control

    click.echo(f"$ gpuctl {line}")
    losses: dict[int, Decimal] = {}
    taken = 0
    saved = noticed = False
    with _running(line, environ, tree) as running:
        for told in running.stdout or ():
            step = _STEP.match(told)
            if step is not None:
                losses[int(step[1])] = Decimal(step[2])
            if step is None or int(step[1]) % 10 == 0:
                click.echo(told, nl=False)
            saved = saved or "gpuctl: saved step_" in told
            if "took vision-2 back" in told:
                taken = max(losses)
            if saved and not noticed and max(losses, default=0) >= _TAKEN_AFTER:
                noticed = True
                click.echo("# now AWS takes it back, with a few seconds' notice")
                Control(state).interrupt("vision-2", notice_seconds=3)
    if running.returncode:
        raise GpuctlError(f"gpuctl {line} ended with {running.returncode}")
    if not taken:
        raise GpuctlError("the machine of the job was not taken while it ran")
    curve = sparkline([losses.get(step) for step in range(1, _STEPS + 1)])
    click.echo(f"loss  {curve}  {len(losses)} steps of {_STEPS}, none missing")
    click.echo(f"      {'^':>{taken}} here its machine was taken")
