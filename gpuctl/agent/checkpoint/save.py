"""One checkpoint into the store: objects first, the manifest last, older ones after that."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gpuctl.agent.checkpoint.directory import Complete, Doubt, Piece, look
from gpuctl.agent.checkpoint.shelf import Shelf
from gpuctl.core.checkpoints import (
    MANIFEST,
    File,
    Found,
    Manifest,
    Part,
    Stored,
    found,
    manifest_key,
    sequence_of,
    write_manifest,
)

PART = 64 << 20
"""Bytes of one object: it is held in memory, so that the disk is read once."""
WORKERS = 4
KEEP = 2
DAY_S = 86_400.0
"""An attempt of another machine that is older than that, by the store's own clock, is dead."""
_ATTEMPTS = 1000


class Cancelled(Exception):
    """There is something more urgent."""


class Changed(Exception):
    """The job wrote to it or removed it meanwhile."""


class Saver:
    """Saves the checkpoints of one job on one machine, one at a time."""

    def __init__(  # noqa: PLR0913 - what the world gives it
        self,
        shelf: Shelf,
        root: str,
        job: str,
        lease: str,
        *,
        part: int = PART,
        workers: int = WORKERS,
        keep: int = KEEP,
        now: Callable[[], float] = time.time,
        random: Callable[[], str] = lambda: os.urandom(6).hex(),
    ) -> None:
        self.shelf = shelf
        self.root = root
        self.job = job
        self.lease = lease
        self.own = (lease or "none")[:32].lower() + "-"
        self.part = part
        self.workers = workers
        self.keep = max(keep, 2)
        self.now = now
        self.random = random
        self.cancelled = False
        self.sent = 0
        self.total = 0

    def save(self, one: Complete, *, renamed: bool = False) -> Manifest:
        """Upload it and make it the newest. `Changed`, `Cancelled`, OSError: it is not there.

        A process that dies at any moment leaves the checkpoints before it as they were.
        """
        began = time.monotonic()
        self.cancelled, self.sent, self.total = False, 0, one.size
        attempt = self.own + self.random()
        sequence = self.next()
        files: list[File] = []
        try:
            files = self.upload(one, "%08d/%s" % (sequence, attempt))
            unchanged(one, renamed)
            self.check(files, "%s/%08d/%s/" % (self.root, sequence, attempt))
        except (Changed, OSError):
            self.forget("%s/%08d/%s/" % (self.root, sequence, attempt))
            raise
        manifest = Manifest(
            job=self.job,
            sequence=sequence,
            name=one.name,
            step=one.step,
            lease=self.lease,
            saved_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now())),
            attempt=attempt,
            milliseconds=max(1, int((time.monotonic() - began) * 1000)),
            directories=one.directories,
            files=tuple(files),
        )
        return self.publish(manifest)

    def next(self) -> int:
        """A number that nobody has begun."""
        numbers = (sequence_of(self.root, e.key) for e in self.shelf.entries(self.root + "/"))
        return max((number for number in numbers if number is not None), default=0) + 1

    def publish(self, manifest: Manifest) -> Manifest:
        """Under the first number that nobody else takes: whoever loses goes on with the next."""
        for _ in range(_ATTEMPTS):
            key = manifest_key(self.root, manifest.sequence)
            if self.shelf.create(key, write_manifest(manifest)):
                return manifest
            sequence = max(manifest.sequence + 1, self.next())
            manifest = manifest._replace(sequence=sequence)
        raise OSError("others take every number of %s" % self.root)

    # --- objects ------------------------------------------------------------------------------

    def upload(self, one: Complete, place: str) -> list[File]:
        """Every part of every file, several at once; each is read once."""
        sent = []
        flying: deque[Future[Part]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for number, piece in enumerate(one.pieces):
                    sent.append(self.send(piece, "%s/%04d" % (place, number), pool, flying))
                return [done() for done in sent]
            except BaseException:
                self.cancelled = True
                for future in flying:
                    future.cancel()
                raise

    def send(
        self, piece: Piece, place: str, pool: ThreadPoolExecutor, flying: deque[Future[Part]]
    ) -> Callable[[], File]:
        """One file; what is returned waits for its parts. `Changed` when it is not as it was."""
        total, size = hashlib.sha256(), 0
        parts: list[Future[Part]] = []
        try:
            with open(piece.source, "rb") as file:
                while True:
                    data = file.read(self.part)
                    if not data and parts:
                        break
                    while len(flying) >= self.workers:
                        flying.popleft().result()
                    part = pool.submit(self.put, "%s-%03d" % (place, len(parts)), data)
                    parts.append(part)
                    flying.append(part)
                    total.update(data)
                    size += len(data)
        except FileNotFoundError:
            raise Changed("%s is gone" % piece.path) from None
        if size != piece.size:
            raise Changed("%s was written to while it was saved" % piece.path)
        digest = total.hexdigest()
        return lambda: File(
            piece.path, size, digest, piece.mode, tuple(part.result() for part in parts)
        )

    def put(self, key: str, data: bytes) -> Part:
        """One object, unless there is something more urgent."""
        if self.cancelled:
            raise Cancelled
        part = Part(key, len(data), hashlib.sha256(data).hexdigest())
        self.shelf.put("%s/%s" % (self.root, key), lambda: io.BytesIO(data), part.size, part.sha256)
        self.sent += part.size
        return part

    def check(self, files: list[File], prefix: str) -> None:
        """That the store has all of it: its own word, not the memory of having sent it."""
        there = {entry.key: entry.size for entry in self.shelf.entries(prefix)}
        for file in files:
            for part in file.parts:
                if there.get("%s/%s" % (self.root, part.key)) != part.size:
                    raise OSError("%s did not arrive" % part.key)

    def forget(self, prefix: str) -> None:
        """Remove what an attempt of ours has left; what cannot be removed now is removed later."""
        try:
            for entry in list(self.shelf.entries(prefix)):
                self.shelf.delete(entry.key)
        except OSError:
            pass

    # --- older ones ---------------------------------------------------------------------------

    def tidy(self) -> int:
        """Remove what is provably older than the checkpoints to keep; how many objects.

        Nothing is removed before `keep` complete ones are there. Of attempts without a
        manifest, our own dead ones go, and others' that are older by a day than the newest
        complete checkpoint, both by the store's clock.
        """
        everything = found(self.shelf, self.root)
        kept = [one for one in everything if one.problem is None][: self.keep]
        border = kept[-1].sequence if len(kept) == self.keep else 0
        entries = list(self.shelf.entries(self.root + "/"))
        doomed = self.older(everything, border) + self.dead(everything, entries, kept, border)
        there = {entry.key for entry in entries}
        removed = 0
        for key in dict.fromkeys(doomed):
            if key in there:
                self.shelf.delete(key)
                removed += 1
        return removed

    def older(self, everything: list[Found], border: int) -> list[str]:
        """Manifests below the border, each before what it names."""
        needed = self.named(one for one in everything if one.sequence >= border)
        doomed = []
        for one in everything:
            if one.sequence < border:
                doomed.append(manifest_key(self.root, one.sequence))
                doomed += [key for key in sorted(self.named([one])) if key not in needed]
        return doomed

    def dead(
        self, everything: list[Found], entries: list[Stored], kept: list[Found], border: int
    ) -> list[str]:
        """What no manifest names and nobody will name any more."""
        manifests = {manifest_key(self.root, one.sequence) for one in everything}
        there = {entry.key: entry for entry in entries}
        readable = {one.sequence for one in everything if one.manifest is not None}
        for key in manifests & set(there):
            if (sequence_of(self.root, key) or 0) not in readable:
                return []  # what it names is not known
        named = self.named(everything)
        newest = there.get(manifest_key(self.root, kept[0].sequence)) if kept else None
        limit = newest.modified - DAY_S if newest is not None else 0.0
        doomed = []
        for entry in entries:
            sequence = sequence_of(self.root, entry.key)
            if sequence is None or entry.key in named or entry.key in manifests:
                continue
            ours = entry.key.split("/")[-2].startswith(self.own)
            stray = entry.key.rpartition("/")[2].startswith(MANIFEST)
            if ours or (entry.modified < limit and (stray or sequence < border)):
                doomed.append(entry.key)
        return doomed

    def named(self, some: object) -> set[str]:
        """The keys of all objects that these name."""
        return {
            "%s/%s" % (self.root, part.key)
            for one in some  # type: ignore[attr-defined]
            if one.manifest is not None
            for file in one.manifest.files
            for part in file.parts
        }


def unchanged(one: Complete, renamed: bool) -> None:  # noqa: FBT001 - what was seen of it
    """`Changed` unless it is still what it was when it was looked at."""
    try:
        stamp = look(one.path, renamed=renamed).stamp
    except (Doubt, OSError):
        stamp = None
    if stamp != one.stamp:
        raise Changed("%s was changed while it was saved" % one.name)
