"""The demonstration: the real program, command by command, in a sandbox of its own."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from gpuctl.cli.embedded import launch
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError

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
    ("The next one goes on where the first one stopped.", ""),
    ("", "up -p acme/vision -t v100-spot -y"),
    ("", "run vision-2 --pull runs -- python3 train.py 40"),
    ("", "sandbox advance 2h"),
    ("", "down vision-2"),
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
        for says, line in _STORY:
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
    done = subprocess.run(
        [sys.executable, "-m", "gpuctl", *shlex.split(line)],
        cwd=tree,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    click.echo(done.stdout, nl=False)
    if done.returncode != _EXPECTED.get(line.split(maxsplit=1)[0], 0):
        raise GpuctlError(f"gpuctl {line} ended with {done.returncode}")
