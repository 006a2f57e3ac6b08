"""A timer of this computer that runs gpuctl: by systemd, else cron; launchd on macOS.

Everything is the user's: nothing needs root, and nothing runs unless they are able to log in.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.span import format_duration

_TIMEOUT_S = 15.0
_SHORTEST, _HOUR = timedelta(minutes=5), timedelta(hours=1)

CARRIED = (
    "GPUCTL_HOME",
    "GPUCTL_CONFIG",
    "GPUCTL_LEDGER",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CONFIG",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "HTTPS_PROXY",
    "NO_PROXY",
    "PATH",
)
"""Variables that a timer gets from the shell that installs it: places and names, no secret."""


class Chore(NamedTuple):
    """A command that a timer runs: one timer each, found again by `name`."""

    name: str
    does: str
    """For the lists of systemd."""
    by_hand: str
    """What another scheduler would run."""
    passes: tuple[int, ...] = ()
    """Exit codes beside 0 that are no failure."""
    within: timedelta = timedelta(minutes=15)
    spread: timedelta = timedelta(minutes=2)
    """Of many computers not all at the same second."""


AUDIT = Chore(
    "audit", "what still costs money and is not in use", "gpuctl audit --notify", passes=(8,)
)
WATCH = Chore(
    "watch",
    "see jobs through that lost their machine",
    "gpuctl watch --once",
    # A machine may take 20 minutes until it is ready.
    within=timedelta(minutes=30),
    spread=timedelta(seconds=15),
)


class Task(NamedTuple):
    """What to run, how often, and with which variables."""

    argv: tuple[str, ...]
    every: timedelta
    environ: Mapping[str, str]
    chore: Chore = AUDIT


class Place(NamedTuple):
    """The computer as the timer's programs see it. `platform` is `sys.platform`."""

    platform: str
    home: Path
    environ: Mapping[str, str]

    @property
    def config(self) -> Path:
        """Where systemd looks for a user's units, by the XDG rules."""
        named = self.environ.get("XDG_CONFIG_HOME", "")
        return Path(named) if named.startswith("/") else self.home / ".config"

    def has(self, program: str) -> bool:
        """Whether it is on the PATH."""
        return shutil.which(program, path=self.environ.get("PATH", "")) is not None

    def ask(self, *argv: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. GpuctlError when it cannot be run or hangs."""
        found = shutil.which(argv[0], path=self.environ.get("PATH", ""))
        try:
            return subprocess.run(
                [found or argv[0], *argv[1:]],
                input=text,
                env=dict(self.environ),
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GpuctlError(f"{argv[0]} could not be run: {error}") from error

    def must(self, *argv: str, text: str | None = None) -> str:
        """The same; GpuctlError when it fails."""
        done = self.ask(*argv, text=text)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise GpuctlError(f"{' '.join(argv)} ended with {done.returncode}: {said}")
        return done.stdout


class Timer(NamedTuple):
    """A timer that is there: what keeps it, where it stands, and what it runs, as written."""

    kind: str
    """`systemd`, `cron` or `launchd`."""
    where: tuple[str, ...]
    """Files, or `crontab`."""
    text: str
    changed: bool = True
    """False = it stood there already, word for word."""


def steps(every: timedelta) -> tuple[int, int]:
    """(minutes, 0) or (0, hours). UsageProblem for what no clock strikes evenly."""
    minutes, odd = divmod(every, timedelta(minutes=1))
    if not odd and _SHORTEST <= every < _HOUR and not _HOUR % every:
        return minutes, 0
    hours, odd = divmod(every, _HOUR)
    if not odd and hours and not timedelta(days=1) % every:
        return 0, hours
    raise UsageProblem(
        f"--every {format_duration(every)} does not divide an hour or a day evenly",
        hint="5m, 10m, 15m, 20m, 30m, 1h, 2h, 3h, 4h, 6h, 8h, 12h or 24h",
    )


def install(task: Task, place: Place) -> Timer:
    """Put it there with what this computer has; in its place where one was. GpuctlError."""
    steps(task.every)
    kind = _best(place, task.chore)
    for other in _kinds(place):
        if other != kind:
            _module(other).remove(place, task.chore)
    timer: Timer = _module(kind).install(task, place)
    return timer


def status(place: Place, chore: Chore = AUDIT) -> Timer | None:
    """The timer that is there, None without one. GpuctlError where that cannot be told."""
    for kind in _kinds(place):
        timer: Timer | None = _module(kind).status(place, chore)
        if timer is not None:
            return timer
    return None


def remove(place: Place, chore: Chore = AUDIT) -> Sequence[str]:
    """Take it away, whatever keeps it: what was removed. Done again it removes nothing."""
    return [where for kind in _kinds(place) for where in _module(kind).remove(place, chore)]


def _kinds(place: Place) -> Sequence[str]:
    return ("launchd",) if place.platform == "darwin" else ("systemd", "cron")


def _best(place: Place, chore: Chore) -> str:
    if place.platform == "darwin":
        return "launchd"
    from gpuctl.wiring.timers import systemd

    if systemd.answers(place):
        return "systemd"
    if place.has("crontab"):
        return "cron"
    raise GpuctlError(
        "neither systemd nor cron answers here, so there is nothing to keep a timer",
        hint=f"have your own scheduler run: {chore.by_hand}",
    )


def _module(kind: str) -> Any:
    """Three modules of one form: `install`, `status`, `remove`."""
    import importlib

    return importlib.import_module(f"gpuctl.wiring.timers.{kind}")
