"""Ending a machine's processes, wherever they have wandered, and what they leave elsewhere.

Standard library only.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = "GPUCTL_ROOT"
"""Marks every process of a machine, by its value: the machine's root directory."""

TMUX = "gpuctl-tmux-"
"""How such a directory in /tmp begins."""

_ROUNDS = 20
_PAUSE_S = 0.02


def kill_all(directory: Path) -> int:
    """End at once every process whose GPUCTL_ROOT lies in `directory`; how many there were.

    A process can fork while it is looked for, so it is repeated until none is left.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = [pid for pid in processes_in(directory) if pid != os.getpid()]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
        time.sleep(_PAUSE_S)
    return len(killed)


def forget_tmux(directory: Path) -> None:
    """Remove the directory in /tmp that a machine's tmux had, if it had one."""
    note = directory / "tmux-directory"
    if note.exists():
        made = Path(note.read_text(encoding="utf-8"))
        if made.name.startswith(TMUX):
            shutil.rmtree(made, ignore_errors=True)
        note.unlink()


def processes_in(directory: Path) -> Iterator[int]:
    """The ids of those processes, zombies not counted."""
    marker = f"{ROOT}={directory}/".encode()
    if sys.platform == "linux":
        yield from _by_proc(marker)
    else:
        yield from _by_ps(marker.decode())


def _by_proc(marker: bytes) -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            environ = Path(entry.path, "environ").read_bytes()  # empty for a zombie
            if any(variable.startswith(marker) for variable in environ.split(b"\0")):
                yield int(entry.name)


def _by_ps(marker: str) -> Iterator[int]:
    listing = subprocess.run(
        ["ps", "-axEww", "-o", "pid=,command="], capture_output=True, text=True, check=False
    ).stdout
    for line in listing.splitlines():
        pid, _, rest = line.strip().partition(" ")
        if f" {marker}" in rest and pid.isdigit():
            yield int(pid)
