"""Where the keeper puts checkpoints: what it asks of a store, and a directory that is one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from gpuctl.core.checkpoints import Store, Stored

BLOCK = 1 << 18
_HALF = re.compile(r".*\.(\d{1,9})\.part")


class Open(Protocol):
    """Opens what is to be stored anew, at its beginning: a try that failed is begun again."""

    def __call__(self) -> BinaryIO:
        """The open file."""


class Shelf(Store, Protocol):
    """A store that can be written to. Every method may raise OSError."""

    def put(self, key: str, source: Open, size: int, sha256: str) -> None:
        """Durably store exactly those bytes under a key that nobody else uses."""

    def create(self, key: str, data: bytes) -> bool:
        """Store under a key that others want too: True for the first alone, and for good."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is gone is no error."""


class Folder:
    """A directory as a store, for machines without a bucket."""

    def __init__(self, root: str) -> None:
        self.root = root

    def entries(self, prefix: str) -> list[Stored]:
        """What a killed writer left half written is among them, as `….part`.

        Half a manifest is removed when who wrote it has died: a folder is of one machine.
        """
        listed = []
        for folder, _, names in os.walk(self.root, onerror=_unless_missing):
            for name in names:
                path = os.path.join(folder, name)
                key = os.path.relpath(path, self.root).replace(os.sep, "/")
                if not key.startswith(prefix):
                    continue
                try:
                    if _abandoned(name):
                        os.unlink(path)
                        continue
                    there = os.lstat(path)
                except FileNotFoundError:
                    continue
                listed.append(Stored(key, there.st_size, there.st_mtime))
        return listed

    def read(self, key: str) -> Iterator[bytes]:
        """By blocks."""
        with open(self._path(key), "rb") as file:
            while True:
                block = file.read(BLOCK)
                if not block:
                    return
                yield block

    def put(self, key: str, source: Open, size: int, sha256: str) -> None:  # noqa: ARG002
        """Written beside, flushed, renamed."""
        path = self._path(key)
        with source() as given:
            self._write(path + ".part", lambda: given.read(BLOCK))
        os.replace(path + ".part", path)
        flush(os.path.dirname(path))

    def create(self, key: str, data: bytes) -> bool:
        """By a second name for the file: the file system lets one alone have it."""
        path = self._path(key)
        part = "%s.%s.%d.part" % (path, os.urandom(4).hex(), os.getpid())
        pieces = [data]
        self._write(part, lambda: pieces.pop() if pieces else b"")
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(part)
        flush(os.path.dirname(path))
        return True

    def delete(self, key: str) -> None:
        """With the directories that are empty then."""
        path = self._path(key)
        try:
            os.unlink(path)
        except FileNotFoundError:
            return
        while True:
            path = os.path.dirname(path)
            if os.path.samefile(path, self.root):
                return
            try:
                os.rmdir(path)
            except OSError:
                return

    def _write(self, path: str, more: Callable[[], bytes]) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            while True:
                block = more()
                if not block:
                    break
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def _path(self, key: str) -> str:
        if key.startswith("/") or ".." in key.split("/"):
            raise ValueError("%r is no key" % key)
        return os.path.join(self.root, *key.split("/"))


def flush(folder: str) -> None:
    """Make the names in a directory durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _abandoned(name: str) -> bool:
    match = _HALF.fullmatch(name)
    try:
        if match is not None:
            os.kill(int(match.group(1)), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
