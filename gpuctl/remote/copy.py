"""Files to a machine and back: rsync where both ends have it, else tar through ssh."""

import re
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from gpuctl.core.errors import NotFound, RemoteFailed
from gpuctl.remote import ssh
from gpuctl.remote.archive import Packed, pack, unpack
from gpuctl.remote.ignore import Ignore
from gpuctl.remote.select import select
from gpuctl.remote.target import Target

_UNPACK = ("sh", "-c", 'mkdir -p -- "$1" && exec tar -xzof - -C "$1"', "push")
_PACK_SCRIPT = """
if [ -d "$1" ]; then exec tar -cf - -C "$1" .; fi
[ -e "$1" ] || exit 44
exec tar -cf - -C "$(dirname -- "$1")" "./$(basename -- "$1")"
"""
_PACK = ("sh", "-c", _PACK_SCRIPT, "pull")
_MISSING = 44
_RSYNC_CANNOT = (1, 2, 4, 127)
"""Usage, protocol, or option not supported: an rsync too old, or Apple's."""
_FILES = re.compile(rb"Number of (?:regular )?files transferred: ([\d,.]+)")
_BYTES = re.compile(rb"Total transferred file size: ([\d,.]+)")


@dataclass(frozen=True, slots=True)
class Copied:
    """Files and bytes sent (of rsync: only what was not there yet); `skipped` led outside."""

    files: int
    bytes: int
    by: str
    skipped: tuple[PurePosixPath, ...] = ()


def push(target: Target, source: Path, dest: str, *, exclude: Sequence[str] = ()) -> Copied:
    """The files of a directory (or one file) into the directory `dest` there, made if need be.

    In a git work tree what git would add; `.gpuctlignore` and `exclude` (patterns as in
    .gitignore) less. Nothing is deleted there. `dest` is relative to the home directory.
    `NotFound` without a source, `RemoteFailed` when it does not arrive.
    """
    if not source.exists():
        raise NotFound(f"there is no {source}")
    if source.is_dir():
        chosen = select(source, exclude)
        root, paths, skipped = source.resolve(), chosen.files, chosen.skipped
    else:
        root, paths, skipped = source.resolve().parent, (PurePosixPath(source.resolve().name),), ()
    there = _there(dest)
    if _rsync_at_both_ends(target):
        ssh.run(target, ["mkdir", "-p", "--", there])
        argv = ["--from0", "--files-from=-", f"{root}/", f"{target.alias}:{there}/"]
        sent = _rsync(target, argv, b"\0".join(bytes(path) for path in paths))
        if sent is not None:
            return Copied(*sent, "rsync", skipped)
    packed = _push_tar(target, root, paths, there)
    return Copied(packed.files, packed.bytes, "tar", (*skipped, *packed.skipped))


def pull(target: Target, source: str, dest: Path, *, exclude: Sequence[str] = ()) -> Copied:
    """What lies in a directory there (or one file) into the local directory `dest`.

    Links that lead outside are skipped, and nothing is ever written outside `dest`.
    `NotFound` when there is no such thing there, `RemoteFailed` when it does not arrive.
    """
    there = _there(source)
    if _rsync_at_both_ends(target):
        kind = ssh.run(target, ["sh", "-c", '[ -d "$1" ] && echo / || [ -e "$1" ]', "pull", there])
        if kind.code:
            raise NotFound(f"there is no {source} on {target.alias}")
        dest.mkdir(parents=True, exist_ok=True)
        less = [f"--exclude={pattern}" for pattern in exclude]
        path = f"{target.alias}:{there}{kind.out.decode().strip()}"
        got = _rsync(target, ["--recursive", "--safe-links", *less, "--", path, f"{dest}/"], b"")
        if got is not None:
            return Copied(*got, "rsync")
    packed = _pull_tar(target, source, there, dest, Ignore(exclude))
    return Copied(packed.files, packed.bytes, "tar", packed.skipped)


def _there(path: str) -> str:
    """A remote path that no program takes for an option; `~/` is where ssh starts anyway."""
    if "\0" in path or "\n" in path:
        raise ValueError(f"{path!r} is no path")
    path = "." if path in ("", "~") else path.removeprefix("~/")
    return path if path.startswith(("/", "./")) else f"./{path}"


def _push_tar(target: Target, root: Path, paths: Sequence[PurePosixPath], there: str) -> Packed:
    argv = [*ssh.command(target), shlex.join([*_UNPACK, there])]
    with tempfile.TemporaryFile() as err:
        with _start(argv, stdin=subprocess.PIPE, stderr=err) as remote:
            pipe = remote.stdin
            assert pipe is not None  # noqa: S101 - asked for above
            try:
                packed = pack(root, paths, pipe)
                pipe.close()
            except BrokenPipeError:
                packed = Packed(0, 0)
            except BaseException:
                remote.kill()
                raise
            code = remote.wait()
        if code:
            raise _failure(target, err, "push")
    return packed


def _pull_tar(target: Target, source: str, there: str, dest: Path, ignored: Ignore) -> Packed:
    argv = [*ssh.command(target), shlex.join([*_PACK, there])]
    broken = None
    packed = Packed(0, 0)
    with tempfile.TemporaryFile() as err:
        with _start(argv, stdout=subprocess.PIPE, stderr=err) as remote:
            pipe = remote.stdout
            assert pipe is not None  # noqa: S101 - asked for above
            try:
                packed = unpack(pipe, dest, ignored)
                pipe.read()
            except tarfile.TarError as error:
                broken = error
            except BaseException:
                remote.kill()
                raise
            code = remote.wait()
        if code == _MISSING:
            raise NotFound(f"there is no {source} on {target.alias}")
        if code or broken is not None:
            raise _failure(target, err, "pull")
    return packed


def _start(
    argv: Sequence[str],
    *,
    stderr: IO[bytes],
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr)
    except FileNotFoundError:
        raise ssh.no_ssh() from None


def _failure(target: Target, err: IO[bytes], what: str) -> RemoteFailed:
    err.seek(0)
    text = err.read().decode(errors="replace").strip()
    last = text.splitlines()[-1] if text else "the connection was lost"
    return RemoteFailed(f"{what} with {target.alias} failed: {last}", detail=text)


def _rsync_at_both_ends(target: Target) -> bool:
    if shutil.which("rsync") is None:
        return False
    return ssh.run(target, ["sh", "-c", "command -v rsync"]).code == 0


def _rsync(target: Target, argv: Sequence[str], stdin: bytes) -> tuple[int, int] | None:
    """Files and bytes; None when this rsync cannot do what is asked of it."""
    shell = shlex.join(ssh.command(target)[:-2])  # rsync itself adds the destination
    common = ["rsync", "--links", "--perms", "--times", "--protect-args", "--partial", "--stats"]
    done = subprocess.run(
        [*common, f"--rsh={shell}", *argv], input=stdin, capture_output=True, check=False
    )
    if done.returncode in _RSYNC_CANNOT:
        return None
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip()
        raise RemoteFailed(f"rsync with {target.alias} failed", detail=text)
    return _count(_FILES, done.stdout), _count(_BYTES, done.stdout)


def _count(pattern: re.Pattern[bytes], text: bytes) -> int:
    match = pattern.search(text)
    return int(re.sub(rb"\D", b"", match.group(1))) if match else 0
