"""Jobs that go on when the connection does not: in tmux, with a log and an exit code on disk."""

import re
import shlex
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from gpuctl.core.errors import GpuctlError, NotFound, RemoteFailed
from gpuctl.core.names import job_name
from gpuctl.remote import ssh
from gpuctl.remote.target import Target

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SIGNALS = ("HUP", "INT", "KILL", "TERM", "USR1", "USR2")
_TIMEOUT_S = 30.0
_EXISTS = 17
_MISSING = 44


class Phase(StrEnum):
    """Where a job stands. `lost`: it left no exit code, as when the machine was rebooted."""

    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class JobState:
    """`code` only when it has ended."""

    phase: Phase
    code: int | None = None


def start(
    target: Target,
    name: str,
    argv: Sequence[str],
    *,
    directory: str = ".",
    environ: Mapping[str, str] | None = None,
) -> None:
    """Start argv there, detached, in tmux session `gpuctl-NAME` (or without, if there is none).

    `directory` is relative to the home directory. `environ` goes over standard input into a
    0600 file in memory that the job reads and removes: it is in no argv, log or disk.
    `GpuctlError` when a job of that name exists.
    """
    if not argv:
        raise ValueError("no command")
    given = _exports(environ or {})
    result = _ask(target, ["start", job_name(name), directory, shlex.join(argv)], given)
    if result.code == _EXISTS:
        raise GpuctlError(f"there is a job {name} on {target.alias} already")
    if result.code:
        text = result.err.decode(errors="replace").strip()
        raise RemoteFailed(f"the job could not be started on {target.alias}", detail=text)


def state(target: Target, name: str) -> JobState:
    """How it stands now. `NotFound` when there is no such job."""
    said = _told(target, name, _ask(target, ["state", job_name(name)])).out.decode().split()
    try:
        return JobState(Phase(said[0]), int(said[1]) if len(said) > 1 else None)
    except (IndexError, ValueError):
        raise RemoteFailed(f"{target.alias} tells nothing of the job {name}") from None


def follow(target: Target, name: str, *, offset: int = 0) -> Generator[bytes]:
    """The log from byte `offset` on, as it grows, until the job has ended.

    `NotFound` when there is no such job; `RemoteFailed` when the connection is lost: go on
    with the offset moved by what was received.
    """
    words = _words(["log", job_name(name), str(offset)])
    return ssh.stream(target, words, {_MISSING: _no_job(target, name)})


def signal(target: Target, name: str, what: str = "TERM") -> None:
    """Send it and its children a signal; nothing when it has ended. `NotFound` as above."""
    if what not in _SIGNALS:
        raise ValueError(f"{what!r} is none of {', '.join(_SIGNALS)}")
    _told(target, name, _ask(target, ["signal", job_name(name), what]))


def names(target: Target) -> tuple[str, ...]:
    """The jobs that machine remembers."""
    return tuple(sorted(_ask(target, ["list", "-"]).out.decode().split()))


def tmux_name(name: str) -> str:
    """Its tmux session, for `tmux attach -t`."""
    return f"gpuctl-{job_name(name)}"


def _ask(target: Target, words: Sequence[str], stdin: bytes | None = None) -> ssh.Result:
    return ssh.run(target, _words(words), stdin=stdin, timeout=_TIMEOUT_S)


def _words(words: Sequence[str]) -> list[str]:
    script = files("gpuctl.remote").joinpath("session.posix").read_text("utf-8")
    return ["sh", "-c", script, "gpuctl-job", *words]


def _told(target: Target, name: str, result: ssh.Result) -> ssh.Result:
    if result.code == _MISSING:
        raise _no_job(target, name)
    return result


def _no_job(target: Target, name: str) -> NotFound:
    return NotFound(f"there is no job {name} on {target.alias}")


def _exports(environ: Mapping[str, str]) -> bytes:
    for name, value in environ.items():
        if not _VARIABLE.match(name) or "\0" in value:
            raise ValueError(f"{name!r} cannot be an environment variable")
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in environ.items())
    return "".join(lines).encode()
