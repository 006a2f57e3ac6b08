"""Checkpoints as they lie in a bucket: names, manifests, and which of them counts.

    ROOT/00000007/manifest.json           written last, and once: whoever makes it has the number
    ROOT/00000007/<attempt>/0000-000      what it names: a file, or a part of one

Whatever no manifest names is no checkpoint, however much of it there is. A manifest carries the
hash of itself and of every part, so that a flipped bit anywhere is seen. Machines run this file
too, on Python 3.8.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

SCHEMA = "gpuctl.checkpoint.manifest/1"
MANIFEST = "manifest.json"
_PLACE = re.compile(r"(\d{8})/(.+)")
_KEY = re.compile(r"\d{8}/[a-z0-9-]{1,80}/[0-9]{4,6}-[0-9]{3,6}")
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_LARGEST = 64 << 20
"""Bytes of a manifest: more is not one of ours."""


class Damaged(ValueError):
    """What lies there is not what was saved."""


class Part(NamedTuple):
    """One object: its key below the job's root."""

    key: str
    size: int
    sha256: str


class File(NamedTuple):
    """One file of a checkpoint: its path below the directory, and the objects it is made of."""

    path: str
    size: int
    sha256: str
    mode: int
    parts: tuple[Part, ...]


class Manifest(NamedTuple):
    """One checkpoint, whole. `saved_at` is UTC as the machine had it; no order follows from it."""

    job: str
    sequence: int
    name: str
    """The directory's own name."""
    step: int | None
    lease: str
    """The machine's lease that it was saved under."""
    saved_at: str
    attempt: str
    milliseconds: int
    """How long the upload took."""
    directories: tuple[str, ...]
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def rate(self) -> float:
        """Bytes a second that its upload ran at."""
        return self.size / max(self.milliseconds, 1) * 1000


class Stored(NamedTuple):
    """An object: its whole key, its size, when it was written by the store's own clock."""

    key: str
    size: int
    modified: float


class Store(Protocol):
    """Where checkpoints lie. Every method may raise OSError (on a laptop: `GpuctlError`)."""

    def entries(self, prefix: str) -> Iterable[Stored]:
        """All objects below the prefix: complete, or an error."""

    def read(self, key: str) -> Iterator[bytes]:
        """An object's bytes. FileNotFoundError when there is none."""


class Found(NamedTuple):
    """A number that was begun. `problem` None = complete, by its manifest and all sizes."""

    sequence: int
    manifest: Manifest | None
    problem: str | None


def job_name(text: str) -> str:
    """A name under which checkpoints are kept. ValueError for anything else."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a job: a-z, 0-9, '.', '_' and '-', at most 80")
    return text


def manifest_key(root: str, sequence: int) -> str:
    """Where the manifest of that number lies."""
    return f"{root}/{sequence:08d}/{MANIFEST}"


def sequence_of(root: str, key: str) -> int | None:
    """The number that an object belongs to; None for what is not ours."""
    place = _PLACE.fullmatch(key[len(root) + 1 :]) if key.startswith(f"{root}/") else None
    return int(place.group(1)) if place else None


def found(store: Store, root: str) -> list[Found]:
    """Every number below a job's root, the newest first, judged by manifests and sizes."""
    sizes: dict[str, int] = {}
    numbers = set()
    for entry in store.entries(f"{root}/"):
        sequence = sequence_of(root, entry.key)
        if sequence is not None:
            numbers.add(sequence)
            sizes[entry.key] = entry.size
    return [_judged(store, root, number, sizes) for number in sorted(numbers, reverse=True)]


def _judged(store: Store, root: str, sequence: int, sizes: dict[str, int]) -> Found:
    key = manifest_key(root, sequence)
    if key not in sizes:
        return Found(sequence, None, "not finished")
    try:
        manifest = read_manifest(whole(store, key))
    except (Damaged, FileNotFoundError) as error:
        return Found(sequence, None, f"its manifest is damaged: {error}")
    if manifest.sequence != sequence:
        return Found(sequence, None, f"its manifest is that of {manifest.sequence}")
    for file in manifest.files:
        for part in file.parts:
            there = sizes.get(f"{root}/{part.key}")
            if there != part.size:
                says = "missing" if there is None else f"{there} bytes instead of {part.size}"
                return Found(sequence, manifest, f"{file.path}: {says}")
    return Found(sequence, manifest, None)


