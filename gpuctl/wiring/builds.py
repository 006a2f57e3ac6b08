"""Builds of images on this computer: one at a time of each, its log, and what it brings along."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from gpuctl.config.paths import Paths
from gpuctl.core.errors import UsageProblem

_PIP = ("pip/pip.conf",)
"""Below the user's own configuration directory."""


@contextmanager
def at_work(paths: Paths, builder: str) -> Iterator[None]:
    """While the body runs, the build of that builder is going on; UsageProblem when one is already.

    The lock is the kernel's: it goes with the process, however that ends.
    """
    path = _lock(paths, builder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(handle):
            raise UsageProblem(f"{builder} is being built on this computer already")
        yield
    finally:
        os.close(handle)


def held(paths: Paths, builder: str) -> bool:
    """Whether the build of that builder is going on here, in this process or another."""
    try:
        handle = os.open(_lock(paths, builder), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _taken(handle)
    finally:
        os.close(handle)


def log_file(paths: Paths, builder: str, at: datetime) -> Path:
    """Where a build's log goes: a file of its own."""
    return paths.logs / "builds" / f"{builder}-{at:%Y%m%dT%H%M%SZ}.log"


def pip_configuration(environ: Mapping[str, str]) -> bytes | None:
    """The user's own pip configuration, where there is one."""
    named = environ.get("PIP_CONFIG_FILE")
    home = Path(environ.get("HOME") or "~").expanduser()
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = [Path(named)] if named else [*(own / name for name in _PIP), home / ".pip/pip.conf"]
    return next((path.read_bytes() for path in places if path.is_file()), None)


def _lock(paths: Paths, builder: str) -> Path:
    return paths.data / "builds" / f"{builder}.lock"


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
