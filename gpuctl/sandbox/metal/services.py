"""A machine's services: real background processes, started again when their unit says so."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gpuctl.sandbox.metal.commands import Command, read_command, read_environment
from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.metal.units import Unit, UnitProblem, parse_span

_STOP_LIMIT_S = 5.0
_BURST = 5
_BURST_S = 10.0


class Service:
    """One service unit. Its processes run in a thread's care; times are real, not the sandbox's."""

    def __init__(
        self,
        unit: Unit,
        layout: Layout,
        environ: Mapping[str, str],
        on_end: Callable[["Service"], None],
    ) -> None:
        self.unit = unit
        self.state = "inactive"
        """systemd's ActiveState."""
        self.pid = 0
        self.status = 0
        self.restarts = 0
        self._layout = layout
        self._environ = read_environment(unit, environ, layout)
        self._on_end = on_end
        self._stop = threading.Event()
        self._settled = threading.Event()
        self._ended = threading.Event()
        self._ended.set()
        self._mutex = threading.Lock()

    @property
    def oneshot(self) -> bool:
        """Whether starting it means waiting for its end."""
        return self.unit.get("Service", "Type", "simple") == "oneshot"

    @property
    def ended(self) -> bool:
        """Nothing of it runs or will run."""
        return self._ended.is_set()

    def start(self) -> None:
        """Start it unless it runs; returns at once. Raises `UnitProblem` for bad command lines."""
        mains = self._commands("ExecStart")
        if not mains:
            raise UnitProblem(f"Unit {self.unit.name} has a bad unit file setting: no ExecStart")
        before, after = self._commands("ExecStartPre"), self._commands("ExecStopPost")
        with self._mutex:
            if not self._ended.is_set():
                return
            self._ended.clear()
            self._settled.clear()
            self._stop.clear()
            self.state, self.restarts = "activating", 0
        threading.Thread(target=self._live, args=(before, mains, after), daemon=True).start()

    def wait_started(self, limit_s: float = 600.0) -> bool:
        """Until it runs (or, oneshot, has run); whether it did not fail."""
        self._settled.wait(limit_s)
        return self.state != "failed"

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after a few seconds; returns when it has ended."""
        self._stop.set()
        self._signal(signal.SIGTERM)
        if not self._ended.wait(_STOP_LIMIT_S):
            self._signal(signal.SIGKILL)
            self._ended.wait(_STOP_LIMIT_S)
        self.state = "inactive"

    def forget(self) -> None:
        """The machine is off: never start it again."""
        self._stop.set()

    def _live(self, before: list[Command], mains: list[Command], after: list[Command]) -> None:
        started: list[float] = []
        try:
            while True:
                started.append(time.monotonic())
                self.status = self._once(before, mains)
                if self._stop.is_set() or not self._again():
                    break
                if self._too_often(started):
                    self.status = self.status or 1
                    break
                self.restarts += 1
                pause = parse_span(self.unit.get("Service", "RestartSec", "100ms"))
                if self._stop.wait(pause.total_seconds()):
                    break
            for command in after:
                self._run(command, main=False)
        finally:
            self._finish()

    def _too_often(self, started: list[float]) -> bool:
        """Five starts in ten seconds are given up, unless StartLimitIntervalSec=0."""
        if self.unit.get("Unit", "StartLimitIntervalSec") == "0":
            return False
        return len(started) >= _BURST and started[-1] - started[-_BURST] < _BURST_S

    def _finish(self) -> None:
        failed = self.status != 0 and not self._stop.is_set()
        remains = self.unit.flag("Service", "RemainAfterExit") and not self._stop.is_set()
        self.pid = 0
        self.state = "failed" if failed else "active" if remains else "inactive"
        self._ended.set()
        self._settled.set()
        if not self._stop.is_set():
            self._on_end(self)

    def _once(self, before: list[Command], mains: list[Command]) -> int:
        for command in before:
            if status := self._run(command, main=False):
                return status
        for command in mains:
            if status := self._run(command, main=True):
                return status
        return 0

    def _again(self) -> bool:
        policy = self.unit.get("Service", "Restart", "no")
        return policy == "always" or (
            self.status != 0 and policy in ("on-failure", "on-abnormal", "on-abort")
        )

    def _run(self, command: Command, *, main: bool) -> int:
        if self._stop.is_set() and main:
            return 0
        log = self._layout.journal(self.unit.name)
        place = self.unit.get("Service", "WorkingDirectory").lstrip("-")
        inside = Path(f"{self._layout.root}{place}") if place else self._layout.root
        with log.open("ab") as output:
            try:
                child = subprocess.Popen(
                    command.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=self._environ,
                    cwd=inside if inside.is_dir() else self._layout.root,
                    start_new_session=True,
                )
            except OSError as error:
                output.write(f"{command.argv[0]}: {error.strerror}\n".encode())
                return 0 if command.ignored else 203  # EXIT_EXEC
        if main:
            self.pid = child.pid
            if not self.oneshot:
                self.state = "active"
                self._settled.set()
        status = child.wait()
        return 0 if command.ignored else status

    def _signal(self, number: signal.Signals) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _commands(self, key: str) -> list[Command]:
        return [
            read_command(line, self.unit.name, self._environ, self._layout)
            for line in self.unit.all("Service", key)
        ]
