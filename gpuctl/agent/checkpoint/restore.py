"""The newest checkpoint that verifies, into the job's directory: whole or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gpuctl.agent.checkpoint.directory import MARKER
from gpuctl.agent.checkpoint.shelf import flush
from gpuctl.core.checkpoints import Damaged, File, Manifest, Part, Store, found, part_of

WORKERS = 4
_TRIES = 3
_PREFIX = ".gpuctl-restore-"


def restore(
    store: Store, root: str, folder: str, say: Callable[[str], None], *, workers: int = WORKERS
) -> Manifest | None:
    """Put it there under its own name; None when nothing was ever saved.

    `Damaged` when there are checkpoints and none of them is as it was saved: whoever begins
    anew then must want to. OSError when the store or the disk fails.
    """
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if name.startswith(_PREFIX):
            shutil.rmtree(os.path.join(folder, name))
    tried: set[int] = set()
    begun = False
    while True:
        # Looked at anew each time: a machine that still saves may remove what we chose.
        some = [one for one in found(store, root) if one.sequence not in tried]
        begun = begun or any(one.problem != "not finished" for one in some)
        for one in some:
            if one.problem is not None and one.problem != "not finished":
                say("checkpoint %d is passed over: %s" % (one.sequence, one.problem))
        tried |= {one.sequence for one in some if one.problem is not None}
        good = next((one for one in some if one.problem is None), None)
        if good is None or good.manifest is None:
            break
        tried.add(good.sequence)
        try:
            put(store, root, good.manifest, folder, workers)
        except Damaged as damage:
            say("checkpoint %d is passed over: %s" % (good.sequence, damage))
            continue
        return good.manifest
    if begun:
        raise Damaged("there are checkpoints, and none of them is as it was saved")
    return None


def put(store: Store, root: str, manifest: Manifest, folder: str, workers: int) -> None:
    """Written under another name, flushed, renamed."""
    part = os.path.join(folder, _PREFIX + manifest.attempt)
    os.mkdir(part)
    try:
        for path in manifest.directories:
            os.makedirs(os.path.join(part, path), exist_ok=True)
        with ThreadPoolExecutor(workers) as pool:
            work = []
            for file in manifest.files:
                path = os.path.join(part, file.path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as made:
                    made.truncate(file.size)
                at = 0
                for piece in file.parts:
                    work.append(pool.submit(fetch, store, root, piece, path, at))
                    at += piece.size
            for done in work:
                done.result()
        for file in manifest.files:
            finish(os.path.join(part, file.path), file)
        if any(file.path == MARKER for file in manifest.files):
            os.utime(os.path.join(part, MARKER))  # it says that nothing in it is newer
        for path, _, _ in os.walk(part):
            flush(path)
        os.rename(part, os.path.join(folder, manifest.name))
        flush(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def fetch(store: Store, root: str, part: Part, path: str, at: int) -> None:
    """One object to its place in the file; a connection that breaks off is taken up again."""
    for number in range(_TRIES):
        try:
            with open(path, "r+b") as file:
                file.seek(at)
                file.writelines(part_of(store, root, part))
        except PermissionError:
            raise
        except OSError:
            if number == _TRIES - 1:
                raise
            time.sleep(number)
        else:
            return


def finish(path: str, file: File) -> None:
    """Its rights, and down to the disk."""
    with open(path, "r+b") as made:
        os.fsync(made.fileno())
    os.chmod(path, file.mode | 0o600)