def damage(store: Store, root: str, manifest: Manifest) -> list[str]:
    """What is wrong with a checkpoint, file by file; reads all of it. [] = it is as it was."""
    problems = []
    for file in manifest.files:
        try:
            for _ in contents(store, root, file):
                pass
        except Damaged as error:
            problems.append(f"{file.path}: {error}")
    return problems


def contents(store: Store, root: str, file: File) -> Iterator[bytes]:
    """A file's bytes, checked on the way: `Damaged` at the latest behind the last one."""
    total = hashlib.sha256()
    for part in file.parts:
        for block in part_of(store, root, part):
            total.update(block)
            yield block
    if total.hexdigest() != file.sha256:
        raise Damaged("its parts do not make the file that was saved")


def part_of(store: Store, root: str, part: Part) -> Iterator[bytes]:
    """One object's bytes, checked in the same way."""
    own, size = hashlib.sha256(), 0
    try:
        for block in store.read(f"{root}/{part.key}"):
            own.update(block)
            size += len(block)
            if size > part.size:
                break
            yield block
    except FileNotFoundError:
        raise Damaged(f"{part.key} is missing") from None
    if size != part.size or own.hexdigest() != part.sha256:
        raise Damaged(f"{part.key} is not what was saved")


def whole(store: Store, key: str) -> bytes:
    """A small object at once. `Damaged` when it is no small one."""
    data = b""
    for block in store.read(key):
        data += block
        if len(data) > _LARGEST:
            raise Damaged("it is too large")
    return data


# --- manifests ------------------------------------------------------------------------------


def write_manifest(manifest: Manifest) -> bytes:
    """As JSON, with the hash of itself."""
    body = {
        "schema": SCHEMA,
        "job": manifest.job,
        "sequence": manifest.sequence,
        "name": manifest.name,
        "step": manifest.step,
        "lease": manifest.lease,
        "saved_at": manifest.saved_at,
        "attempt": manifest.attempt,
        "milliseconds": manifest.milliseconds,
        "directories": list(manifest.directories),
        "files": [
            {
                "path": file.path,
                "size": file.size,
                "sha256": file.sha256,
                "mode": file.mode,
                "parts": [part._asdict() for part in file.parts],
            }
            for file in manifest.files
        ],
    }
    told = {"checkpoint": body, "sha256": hashlib.sha256(_canonical(body)).hexdigest()}
    return json.dumps(told, indent=1, sort_keys=True).encode()


def read_manifest(data: bytes) -> Manifest:
    """The reverse. `Damaged` for whatever was not written by `write_manifest`."""
    try:
        told = json.loads(data.decode())
        body = told["checkpoint"]
        if hashlib.sha256(_canonical(body)).hexdigest() != told["sha256"]:
            raise Damaged("its hash is another")
        if body["schema"] != SCHEMA:
            raise Damaged(f"{body['schema']!r} is not {SCHEMA}")
        return _manifest(body)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"not a manifest ({type(error).__name__})") from None
    except json.JSONDecodeError:
        raise Damaged("not JSON") from None


def _manifest(body: dict[str, Any]) -> Manifest:
    step = body["step"]
    return Manifest(
        job=_matching(_NAME, body["job"]),
        sequence=_count(body["sequence"]),
        name=_inside(body["name"]),
        step=None if step is None else _count(step),
        lease=str(body["lease"]),
        saved_at=str(body["saved_at"]),
        attempt=str(body["attempt"]),
        milliseconds=_count(body["milliseconds"]),
        directories=tuple(_inside(path) for path in body["directories"]),
        files=tuple(_file(file) for file in body["files"]),
    )


def _file(told: dict[str, Any]) -> File:
    parts = tuple(
        Part(_matching(_KEY, p["key"]), _count(p["size"]), _matching(_HASH, p["sha256"]))
        for p in told["parts"]
    )
    file = File(
        path=_inside(told["path"]),
        size=_count(told["size"]),
        sha256=_matching(_HASH, told["sha256"]),
        mode=_count(told["mode"]) & 0o777,
        parts=parts,
    )
    if sum(part.size for part in parts) != file.size:
        raise Damaged(f"{file.path}: its parts are not its size")
    return file


def _inside(path: str) -> str:
    """A path that cannot leave the directory it is put into."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise Damaged(f"{path!r} is no path inside a directory")
    return path


def _matching(shape: re.Pattern[str], text: str) -> str:
    if not shape.fullmatch(text):
        raise Damaged(f"{text!r} does not belong there")
    return text


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Damaged(f"{value!r} is no count")
    return value


def _canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
