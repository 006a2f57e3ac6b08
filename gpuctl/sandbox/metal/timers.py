"""A machine's timers, on the sandbox's clock: `advance` fires them when they are due."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from gpuctl.sandbox.metal.floor import Floor
from gpuctl.sandbox.metal.units import Unit, UnitProblem, parse_calendar, parse_span
from gpuctl.sandbox.world import Handle


class Timer:
    """One timer unit, as systemd treats it.

    An absolute calendar time that is past when the timer starts never comes; a span since boot
    that is past comes at once. `fire` is called under the clock's lock.
    """

    def __init__(
        self, unit: Unit, floor: Floor, booted: datetime, fire: Callable[[str], None]
    ) -> None:
        self.unit = unit
        self.active = False
        self.last: datetime | None = None
        self._floor = floor
        self._booted = booted
        self._fire = fire
        self._planned: dict[datetime, Handle] = {}
        self._every = self._repeats()

    @property
    def service(self) -> str:
        """The unit it starts."""
        stem = self.unit.name.removesuffix(".timer")
        return self.unit.get("Timer", "Unit", f"{stem}.service")

    @property
    def next(self) -> datetime | None:
        """When it elapses next, in the sandbox's time."""
        return min(self._planned, default=None)

    def start(self) -> None:
        """Plan it; raises `UnitProblem` for times it cannot read."""
        self._floor.run(self._start)

    def stop(self) -> None:
        """Call it off."""
        for handle in self._planned.values():
            handle.cancel()
        self._planned.clear()
        self.active = False

    def _start(self) -> None:
        self.stop()
        now = self._floor.clock.now()
        self.active = True
        times = [at for at in self._calendar() if at > now]
        since_boot = self._spans("OnBootSec") + self._spans("OnStartupSec")
        times += [self._after_boot(span, now) for span in since_boot]
        times += [now + span for span in self._spans("OnActiveSec")]
        for at in times:
            self._plan(at)

    def _plan(self, at: datetime) -> None:
        if at not in self._planned:
            self._planned[at] = self._floor.clock.call_at(at, lambda: self._elapse(at))

    def _elapse(self, at: datetime) -> None:
        self._planned.pop(at, None)
        if not self.active:
            return
        clock = self._floor.clock
        self.last = clock.now()
        self._fire(self.service)
        if self._every and self.active:
            # A jump of twenty days is one elapse, as for a computer that slept so long.
            after = clock.now() + self._every
            self._plan(max(after, clock.horizon) if clock.horizon else after)

    def _after_boot(self, span: timedelta, now: datetime) -> datetime:
        """A machine's /proc is this computer's: who counts from the uptime read there means that.

        A span shorter than that uptime cannot have been counted so: it is since the boot.
        """
        up = _uptime()
        if up and span >= up:
            return now + (span - up)
        return max(now, self._booted + span)

    def _calendar(self) -> list[datetime]:
        return [parse_calendar(text) for text in self.unit.all("Timer", "OnCalendar")]

    def _spans(self, key: str) -> list[timedelta]:
        return [parse_span(text) for text in self.unit.all("Timer", key)]

    def _repeats(self) -> timedelta | None:
        spans = self._spans("OnUnitActiveSec") + self._spans("OnUnitInactiveSec")
        if any(span <= timedelta() for span in spans):
            raise UnitProblem(f"{self.unit.name}: a span that is not positive")
        return min(spans, default=None)


def _uptime() -> timedelta | None:
    """This computer's, in whole seconds as scripts read it; None where there is no /proc."""
    try:
        text = Path("/proc/uptime").read_text(encoding="ascii")
        return timedelta(seconds=int(float(text.split()[0])))
    except (OSError, ValueError, IndexError):
        return None
