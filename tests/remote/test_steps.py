"""Steps on a builder: begun once, followed to their end, and a failure told with file and line."""

import io
import os
import subprocess
import tarfile
import time
from importlib.resources import files
from pathlib import Path

import pytest

from gpuctl.remote.steps import Workbench

REMOTE = files("gpuctl.remote")
KEY = "0123456789ab"
HEAD = "#!/usr/bin/env bash\nset -euo pipefail\n"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("f() {\n  ls /dev/null/x\n}\nfalse || true\nf\n", "4: exit 2: ls /dev/null/x"),
        ('x="${NOPE:?needed}"\n', '3: exit 1: x="${NOPE:?needed}"'),
        ("if true; then\n  exit 3\nfi\n", "4: exit 3: exit 3"),
        ('x="/x$(false | cat)"\n', '3: exit 1: x="/x$(false | cat)"'),
        ("cat >/dev/null/x <<'CONF'\ntext\nCONF\n", "3: exit 1: cat > /dev/null/x <<'CONF'"),
        ("bash -c 'exit 9'\n", "3: exit 9: bash -c 'exit 9'"),
    ],
    ids=["function", "unset", "exit", "pipe", "heredoc", "child"],
)
def test_the_line_that_failed_is_told(tmp_path: Path, text: str, where: str) -> None:
    code, told = run(tmp_path, HEAD + text)
    assert (code != 0, told) == (True, f"steps/20-mine.sh:{where}\n")


def test_a_step_that_ends_well_tells_nothing_that_counts(tmp_path: Path) -> None:
    assert run(tmp_path, f"{HEAD}echo fine\n") == (0, "")
    code, _ = run(tmp_path, f"{HEAD}set +e\nfalse\nset -e\ntrue\n")
    assert code == 0


def test_an_error_that_was_survived_is_not_the_one_that_is_told(tmp_path: Path) -> None:
    _, told = run(tmp_path, f"{HEAD}set +e\nfalse\nset -e\necho on\nexit 4\n")
    assert told == "steps/20-mine.sh:7: exit 4: exit 4\n"


def run(place: Path, text: str) -> tuple[int, str]:
    step, failed = place / "step.sh", place / "failed"
    step.write_text(text)
    environ = {"BASH_ENV": str(REMOTE / "trap.bash"), "GPUCTL_FAILED": str(failed)}
    done = subprocess.run(
        ["bash", step],
        env={**os.environ, **environ, "GPUCTL_STEP": "steps/20-mine.sh"},
        capture_output=True,
        check=False,
    )
    return done.returncode, failed.read_text() if failed.exists() else ""


def ask(root: Path, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    script = (REMOTE / "steps.posix").read_text()
    return subprocess.run(
        ["sh", "-c", script, "gpuctl-steps", *words],
        env={**os.environ, "GPUCTL_ROOT": str(root)},
        input=stdin,
        capture_output=True,
        check=False,
        timeout=30,
    )


def packed(**steps: str) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, text in {
            "trap.bash": (REMOTE / "trap.bash").read_text(),
            "pip.conf": "[global]\n",
            **{f"recipe/steps/{name}.sh": text for name, text in steps.items()},
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return whole.getvalue()


def followed(root: Path, step: str, offset: int = 0) -> bytes:
    return ask(root, "log", KEY, step, str(offset)).stdout


def test_a_step_is_begun_once_and_its_end_is_known(tmp_path: Path) -> None:
    steps = {"10-a": f'{HEAD}echo "$WHO" >>"$0.ran"\necho said\n', "20-b": f"{HEAD}false\n"}
    assert ask(tmp_path, "state", KEY).returncode == 44
    for _ in range(2):
        assert ask(tmp_path, "lay", KEY, stdin=packed(**steps)).returncode == 0
    assert (tmp_path / "run/gpuctl/pip.conf").stat().st_mode & 0o777 == 0o600
    assert ask(tmp_path, "begin", KEY, "steps/10-a.sh", stdin=b"export WHO=me\n").returncode == 0
    assert followed(tmp_path, "steps/10-a.sh") == b"said\n\0exit 0 \n"
    assert followed(tmp_path, "steps/10-a.sh", 3) == b"d\n\0exit 0 \n"
    assert ask(tmp_path, "begin", KEY, "steps/10-a.sh").returncode == 17
    ran = tmp_path / f"run/gpuctl/build/{KEY}/recipe/steps/10-a.sh.ran"
    assert ran.read_text() == "me\n"
    for _ in range(2):  # what failed may be begun again
        assert ask(tmp_path, "begin", KEY, "steps/20-b.sh").returncode == 0
        end = followed(tmp_path, "steps/20-b.sh")
        assert end == b"\0exit 1 steps/20-b.sh:3: exit 1: false\n"
    assert ask(tmp_path, "state", KEY).stdout == b"steps/10-a.sh 0\nsteps/20-b.sh 1\n"
    assert ask(tmp_path, "lay", "ffff01234567", stdin=packed()).returncode == 45


def test_a_step_that_was_cut_off_is_lost_and_can_be_begun_again(tmp_path: Path) -> None:
    ask(tmp_path, "lay", KEY, stdin=packed(**{"10-a": f"{HEAD}sleep 60\n"}))
    ask(tmp_path, "begin", KEY, "steps/10-a.sh")
    assert ask(tmp_path, "state", KEY).stdout == b"steps/10-a.sh running\n"
    at = tmp_path / f"run/gpuctl/build/{KEY}/state/steps%10-a.sh/pid"
    end = time.monotonic() + 10
    while not (at.exists() and at.read_text().strip()) and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(int(at.read_text()), 9)
    assert followed(tmp_path, "steps/10-a.sh") == b"\0exit lost \n"
    assert ask(tmp_path, "state", KEY).stdout == b"steps/10-a.sh lost\n"
    assert ask(tmp_path, "begin", KEY, "steps/10-a.sh").returncode == 0
    os.killpg(pid_of(at), 9)


def pid_of(at: Path) -> int:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if at.exists() and at.read_text().strip():
            return int(at.read_text())
        time.sleep(0.02)
    raise AssertionError("it never began")


@pytest.mark.parametrize("key", ["", "x" * 64, "../etc"])
def test_a_key_is_a_hash(key: str) -> None:
    with pytest.raises(ValueError, match="hash"):
        Workbench(None, key)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["10-a.sh", "steps/../x.sh", "steps/10-a.sh; true"])
def test_a_step_is_named_as_in_a_recipe(step: str) -> None:
    with pytest.raises(ValueError, match="no step"):
        Workbench(None, KEY).begin(step, {})  # type: ignore[arg-type]
