"""Which directories of a job are complete checkpoints. What is in doubt is not one.

A directory counts when it holds a file `complete` that is not older than anything else in it, or
when it was renamed to its name after everything in it was written. The file system tells of a
rename: it changes a directory's ctime and not its mtime, where every new entry changes both.
Within one tick of the kernel's clock (4 ms) the two cannot be told apart: then what inotify saw
while the keeper ran decides.
"""

from __future__ import annotations

import json
import os
import re
import stat
import struct
from typing import NamedTuple

MARKER = "complete"
_TEMPORARY = re.compile(r"(?:[._].*|tmp.*|.*(?:tmp|\.part|\.partial|\.incomplete))", re.DOTALL)
_STEP = re.compile(r"\d{1,15}")


class Piece(NamedTuple):
    """One file: below the checkpoint's directory, and where it is read from."""

    path: str
    source: str
    size: int
    mode: int


class Complete(NamedTuple):
    """A complete checkpoint. `stamp` changes when anything in it does."""

    name: str
    path: str
    at: int
    """When it became complete, in nanoseconds since 1970."""
    step: int | None
    stamp: tuple[int, int, int]
    size: int
    pieces: tuple[Piece, ...]
    directories: tuple[str, ...]


class Survey(NamedTuple):
    """What lies there: complete ones, the newest first, and the rest with the reason."""

    complete: list[Complete]
    others: dict[str, str]

    @property
    def newest(self) -> Complete | None:
        """The one to save."""
        return self.complete[0] if self.complete else None


def temporary(name: str) -> bool:
    """Whether a name says that it is not finished: those are never looked at."""
    return _TEMPORARY.fullmatch(name) is not None


def empty(folder: str) -> bool:
    """Whether there is nothing in it but what is not finished."""
    try:
        return all(temporary(name) for name in os.listdir(folder))
    except FileNotFoundError:
        return True


def survey(folder: str, moved: set[str]) -> Survey:
    """Look at everything in it. `moved`: names that were seen to be renamed into it."""
    complete, others = [], {}
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        names = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            if temporary(name) or not stat.S_ISDIR(os.lstat(path).st_mode):
                continue
            complete.append(look(path, renamed=name in moved))
        except Doubt as doubt:
            others[name] = str(doubt)
        except OSError:
            continue  # it goes away as we look
    complete.sort(key=lambda one: (one.at, _natural(one.name)), reverse=True)
    return Survey(complete, others)


class Doubt(Exception):
    """Why a directory does not count."""


def look(path: str, *, renamed: bool = False) -> Complete:
    """One directory. `Doubt` when it does not count, OSError when it goes away."""
    top = os.lstat(path)
    tree = _Tree(path)
    marker = next((piece for piece in tree.pieces if piece.path == MARKER), None)
    step = None
    if marker is not None:
        done = os.stat(marker.source).st_mtime_ns
        if tree.newest > done:
            raise Doubt("something in it is newer than its file `%s`" % MARKER)
        step = _step_in(marker.source)
    else:
        done = top.st_ctime_ns
        if max(tree.newest, top.st_mtime_ns) > done:
            raise Doubt("it is still written to")
        if done == top.st_mtime_ns and not renamed:
            raise Doubt("it has no file `%s` and was not renamed into place" % MARKER)
    if not tree.pieces:
        raise Doubt("it is empty")
    name = os.path.basename(path)
    numbers = _STEP.findall(name)
    return Complete(
        name=name,
        path=path,
        at=done,
        step=step if step is not None else (int(numbers[-1]) if numbers else None),
        stamp=(top.st_ino, max(tree.changed, top.st_ctime_ns), len(tree.pieces)),
        size=sum(piece.size for piece in tree.pieces),
        pieces=tuple(tree.pieces),
        directories=tuple(tree.directories),
    )


class _Tree:
    """Everything below a directory. Links to files are read as the files they show."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.pieces: list[Piece] = []
        self.directories: list[str] = []
        self.newest = 0
        """Latest mtime but the marker's and the top directory's own."""
        self.changed = 0
        self.walk("")
        self.pieces.sort()

    def walk(self, below: str) -> None:
        """One directory of it."""
        for name in sorted(os.listdir(os.path.join(self.root, below))):
            path = below + name
            source = os.path.join(self.root, path)
            there = os.lstat(source)
            self.changed = max(self.changed, there.st_ctime_ns)
            if stat.S_ISDIR(there.st_mode):
                self.directories.append(path)
                self.walk(path + "/")
            else:
                there = os.stat(source)
                if not stat.S_ISREG(there.st_mode):
                    raise Doubt("%s is neither a file nor a directory" % path)
                self.changed = max(self.changed, there.st_ctime_ns)
                self.pieces.append(Piece(path, source, there.st_size, there.st_mode & 0o777))
            if path != MARKER:
                self.newest = max(self.newest, there.st_mtime_ns)


def _step_in(marker: str) -> int | None:
    """A number, or `{"step": number}`, that the job wrote into its marker."""
    try:
        with open(marker) as file:
            told = json.loads(file.read(4096))
    except (OSError, ValueError):
        return None
    step = told.get("step") if isinstance(told, dict) else told
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None


def _natural(name: str) -> list[tuple[int, str]]:
    words = re.split(r"(\d+)", name)
    return [(int(word), "") if word.isdigit() else (-1, word) for word in words]


class Renames:
    """Names renamed into a directory since this began to look, by inotify where there is one."""

    MOVED_TO, CREATE, ONLY_DIRECTORIES = 0x80, 0x100, 0x01000000

    def __init__(self, folder: str) -> None:
        self.names: set[str] = set()
        self.handle = -1
        try:
            import ctypes  # noqa: PLC0415 - a Python without it has no inotify

            libc = ctypes.CDLL(None, use_errno=True)
            handle = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            events = self.MOVED_TO | self.CREATE | self.ONLY_DIRECTORIES
            if handle >= 0 and libc.inotify_add_watch(handle, os.fsencode(folder), events) >= 0:
                self.handle = handle
        except (ImportError, OSError, AttributeError):
            pass

    def seen(self) -> set[str]:
        """All until now."""
        while self.handle >= 0:
            try:
                data = os.read(self.handle, 65536)
            except BlockingIOError:
                break
            self.take(data)
        return self.names

    def take(self, data: bytes) -> None:
        """inotify_event: int wd, uint32 mask, cookie, len, then the name."""
        at = 0
        while at + 16 <= len(data):
            _, mask, _, length = struct.unpack_from("iIII", data, at)
            name = os.fsdecode(data[at + 16 : at + 16 + length].rstrip(b"\0"))
            at += 16 + length
            if mask & self.MOVED_TO:
                self.names.add(name)
            elif mask & self.CREATE:
                self.names.discard(name)
