"""Tar streams: one written from a selection, one read without trust."""

import gzip
import io
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from gpuctl.remote.ignore import Ignore


@dataclass(frozen=True, slots=True)
class Packed:
    """What went through: plain files and links, and the bytes of the files."""

    files: int
    bytes: int
    skipped: tuple[PurePosixPath, ...] = ()


def pack(root: Path, paths: Iterable[PurePosixPath], out: IO[bytes]) -> Packed:
    """Write those files as a gzip'ed tar, links as links, without owners.

    A file that shrinks or goes away meanwhile is padded or skipped.
    """
    count = total = 0
    skipped = []
    with (
        gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1, mtime=0) as small,
        tarfile.open(fileobj=small, mode="w|") as tar,
    ):
        for path in paths:
            try:
                size = _add(tar, root / path, str(path))
            except FileNotFoundError:
                skipped.append(path)
                continue
            count, total = count + 1, total + size
    return Packed(count, total, tuple(skipped))


def unpack(stream: IO[bytes], into: Path, ignored: Ignore) -> Packed:
    """Extract a tar from a machine: plain files, directories and links that stay inside.

    Whoever wrote it is not trusted: absolute names, `..`, links that lead outside, paths
    through links that lie in `into`, devices and set-id bits are skipped or dropped. Raises
    tarfile.TarError when the stream is broken.
    """
    count = total = 0
    skipped = []
    into.mkdir(parents=True, exist_ok=True)
    root = into.resolve()
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:
            path = PurePosixPath(os.path.normpath(member.name))
            if str(path) == "." or ignored(path, directory=member.isdir()):
                continue
            if not _stays_inside(root, path, member):
                skipped.append(path)
                continue
            _extract(tar, member, root / path)
            if not member.isdir():
                count, total = count + 1, total + member.size
    return Packed(count, total, tuple(skipped))


class _Padded(io.RawIOBase):
    """Exactly `size` bytes of a file that may be written to meanwhile."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted)
        data += b"\0" * (wanted - len(data))
        self._left -= wanted
        return data


def _add(tar: tarfile.TarFile, path: Path, name: str) -> int:
    info = tar.gettarinfo(path, name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    if info.islnk():  # a second name of a file already sent: send it whole
        info.type, info.size = tarfile.REGTYPE, path.lstat().st_size
    if not info.isreg():
        tar.addfile(info)
        return 0
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        tar.addfile(info, _Padded(file, info.size))
    return info.size


def _stays_inside(root: Path, path: PurePosixPath, member: tarfile.TarInfo) -> bool:
    if path.is_absolute() or ".." in path.parts:
        return False
    if not (member.isreg() or member.isdir() or member.issym()):
        return False
    if any((root / parent).is_symlink() for parent in path.parents):
        return False
    if member.issym():
        target = PurePosixPath(os.path.normpath(path.parent / member.linkname))
        return not target.is_absolute() and ".." not in target.parts
    return not (member.isdir() and (root / path).is_symlink())


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.gpuctl-part")
    partial.unlink(missing_ok=True)
    if member.issym():
        partial.symlink_to(member.linkname)
    else:
        _write(tar, member, partial)
    partial.replace(path)


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        while source and (piece := source.read(1 << 20)):
            file.write(piece)
        os.fchmod(handle, member.mode & 0o755 | 0o600)
    os.utime(path, (member.mtime, member.mtime))
