"""Two units in `~/.config/systemd/user`: a service that runs once, and its timer."""

from collections.abc import Sequence
from pathlib import Path

from gpuctl.remote import files
from gpuctl.wiring.timers import Place, Task, Timer, steps

NAME = "gpuctl-audit"
_WORLD_READABLE = 0o644


def answers(place: Place) -> bool:
    """Whether the user's own systemd is there; in a container or over `su` it is not."""
    if not place.has("systemctl"):
        return False
    return place.ask("systemctl", "--user", "show-environment").returncode == 0


def units(task: Task) -> dict[str, str]:
    """The files by name. A run that finds something (exit 8) has not failed."""
    lines = "".join(f"Environment={_quoted(f'{k}={v}')}\n" for k, v in task.environ.items())
    service = (
        "[Unit]\n"
        "Description=gpuctl: what still costs money and is not in use\n\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"ExecStart={' '.join(_quoted(word, command=True) for word in task.argv)}\n"
        f"{lines}"
        "SuccessExitStatus=8\n"
        "TimeoutStartSec=15min\n"
    )
    timer = (
        "[Unit]\n"
        "Description=gpuctl: look for what was forgotten\n\n"
        "[Timer]\n"
        f"OnCalendar={_calendar(task)}\n"
        "Persistent=true\n"
        "RandomizedDelaySec=2min\n\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )
    return {f"{NAME}.service": service, f"{NAME}.timer": timer}


def install(task: Task, place: Place) -> Timer:
    """Write the units and start the timer. `Persistent`: what a sleeping laptop missed is run."""
    written = units(task)
    changed = [_put(_folder(place) / name, text) for name, text in written.items()]
    place.must("systemctl", "--user", "daemon-reload")
    place.must("systemctl", "--user", "enable", "--now", f"{NAME}.timer")
    if any(changed):
        place.must("systemctl", "--user", "restart", f"{NAME}.timer")
    return Timer("systemd", _paths(place), "\n".join(written.values()), changed=any(changed))


def status(place: Place) -> Timer | None:
    """What stands in the files."""
    texts = [files.read(Path(path)) for path in _paths(place)]
    return Timer("systemd", _paths(place), "\n".join(texts)) if all(texts) else None


def remove(place: Place) -> Sequence[str]:
    """Stop it and take the files away."""
    there = [path for path in _paths(place) if Path(path).exists()]
    if not there:
        return []
    if answers(place):
        place.ask("systemctl", "--user", "disable", "--now", f"{NAME}.timer")
    for path in there:
        Path(path).unlink()
    for name in (f"{NAME}.service", f"{NAME}.timer"):
        _folder(place).joinpath(f".{name}.lock").unlink(missing_ok=True)
    if answers(place):
        place.ask("systemctl", "--user", "daemon-reload")
    return there


def _put(path: Path, text: str) -> bool:
    return files.change(path, lambda _: text, _WORLD_READABLE)


def _folder(place: Place) -> Path:
    return place.config / "systemd" / "user"


def _paths(place: Place) -> tuple[str, ...]:
    return tuple(str(_folder(place) / f"{NAME}.{kind}") for kind in ("service", "timer"))


def _calendar(task: Task) -> str:
    minutes, hours = steps(task.every)
    return f"*:0/{minutes}" if minutes else f"*-*-* 0/{hours}:00:00"


def _quoted(text: str, *, command: bool = False) -> str:
    """As systemd.syntax and systemd.service have it: `%` and, in a command, `$` twice."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text.replace("$", "$$") if command else text}"'
