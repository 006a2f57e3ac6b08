"""How a job's checkpoints are kept, and under which name."""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple


class Keep(NamedTuple):
    """What the keeper on the machine is told. `bucket` None = the machine's own disk."""

    job: str
    root: str
    """`path/client/project/job` in the bucket."""
    dir: str
    bucket: str | None = None
    command: str | None = None
    signal: str = "SIGTERM"
    interval_s: int = 900
    restore: bool = True
    tree: str | None = None
    """Keep the tree that the job begins with under this name, beside its checkpoints…"""
    fetch: bool = False
    """…or have it from there, for nothing was pushed."""


def name_of(argv: Sequence[str]) -> str:
    """The name of a job that was given none: the same command, the same name."""
    word = next((w for w in argv[1:] if not w.startswith("-")), argv[0])
    base = re.sub(r"[^a-z0-9]+", "-", word.rpartition("/")[2].lower()).strip("-")[:40] or "job"
    return f"{base}-{hashlib.sha256(chr(0).join(argv).encode()).hexdigest()[:6]}"


def base_of(bucket: str | None) -> str:
    """What stands before a project's name in every key of a bucket: `path/`, or nothing."""
    path = "" if bucket is None else bucket.partition("://")[2].partition("/")[2].strip("/")
    return f"{path}/" if path else ""


def root_of(bucket: str | None, project: str, job: str) -> str:
    """Where a job's checkpoints lie."""
    return f"{base_of(bucket)}{project}/{job}"


def code_key(keep_root: str, tree: str, lease: str) -> str:
    """Where the keeper says with which code the job ended on the machine of that lease."""
    return f"{keep_root}/tree-{tree}/code-{lease}"


def ended_key(keep_root: str, tree: str, lease: str) -> str:
    """Where it says since when the job has computed nothing, as that machine was about to end."""
    return f"{keep_root}/tree-{tree}/ended-{lease}"
