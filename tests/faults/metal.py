"""Bare machines that do one thing: power themselves off at the deadline they were started with.

They read it out of the script that was really sent, so a machine launched without a switch
never ends. `ssh` to one is a shell script (`SSH`) that answers as the agent on it would.
"""

import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path

from gpuctl.core.span import format_time, parse_time
from gpuctl.sandbox.world import Boot, Handle, NoMetal, SandboxClock

SSH = """\
#!/bin/sh
for word; do case $word in HostKeyAlias=*) id=${word#*=} ;; esac; last=$word; done
told="$FAULTS_GUARDS/$id"
[ -f "$told" ] || exit 255
case $last in
    *extend*)
        at=$(printf '%s' "$last" | grep -o '[0-9]*-[0-9]*-[0-9]*T[0-9:]*Z')
        printf '{"lease": "x", "deadline": "%s", "ceiling": "%s"}\\n' "$at" "$at" >"$told.new"
        mv "$told.new" "$told" ;;
esac
cat "$told"
"""

_TOLD = re.compile(rb"^(deadline|ceiling)=(\d+)$", re.MULTILINE)


class Switches(NoMetal):
    """The dead-man's switches of all machines, on the sandbox's clock."""

    def __init__(self, clock: SandboxClock, guards: Path) -> None:
        self._clock, self._guards = clock, guards
        self._plans: dict[str, Handle] = {}

    def boot(self, boot: Boot, on_poweroff) -> None:
        script = boot.user_data
        script = gzip.decompress(script) if script[:2] == b"\x1f\x8b" else script
        told = {name.decode(): _time(value) for name, value in _TOLD.findall(script)}
        if "deadline" not in told:
            return
        guard = self._guards / boot.id
        guard.write_text(
            json.dumps({"lease": "x"} | {name: format_time(at) for name, at in told.items()})
        )
        self._plan(boot.id, told["deadline"], on_poweroff)

    def power_off(self, machine: str) -> None:
        plan = self._plans.pop(machine, None)
        if plan is not None:
            plan.cancel()
        (self._guards / machine).unlink(missing_ok=True)

    def destroy(self, machine: str) -> None:
        self.power_off(machine)

    def deadline(self, machine: str) -> datetime | None:
        """When that machine will end itself; None = never."""
        guard = self._guards / machine
        if machine not in self._plans or not guard.exists():
            return None
        return parse_time(json.loads(guard.read_text())["deadline"])

    def _plan(self, machine: str, at: datetime, on_poweroff) -> None:
        def due() -> None:
            later = parse_time(json.loads((self._guards / machine).read_text())["deadline"])
            if later > at:
                self._plan(machine, later, on_poweroff)
            else:
                on_poweroff()

        self._plans[machine] = self._clock.call_at(at, due)


def _time(epoch: bytes) -> datetime:
    return datetime.fromtimestamp(int(epoch), UTC)
