"""A machine's service manager: as much of systemd as a dead-man's switch and an agent need."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gpuctl.sandbox.metal.floor import Floor
from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.metal.services import Service
from gpuctl.sandbox.metal.timers import Timer
from gpuctl.sandbox.metal.units import Unit, UnitProblem, parse

_ONESHOT_LIMIT = timedelta(seconds=20)
_SIMPLE_LIMIT = timedelta(seconds=3)


class Systemd:
    """Units of one boot. `power_off` ends the machine soon, and returns before it does."""

    def __init__(
        self,
        layout: Layout,
        environ: Mapping[str, str],
        floor: Floor,
        power_off: Callable[[], None],
    ) -> None:
        self.power_off = power_off
        self._layout = layout
        self._environ = environ
        self._floor = floor
        self._booted = floor.clock.now()
        self._transient: dict[str, Unit] = {}
        self._services: dict[str, Service] = {}
        self._timers: dict[str, Timer] = {}

    def load(self, name: str) -> Unit:
        """The unit by that name; raises `UnitProblem` (exit code 5) when there is none."""
        if name in self._transient:
            return self._transient[name]
        if "/" in name or name.startswith("."):
            raise UnitProblem(f"Invalid unit name {name!r}")
        path = self._layout.units / name
        try:
            return parse(name, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UnitProblem(f"Unit {name} not found.", 5) from None

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start a service or a timer; a oneshot service has run when this returns."""
        unit = self.load(name)
        if name.endswith(".timer"):
            timer = Timer(unit, self._floor, self._booted, self._fire)
            if known := self._timers.get(name):
                known.stop()
            self._timers[name] = timer
            timer.start()
            return
        service = self._service(unit)
        service.start()
        if wait and not service.wait_started():
            raise UnitProblem(
                f"Job for {name} failed because the control process exited with error code.\n"
                f'See "journalctl -u {name}" for details.'
            )

    def stop(self, name: str) -> None:
        """Stop it; harmless when it does not run."""
        if name in self._timers:
            self._timers[name].stop()
        elif name in self._services:
            self._services[name].stop()
        else:
            self.load(name)

    def add(self, unit: Unit) -> None:
        """A transient unit, as systemd-run makes them; raises `UnitProblem` when it is active."""
        if unit.name in self._transient and self.state(unit.name) == "active":
            raise UnitProblem(f"Failed to start transient unit: Unit {unit.name} already exists.")
        self._transient[unit.name] = unit

    def enable(self, name: str) -> None:
        """Start it at every boot from now on."""
        self.load(name)
        for link in self._links(name):
            link.parent.mkdir(exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(f"../{name}")

    def disable(self, name: str) -> None:
        """The reverse."""
        for link in self._layout.units.glob(f"*.wants/{name}"):
            link.unlink()

    def enabled(self, name: str) -> bool:
        """Whether it starts at boot."""
        return any(self._layout.units.glob(f"*.wants/{name}"))

    def start_enabled(self) -> None:
        """What a boot does. A unit that cannot start is noted in its journal."""
        for link in sorted(self._layout.units.glob("*.wants/*")):
            self._try(link.name)

    def state(self, name: str) -> str:
        """ActiveState, in systemd's words."""
        if timer := self._timers.get(name):
            return "active" if timer.active else "inactive"
        service = self._services.get(name)
        return service.state if service else "inactive"

    def timers(self) -> list[Timer]:
        """Those that are active, the next to elapse first."""
        active = [timer for timer in self._timers.values() if timer.active]
        latest = datetime.max.replace(tzinfo=UTC)
        return sorted(active, key=lambda timer: timer.next or latest)

    def show(self, name: str) -> dict[str, str]:
        """The properties that scripts ask for."""
        try:
            self.load(name)
            loaded = "loaded"
        except UnitProblem:
            loaded = "not-found"
        told = {
            "Id": name,
            "LoadState": loaded,
            "ActiveState": self.state(name),
            "UnitFileState": "enabled" if self.enabled(name) else "disabled",
        }
        if timer := self._timers.get(name):
            told |= {
                "SubState": "waiting" if timer.next else "elapsed",
                "Unit": timer.service,
                "NextElapseUSecRealtime": _stamp(timer.next),
                "LastTriggerUSec": _stamp(timer.last),
            }
        elif service := self._services.get(name):
            told |= {
                "SubState": {"active": "running", "inactive": "dead"}.get(
                    service.state, service.state
                ),
                "MainPID": str(service.pid),
                "NRestarts": str(service.restarts),
                "Result": "exit-code" if service.state == "failed" else "success",
                "ExecMainStatus": str(service.status),
            }
        return told

    def halt(self) -> None:
        """The machine goes off: nothing fires or restarts any more."""
        for timer in self._timers.values():
            timer.stop()
        for service in self._services.values():
            service.forget()

    def _service(self, unit: Unit) -> Service:
        known = self._services.get(unit.name)
        if known and not known.ended:
            return known
        made = Service(unit, self._layout, self._environ, self._after)
        self._services[unit.name] = made
        return made

    def _fire(self, name: str) -> None:
        """A timer has elapsed; while time is being advanced, see its service through."""
        self._try(name)
        service = self._services.get(name)
        if service and self._floor.clock.horizon is not None:
            limit = _ONESHOT_LIMIT if service.oneshot else _SIMPLE_LIMIT
            self._floor.serve_until(lambda: service.ended, limit)

    def _after(self, service: Service) -> None:
        failed = service.state == "failed"
        action = service.unit.get("Unit", "FailureAction" if failed else "SuccessAction", "none")
        if action.startswith("poweroff"):
            self.power_off()
        for line in service.unit.all("Unit", "OnFailure" if failed else "OnSuccess"):
            for name in line.split():
                self._try(name)

    def _try(self, name: str) -> None:
        """Start it where nobody waits for an answer: what is wrong goes to its journal."""
        try:
            self.start(name, wait=False)
        except UnitProblem as problem:
            with self._layout.journal(name).open("a", encoding="utf-8") as journal:
                journal.write(f"{problem}\n")

    def _links(self, name: str) -> list[Path]:
        unit = self.load(name)
        targets = [
            target for line in unit.all("Install", "WantedBy") for target in line.split()
        ] or (["timers.target"] if name.endswith(".timer") else [])
        return [self._layout.units / f"{target}.wants" / name for target in targets]


def _stamp(moment: datetime | None) -> str:
    return moment.strftime("%a %Y-%m-%d %H:%M:%S UTC") if moment else ""
