"""A property list in `~/Library/LaunchAgents`. What a sleeping Mac missed is run when it wakes."""

import plistlib
from collections.abc import Sequence
from pathlib import Path

from gpuctl.remote import files
from gpuctl.wiring.timers import Place, Task, Timer

LABEL = "dev.gpuctl.audit"
_WORLD_READABLE = 0o644


def agent(task: Task) -> str:
    """The property list."""
    told = {
        "Label": LABEL,
        "ProgramArguments": list(task.argv),
        "EnvironmentVariables": dict(task.environ),
        "StartInterval": int(task.every.total_seconds()),
        "RunAtLoad": False,
        "ProcessType": "Background",
    }
    return plistlib.dumps(told).decode()


def install(task: Task, place: Place) -> Timer:
    """Write it and load it anew."""
    path, wanted = _path(place), agent(task)
    changed = files.change(path, lambda _: wanted, _WORLD_READABLE)
    if changed:
        place.ask("launchctl", "unload", str(path))
    place.must("launchctl", "load", "-w", str(path))
    return Timer("launchd", (str(path),), wanted, changed=changed)


def status(place: Place) -> Timer | None:
    """What stands in the file."""
    text = files.read(_path(place))
    return Timer("launchd", (str(_path(place)),), text) if text else None


def remove(place: Place) -> Sequence[str]:
    """Unload it and take the file away."""
    path = _path(place)
    if not path.exists():
        return []
    place.ask("launchctl", "unload", "-w", str(path))
    path.unlink()
    path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
    return [str(path)]


def _path(place: Place) -> Path:
    return place.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
