"""What starting up must not import. Never timed: `make bench` does that."""

import importlib.util
import os
import subprocess
import sys

import pytest

HEAVY = {
    "asyncssh", "boto3", "botocore", "flask", "google", "moto", "platformdirs", "psycopg",
    "sqlite3", "tenacity", "tomlkit",
}  # fmt: skip


def imported(*argv: str) -> set[str]:
    """Top-level names that `python ARGV` imports, by the interpreter's own account."""
    # A coverage run would be seen importing sqlite3 for itself.
    env = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *argv],
        capture_output=True, text=True, env=env, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_the_measure_sees_imports() -> None:
    assert {"sqlite3", "json"} <= imported("-c", "import sqlite3, json.decoder")


def test_core_imports_nothing_heavy() -> None:
    assert not HEAVY & imported("-c", "import gpuctl.core.model, gpuctl.core.ports")


@pytest.mark.skipif(
    importlib.util.find_spec("gpuctl.__main__") is None, reason="gpuctl has no command line yet"
)
@pytest.mark.parametrize("argv", [["--help"], ["up", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(argv: list[str]) -> None:
    assert not HEAVY & imported("-m", "gpuctl", *argv)
