"""Runs the real program in a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Program:
    home: Path
    environ: Mapping[str, str]

    def __call__(self, *argv: str, code: int | None = 0, cwd: Path | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "gpuctl", *argv],
            env={**os.environ, "GPUCTL_HOME": str(self.home), **self.environ},
            cwd=cwd or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        result = Done(done.returncode, done.stdout, done.stderr)
        if code is not None:
            assert result.code == code, f"{argv}\n{result.out}\n{result.err}"
        assert "Traceback" not in result.err, result.err
        return result


def write_config(home: Path, text: str) -> None:
    """Put a user config into a home."""
    file = home / "config" / "config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
