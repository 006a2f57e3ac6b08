"""What the shims inside a machine ask of the sandbox, by the machine's own web server."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from gpuctl.sandbox.metal.floor import Floor
from gpuctl.sandbox.metal.layout import Layout
from gpuctl.sandbox.metal.systemctl import Answer, power, systemctl, systemd_run
from gpuctl.sandbox.metal.systemd import Systemd
from gpuctl.sandbox.metal.web import Reply, Request
from gpuctl.sandbox.world import Handle


class Guest:
    """The machine's side of the shims. `say` writes to its console."""

    def __init__(
        self, layout: Layout, systemd: Systemd, floor: Floor, say: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._systemd = systemd
        self._floor = floor
        self._say = say
        self._shutdown: Handle | None = None

    def answer(self, request: Request) -> Reply:
        """One shim's question: its argv as a JSON list."""
        argv = [str(word) for word in json.loads(request.body)]
        told = self.run(argv)
        return Reply(body=json.dumps(asdict(told)).encode(), kind="application/json")

    def run(self, argv: Sequence[str]) -> Answer:
        """What that command says here."""
        name, rest = argv[0], argv[1:]
        match name:
            case "systemctl":
                return systemctl(self._systemd, rest)
            case "systemd-run":
                return systemd_run(self._systemd, rest)
            case "poweroff" | "halt" | "reboot":
                return power(self._systemd, name)
            case "shutdown":
                return self._plan_shutdown(rest)
            case "wall" | "logger":
                self._say(f"{name}: {' '.join(rest)}")
                return Answer()
            case "journalctl":
                return self._journal(rest)
            case _:
                return Answer(err=f"sandbox: {name}: not emulated\n", code=1)

    def _plan_shutdown(self, argv: Sequence[str]) -> Answer:
        options = [word for word in argv if word.startswith("-")]
        words = [word for word in argv if not word.startswith("-")]
        if "-c" in options:
            if self._shutdown:
                self._shutdown.cancel()
            return Answer()
        if "-r" in options or "-H" in options or "--reboot" in options:
            return power(self._systemd, "reboot")
        at = words[0] if words else "+1"
        if at in ("now", "+0"):
            return power(self._systemd, "poweroff")
        return self._power_off_at(at)

    def _power_off_at(self, at: str) -> Answer:
        now = self._floor.clock.glance()
        try:
            when = _next(at, now) if ":" in at else now + timedelta(minutes=int(at))
        except ValueError:
            return Answer(err=f"Failed to parse time specification: {at}\n", code=1)

        def plan() -> None:
            if self._shutdown:
                self._shutdown.cancel()
            self._shutdown = self._floor.clock.call_at(when, self._off)

        self._floor.run(plan)
        return Answer(
            err=f"Shutdown scheduled for {when:%a %Y-%m-%d %H:%M:%S UTC}, use 'shutdown -c' "
            "to cancel.\n"
        )

    def _off(self) -> None:
        self._systemd.power_off()
        self._floor.serve_until(lambda: True, timedelta())

    def _journal(self, argv: Sequence[str]) -> Answer:
        words = list(argv)
        names = [words[i + 1] for i, w in enumerate(words[:-1]) if w in ("-u", "--unit")]
        names += [word.partition("=")[2] for word in words if word.startswith("--unit=")]
        out = ""
        for name in names:
            full = name if "." in name else f"{name}.service"
            path = self._layout.journal(full)
            if path.is_file():
                out += path.read_text(encoding="utf-8", errors="replace")
        return Answer(out=out or "-- No entries --\n")


def _next(at: str, now: datetime) -> datetime:
    """The next `hh:mm`; raises ValueError."""
    hour, minute = (int(part) for part in at.split(":"))
    when = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return when if when > now else when + timedelta(days=1)
