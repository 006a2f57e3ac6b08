"""`watch --install-timer`: the line that a computer of one's own keeps, and what it really does."""

import json
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.core.jobs import note
from tests.cli.desk import NOW, WANTED, Desk

CRONTAB = """\
#!/bin/sh
[ "$1" = -l ] || exec cat > {tab}
[ -e {tab} ] || {{ echo "no crontab" >&2; exit 1; }}
exec cat {tab}
"""


@pytest.fixture
def at(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A computer with cron."""
    monkeypatch.setattr("sys.platform", "linux")
    bin_ = desk.root / "bin"
    bin_.mkdir()
    crontab = bin_ / "crontab"
    crontab.write_text(CRONTAB.format(tab=desk.root / "tab"))
    crontab.chmod(stat.S_IRWXU)
    (bin_ / "cat").symlink_to("/bin/cat")
    desk.environ["PATH"] = str(bin_)
    return desk


def tab(desk: Desk) -> str:
    return (desk.root / "tab").read_text()


def test_every_five_minutes_beside_the_timer_of_audit(at: Desk) -> None:
    at.ok("audit", "--install-timer")
    audit = tab(at)

    shown = at.ok("watch", "--install-timer", AWS_PROFILE="work")

    assert "*/5 * * * * env" in shown
    assert "-P -m gpuctl watch --once >" in shown
    assert tab(at) == audit + shown
    assert "is there already" in at("watch", "--install-timer", AWS_PROFILE="work").stderr
    assert at.json("watch", "--install-timer", "--every", "10m") == {
        "schema": "gpuctl.watch.timer/1",
        "kind": "cron",
        "where": ["crontab"],
        "every": "10m",
        "changed": True,
    }
    assert "*/10 * * * * env" in tab(at)
    assert "removed crontab" in at("watch", "--uninstall").stderr
    assert tab(at) == audit
    assert at.json("watch", "--uninstall") == {"schema": "gpuctl.watch.timer/1", "removed": []}


def test_the_line_is_a_command_that_looks_once_and_returns(at: Desk, tmp_path: Path) -> None:
    at.ok("watch", "--install-timer")
    (line,) = (line for line in tab(at).splitlines() if line.startswith("*/5"))
    words = shlex.split(line.split(" ", 5)[5].removesuffix(" >/dev/null 2>&1"))
    assert (words[0], words[-3:]) == ("env", ["gpuctl", "watch", "--once"])
    assert sys.executable in words

    done = subprocess.run(
        ["/usr/bin/env", "-i", *words[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("environ", "argv", "says"),
    [
        ({}, ("train",), "and no job"),
        ({}, ("--uninstall",), "one of them"),
        ({}, ("--every", "1m"), "does not divide"),
        ({}, ("--every", "soon"), "--every: 'soon' is not a duration"),
        ({"GPUCTL_LEDGER": "postgresql://me:SECRET@h/d"}, (), "GPUCTL_LEDGER has a password"),
    ],
)
def test_what_no_timer_can_be_is_refused(
    at: Desk, environ: dict[str, str], argv: tuple[str, ...], says: str
) -> None:
    said = at.refused("watch", "--install-timer", *argv, **environ)
    assert says in said
    assert "SECRET" not in said
    assert not (at.root / "tab").exists()


def test_variables_that_a_timer_lacks_are_named(at: Desk) -> None:
    at.project_file.write_text('[run]\nenv = ["WANDB_API_KEY", "AWS_PROFILE"]\n')
    told = at("watch", "--install-timer", WANDB_API_KEY="SECRET", AWS_PROFILE="work")
    assert "[run] env names WANDB_API_KEY, which a timer does not have" in told.stderr
    assert "SECRET" not in told.output + tab(at)


def test_doctor_warns_of_a_job_that_nothing_would_resume(at: Desk) -> None:
    def line() -> tuple[bool | None, str, str | None]:
        checks = json.loads(at("doctor", "--json").stdout)["checks"]
        found = next(check for check in checks if check["name"] == "here.watch")
        return found["ok"], found["says"], found["fix"]

    idle = (True, "no job is open, and none would be resumed by itself", None)
    assert line() == idle
    at.ledger.append([note("01J", WANTED._replace(resume=True), NOW)])
    assert line() == (
        None,
        "1 open job: resumed only while a gpuctl is open",
        "gpuctl watch --install-timer",
    )
    at.ok("watch", "--install-timer")
    assert line() == (True, "cron: crontab", None)
