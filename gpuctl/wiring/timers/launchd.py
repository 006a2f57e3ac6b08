"""A property list in `~/Library/LaunchAgents`. What a sleeping Mac missed is run when it wakes."""

import plistlib
from collections.abc import Sequence
from pathlib import Path

from gpuctl.remote import files
from gpuctl.wiring.timers import Chore, Place, Task, Timer

_WORLD_READABLE = 0o644


def agent(task: Task) -> str:
    """The property list."""
    told = {
        "Label": _label(task.chore),
        "ProgramArguments": list(task.argv),
        "EnvironmentVariables": dict(task.environ),
        "StartInterval": int(task.every.total_seconds()),
        "RunAtLoad": False,
        "ProcessType": "Background",
    }
    return plistlib.dumps(told).decode()


def install(task: Task, place: Place) -> Timer:
    """Write it and load it anew."""
    path, wanted = _path(place, task.chore), agent(task)
    changed = files.change(path, lambda _: wanted, _WORLD_READABLE)
    if changed:
        place.ask("launchctl", "unload", str(path))
    place.must("launchctl", "load", "-w", str(path))
    return Timer("launchd", (str(path),), wanted, changed=changed)


def status(place: Place, chore: Chore) -> Timer | None:
    """What stands in the file."""
    path = _path(place, chore)
    text = files.read(path)
    return Timer("launchd", (str(path),), text) if text else None


def remove(place: Place, chore: Chore) -> Sequence[str]:
    """Unload it and take the file away."""
    path = _path(place, chore)
    if not path.exists():
        return []
    place.ask("launchctl", "unload", "-w", str(path))
    path.unlink()
    path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
    return [str(path)]


def _path(place: Place, chore: Chore) -> Path:
    return place.home / "Library" / "LaunchAgents" / f"{_label(chore)}.plist"


def _label(chore: Chore) -> str:
    return f"dev.gpuctl.{chore.name}"
