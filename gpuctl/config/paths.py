"""Where gpuctl keeps its files, and where its ledger is."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gpuctl.core.errors import ConfigError, Problem

PROJECT_FILE = "gpuctl.toml"

_POSTGRESQL = r"postgresql://(?:[^@/]*@)?(?P<host>[^/?]*)(?:[/?].*)?"


class LedgerPlace(NamedTuple):
    """A file (SQLite) or a server (PostgreSQL): exactly one of the two is set."""

    path: Path | None = None
    url: str | None = None
    """May hold a password: print the place itself, never this."""

    def __str__(self) -> str:
        if self.url is None:
            return f"sqlite:///{str(self.path).removeprefix('/')}"
        hidden = re.sub(r"(//[^:@/]*):[^@/]*@", r"\1:***@", self.url)
        return re.sub(r"([?&]password=)[^&]*", r"\1***", hidden)

    def __repr__(self) -> str:
        return f"LedgerPlace({self})"


class Paths(NamedTuple):
    """Absolute paths; nothing is created. `config` and `project_file` are files."""

    config: Path
    project_file: Path | None
    """The nearest `gpuctl.toml` upwards from the current directory, if there is one."""
    home: Path | None
    """`GPUCTL_HOME`; None = the platform's own directories."""
    data: Path
    ledger: LedgerPlace
    keys: Path
    cache: Path
    logs: Path
    ssh: Path
    """Directory of the generated ssh configuration and known hosts."""


def paths(environ: Mapping[str, str], cwd: Path) -> Paths:
    """All places, from the environment alone. ConfigError when `GPUCTL_LEDGER` is no place."""
    named = environ.get("GPUCTL_HOME")
    home = _absolute(named, environ, cwd) if named else None
    if home is not None:
        config, data, cache, logs = (home / part for part in ("config", "data", "cache", "logs"))
    else:
        config, data, cache, logs = _platform(environ)
    chosen = environ.get("GPUCTL_CONFIG")
    return Paths(
        config=_absolute(chosen, environ, cwd) if chosen else config / "config.toml",
        project_file=find_project_file(cwd),
        home=home,
        data=data,
        ledger=ledger_place(environ.get("GPUCTL_LEDGER") or None, data),
        keys=home / "keys" if home is not None else data / "keys",
        cache=cache,
        logs=logs,
        ssh=home / "ssh" if home is not None else config / "ssh",
    )


def find_project_file(cwd: Path) -> Path | None:
    """The nearest `gpuctl.toml` in `cwd` or above it."""
    for directory in (cwd, *cwd.parents):
        candidate = directory / PROJECT_FILE
        if candidate.is_file():
            return candidate
    return None


def ledger_place(text: str | None, data: Path) -> LedgerPlace:
    """`sqlite:///ABSOLUTE/PATH` or `postgresql://…`; None = `ledger.db` in `data`."""
    if text is None:
        return LedgerPlace(path=data / "ledger.db")
    if text.startswith("sqlite:"):
        return LedgerPlace(path=_sqlite(text))
    match = re.fullmatch(_POSTGRESQL, text)
    if match is None:
        near = re.sub(r"\Apostgres(?:ql\+\w+)?://", "postgresql://", text)
        known = near.startswith("postgresql://")
        raise _no_place(
            "is neither sqlite:///ABSOLUTE/PATH nor postgresql://…",
            "postgresql://…" if known else "sqlite:////path/to/ledger.db",
        )
    if any(char.isspace() for char in text):
        raise _no_place("has a space in it; write %20", None)
    port = re.search(r":([^:\]]*)\Z", match["host"])
    if port is not None and not re.fullmatch(r"[0-9]{0,5}", port.group(1)):
        raise _no_place("has a port that is no number", None)
    return LedgerPlace(url=text)


def _sqlite(text: str) -> Path:
    rest = text.removeprefix("sqlite:///")
    if rest == text or not rest.strip("/"):
        raise _no_place("is not sqlite:///ABSOLUTE/PATH", "sqlite:///home/me/ledger.db")
    if "?" in rest or "\0" in rest:
        raise _no_place("takes no options after the path", None)
    if rest.endswith("/") or rest.startswith(("./", "../", "~")):
        raise _no_place("is not the absolute path of a file", "sqlite:///home/me/ledger.db")
    return Path("/" + rest.removeprefix("/"))


def _no_place(reason: str, suggestion: str | None) -> ConfigError:
    return ConfigError([Problem("environment", None, "GPUCTL_LEDGER", reason, suggestion)])


def _absolute(text: str, environ: Mapping[str, str], cwd: Path) -> Path:
    if text == "~" or text.startswith("~/"):
        return _user_home(environ) / text[2:]
    return cwd / text


def _user_home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _platform(environ: Mapping[str, str]) -> tuple[Path, Path, Path, Path]:
    """Directories for config, data, cache and logs."""
    if sys.platform != "linux":
        import platformdirs  # noqa: PLC0415 - slow to load, and needed only here

        dirs = platformdirs.PlatformDirs("gpuctl", appauthor=False)
        return (
            dirs.user_config_path,
            dirs.user_data_path,
            dirs.user_cache_path,
            dirs.user_log_path,
        )
    # The XDG rules are these four lines; platformdirs would cost each command a third of
    # what loading click costs. A test holds the two together.
    base = _user_home(environ)
    config = _xdg(environ, "XDG_CONFIG_HOME", base / ".config")
    data = _xdg(environ, "XDG_DATA_HOME", base / ".local/share")
    cache = _xdg(environ, "XDG_CACHE_HOME", base / ".cache")
    state = _xdg(environ, "XDG_STATE_HOME", base / ".local/state")
    return config / "gpuctl", data / "gpuctl", cache / "gpuctl", state / "gpuctl/log"


def _xdg(environ: Mapping[str, str], name: str, default: Path) -> Path:
    text = environ.get(name, "")
    return Path(text) if text.startswith("/") else default
