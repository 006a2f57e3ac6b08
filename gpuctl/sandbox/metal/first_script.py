"""User-data and startup scripts: really run, once an instance on AWS, at every boot on Google."""

import gzip
import io
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from gpuctl.sandbox.metal.console import Console
from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.world import Boot

_LIMIT = 64 * 1024 * 1024
"""Bytes of an unpacked script: more is a mistake or a bomb."""


class FirstScript:
    """One boot's script, in the background; `done` when it has ended, or there is none."""

    def __init__(self, boot: Boot, layout: Layout, console: Console) -> None:
        self.done = threading.Event()
        self._boot = boot
        self._layout = layout
        self._console = console
        self._finished = layout.instance / "boot-finished"
        self._ran = layout.instance / "sem-user-data"

    def start(self, environ: Mapping[str, str], alive: Callable[[], bool]) -> None:
        """Run it unless it has run for this instance, or is no script."""
        self._finished.unlink(missing_ok=True)
        script = self._script()
        if script is None:
            self._finish()
            return
        self._ran.touch()
        with self._console.path.open("ab") as output:
            try:
                child = subprocess.Popen(
                    [str(script)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(environ),
                    cwd=self._layout.root,
                    start_new_session=True,
                )
            except OSError as error:
                self._console.say(f"{self._label()}: {error}")
                self._finish()
                return
        threading.Thread(target=self._await, args=(child, alive), daemon=True).start()

    def _await(self, child: "subprocess.Popen[bytes]", alive: Callable[[], bool]) -> None:
        status = child.wait()
        if alive():
            self._console.say(f"{self._label()} exit status {status}")
            self._finish()
        self.done.set()

    def _finish(self) -> None:
        self._finished.touch()
        self.done.set()

    def _script(self) -> Path | None:
        data = self._boot.user_data
        if not data or (self._boot.cloud == "aws" and self._ran.exists()):
            return None
        if data.startswith(b"\x1f\x8b"):
            data = _unpack(data)
        if not data.startswith(b"#!"):
            self._console.say(f"{self._label()}: not a script, ignored")
            return None
        path = self._layout.instance / "user-data.sh"
        path.write_bytes(data)
        path.chmod(0o700)
        return path

    def _label(self) -> str:
        return "startup-script" if self._boot.cloud == "gcp" else "cloud-init: user-data"


def _unpack(data: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(_LIMIT)
    except (OSError, EOFError):
        return b""
