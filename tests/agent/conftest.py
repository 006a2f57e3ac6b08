"""A directory that takes itself for a machine: shims that write down what they are asked."""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gpuctl.agent import agent
from gpuctl.agent.boot import BootPlan, render

SHIM = """#!/bin/sh
echo "$(basename "$0") $*" >>"$GPUCTL_ROOT/calls"
[ ! -e "$GPUCTL_ROOT/refuse-$(basename "$0")" ]
"""


@dataclass(frozen=True)
class FakeMachine:
    root: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.root}/shims:{Path(sys.executable).parent}:/usr/bin:/bin",
            "GPUCTL_ROOT": str(self.root),
            "GPUCTL_CLOCK_OFFSET_FILE": str(self.root / "clock.json"),
            "GPUCTL_FORCE_AFTER": "0",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9",
            "GCE_METADATA_HOST": "127.0.0.1:9",
        }

    def sh(self, script: bytes, **environ: str) -> subprocess.CompletedProcess[bytes]:
        env = self.environ | environ
        return subprocess.run(
            ["/bin/sh"], input=script, env=env, capture_output=True, timeout=60, check=False
        )

    def agent(self, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", agent.__file__, *argv]
        env = self.environ | environ
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )

    def switch(self, verb: str) -> subprocess.CompletedProcess[bytes]:
        path = self.root / "usr/local/sbin/gpuctl-deadline"
        return subprocess.run(
            ["/bin/sh", path, verb], env=self.environ, capture_output=True, timeout=60, check=False
        )

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def forget_calls(self) -> None:
        (self.root / "calls").unlink(missing_ok=True)

    def advance(self, seconds: int) -> None:
        (self.root / "clock.json").write_text(json.dumps({"offset_seconds": seconds}))


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    root = tmp_path / "root"
    (root / "shims").mkdir(parents=True)
    for name in ("systemctl", "poweroff", "shutdown", "logger", "wall", "sysctl"):
        shim = root / "shims" / name
        shim.write_text(SHIM)
        shim.chmod(0o755)
    return FakeMachine(root)


def plan(**changes: object) -> BootPlan:
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "lease": "0123456789abcdef0123456789abcdef",
        "cloud": "aws",
        "deadline": now + timedelta(hours=2),
        "ceiling": now + timedelta(hours=12),
        "user": "ubuntu",
        "project": "acme/vision",
    }
    return BootPlan(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def booted(machine: FakeMachine) -> FakeMachine:
    assert machine.sh(render(plan(), compress=False)).returncode == 0
    machine.forget_calls()
    return machine


@pytest.fixture
def rooted(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    """The agent's functions, called in this process, see that directory."""
    monkeypatch.setattr(agent, "ROOT", str(machine.root))
    monkeypatch.setenv("PATH", machine.environ["PATH"])
    monkeypatch.setenv("GPUCTL_ROOT", str(machine.root))
    monkeypatch.setenv("GPUCTL_CLOCK_OFFSET_FILE", machine.environ["GPUCTL_CLOCK_OFFSET_FILE"])
    return machine
