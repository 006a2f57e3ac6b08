"""The first script a machine runs: it arms the dead-man's switch before anything else."""

import ast
import base64
import gzip
import hashlib
import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

from gpuctl.core.names import user_name
from gpuctl.core.span import format_time, utc

AWS_LIMIT = 16_384
"""Bytes of user-data that EC2 takes, before its own base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """What a machine must know of its lease; no secret, for anyone on it can read user-data.

    Times are aware. `deadline` is when it powers itself off, `ceiling` the latest moment any
    extension may move that to.
    """

    lease: str
    cloud: str
    """`aws` or `gcp`: which metadata service to ask."""
    deadline: datetime
    ceiling: datetime
    user: str
    """The login that is warned and that hooks run as."""
    idle_stop_s: int | None = None
    """Power off after that long without any activity; None = never for idleness."""
    grace_s: int = 600
    """Between the warning and the power-off."""
    gpus: int | None = None
    """How many GPUs there should be; 0 = none, so their absence is no mystery. None = not known."""
    project: str | None = None
    name: str | None = None
    budget: str | None = None
    """USD, only shown: whoever sets the deadline has already counted it in."""
    hook: tuple[str, ...] = ()
    """Run once per notice as `user`, with GPUCTL_NOTICE and GPUCTL_NOTICE_TIME set."""
    hook_timeout_s: int = 60


def render(plan: BootPlan, *, compress: bool = True) -> bytes:
    """The script: gzip'ed for AWS user-data (at most 16,384 bytes), plain for Google's
    `startup-script`, which runs at every boot.

    Raises ValueError when the plan makes no sense or the result is too large.
    """
    _check(plan)
    agent = installed_agent()
    script = _fill(
        _text("boot.sh"),
        {
            "DEADLINE": str(_epoch(plan.deadline)),
            "CEILING": str(_epoch(plan.ceiling)),
            "CLOUD": plan.cloud,
            "SWITCH": _text("deadline.sh"),
            "LEASE": _base64(lease_json(plan).encode()),
            "AGENT": _base64(_gzip(agent)),
            "SHA256": hashlib.sha256(agent).hexdigest(),
        },
    ).encode()
    if not compress:
        return script
    small = _gzip(script)
    if len(small) > AWS_LIMIT:
        raise ValueError(
            f"user-data of {len(small)} bytes: EC2 takes {AWS_LIMIT}; shorten the hook"
        )
    return small


def lease_json(plan: BootPlan) -> str:
    """What the agent reads as /etc/gpuctl/lease.json."""
    lease = {
        "lease": plan.lease,
        "cloud": plan.cloud,
        "deadline": format_time(plan.deadline),
        "ceiling": format_time(plan.ceiling),
        "idle_stop_s": plan.idle_stop_s,
        "grace_s": plan.grace_s,
        "gpus": plan.gpus,
        "user": plan.user,
        "project": plan.project,
        "name": plan.name,
        "budget": plan.budget,
        "hook": list(plan.hook),
        "hook_timeout_s": plan.hook_timeout_s,
    }
    return json.dumps(lease, sort_keys=True) + "\n"


@cache
def installed_agent() -> bytes:
    """The agent as machines get it: without comments and docstrings, for EC2 takes 16 KB."""
    tree = ast.parse(_text("agent.py"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return f"#!/usr/bin/env python3\n{ast.unparse(tree)}\n".encode()


def _check(plan: BootPlan) -> None:
    if plan.cloud not in ("aws", "gcp"):
        raise ValueError(f"{plan.cloud!r} is neither aws nor gcp")
    if utc(plan.ceiling) < utc(plan.deadline):
        raise ValueError("the ceiling is before the deadline")
    if plan.grace_s < 0 or (plan.idle_stop_s is not None and plan.idle_stop_s <= 0):
        raise ValueError("an idle stop needs a positive time")
    user_name(plan.user)


def _text(name: str) -> str:
    return files("gpuctl.agent").joinpath(name).read_text("utf-8")


def _epoch(moment: datetime) -> int:
    return int(utc(moment).timestamp())


def _base64(data: bytes) -> str:
    return textwrap.fill(base64.b64encode(data).decode(), 76)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


def _fill(template: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template
