"""Two units in `~/.config/systemd/user`: a service that runs once, and its timer."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from gpuctl.remote import files
from gpuctl.wiring.timers import Chore, Place, Task, Timer, steps

_WORLD_READABLE = 0o644


def answers(place: Place) -> bool:
    """Whether the user's own systemd is there; in a container or over `su` it is not."""
    if not place.has("systemctl"):
        return False
    return place.ask("systemctl", "--user", "show-environment").returncode == 0


def units(task: Task) -> dict[str, str]:
    """The files by name. An audit that finds something (exit 8) has not failed."""
    chore, name = task.chore, _name(task.chore)
    passes = "".join(f"SuccessExitStatus={code}\n" for code in chore.passes)
    lines = "".join(f"Environment={_quoted(f'{k}={v}')}\n" for k, v in task.environ.items())
    service = (
        "[Unit]\n"
        f"Description=gpuctl: {chore.does}\n\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"ExecStart={' '.join(_quoted(word, command=True) for word in task.argv)}\n"
        f"{lines}"
        f"{passes}"
        f"TimeoutStartSec={_seconds(chore.within)}\n"
    )
    timer = (
        "[Unit]\n"
        f"Description=gpuctl, by itself: {chore.does}\n\n"
        "[Timer]\n"
        f"OnCalendar={_calendar(task)}\n"
        "Persistent=true\n"
        f"RandomizedDelaySec={_seconds(chore.spread)}\n\n"
        "[Install]\n"
        "WantedBy=timers.target\n"
    )
    return {f"{name}.service": service, f"{name}.timer": timer}


def install(task: Task, place: Place) -> Timer:
    """Write the units and start the timer. `Persistent`: what a sleeping laptop missed is run."""
    written, name = units(task), _name(task.chore)
    changed = [_put(_folder(place) / file, text) for file, text in written.items()]
    place.must("systemctl", "--user", "daemon-reload")
    place.must("systemctl", "--user", "enable", "--now", f"{name}.timer")
    if any(changed):
        place.must("systemctl", "--user", "restart", f"{name}.timer")
    where = _paths(place, task.chore)
    return Timer("systemd", where, "\n".join(written.values()), changed=any(changed))


def status(place: Place, chore: Chore) -> Timer | None:
    """What stands in the files."""
    where = _paths(place, chore)
    texts = [files.read(Path(path)) for path in where]
    return Timer("systemd", where, "\n".join(texts)) if all(texts) else None


def remove(place: Place, chore: Chore) -> Sequence[str]:
    """Stop it and take the files away."""
    name = _name(chore)
    there = [path for path in _paths(place, chore) if Path(path).exists()]
    if not there:
        return []
    if answers(place):
        place.ask("systemctl", "--user", "disable", "--now", f"{name}.timer")
    for path in there:
        Path(path).unlink()
    for file in (f"{name}.service", f"{name}.timer"):
        _folder(place).joinpath(f".{file}.lock").unlink(missing_ok=True)
    if answers(place):
        place.ask("systemctl", "--user", "daemon-reload")
    return there


def _put(path: Path, text: str) -> bool:
    return files.change(path, lambda _: text, _WORLD_READABLE)


def _folder(place: Place) -> Path:
    return place.config / "systemd" / "user"


def _paths(place: Place, chore: Chore) -> tuple[str, ...]:
    return tuple(str(_folder(place) / f"{_name(chore)}.{kind}") for kind in ("service", "timer"))


def _name(chore: Chore) -> str:
    return f"gpuctl-{chore.name}"


def _seconds(span: timedelta) -> str:
    return f"{int(span.total_seconds())}s"


def _calendar(task: Task) -> str:
    minutes, hours = steps(task.every)
    return f"*:0/{minutes}" if minutes else f"*-*-* 0/{hours}:00:00"


def _quoted(text: str, *, command: bool = False) -> str:
    """As systemd.syntax and systemd.service have it: `%` and, in a command, `$` twice."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text.replace("$", "$$") if command else text}"'
