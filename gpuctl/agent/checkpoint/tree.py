"""The tree that a job began with, beside its checkpoints: what a leg started elsewhere runs.

It is one archive, kept as checkpoints are (hashed, the manifest last), once for each job. The
machine writes and reads it with its own identity: no laptop needs a right to write to the bucket,
and a later leg runs the very code of the first, whatever was edited since.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable

from gpuctl.agent.checkpoint.directory import look
from gpuctl.agent.checkpoint.restore import restore
from gpuctl.agent.checkpoint.save import Saver
from gpuctl.agent.checkpoint.shelf import Shelf
from gpuctl.core.checkpoints import Damaged, found

LARGEST = 2 << 30
"""Bytes: more than that is data, which belongs in a bucket of its own."""
_FILE = "tree.tar"


def tree_root(root: str, tree: str) -> str:
    """Where it lies: below the job's checkpoints, which have numbers for names."""
    return "%s/tree-%s" % (root, tree)


def save_tree(shelf: Shelf, root: str, job: str, lease: str, own: str, leave: str) -> str:
    """Archive the working directory without `leave`, unless it is there already; in words."""
    if any(one.problem is None for one in found(shelf, root)):
        return "the tree is kept already"
    part, folder = os.path.join(own, ".tree"), os.path.join(own, "tree")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    os.makedirs(part)
    try:
        files = _pack(os.path.join(part, _FILE), leave)
        size = os.path.getsize(os.path.join(part, _FILE))
        os.rename(part, folder)  # complete in one step, as any checkpoint
        Saver(shelf, root, job, lease).save(look(folder, renamed=True), renamed=True)
    finally:
        for old in (part, folder):
            shutil.rmtree(old, ignore_errors=True)
    return "the tree (%d files, %d bytes) is kept for legs on other machines" % (files, size)


def fetch_tree(shelf: Shelf, root: str, own: str, say: Callable[[str], None]) -> int:
    """Unpack it into the working directory: how many files. `Damaged`, OSError."""
    folder = os.path.join(own, "fetched")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        manifest = restore(shelf, root, folder, say)
        if manifest is None:
            raise Damaged("the tree that the job began with is not in the bucket")
        return _unpack(os.path.join(folder, manifest.name, _FILE))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pack(path: str, leave: str) -> int:
    count = size = 0
    with tarfile.open(path, "w") as archive:
        for folder, folders, names in os.walk("."):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            folders[:] = sorted(
                name
                for name in folders
                if name not in links and os.path.abspath(os.path.join(folder, name)) != leave
            )
            for name in sorted(names + links):
                file = os.path.join(folder, name)
                if not (os.path.isfile(file) or os.path.islink(file)):
                    continue
                size += os.lstat(file).st_size
                if size > LARGEST:
                    raise OSError("the tree is larger than %d bytes" % LARGEST)
                archive.add(file, recursive=False)
                count += 1
    return count


def _unpack(path: str) -> int:
    here = os.path.abspath(".")
    count = 0
    with tarfile.open(path) as archive:
        for member in archive:
            target = os.path.abspath(member.name)
            if not target.startswith(here + os.sep) or not (member.isfile() or member.issym()):
                raise Damaged("%r does not belong into a tree" % member.name)
            if os.path.realpath(os.path.dirname(target)) != os.path.dirname(target):
                raise Damaged("%r lies behind a link" % member.name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.lexists(target):
                os.unlink(target)
            if member.issym():
                os.symlink(member.linkname, target)
            else:
                source = archive.extractfile(member)
                assert source is not None  # noqa: S101 - it is a file
                with source, open(target, "wb") as made:
                    shutil.copyfileobj(source, made)
                os.chmod(target, member.mode & 0o777)
            count += 1
    return count
