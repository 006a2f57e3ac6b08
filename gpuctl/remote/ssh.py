"""Commands on a machine, by the user's own OpenSSH."""

import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gpuctl.core.errors import GpuctlError, RemoteFailed
from gpuctl.remote.target import Target

_SSH_FAILED = 255
_IMPOSTOR = ("REMOTE HOST IDENTIFICATION HAS CHANGED", "Host key verification failed")
_FORWARD_TRIES = 150
_FORWARD_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """What a remote command said and how it ended (never 255: that is ssh's own)."""

    code: int
    out: bytes
    err: bytes


class OtherHostKey(RemoteFailed):
    """Waiting will not help: who answers there is not the machine that was started."""


def command(target: Target, *, batch: bool = True) -> list[str]:
    """The argv of ssh up to and with the destination; no file of the user's is read."""
    options = [word for name, value in target.options() for word in ("-o", f"{name}={value}")]
    quiet = ["-o", "LogLevel=ERROR"]
    prompt = ["-o", "BatchMode=yes"] if batch else []
    return ["ssh", "-F", "none", *options, *quiet, *prompt, "--", target.alias]


def run(
    target: Target, argv: Sequence[str], *, stdin: bytes | None = None, timeout: float | None = None
) -> Result:
    """Run argv there, without a terminal. `RemoteFailed` when ssh itself failed or time ran out."""
    # A shared connection that this call opens keeps its standard error for a minute: read from
    # a pipe, that would hold this call as long.
    with tempfile.TemporaryFile() as err:
        try:
            done = subprocess.run(
                [*command(target), _joined(argv)],
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=subprocess.PIPE,
                stderr=err,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RemoteFailed(f"{target.alias} did not answer in {timeout:g} s") from None
        except FileNotFoundError:
            raise no_ssh() from None
        err.seek(0)
        said = err.read()
    if done.returncode == _SSH_FAILED:
        raise failure(target, said)
    return Result(done.returncode, done.stdout, said)


def stream(
    target: Target, argv: Sequence[str], known: Mapping[int, GpuctlError]
) -> Generator[bytes]:
    """What argv says there, as it says it; close it to stop early.

    The error that `known` has for its exit code; `RemoteFailed` for any other, and when ssh
    itself failed.
    """
    with tempfile.TemporaryFile() as err:
        try:
            remote = subprocess.Popen(
                [*command(target), _joined(argv)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
            )
        except FileNotFoundError:
            raise no_ssh() from None
        try:
            pipe = remote.stdout
            assert pipe is not None  # noqa: S101 - asked for above
            while piece := os.read(pipe.fileno(), 65_536):
                yield piece
            code = remote.wait()
        finally:
            remote.kill()
            remote.wait()
            if remote.stdout:
                remote.stdout.close()
        if code in known:
            raise known[code]
        if code:
            err.seek(0)
            raise failure(target, err.read())


def interactive(target: Target, argv: Sequence[str] = ()) -> int:
    """A shell (or argv) on the user's own terminal; the remote exit code.

    `RemoteFailed` when ssh itself failed (255), or the command did with that very code.
    """
    ssh = command(target, batch=False)
    if argv:
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        ssh = [*ssh[:1], *(["-t"] if terminal else []), *ssh[1:], _joined(argv)]
    try:
        code = subprocess.run(ssh, check=False).returncode
    except FileNotFoundError:
        raise no_ssh() from None
    if code == _SSH_FAILED:
        raise RemoteFailed(f"ssh to {target.alias} failed", hint="gpuctl ps")
    return code if code >= 0 else 128 - code


def answers(target: Target, *, timeout: float = 5.0) -> bool:
    """Whether a command can be run there now.

    Never raises for an unreachable machine; `OtherHostKey` when somebody else answers.
    """
    try:
        return run(target, ["true"], timeout=timeout).code == 0
    except OtherHostKey:
        raise
    except RemoteFailed:
        return False


@contextmanager
def forward(target: Target, local: int, remote: int) -> Iterator[int]:
    """127.0.0.1:`local` here is 127.0.0.1:`remote` there while the context lasts.

    `local` 0 takes a free port; the port is what the context gives. `RemoteFailed` when the
    port is taken or ssh fails.
    """
    port = local or _free_port()
    ssh = command(target)
    extra = [
        *("-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{remote}"),
        *("-o", "ExitOnForwardFailure=yes", "-o", "ControlPath=none"),
    ]
    with tempfile.TemporaryFile() as err:
        try:
            tunnel = subprocess.Popen(
                [*ssh[:1], *extra, *ssh[1:]], stdin=subprocess.DEVNULL, stderr=err
            )
        except FileNotFoundError:
            raise no_ssh() from None
        try:
            if not _opened(tunnel, port):
                tunnel.kill()
                tunnel.wait()
                err.seek(0)
                raise failure(target, err.read())
            yield port
        finally:
            tunnel.terminate()
            tunnel.wait()


def failure(target: Target, said: bytes) -> RemoteFailed:
    """What ssh's own words mean."""
    text = said.decode(errors="replace").strip()
    if any(phrase in text for phrase in _IMPOSTOR):
        return OtherHostKey(
            f"{target.alias} answers with another host key than it was started with",
            hint=f"gpuctl down {target.alias}",
            detail=text,
        )
    last = text.splitlines()[-1] if text else "no reason given"
    return RemoteFailed(f"ssh to {target.alias} failed: {last}", hint="gpuctl ps", detail=text)


def no_ssh() -> RemoteFailed:
    """OpenSSH is missing here."""
    return RemoteFailed("there is no ssh on this computer", hint="install the OpenSSH client")


def _joined(argv: Sequence[str]) -> str:
    if not argv:
        raise ValueError("no command")
    return shlex.join(argv)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _opened(tunnel: subprocess.Popen[bytes], port: int) -> bool:
    for _ in range(_FORWARD_TRIES):
        try:
            tunnel.wait(_FORWARD_PAUSE_S)
        except subprocess.TimeoutExpired:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
        else:
            return False
    return False
