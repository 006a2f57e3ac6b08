"""Whether a command in the sandbox's environment could reach a real cloud. Standard library only.

Imported by every command: it must stay light.
"""

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from gpuctl.core.errors import UsageProblem

DUMMY_KEY = "sandbox"
"""The access key id and secret of the sandbox: no real one looks like this."""

_FIX = 'eval "$(gpuctl sandbox env)"   (or open a new shell to leave the sandbox)'


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise `UsageProblem` when a command would mix the sandbox with something real.

    Without GPUCTL_SANDBOX nothing is checked. With it, every endpoint must be on loopback,
    every key a dummy, and all that gpuctl writes inside the sandbox's directory.
    """
    named = environ.get("GPUCTL_SANDBOX")
    if not named:
        return
    directory = Path(named)
    for problem in (
        _real_endpoint(environ),
        _real_credentials(environ),
        _outside(environ, directory),
    ):
        if problem:
            raise UsageProblem(f"GPUCTL_SANDBOX is set, but {problem}", hint=_FIX)


def sandbox_clock_offset(environ: Mapping[str, str]) -> timedelta:
    """How far the sandbox's clock is ahead of real time; zero outside it or when unreadable."""
    named = environ.get("GPUCTL_SANDBOX")
    if not named:
        return timedelta()
    try:
        told = json.loads((Path(named) / "clock.json").read_text(encoding="utf-8"))
        return timedelta(seconds=float(told["offset_seconds"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return timedelta()


def keep_awake(environ: Mapping[str, str]) -> None:
    """Tell the sandbox that somebody uses it, so that its idle limit starts anew."""
    named = environ.get("GPUCTL_SANDBOX")
    if named:
        try:
            os.utime(Path(named) / "sandbox.json")
        except OSError:
            return


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this computer itself, by address and not by a resolvable name."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _real_endpoint(environ: Mapping[str, str]) -> str | None:
    for name in ("AWS_ENDPOINT_URL", "GPUCTL_GCP_ENDPOINT"):
        value = environ.get(name)
        if not value:
            return f"{name} is not: real clouds would be asked"
        if not is_loopback(value):
            return f"{name} is {value!r}, which is not on this computer"
    for name, value in environ.items():
        if name.startswith("AWS_ENDPOINT_URL_") and value and not is_loopback(value):
            return f"{name} is {value!r}, which is not on this computer"
    return None


def _real_credentials(environ: Mapping[str, str]) -> str | None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS"):
        if environ.get(name):
            return f"{name} is set too"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if environ.get(name, DUMMY_KEY) != DUMMY_KEY:
            return f"{name} is not the sandbox's"
    if environ.get("AWS_SESSION_TOKEN"):
        return "AWS_SESSION_TOKEN is set too"
    return None


def _outside(environ: Mapping[str, str], directory: Path) -> str | None:
    home = environ.get("GPUCTL_HOME")
    if not home:
        return "GPUCTL_HOME is not: its machines would enter your own ledger"
    if not _inside(Path(home), directory):
        return f"GPUCTL_HOME is {home!r}, which is not inside it"
    ledger = environ.get("GPUCTL_LEDGER", "")
    if ledger and not (
        ledger.startswith("sqlite:///") and _inside(Path(ledger[len("sqlite://") :]), directory)
    ):
        return "GPUCTL_LEDGER is not inside it"
    return None


def _inside(path: Path, directory: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(Path(os.path.realpath(directory)))
