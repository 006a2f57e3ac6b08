"""The body of the sandbox's process: everything up, the state published, everything down."""

import contextlib
import faulthandler
import logging
import os
import secrets
import select
import shutil
import signal
from datetime import timedelta
from pathlib import Path

from gpuctl.sandbox.metal.web import WebServer
from gpuctl.sandbox.office import Office
from gpuctl.sandbox.process import SandboxOptions
from gpuctl.sandbox.running import Sandbox
from gpuctl.sandbox.safety import sandbox_clock_offset
from gpuctl.sandbox.state import (
    SandboxState,
    clock_file,
    metal_directory,
    state_file,
    write_private,
    write_state,
)
from gpuctl.sandbox.world import SandboxClock

_LOG = logging.getLogger("gpuctl.sandbox")
_TICK_S = 1.0


def serve(directory: Path, seed: int, options: SandboxOptions) -> None:
    """Until SIGTERM, SIGINT or the idle limit. The clock goes on from where it was left."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.ERROR)
    faulthandler.register(signal.SIGUSR1)  # where is every thread: into the log
    told = _Told()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sandbox = Sandbox(
        directory,
        _clock(directory),
        seed=seed,
        account=options.account,
        project=options.gcp_project,
        exit_after_idle=options.exit_after_idle,
    )
    _furnish(directory)
    token = secrets.token_urlsafe(24)
    office = WebServer(Office(sandbox, token).answer)
    try:
        aws, gcp = sandbox.start()
        write_state(
            SandboxState(
                directory=directory,
                pid=os.getpid(),
                aws_endpoint=aws,
                gcp_endpoint=gcp,
                control_endpoint=f"http://127.0.0.1:{office.port}",
                token=token,
                account=options.account,
                gcp_project=options.gcp_project,
                seed=seed,
            )
        )
        while not (ended := told.within(_TICK_S)) and not sandbox.forgotten():
            pass
        if not ended:
            _LOG.warning("nobody has used it for %s: it ends", options.exit_after_idle)
    finally:
        office.close()
        sandbox.close()
        state_file(directory).unlink(missing_ok=True)


class _Told:
    """Whether SIGTERM or SIGINT has come.

    Not an Event: a handler that runs while its own thread holds the Event's lock never ends.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def within(self, seconds: float) -> bool:
        """Wait that long for it at most."""
        return bool(select.select([self._read], [], [], seconds)[0])

    def _hear(self, *_: object) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"!")


def _clock(directory: Path) -> SandboxClock:
    """From the offset of the sandbox before: a ledger that is kept must not see time go back."""
    path = clock_file(directory)

    def write(offset: timedelta) -> None:
        write_private(path, f'{{"offset_seconds": {offset.total_seconds():.6f}}}\n')

    known = max(timedelta(), sandbox_clock_offset({"GPUCTL_SANDBOX": str(directory)}))
    write(known)
    return SandboxClock(known, on_change=write)


def _furnish(directory: Path) -> None:
    """Empty files for the SDKs; no machine of a sandbox before, for its clouds are gone."""
    shutil.rmtree(metal_directory(directory), ignore_errors=True)
    for name in ("home", "gcloud"):
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    for name in ("aws-config", "aws-credentials"):
        write_private(directory / name, "")
