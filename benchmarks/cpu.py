"""CPU time of whole processes, measured side by side."""

import os
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A process to measure, with what it needs in its environment."""

    argv: Sequence[str]
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cost:
    """User and system CPU of one command over all rounds, in milliseconds.

    `failed` is the exit status when it was not 0: a command that fails is quick for nothing.
    """

    minimum: float
    median: float
    failed: int = 0


def run_once(command: Command) -> tuple[float, int]:
    """CPU milliseconds, children that it waited for included, and the exit status."""
    process = subprocess.Popen(
        command.argv,
        env=command.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return (usage.ru_utime + usage.ru_stime) * 1000, process.returncode


def interleaved(commands: Mapping[str, Command], rounds: int) -> dict[str, Cost]:
    """Measure all commands in turn, round by round, so that a busy minute meets them all alike.

    One round before counts for nothing: it writes the bytecode and warms the disk's cache.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    failed = {name: run_once(command)[1] for name, command in commands.items()}
    for _ in range(rounds):
        for name, command in commands.items():
            if not failed[name]:
                milliseconds, failed[name] = run_once(command)
                times[name].append(milliseconds)
    return {
        name: Cost(min(taken, default=0), statistics.median(taken or [0]), failed[name])
        for name, taken in times.items()
    }
