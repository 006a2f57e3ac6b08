"""What every test gets: no real account in reach, a clock and ids by hand, hypothesis profiles."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from gpuctl.sandbox.control import Control
    from gpuctl.sandbox.state import SandboxState

# `ci` draws the same examples each time, so that a red run can be had again; `dev` looks further.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True, database=None)
settings.register_profile(
    "dev", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)

_FOREIGN = ("AWS_", "BOTO_", "CLOUDSDK_", "GCE_", "GOOGLE_", "GPUCTL_", "MOTO_")
_KEPT = "GPUCTL_TEST_"


def pytest_configure(config: pytest.Config) -> None:
    """Close this process off from the accounts, settings and zone of whoever runs the tests.

    Workers inherit what is set here and set their own; sockets are closed by pytest-socket,
    except to 127.0.0.1 and ::1 (pyproject.toml, addopts).
    """
    os.environ.setdefault("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev")
    settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])
    for name in list(os.environ):
        if name.startswith(_FOREIGN) and not name.startswith(_KEPT):
            del os.environ[name]
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        os.environ.pop(name, None)
    home = tempfile.TemporaryDirectory(prefix="gpuctl-tests-")
    config.add_cleanup(home.cleanup)
    os.environ |= {
        "GPUCTL_HOME": f"{home.name}/home",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CLOUDSDK_CONFIG": f"{home.name}/gcloud",
        "NO_GCE_CHECK": "true",
        # A zone half an hour off: local time that slips in is never right by luck.
        "TZ": "Asia/Kolkata",
    }
    time.tzset()


class HandClock:
    """A `Clock` that moves only when told to; its `sleep` is a `Sleep` that moves it."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **duration: float) -> datetime:
        """`clock.tick(hours=2)`; returns the new time."""
        self.now += timedelta(**duration)
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.tick(seconds=seconds)


@pytest.fixture
def clock() -> HandClock:
    """Monday 2 March 2026, 09:00 UTC."""
    return HandClock(datetime(2026, 3, 2, 9, tzinfo=UTC))


@pytest.fixture
def ids() -> Callable[[], str]:
    """A `NewId` that counts: 000…001, 000…002, each 32 hex digits."""

    def count() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield f"{number:032x}"

    return count().__next__


@pytest.fixture(scope="module")
def sandbox() -> "Iterator[SandboxState]":
    """Both emulated clouds, one start for the tests of a module."""
    from gpuctl.sandbox.process import start, stop  # noqa: PLC0415 - most tests need none

    # A short path: machines have sockets in it.
    directory = Path(tempfile.mkdtemp(prefix="gs-"))
    yield start(directory, seed=3)
    stop(directory)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def control(sandbox: "SandboxState") -> "Control":
    """The sandbox's knobs, and the sandbox as if it had just started."""
    from gpuctl.sandbox.control import Control  # noqa: PLC0415 - as above

    control = Control(sandbox)
    control.reset()
    return control
