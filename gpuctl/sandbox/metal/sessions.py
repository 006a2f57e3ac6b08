"""What one SSH session runs: a command by /bin/sh, or a login shell, with or without a terminal."""

import asyncio
import contextlib
import fcntl
import os
import pty
import shutil
import signal
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncssh

_CHUNK = 65536
_ACCEPTED = ("LANG", "LC_", "TERM", "COLORTERM")
"""Variables a client may set, as Debian's and Ubuntu's sshd accept them."""

_TAKE_TERMINAL = (
    "import fcntl,os,sys,termios;"
    "fcntl.ioctl(0,termios.TIOCSCTTY,0);"
    "os.execvp(sys.argv[1],sys.argv[1:])"
)
"""Makes the terminal the session's own, then becomes the command."""

Process = asyncssh.SSHServerProcess[bytes]


async def serve(process: Process, environ: Mapping[str, str], home: Path) -> None:
    """Run what the client asked for until it ends, and tell it how it ended."""
    env = dict(environ) | _sent(process)
    argv = _argv(process.command)
    terminal = process.get_terminal_type()
    try:
        if terminal is not None:
            await _with_terminal(process, argv, env | {"TERM": terminal or "xterm"}, home)
        else:
            await _with_pipes(process, argv, env, home)
    except OSError as error:
        with contextlib.suppress(OSError, asyncssh.Error):
            process.stderr.write(f"sandbox: {error}\n".encode())
            process.exit(126)


def _sent(process: Process) -> dict[str, str]:
    return {
        str(name): str(value)
        for name, value in process.env.items()
        if str(name).startswith(_ACCEPTED)
    }


def _argv(command: str | None) -> list[str]:
    if command is not None:
        return ["/bin/sh", "-c", command]
    return ["/bin/bash", "-l"] if shutil.which("/bin/bash") else ["/bin/sh", "-l"]


async def _with_pipes(
    process: Process, argv: Sequence[str], env: Mapping[str, str], home: Path
) -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=env, cwd=home, start_new_session=True
    )
    if child.stdin is None or child.stdout is None or child.stderr is None:
        raise OSError("no pipes")
    feeding = asyncio.create_task(_feed(process, child.stdin, child.pid))
    await asyncio.gather(_drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr))
    code = await child.wait()
    await _cancel(feeding)
    _leave(process, code)


async def _with_terminal(
    process: Process, argv: Sequence[str], env: Mapping[str, str], home: Path
) -> None:
    ours, theirs = pty.openpty()
    try:
        _resize(ours, *process.get_terminal_size())
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", "-c", _TAKE_TERMINAL, *argv),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            cwd=home,
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    output = os.fdopen(ours, "rb", 0)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), output
    )
    feeding = asyncio.create_task(_type(process, ours, child.pid))
    draining = asyncio.create_task(_drain(reader, process.stdout))
    code = await child.wait()
    # A background process may keep the terminal open: what is printed already goes out, no more.
    await asyncio.wait((draining,), timeout=0.2)
    await _cancel(feeding)
    await _cancel(draining)
    transport.close()
    _leave(process, code)


async def _drain(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """Until its end; once the client is gone what comes is thrown away."""
    gone = False
    while True:
        try:
            data = await source.read(_CHUNK)
        except OSError:  # EIO: the last process on a terminal has closed it
            return
        if not data:
            return
        if gone:
            continue
        try:
            sink.write(data)
            await sink.drain()
        except (OSError, asyncssh.Error):
            gone = True


async def _feed(process: Process, sink: asyncio.StreamWriter, pid: int) -> None:
    while True:
        try:
            data = await process.stdin.read(_CHUNK)
        except asyncssh.SignalReceived as told:
            _signal(pid, told.signal)
            continue
        except asyncssh.BreakReceived:
            _signal(pid, "INT")
            continue
        except asyncssh.TerminalSizeChanged:
            continue
        except (OSError, asyncssh.Error):
            data = b""
        try:
            if not data:
                sink.close()
                return
            sink.write(data)
            await sink.drain()
        except OSError:  # it reads no more; the client may still send
            sink.close()
            return


async def _type(process: Process, ours: int, pid: int) -> None:
    """Pass on what is typed, and the window's size; a client that goes hangs up."""
    while True:
        try:
            data = await process.stdin.read(_CHUNK)
        except asyncssh.TerminalSizeChanged as told:
            _resize(ours, told.width, told.height, told.pixwidth, told.pixheight)
            continue
        except asyncssh.SignalReceived as told:
            _signal(pid, told.signal)
            continue
        except asyncssh.BreakReceived:
            _signal(pid, "INT")
            continue
        except (OSError, asyncssh.Error):
            data = b""
        if not data:
            if process.is_closing():
                _signal(pid, "HUP")
            else:
                await asyncio.to_thread(os.write, ours, b"\x04")
            return
        view = memoryview(data)
        while view:
            view = view[await asyncio.to_thread(os.write, ours, view) :]


def _resize(terminal: int, width: int, height: int, pixwidth: int = 0, pixheight: int = 0) -> None:
    size = struct.pack("HHHH", height or 24, width or 80, pixwidth, pixheight)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def _signal(pid: int, name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if number is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _leave(process: Process, code: int) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        if code >= 0:
            process.exit(code)
        else:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
