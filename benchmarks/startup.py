"""Start-up: what a command costs before it does anything, beside the bare imports it needs."""

import os
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.cpu import Command, Cost, interleaved
from benchmarks.table import Row

TITLE = "Start-up, CPU of the whole process (smallest of all rounds)"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))

CLICK = "python: click"
REPORT_NEEDS = "python: click and report's stdlib"
_REPORT_IMPORTS = "import click, sqlite3, decimal, zoneinfo, tomllib, dataclasses"

# click looks for _GPUCTL_COMPLETE when the program is called gpuctl.
_AS_GPUCTL = "import sys; sys.argv[0] = 'gpuctl'; from gpuctl.__main__ import main; main()"

GOALS = {
    "gpuctl --help": (CLICK, 1.3),
    "gpuctl up --help": (CLICK, 1.5),
    "gpuctl report": (REPORT_NEEDS, 1.5),
    "completion of `gpuctl u`": (CLICK, 1.5),
}


def _commands(home: str) -> dict[str, Command]:
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": home,
        "GPUCTL_HOME": f"{home}/gpuctl",
        "LANG": "C.UTF-8",
    }
    completion = {
        "_GPUCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "gpuctl u",
        "COMP_CWORD": "1",
    }
    python = sys.executable
    gpuctl = [python, "-m", "gpuctl"]
    return {
        CLICK: Command([python, "-c", "import click"], env),
        REPORT_NEEDS: Command([python, "-c", _REPORT_IMPORTS], env),
        "gpuctl --help": Command([*gpuctl, "--help"], env),
        "gpuctl up --help": Command([*gpuctl, "up", "--help"], env),
        "gpuctl report": Command([*gpuctl, "report"], env),
        "completion of `gpuctl u`": Command([python, "-c", _AS_GPUCTL], env | completion),
    }


def _row(name: str, costs: dict[str, Cost]) -> Row:
    cost = costs[name]
    baseline, goal = GOALS.get(name, (None, None))
    if cost.failed:
        return Row(name=name, unit="ms", value=None, goal=goal, note=f"exit {cost.failed}")
    return Row(
        name=name,
        unit="ms",
        value=cost.minimum,
        baseline=costs[baseline].minimum if baseline else None,
        against=baseline or "",
        goal=goal,
        note=f"(median {cost.median:.1f} ms)",
    )


def measure() -> Sequence[Row]:
    """One row a command, baselines first."""
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as home:
        costs = interleaved(_commands(home), ROUNDS)
    return [_row(name, costs) for name in costs]
