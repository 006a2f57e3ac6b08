"""This process, as others know it: a name that is never used again, and whether it lives."""

import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from gpuctl.app.leg import Actor
from gpuctl.app.plan import Plan
from gpuctl.remote.commit import Commit, commit_of

__all__ = ["Commit", "actor", "alive", "commit"]

commit = commit_of
"""Which commit a tree stands at."""

_STATE, _STARTED = 0, 19
"""Fields of /proc/PID/stat behind the program's name (proc(5): 3 and 22)."""


def actor(environ: Mapping[str, str], confirm: Callable[[Plan], bool] | None = None) -> Actor:
    """This process on this computer."""
    host, pid = platform.node() or "localhost", os.getpid()
    return Actor(
        name=f"{host}/{pid}/{_started(pid) or os.urandom(4).hex()}",
        host=host,
        environ=environ,
        alive=alive,
        confirm=confirm or (lambda _: True),
    )


def alive(name: str) -> bool | None:
    """Whether the process of that name still runs; None where this computer cannot tell."""
    host, _, rest = name.partition("/")
    pid, _, started = rest.partition("/")
    if host != (platform.node() or "localhost") or not pid.isdigit():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    now = _started(int(pid))
    return None if now is None and Path("/proc/self/stat").exists() is False else now == started


def _started(pid: int) -> str | None:
    """When it began, in ticks since the boot; None when it has ended, or where /proc lacks."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return None
    fields = said.rpartition(")")[2].split()
    return None if fields[_STATE] in ("Z", "X") else fields[_STARTED]
