"""A build is known to go on as long as its process lives; the user's pip configuration is found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.config.paths import paths
from gpuctl.core.errors import UsageProblem
from gpuctl.wiring.builds import at_work, held, pip_configuration

NAME = "build-torch-portable-1"
HOLD = f"""
import os, sys
from pathlib import Path
from gpuctl.config.paths import paths
from gpuctl.wiring.builds import at_work
with at_work(paths(os.environ, Path.cwd()), "{NAME}"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_build_at_a_time_and_none_that_has_ended(tmp_path: Path) -> None:
    here = paths({"GPUCTL_HOME": str(tmp_path)}, tmp_path)
    assert not held(here, NAME)
    with at_work(here, NAME):
        assert held(here, NAME)
        assert not held(here, "build-another-1")
        with pytest.raises(UsageProblem, match="already"), at_work(here, NAME):
            raise AssertionError
    assert not held(here, NAME)


def test_a_build_that_was_killed_is_over(tmp_path: Path) -> None:
    here = paths({"GPUCTL_HOME": str(tmp_path)}, tmp_path)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={**os.environ, "GPUCTL_HOME": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert held(here, NAME)
        other.kill()
        other.wait()
    assert not held(here, NAME)


def test_the_users_own_pip_configuration(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert pip_configuration(environ) is None
    places = [tmp_path / ".pip/pip.conf", tmp_path / ".config/pip/pip.conf", tmp_path / "mine"]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(place.name + str(len(place.parts)))
    assert pip_configuration(environ) == places[1].read_bytes()
    assert (
        pip_configuration(environ | {"PIP_CONFIG_FILE": str(places[2])})
        == b"mine" + str(len(places[2].parts)).encode()
    )
    assert pip_configuration(environ | {"PIP_CONFIG_FILE": os.devnull}) is None
