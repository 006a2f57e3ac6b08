"""Long work, told on stderr: a moving line on a terminal, one plain line a step elsewhere."""

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from gpuctl.cli.tame import harmless

if TYPE_CHECKING:
    from gpuctl.core.ports import Progress

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_ASCII = "|/-\\"
_TICK_S = 0.12


def progress_for(environ: Mapping[str, str], *, terminal: bool) -> "Progress":
    """Moving on a terminal (never under CI), plain lines otherwise."""
    prefix = "[sandbox] " if environ.get("GPUCTL_SANDBOX") else ""
    moving = terminal and not environ.get("CI") and environ.get("TERM") != "dumb"
    return _Moving(prefix) if moving else _Plain(prefix)


class _Plain:
    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        except BaseException:
            click.echo(f"{self._prefix}{text}: no ({_elapsed(began)})", err=True)
            raise
        click.echo(f"{self._prefix}{text}: done ({_elapsed(began)})", err=True)

    def note(self, text: str) -> None:
        click.echo(f"{self._prefix}{text}", err=True)


class _Moving:
    """A spinner with the step's name and the seconds since it began."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        encoding = (getattr(sys.stderr, "encoding", None) or "ascii").lower()
        self._unicode = "utf" in encoding
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[None]:
        began, stop = time.monotonic(), threading.Event()
        spinner = threading.Thread(target=self._spin, args=(text, began, stop), daemon=True)
        spinner.start()
        mark = "✗" if self._unicode else "x"
        try:
            yield
            mark = "✓" if self._unicode else "+"
        finally:
            stop.set()
            spinner.join()
            self._line(f" {mark} {self._prefix}{text}  {_elapsed(began)}\n")

    def note(self, text: str) -> None:
        self._line(f"   {self._prefix}{text}\n")

    def _spin(self, text: str, began: float, stop: threading.Event) -> None:
        for frame in itertools.cycle(_FRAMES if self._unicode else _ASCII):
            self._line(f" {frame} {self._prefix}{text}  {_elapsed(began)}")
            if stop.wait(_TICK_S):
                return

    def _line(self, text: str) -> None:
        with self._lock:
            draw = getattr(sys.stderr, "draw", sys.stderr.write)
            draw(f"\r\x1b[2K{harmless(text)}")
            sys.stderr.flush()


def _elapsed(began: float) -> str:
    seconds = int(time.monotonic() - began)
    return f"{seconds // 60}m{seconds % 60:02d}s" if seconds >= 60 else f"{seconds}s"  # noqa: PLR2004 - a minute
