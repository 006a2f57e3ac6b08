"""A running sandbox: one clock, bare machines, and both clouds."""

import os
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from gpuctl.sandbox.aws import AwsCloud
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.metal import LoopbackMetal
from gpuctl.sandbox.state import endpoint, metal_directory, state_file
from gpuctl.sandbox.world import Boot, SandboxClock


class Sandbox:
    """Owns every part; `start` before anything else, `close` at the end."""

    def __init__(
        self,
        directory: Path,
        clock: SandboxClock,
        *,
        seed: int,
        account: str,
        project: str,
        exit_after_idle: timedelta | None,
    ) -> None:
        self.clock = clock
        self.exit_after_idle = exit_after_idle
        self.metal = LoopbackMetal(metal_directory(directory), clock)
        self._directory = directory
        self._aws = AwsCloud(clock, self.metal, seed=seed, account=account)
        self._gcp = GcpCloud(clock, self.metal, seed=seed, project=project)
        self._used = time.monotonic()
        self._requests = 0
        self._touched = 0.0
        self._over = threading.Event()
        self._clockwork = threading.Thread(
            target=clock.run_forever, args=(self._over,), name="clock", daemon=True
        )

    def start(self) -> tuple[str, str]:
        """Serve; the endpoints of AWS and Google."""
        self._clockwork.start()
        return self._aws.start(), self._gcp.start()

    def close(self) -> None:
        """Stop serving and end every process of every machine."""
        self._over.set()
        self.clock.call_in(0, lambda: None)  # wakes the clock's thread
        self._aws.stop()
        self._gcp.stop()
        self.metal.close()
        self._clockwork.join(5)

    def forgotten(self) -> bool:
        """Whether nobody has used it for too long."""
        return self.exit_after_idle is not None and self.idle() > self.exit_after_idle

    def use(self) -> None:
        """Somebody asked something of it."""
        self._used = time.monotonic()

    def idle(self) -> timedelta:
        """Real time since its last use: control, a login, a boot, a gpuctl command, an API call
        of Google (moto's are not counted: gpuctl touches the state file instead).
        """
        requests, touched = self._gcp.requests, self._state_touched()
        if (requests, touched) != (self._requests, self._touched):
            self._requests, self._touched = requests, touched
            self.use()
        return timedelta(seconds=time.monotonic() - max(self._used, self.metal.last_used))

    def cloud(self, name: str) -> AwsCloud | GcpCloud:
        """`aws` or `gcp`; ValueError for another."""
        clouds: dict[str, AwsCloud | GcpCloud] = {"aws": self._aws, "gcp": self._gcp}
        if name not in clouds:
            raise ValueError(f"no such cloud: {name} (aws, gcp)")
        return clouds[name]

    def machine(self, named: str) -> Boot:
        """The machine that is on, by name or cloud id; LookupError when it is not exactly one."""
        found = self.metal.find(named)
        if found is None:
            on = ", ".join(sorted(boot.name for boot in self.metal.running())) or "none"
            raise LookupError(f"no machine that is on is called {named} (on: {on})")
        return found

    def interrupt(self, named: str, notice_seconds: float | None) -> None:
        """The machine's own cloud takes it back, by its own rules."""
        boot = self.machine(named)
        if boot.cloud == "gcp":
            notice = {} if notice_seconds is None else {"seconds": notice_seconds}
            self._gcp.control("preempt", name=boot.name, zone=boot.zone, **notice)
        else:
            notice = {} if notice_seconds is None else {"notice_seconds": notice_seconds}
            self._aws.control("interrupt", instance_id=boot.id, **notice)

    def reset(self) -> None:
        """Empty clouds, no machines."""
        with self.clock.lock:
            self._aws.reset()
            self._gcp.reset()
            self.metal.reset()

    def truth(self) -> Mapping[str, Any]:
        """What really was, by cloud."""
        with self.clock.lock:
            return {
                "aws": {"instances": self._aws.truth(), "volumes": self._aws.volumes()},
                "gcp": self._gcp.truth(),
                "violations": [*map(str, self._aws.violations), *self._gcp.violations],
            }

    def status(self) -> Mapping[str, Any]:
        """For `Control.status`; waits for no lock."""
        limit = self.exit_after_idle
        machines = (
            {
                "id": boot.id,
                "name": boot.name,
                "cloud": boot.cloud,
                "zone": boot.zone,
                "type": boot.type,
                "port": where.port,
            }
            for boot in self.metal.running()
            if (where := endpoint(self._directory, boot.id))
        )
        return {
            "pid": os.getpid(),
            "now": self.clock.glance(),
            "offset": self.clock.offset.total_seconds(),
            "idle": self.idle().total_seconds(),
            "exit_after_idle": None if limit is None else limit.total_seconds(),
            "machines": list(machines),
        }

    def _state_touched(self) -> float:
        try:
            return state_file(self._directory).stat().st_mtime
        except OSError:
            return 0.0
