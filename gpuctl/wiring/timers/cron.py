"""One line of the user's crontab, between two comments by which it is found again."""

import re
import shlex
from collections.abc import Sequence

from gpuctl.core.errors import GpuctlError
from gpuctl.wiring.timers import Chore, Place, Task, Timer, steps


def block(task: Task) -> str:
    """The lines. cron hands them to a shell, so each word is quoted; a `%` ends a line for it."""
    minutes, hours = steps(task.every)
    when = f"*/{minutes} * * * *" if minutes else f"0 */{hours} * * *"
    environ = [f"{name}={value}" for name, value in task.environ.items()]
    line = shlex.join(["env", *environ, *task.argv]).replace("%", "\\%")
    begin, end = _comments(task.chore)
    return f"{begin}\n{when} {line} >/dev/null 2>&1\n{end}\n"


def install(task: Task, place: Place) -> Timer:
    """Put the block at the end of the crontab, in its place where one was."""
    before, wanted = _read(place), block(task)
    ours = _ours(task.chore)
    rest = ours.sub("", before)
    after = (rest if not rest or rest.endswith("\n") else f"{rest}\n") + wanted
    changed = wanted not in before or len(ours.findall(before)) != 1
    if changed:
        place.must("crontab", "-", text=after)
    return Timer("cron", ("crontab",), wanted, changed=changed)


def status(place: Place, chore: Chore) -> Timer | None:
    """The block as it stands there."""
    found = _ours(chore).search(_read(place)) if place.has("crontab") else None
    return None if found is None else Timer("cron", ("crontab",), found.group())


def remove(place: Place, chore: Chore) -> Sequence[str]:
    """Take the block out; the rest of the crontab stays as it is."""
    if status(place, chore) is None:
        return []
    place.must("crontab", "-", text=_ours(chore).sub("", _read(place)))
    return ["crontab"]


def _comments(chore: Chore) -> tuple[str, str]:
    return f"# gpuctl {chore.name}: begin", f"# gpuctl {chore.name}: end"


def _ours(chore: Chore) -> re.Pattern[str]:
    begin, end = (re.escape(comment) for comment in _comments(chore))
    return re.compile(rf"^{begin}$.*?^{end}$\n?", re.MULTILINE | re.DOTALL)


def _read(place: Place) -> str:
    """The crontab; '' where the user has none. GpuctlError rather than an empty one in doubt."""
    done = place.ask("crontab", "-l")
    if done.returncode == 0:
        return done.stdout
    if "no crontab" in done.stderr.lower():
        return ""
    raise GpuctlError(f"crontab -l ended with {done.returncode}: {done.stderr.strip()}")
