"""Where things are kept, from the environment alone."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.config.paths import ledger_place, paths
from gpuctl.core.errors import ConfigError


def test_one_directory_holds_everything(tmp_path):
    found = paths({"GPUCTL_HOME": str(tmp_path / "h")}, tmp_path)
    home = tmp_path / "h"
    assert found.home == home
    assert found.config == home / "config/config.toml"
    assert found.ledger.path == home / "data/ledger.db"
    for place in (found.data, found.keys, found.cache, found.logs, found.ssh):
        assert place.parent == home
    assert not home.exists()


def test_relative_and_tilde_are_made_absolute(tmp_path):
    environ = {"GPUCTL_HOME": "here", "GPUCTL_CONFIG": "~/my.toml", "HOME": "/h"}
    found = paths(environ, tmp_path)
    assert found.data == tmp_path / "here/data"
    assert found.config == Path("/h/my.toml")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs itself is asked")
@pytest.mark.parametrize("xdg", [True, False])
def test_without_it_the_platform_s_own_directories(tmp_path, monkeypatch, xdg):
    platformdirs = pytest.importorskip("platformdirs")
    environ = {"HOME": str(tmp_path)}
    names = ("CONFIG", "DATA", "CACHE", "STATE")
    if xdg:
        environ |= {f"XDG_{name}_HOME": str(tmp_path / f"x{name}") for name in names}
    for name in ("HOME", *(f"XDG_{name}_HOME" for name in names)):
        monkeypatch.setenv(name, environ[name]) if name in environ else monkeypatch.delenv(
            name, raising=False
        )
    dirs = platformdirs.PlatformDirs("gpuctl", appauthor=False)
    found = paths(environ, tmp_path)
    assert found.home is None
    assert found.config == dirs.user_config_path / "config.toml"
    assert (found.data, found.cache) == (dirs.user_data_path, dirs.user_cache_path)
    assert found.logs == dirs.user_log_path
    assert found.ledger.path == dirs.user_data_path / "ledger.db"


def test_the_nearest_project_file(tmp_path):
    (tmp_path / "gpuctl.toml").write_text("")
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    environ = {"HOME": str(tmp_path)}
    assert paths(environ, deep).project_file == tmp_path / "gpuctl.toml"
    (tmp_path / "a/gpuctl.toml").write_text("")
    assert paths(environ, deep).project_file == tmp_path / "a/gpuctl.toml"


@pytest.mark.parametrize(
    ("text", "path"),
    [("sqlite:///var/l.db", "/var/l.db"), ("sqlite:////var/l.db", "/var/l.db")],
)
def test_a_sqlite_ledger_is_an_absolute_path(text, path):
    place = ledger_place(text, Path("/d"))
    assert (place.path, place.url) == (Path(path), None)
    assert str(place) == "sqlite:///var/l.db"


@given(st.lists(st.text("abc .é%", min_size=1).filter(lambda s: s.strip(". ")), min_size=1))
def test_any_path_survives(parts):
    path = Path("/", *parts)
    assert ledger_place(f"sqlite://{path}", Path("/d")).path == path


def test_a_password_is_never_shown():
    url = "postgresql://me:s3cret@db:5432/ledger?sslmode=require&password=other"
    place = ledger_place(url, Path("/d"))
    assert place.url == url
    assert "s3cret" not in f"{place} {place!r}"
    assert "other" not in str(place)
    assert str(place).startswith("postgresql://me:***@db:5432/ledger?sslmode=require")


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("ledger.db", "sqlite:////path/to/ledger.db"),
        ("sqlite:ledger.db", "sqlite:///home/me/ledger.db"),
        ("sqlite://", "sqlite:///home/me/ledger.db"),
        ("sqlite:///", "sqlite:///home/me/ledger.db"),
        ("sqlite:///~/x.db", "sqlite:///home/me/ledger.db"),
        ("sqlite:///x.db?mode=ro", None),
        ("postgres://db/x", "postgresql://…"),
        ("postgresql+psycopg://db/x", "postgresql://…"),
        ("postgresql://db:port/x", None),
        ("postgresql://db/a b", None),
        ("mysql://db/x", "sqlite:////path/to/ledger.db"),
    ],
)
def test_what_is_no_ledger_is_refused(text, suggestion):
    with pytest.raises(ConfigError) as caught:
        paths({"GPUCTL_LEDGER": text, "HOME": "/h"}, Path("/"))
    (problem,) = caught.value.problems
    assert (problem.key, problem.suggestion) == ("GPUCTL_LEDGER", suggestion)
