"""Which files of a directory are worth copying."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gpuctl.remote.ignore import Ignore

IGNORE_FILE = ".gpuctlignore"


@dataclass(frozen=True, slots=True)
class Selection:
    """Relative paths of plain files and links, sorted; `skipped` are links that lead outside
    and what is neither file nor link (sockets, devices).
    """

    files: tuple[PurePosixPath, ...]
    skipped: tuple[PurePosixPath, ...] = ()


def select(source: Path, exclude: Sequence[str] = ()) -> Selection:
    """The files below `source`: what git would add where it is a work tree, else all of them.

    `.gpuctlignore` and `exclude` (patterns as in .gitignore) take away from that; `.git` never
    goes along. No link is followed.
    """
    root = source.resolve()
    ignored = Ignore([*_patterns(root / IGNORE_FILE), *exclude])
    files: list[PurePosixPath] = []
    skipped: list[PurePosixPath] = []
    for path in sorted({path for path in _candidates(root) if not ignored(path)}):
        (files if _safe(root, root / path) else skipped).append(path)
    return Selection(tuple(files), tuple(skipped))


def _candidates(root: Path) -> Iterator[PurePosixPath]:
    listed = _git_files(root)
    if listed is None:
        yield from _all_files(root)
        return
    for name in listed:
        path = root / name
        if path.is_dir() and not path.is_symlink():  # a submodule, or a repository within
            yield from (PurePosixPath(name) / below for below in _candidates(path))
        elif os.path.lexists(path):
            yield PurePosixPath(name)


def _git_files(root: Path) -> list[str] | None:
    argv = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=_git_environ()
        )
    except FileNotFoundError:
        return None
    if done.returncode:
        return None
    names = [os.fsdecode(name).rstrip("/") for name in done.stdout.split(b"\0") if name]
    return [name for name in names if name]


def _git_environ() -> dict[str, str]:
    # A hook that calls gpuctl has GIT_DIR set, which would name another repository.
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def _all_files(root: Path) -> Iterator[PurePosixPath]:
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name != ".git" and name not in links]
        for name in [*names, *links]:
            if name != ".git":
                yield PurePosixPath((here / name).relative_to(root).as_posix())


def _safe(root: Path, path: Path) -> bool:
    if not path.is_symlink():
        return path.is_file()
    target = path.readlink()
    there = Path(os.path.normpath(path.parent / target))
    return not target.is_absolute() and there.is_relative_to(root)


def _patterns(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.is_file() else []
