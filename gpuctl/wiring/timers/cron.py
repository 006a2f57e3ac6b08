"""One line of the user's crontab, between two comments by which it is found again."""

import re
import shlex
from collections.abc import Sequence

from gpuctl.core.errors import GpuctlError
from gpuctl.wiring.timers import Place, Task, Timer, steps

BEGIN, END = "# gpuctl audit: begin", "# gpuctl audit: end"
_OURS = re.compile(rf"^{re.escape(BEGIN)}$.*?^{re.escape(END)}$\n?", re.MULTILINE | re.DOTALL)


def block(task: Task) -> str:
    """The lines. cron hands them to a shell, so each word is quoted; a `%` ends a line for it."""
    minutes, hours = steps(task.every)
    when = f"*/{minutes} * * * *" if minutes else f"0 */{hours} * * *"
    environ = [f"{name}={value}" for name, value in task.environ.items()]
    line = shlex.join(["env", *environ, *task.argv]).replace("%", "\\%")
    return f"{BEGIN}\n{when} {line} >/dev/null 2>&1\n{END}\n"


def install(task: Task, place: Place) -> Timer:
    """Put the block at the end of the crontab, in its place where one was."""
    before, wanted = _read(place), block(task)
    rest = _OURS.sub("", before)
    after = (rest if not rest or rest.endswith("\n") else f"{rest}\n") + wanted
    changed = wanted not in before or len(_OURS.findall(before)) != 1
    if changed:
        place.must("crontab", "-", text=after)
    return Timer("cron", ("crontab",), wanted, changed=changed)


def status(place: Place) -> Timer | None:
    """The block as it stands there."""
    found = _OURS.search(_read(place)) if place.has("crontab") else None
    return None if found is None else Timer("cron", ("crontab",), found.group())


def remove(place: Place) -> Sequence[str]:
    """Take the block out; the rest of the crontab stays as it is."""
    if status(place) is None:
        return []
    place.must("crontab", "-", text=_OURS.sub("", _read(place)))
    return ["crontab"]


def _read(place: Place) -> str:
    """The crontab; '' where the user has none. GpuctlError rather than an empty one in doubt."""
    done = place.ask("crontab", "-l")
    if done.returncode == 0:
        return done.stdout
    if "no crontab" in done.stderr.lower():
        return ""
    raise GpuctlError(f"crontab -l ended with {done.returncode}: {done.stderr.strip()}")
