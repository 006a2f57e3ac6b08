"""The agent on a machine, asked over ssh."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gpuctl.core.errors import RemoteFailed, UsageProblem
from gpuctl.core.span import format_time, parse_time
from gpuctl.remote.ssh import OtherHostKey, Result, run
from gpuctl.remote.target import Target

_TIMEOUT_S = 20.0
_REFUSED = 4
# Root's PATH under sudo has no /usr/local/bin on every image.
_AGENT = ("sh", "-c", 'exec "${GPUCTL_ROOT:-}/usr/local/bin/gpuctl-agent" "$@"', "gpuctl-agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """The dead-man's switch is set: the machine ends itself at `deadline` (UTC)."""

    lease: str
    deadline: datetime
    ceiling: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU now: `util` in percent, memory in MiB; None = the driver does not say."""

    index: int
    name: str
    util: int | None
    mem_used: int | None
    mem_total: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What the cloud has announced: `spot`, `rebalance`, `preempted`, `maintenance`."""

    kind: str
    time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `gpuctl-agent status --json` says."""

    armed: bool
    lease: str
    deadline: datetime | None
    state: str
    """`busy`, `idle`, `unknown`."""
    idle_for_s: int
    ceiling: datetime | None = None
    why: tuple[str, ...] = ()
    """Why it counts as busy, in words for people; empty when it is idle."""
    stop_at: datetime | None = None
    """When it powers itself off for idleness; None = not warned."""
    hold: bool = False
    gpus: tuple[Gpu, ...]
    notice: Notice | None
    heartbeat: datetime | None
    version: str


def armed(target: Target) -> Armed | None:
    """What the machine says of its switch; None = not armed (yet), or no answer.

    `OtherHostKey` when somebody else answers.
    """
    try:
        said = _object(_ask(target, ["armed"]))
        return Armed(
            lease=str(said["lease"]),
            deadline=parse_time(str(said["deadline"])),
            ceiling=parse_time(str(said["ceiling"])),
        )
    except OtherHostKey:
        raise
    except (RemoteFailed, KeyError, ValueError):
        return None


def status(target: Target) -> Status:
    """The agent's own account of the machine. `RemoteFailed` when there is none."""
    said = _object(_ask(target, ["status", "--json"]))
    try:
        return _status(said)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(repr(error)) from None


def extend(target: Target, deadline: datetime) -> datetime:
    """Move the deadline on the machine; the one now in force.

    `UsageProblem` when it is past or beyond the lease's ceiling, `RemoteFailed` without an agent.
    """
    result = _ask(target, ["extend", format_time(deadline)], root=True)
    if result.code == _REFUSED:
        reason = result.err.decode(errors="replace").strip().removeprefix("gpuctl-agent: ")
        raise UsageProblem(f"{target.alias} refused {format_time(deadline)}: {reason}")
    try:
        return parse_time(str(_object(result)["deadline"]))
    except (KeyError, ValueError) as error:
        raise _unreadable(repr(error)) from None


def hold(target: Target, seconds: int | None) -> None:
    """Count the machine as busy for so long (0 = until told otherwise); None ends that."""
    verb = ["unhold"] if seconds is None else ["hold", str(seconds)]
    result = _ask(target, verb, root=True)
    if result.code:
        raise _unreadable(result.err.decode(errors="replace"))


def _ask(target: Target, argv: Sequence[str], *, root: bool = False) -> Result:
    rise = ("sudo", "-n") if root and target.user != "root" else ()
    return run(target, [*rise, *_AGENT, *argv], timeout=_TIMEOUT_S)


def _object(result: Result) -> Mapping[str, Any]:
    if result.code:
        raise _unreadable(result.err.decode(errors="replace"))
    try:
        said = json.loads(result.out)
    except ValueError:
        raise _unreadable(result.out[:200].decode(errors="replace")) from None
    if not isinstance(said, dict):
        raise _unreadable(repr(said)[:200])
    return said


def _status(said: Mapping[str, Any]) -> Status:
    notice = said["notice"]
    return Status(
        armed=bool(said["armed"]),
        lease=str(said["lease"]),
        deadline=_moment(said["deadline"]),
        ceiling=_moment(said["ceiling"]),
        state=str(said["state"]),
        why=tuple(str(reason) for reason in said["why"]),
        idle_for_s=int(said["idle_for_s"]),
        stop_at=_moment(said["stop_at"]),
        hold=bool(said["hold"]),
        gpus=tuple(
            Gpu(
                index=int(gpu["index"]),
                name=str(gpu["name"]),
                util=_number(gpu["util"]),
                mem_used=_number(gpu["mem_used"]),
                mem_total=_number(gpu["mem_total"]),
            )
            for gpu in said["gpus"]
        ),
        notice=Notice(kind=str(notice["kind"]), time=_moment(notice["time"])) if notice else None,
        heartbeat=_moment(said["heartbeat"]),
        version=str(said["version"]),
    )


def _moment(value: object) -> datetime | None:
    return None if value is None else parse_time(str(value))


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))


def _unreadable(detail: str) -> RemoteFailed:
    return RemoteFailed("the machine's guard gave no answer that can be read", detail=detail)
