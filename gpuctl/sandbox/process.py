"""Starting, finding and stopping the sandbox's own process. Light: it imports no emulator.

`python -m gpuctl.sandbox.process --directory DIR` is that process.
"""

import argparse
import fcntl
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.sandbox.control import Control
from gpuctl.sandbox.processes import forget_tmux, kill_all
from gpuctl.sandbox.state import (
    ACCOUNT,
    GCP_PROJECT,
    SandboxState,
    environment,
    log_file,
    metal_directory,
    read_state,
    state_file,
)

_READY_LIMIT_S = 60.0
_STOP_LIMIT_S = 20.0
_PAUSE_S = 0.05
_LOG_TAIL = 15
_ALREADY = 3
_PRIVATE = ("AWS_", "GPUCTL_", "GOOGLE_", "GCE_", "CLOUDSDK_", "BOTO_", "MOTO_")
_NEEDS = ("asyncssh", "moto", "flask")

__all__ = ["SandboxOptions", "environment", "start", "status", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How the sandbox shall be. `exit_after_idle` None = it stays until it is stopped."""

    exit_after_idle: timedelta | None = timedelta(hours=2)
    account: str = ACCOUNT
    gcp_project: str = GCP_PROJECT


DEFAULTS = SandboxOptions()


def start(directory: Path, *, seed: int = 0, options: SandboxOptions = DEFAULTS) -> SandboxState:
    """Start it, detached from this process, and wait until both clouds answer.

    One that runs there already is returned as it is. `UsageProblem` when the extra is not
    installed, `GpuctlError` with the end of its log when it does not come up.
    """
    directory = directory.resolve()
    if running := status(directory):
        return running
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageProblem(
            f"the sandbox's extra is not installed ({', '.join(missing)})",
            hint="uv tool install 'gpuctl[sandbox]'",
        )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    launched = subprocess.run(
        _argv(directory, seed, options, "--launch"),
        env=_environ(),
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=_READY_LIMIT_S + 10,
    )
    end = time.monotonic() + (_READY_LIMIT_S if launched.returncode == _ALREADY else 1.0)
    while True:  # another start may have been quicker: its sandbox is as good
        if state := status(directory):
            return state
        if time.monotonic() > end:
            break
        time.sleep(_PAUSE_S)
    tail = "\n".join((_log_tail(directory) + launched.stderr.splitlines())[-_LOG_TAIL:])
    raise GpuctlError(
        f"the sandbox did not start; the end of {log_file(directory)}:\n{tail}",
        hint=f"gpuctl sandbox stop, or remove {directory}",
    )


def stop(directory: Path) -> bool:
    """End it and every process of its machines; whether one ran. Files stay."""
    directory = directory.resolve()
    ran = _held(directory)
    state = read_state(directory)
    if ran and state is not None:
        _signal(state.pid, signal.SIGTERM)
        if not _until(lambda: not _held(directory), _STOP_LIMIT_S):
            _signal(state.pid, signal.SIGKILL)
            _until(lambda: not _held(directory), _STOP_LIMIT_S)
    elif ran:
        _until(lambda: not _held(directory), _STOP_LIMIT_S)  # it is just starting or ending
    if _held(directory):
        raise GpuctlError(
            "the sandbox does not end", hint=f"look at {log_file(directory)} and end it yourself"
        )
    _clean_up(directory)
    return ran


def status(directory: Path) -> SandboxState | None:
    """The sandbox that runs there and answers; None otherwise.

    What a killed one left behind (its state, processes of its machines) is cleaned up.
    """
    directory = directory.resolve()
    if not _held(directory):
        _clean_up(directory)
        return None
    state = read_state(directory)
    if state is None:
        return None
    try:
        Control(state).status()
    except GpuctlError:
        return None
    return state


def _argv(directory: Path, seed: int, options: SandboxOptions, *more: str) -> list[str]:
    idle = options.exit_after_idle
    return [
        *(sys.executable, "-m", "gpuctl.sandbox.process"),
        *("--directory", str(directory)),
        *("--seed", str(seed)),
        *("--account", options.account),
        *("--gcp-project", options.gcp_project),
        *("--exit-after-idle", str(idle.total_seconds() if idle else 0)),
        *more,
    ]


def _environ() -> dict[str, str]:
    """This process's, without what could lead the emulators to something real."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_PRIVATE)}
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(part for part in (here, kept.get("PYTHONPATH")) if part)
    return kept | {"PYTHONPATH": path}


def _hold(directory: Path) -> IO[bytes] | None:
    """The lock that the sandbox's process keeps for its whole life; None when another has it."""
    file = (directory / "sandbox.lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _held(directory: Path) -> bool:
    """Whether that process lives: a pid alone may be a stranger's by now."""
    if not (directory / "sandbox.lock").exists():
        return False
    mine = _hold(directory)
    if mine is None:
        return True
    mine.close()
    return False


def _clean_up(directory: Path) -> None:
    if not state_file(directory).exists():
        return
    kill_all(directory)
    for machine in metal_directory(directory).glob("*"):
        forget_tmux(machine)
    state_file(directory).unlink(missing_ok=True)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _until(true: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not (now := true()) and time.monotonic() < end:
        time.sleep(_PAUSE_S)
    return now


def _log_tail(directory: Path) -> list[str]:
    try:
        text = log_file(directory).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-_LOG_TAIL:]


def _launch(directory: Path, argv: Sequence[str]) -> int:
    """Start the process in a session of its own and wait until it is ready, or has ended."""
    with log_file(directory).open("wb") as log:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    end = time.monotonic() + _READY_LIMIT_S
    while time.monotonic() < end:
        state = read_state(directory)
        if state is not None and state.pid == child.pid:
            child.returncode = 0  # it lives on without us
            return 0
        if child.poll() is not None:
            return child.returncode or 1
        time.sleep(_PAUSE_S)
    child.kill()
    child.wait()
    return 1


def main(argv: Sequence[str] | None = None) -> int:
    """The process itself; `--launch` only starts it and waits."""
    parser = argparse.ArgumentParser(prog="gpuctl.sandbox.process")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--account", default=ACCOUNT)
    parser.add_argument("--gcp-project", default=GCP_PROJECT)
    parser.add_argument("--exit-after-idle", type=float, default=7200, metavar="SECONDS")
    parser.add_argument("--launch", action="store_true")
    asked = parser.parse_args(argv)
    idle = timedelta(seconds=asked.exit_after_idle) if asked.exit_after_idle else None
    options = SandboxOptions(
        exit_after_idle=idle, account=asked.account, gcp_project=asked.gcp_project
    )
    if asked.launch:
        return _launch(asked.directory, _argv(asked.directory, asked.seed, options))
    lock = _hold(asked.directory)
    if lock is None:
        return _ALREADY
    from gpuctl.sandbox.serving import serve  # noqa: PLC0415 - seconds of imports

    with lock:
        serve(asked.directory, asked.seed, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
