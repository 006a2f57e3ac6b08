"""A process as others know it, and the commit that a tree stands at."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.remote.commit import commit_of
from gpuctl.wiring.here import actor, alive


def test_this_process_lives() -> None:
    me = actor({"A": "1"})
    assert me.name.startswith(f"{platform.node()}/{os.getpid()}/")
    assert me.environ == {"A": "1"}
    assert alive(me.name) is True
    assert me.name == actor({}).name


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells by /proc")
def test_a_number_that_is_used_again_is_another_process() -> None:
    host, pid, _ = actor({}).name.split("/")
    assert alive(f"{host}/{pid}/1") is False


def test_one_that_has_ended_is_dead_though_nobody_waited_for_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        name = f"{platform.node()}/{child.pid}/0"
        assert child.stdin is not None and child.stdout is not None  # noqa: PT018
        child.stdin.close()
        child.stdout.read()
        child.wait()
    assert alive(name) is False


def test_of_another_computer_nothing_is_known() -> None:
    assert alive("elsewhere/1/2") is None
    assert alive(f"{platform.node()}/x/2") is None


def test_a_commit_and_what_is_not_committed(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == (None, False)

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    assert commit_of(tmp_path).id is None
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "one")
    clean = commit_of(tmp_path)
    assert (len(clean.id or ""), clean.dirty) == (40, False)
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == (clean.id, True)
