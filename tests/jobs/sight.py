"""The real program as a process whose words can be waited for."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.cli.program import Program

TRAIN = Path(__file__).parents[2] / "examples/train.py"
PACED = Path(__file__).with_name("paced.py")
_LIMIT_S = 120.0


class Running:
    """`gpuctl …` as a process; `said` is what it has told so far, `step` the job's last."""

    def __init__(self, home: Program, *argv: str) -> None:
        self.said: list[str] = []
        self.step = 0
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
        self._out = self.process.stdout

    def lines(self) -> Iterator[str]:
        for line in self._out:
            self.said.append(line.rstrip("\n"))
            found = re.match(r"step (\d+) ", line)
            self.step = int(found[1]) if found else self.step
            yield self.said[-1]

    def until(self, fits: Callable[[str], object]) -> str:
        for line in self.lines():
            if fits(line):
                return line
        raise AssertionError("\n".join(self.said))

    def until_step(self, step: int) -> None:
        """Until it has printed that step, or one behind it."""
        if self.step < step:
            self.until(lambda _: self.step >= step)

    def end(self) -> int:
        for _ in self.lines():
            pass
        return self.process.wait(_LIMIT_S)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.send_signal(signal.SIGKILL)
        assert self.end() == -signal.SIGKILL

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        self._out.close()
