"""What the program notes of its own doings: into a file of its own, on stderr with --debug."""

import logging
import os
from pathlib import Path

from gpuctl.cli.tame import harmless

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_LARGEST = 1_000_000


class _Tamed(logging.Formatter):
    """What clouds said cannot drive the terminal of whoever reads the file."""

    def format(self, record: logging.LogRecord) -> str:
        return harmless(super().format(record))


def set_up(directory: Path, *, debug: bool) -> None:
    """Take gpuctl's own records; the SDKs' may hold requests with signatures, and are not kept."""
    log = logging.getLogger("gpuctl")
    if log.handlers:
        return
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    log.propagate = False
    log.addHandler(_file(directory))
    if debug:
        log.addHandler(logging.StreamHandler())


def _file(directory: Path) -> logging.Handler:
    """Its own directory, readable by its owner only; nothing at all where it cannot be written."""
    path = directory / "gpuctl.log"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LARGEST:
            path.replace(path.with_suffix(".log.1"))
        os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        handler: logging.Handler = logging.FileHandler(
            path, delay=True, encoding="utf-8", errors="backslashreplace"
        )
    except OSError:
        return logging.NullHandler()
    handler.setFormatter(_Tamed(_FORMAT))
    return handler
