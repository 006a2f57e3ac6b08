"""Commands on a machine, by the user's own OpenSSH."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gpuctl.remote.target import Target


@dataclass(frozen=True, slots=True)
class Result:
    """What a remote command said and how it ended (never 255: that is ssh's own)."""

    code: int
    out: bytes
    err: bytes


def run(
    target: Target, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float | None = None
) -> Result:
    """Run argv there, without a terminal. `RemoteFailed` when ssh itself failed or time ran out."""
    raise NotImplementedError


def interactive(target: Target, argv: Sequence[str] = ()) -> int:
    """A shell (or argv) on the user's own terminal; the remote exit code.

    `RemoteFailed` when ssh itself failed (255).
    """
    raise NotImplementedError


def answers(target: Target, *, timeout: float = 5.0) -> bool:
    """Whether a command can be run there now. Never raises for an unreachable machine."""
    raise NotImplementedError


def forward(target: Target, local: int, remote: int) -> AbstractContextManager[int]:
    """127.0.0.1:`local` here is 127.0.0.1:`remote` there while the context lasts."""
    raise NotImplementedError
