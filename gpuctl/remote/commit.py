"""Which commit a tree stands at, for the record of what was run."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

_TIMEOUT_S = 10.0


class Commit(NamedTuple):
    """`id` None = no git, or nothing committed yet; `dirty` tells of what is not committed."""

    id: str | None
    dirty: bool


def commit_of(tree: Path) -> Commit:
    """As git has it; a tree of no repository has none."""
    found = _git(tree, "rev-parse", "HEAD")
    if not found:
        return Commit(None, dirty=False)
    return Commit(found, dirty=bool(_git(tree, "status", "--porcelain", "--", ".")))


def _git(tree: Path, *words: str) -> str:
    # A hook that calls gpuctl has GIT_DIR set, which would name another repository.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environ | {"GIT_OPTIONAL_LOCKS": "0"},
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()
