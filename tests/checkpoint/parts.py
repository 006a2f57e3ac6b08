"""Checkpoints made as a job makes them, and a process that is killed at the n-th thing it does."""

import os
import signal
import sys
import threading
from pathlib import Path

from gpuctl.agent.checkpoint.directory import Complete, look
from gpuctl.agent.checkpoint.save import Saver
from gpuctl.agent.checkpoint.shelf import Folder

ROOT = "ckpt/acme/vision/train"
FILES = ("model", "opt/state", "opt/empty")

WATCHED = {
    *("fsync", "link", "mkdir", "open", "rename", "replace", "rmdir"),
    *("send", "sendall", "truncate", "unlink", "utime", "write"),
}
"""Builtins that change something outside the process, or open what they will change."""


def content(step: int, name: str) -> bytes:
    return b"" if name == "opt/empty" else f"{step} {name} ".encode() * (60 + step)


def job_saves(folder: Path, step: int, name: str | None = None) -> Complete:
    """Written beside and renamed, as docs/jobs.md asks for."""
    part = folder / f".tmp-{step}"
    for file in FILES:
        (part / file).parent.mkdir(parents=True, exist_ok=True)
        (part / file).write_bytes(content(step, file))
    path = folder / (name or f"step_{step}")
    part.rename(path)
    return look(str(path), renamed=True)


def is_step(folder: Path, step: int) -> bool:
    """Exactly that checkpoint, nothing more or less."""
    held = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return held == {name: content(step, name) for name in FILES}


def saver(shelf, lease: str = "a" * 32, **how) -> Saver:
    return Saver(shelf, ROOT, "train", lease, **({"part": 500, "workers": 1} | how))


def folder_at(path: Path) -> Folder:
    path.mkdir(parents=True, exist_ok=True)
    return Folder(str(path))


class Bomb:
    """Counts what builtins do that matters; kills the process at number `at`, before or after."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __call__(self, frame, event, arg) -> None:
        if event in ("c_call", "c_return") and arg.__name__ in WATCHED:
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def count_of(work) -> int:
    """How many moments there are to be killed at."""
    bomb = Bomb(0)
    threading.setprofile(bomb)
    sys.setprofile(bomb)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return bomb.count


def killed_at(number: int, work) -> bool:
    """Do the work in a process of its own that is killed at that moment; whether it was."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            bomb = Bomb(number)
            threading.setprofile(bomb)
            sys.setprofile(bomb)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed by itself"
    return False
