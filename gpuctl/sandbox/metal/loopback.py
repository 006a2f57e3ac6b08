"""All bare machines of a sandbox (the `Metal` of gpuctl.sandbox.world)."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from gpuctl.sandbox.metal.floor import Floor
from gpuctl.sandbox.metal.kept import Kept
from gpuctl.sandbox.metal.loop import Loop
from gpuctl.sandbox.metal.machine import Current, Machine
from gpuctl.sandbox.processes import kill_all
from gpuctl.sandbox.world import Boot, Notice, SandboxClock

_SETTLE = timedelta(seconds=20)


class LoopbackMetal:
    """Machines under one directory, named by their cloud ids. Nothing listens off loopback.

    `clock_file` is the sandbox's clock.json, which the machines' processes follow.
    """

    def __init__(
        self, directory: Path, clock: SandboxClock, *, clock_file: Path | None = None
    ) -> None:
        self.clock = clock
        self.last_used = time.monotonic()
        """When somebody last booted or logged in: real, monotonic seconds."""
        self._directory = directory.resolve()
        self._clock_file = clock_file or self._directory.parent / "clock.json"
        self._floor = Floor(clock)
        self._kept = Kept(self._directory / ".images")
        self._loop = Loop()
        self._machines: dict[str, Machine] = {}
        self._directory.mkdir(parents=True, exist_ok=True)

    def boot(self, boot: Boot, on_poweroff: Callable[[], None]) -> None:
        """Start it (again: its directory is kept); SSH answers when this returns.

        While time is being advanced, its first script is seen through before time goes on:
        otherwise a jump would overtake the deadline that the script arms.
        """
        self._use()
        with self.clock.lock:
            machine = self._machine(boot.id)
            self._kept.restore(boot.image, machine.layout.root)
            machine.boot(boot, on_poweroff)
            if self.clock.horizon is not None and (current := machine.current):
                self._floor.serve_until(current.script.done.is_set, _SETTLE)

    def power_off(self, id: str) -> None:  # noqa: A002 - the clouds' own word
        """Stop all that runs on it, keep its directory. Idempotent."""
        with self.clock.lock:
            if machine := self._machines.get(id):
                machine.power_off()

    def destroy(self, id: str) -> None:  # noqa: A002
        """Stop it and remove its directory. Idempotent."""
        with self.clock.lock:
            if machine := self._machines.pop(id, None):
                machine.destroy()

    def notify(self, id: str, notice: Notice | None) -> None:  # noqa: A002
        """Put a notice into its metadata service, or take all back; nothing when it is off."""
        if current := self._current(id):
            current.facts.notify(notice)

    def set_tags(self, id: str, tags: Mapping[str, str]) -> None:  # noqa: A002
        """Change what its metadata service says of tags (AWS) or attributes (Google)."""
        if current := self._current(id):
            current.facts.set_tags(tags)

    def authorize(self, id: str, keys: Sequence[str]) -> None:  # noqa: A002
        """Replace its user's authorized keys (Google's ssh-keys metadata is live)."""
        if current := self._current(id):
            self._machines[id].authorize(current.boot.user, keys)

    def keep_image(self, id: str, image: str) -> None:  # noqa: A002
        """Copy its disk as it is now; machines of that image start with it. KeyError: no such."""
        with self.clock.lock:
            self._kept.keep(image, self._machines[id].layout.root)

    def copy_image(self, image: str, copy: str) -> None:
        """Another image of the same files."""
        with self.clock.lock:
            self._kept.copy(image, copy)

    def console(self, id: str) -> str:  # noqa: A002
        """Its console output, with the host keys as cloud-init prints them."""
        machine = self._machines.get(id)
        return machine.console.read() if machine else ""

    def host_keys(self, id: str) -> Sequence[str]:  # noqa: A002
        """Its public host keys, `ssh-ed25519 AAAA…`."""
        machine = self._machines.get(id)
        return machine.host_keys() if machine else ()

    def find(self, named: str) -> Boot | None:
        """The running machine by cloud id, name or name tag; None when none or several match."""
        running = [
            machine.current.boot for machine in tuple(self._machines.values()) if machine.current
        ]
        exact = [boot for boot in running if boot.id == named]
        by_name = [b for b in running if named in (b.name, b.tags.get("Name"))]
        matches = exact or by_name
        return matches[0] if len(matches) == 1 else None

    def running(self) -> Sequence[Boot]:
        """What every machine that is on was booted with."""
        return [m.current.boot for m in tuple(self._machines.values()) if m.current]

    def set_gpu(self, id: str, *, busy: bool) -> None:  # noqa: A002
        """What nvidia-smi says there from now on. KeyError for a machine that is off."""
        if self._current(id) is None:
            raise KeyError(id)
        word = "busy" if busy else "idle"
        self._machines[id].layout.gpu_load.write_text(word, encoding="utf-8")

    def settle(self, limit: timedelta = _SETTLE) -> bool:
        """Wait (without the lock) until every first script has ended; whether they all have."""
        end = time.monotonic() + limit.total_seconds()
        for machine in tuple(self._machines.values()):
            if current := machine.current:
                current.script.done.wait(max(0.0, end - time.monotonic()))
        return all(
            machine.current is None or machine.current.script.done.is_set()
            for machine in tuple(self._machines.values())
        )

    def reset(self) -> None:
        """Destroy every machine."""
        with self.clock.lock:
            for machine in tuple(self._machines.values()):
                machine.destroy()
            self._machines.clear()
            self._kept.clear()

    def close(self) -> None:
        """Power everything off and end the servers' thread; directories stay."""
        with self.clock.lock:
            for machine in self._machines.values():
                machine.power_off()
            kill_all(self._directory)
        self._loop.close()

    def _machine(self, id: str) -> Machine:  # noqa: A002
        if not id or id.startswith(".") or "/" in id:
            raise ValueError(f"not a machine's id: {id!r}")
        if id not in self._machines:
            directory = self._directory / id
            directory.mkdir(parents=True, exist_ok=True)
            self._machines[id] = Machine(
                directory, self._floor, self._loop, self._clock_file, self._use
            )
        return self._machines[id]

    def _current(self, id: str) -> Current | None:  # noqa: A002
        machine = self._machines.get(id)
        return machine.current if machine else None

    def _use(self) -> None:
        self.last_used = time.monotonic()
