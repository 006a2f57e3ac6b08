"""Small private files, replaced in one step and one writer at a time."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_DIRECTORY = 0o700


def read(path: Path) -> str:
    """The text; '' when there is no file."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


def replace(path: Path, text: str, mode: int = PRIVATE_FILE) -> None:
    """Write it whole or not at all; a link to the file stays a link."""
    path = path.resolve()
    path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def change(
    path: Path, how: Callable[[str], str], mode: int = PRIVATE_FILE, beside: Path | None = None
) -> bool:
    """Read, change, replace, alone; whether anything changed. The lock lies `beside` it."""
    with _alone(beside or path):
        before = read(path)
        after = how(before)
        if after == before:
            return False
        replace(path, after, mode)
        return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
