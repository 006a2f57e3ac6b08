"""`audit --install-timer` and `audit --notify`, by the real command line."""

import json

import pytest

from gpuctl.core.errors import Denied
from gpuctl.core.kinds import Market, State
from gpuctl.core.model import Machine, MachineId
from tests.cli.clouds import Account, Clouds


class Forgotten(Account):
    """An account with one machine that nobody holds a lease for."""

    broken = False

    def __init__(self):
        machine = Machine(
            id=MachineId("aws", self.account, "us-east-2", "us-east-2a", "i-0abc"),
            name="vision-1",
            type="g6.xlarge",
            gpu="L4",
            gpus=1,
            market=Market.SPOT,
            state=State.RUNNING,
            launched_at=None,
        )
        super().__init__([machine])

    def machines(self):
        if self.broken:
            raise Denied("the session has expired", hint="aws sso login")
        return self.listed

    def leftovers(self):
        return ()


@pytest.fixture
def at(desk, monkeypatch):
    """A computer with cron and a program that takes messages."""
    monkeypatch.setattr("sys.platform", "linux")
    bin_ = desk.root / "bin"
    bin_.mkdir()
    tab = desk.root / "tab"
    crontab = (
        f'[ "$1" = -l ] && {{ cat {tab} 2>/dev/null || {{ echo "no crontab" >&2; exit 1; }}; }} '
        f"|| cat > {tab}"
    )
    for name, script in {
        "crontab": crontab,
        "tell": f"cat >> {desk.root}/told; echo >> {desk.root}/told",
    }.items():
        (bin_ / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_ / name).chmod(0o755)
    (bin_ / "cat").symlink_to("/bin/cat")
    desk.environ["PATH"] = str(bin_)
    return desk


def told(desk):
    file = desk.root / "told"
    return file.read_text().splitlines() if file.exists() else []


def test_the_timer_is_shown_kept_once_and_taken_away(at):
    result = at("audit", "--install-timer", "--every", "30m", AWS_PROFILE="work")

    assert result.exit_code == 0, result.output
    assert "*/30 * * * *" in result.stdout
    assert "AWS_PROFILE=work" in result.stdout
    assert "-P -m gpuctl audit --notify >" in result.stdout
    assert "Nobody is told" in result.stderr
    assert (at.root / "tab").read_text() == result.stdout
    assert (
        "is there already"
        in at("audit", "--install-timer", "--every", "30m", AWS_PROFILE="work").stderr
    )
    assert at.json("audit", "--install-timer") == {
        "schema": "gpuctl.audit.timer/1",
        "kind": "cron",
        "where": ["crontab"],
        "every": "1h",
        "fix": False,
        "changed": True,
    }
    assert "removed crontab" in at("audit", "--uninstall").stderr
    assert "there is no timer" in at("audit", "--uninstall").stderr
    assert at.json("audit", "--uninstall")["removed"] == []


def test_it_ends_something_only_where_that_was_asked_for(at):
    assert "There is no terminal" in at.refused("audit", "--install-timer", "--fix")
    assert at("audit", "--install-timer", "--fix", terminal=True, answers="n\n").exit_code == 1
    assert not (at.root / "tab").exists()

    assert "audit --notify --fix --yes" in at.ok("audit", "--install-timer", "--fix", "-y")


@pytest.mark.parametrize(
    ("environ", "argv", "says"),
    [
        ({"GPUCTL_LEDGER": "postgresql://me:SECRET@h/d"}, (), "GPUCTL_LEDGER has a password"),
        ({"HTTPS_PROXY": "http://me:SECRET@h"}, (), "HTTPS_PROXY has a password"),
        ({"AWS_PROFILE": "a\nb"}, (), "longer than a line"),
        ({}, ("--every", "7m"), "does not divide"),
        ({}, ("--every", "soon"), "--every: 'soon' is not a duration"),
        ({}, ("--uninstall",), "name one"),
    ],
)
def test_what_no_timer_can_be_is_refused(at, environ, argv, says):
    said = at.refused("audit", "--install-timer", *argv, **environ)
    assert says in said
    assert "SECRET" not in said
    assert not (at.root / "tab").exists()


def test_what_a_timer_will_lack_is_said(at):
    at.user('[notify]\nurls = ["env:HOOK"]\n')
    said = at("audit", "--install-timer", AWS_ACCESS_KEY_ID="AKSECRET", HOOK="https://h/SECRET")
    assert "names env:HOOK" in said.stderr
    assert "the timer needs a profile" in said.stderr
    assert "SECRET" not in said.output + (at.root / "tab").read_text()


def test_doctor_says_whether_it_is_there(at):
    def line():
        checks = json.loads(at("doctor", "--json").stdout)["checks"]
        return next(check for check in checks if check["name"] == "here.timer")

    assert (line()["ok"], line()["fix"]) == (None, "gpuctl audit --install-timer")
    at.ok("audit", "--install-timer")
    assert (line()["ok"], line()["says"]) == (True, "cron: crontab")
    (at.root / "bin/crontab").write_text("#!/bin/sh\necho boom >&2; exit 1\n")
    assert line()["says"] == "crontab -l ended with 1: boom"


def test_what_an_audit_finds_is_told_once(at):
    at.user('[notify]\nurls = ["cmd:tell", "env:HOOK"]\n')
    at.clouds = Clouds(Forgotten())

    first = at("audit", "--notify")

    assert first.exit_code == 8
    (line,) = told(at)
    assert line.startswith("machine i-0abc in us-east-2: running without a lease in this ledger.")
    assert line.endswith("gpuctl down i-0abc")
    assert "not told: env:HOOK" in first.stderr
    assert at("audit", "--notify").exit_code == 8
    assert len(told(at)) == 1


def test_what_reached_nobody_is_told_next_time(at):
    at.user('[notify]\nurls = ["cmd:no-such-program"]\n')
    at.clouds = Clouds(Forgotten())
    assert "not told" in at("audit", "--notify").stderr
    at.user('[notify]\nurls = ["cmd:tell"]\n')
    at("audit", "--notify")
    assert len(told(at)) == 1


def test_an_audit_that_could_not_look_is_told_too(at):
    at.user('[notify]\nurls = ["cmd:tell"]\n')
    at.clouds = Clouds(Forgotten())
    at.clouds.only.broken = True
    assert at("audit", "--notify").exit_code == 4
    assert told(at) == [
        "what may cost could not be looked at: the session has expired. gpuctl audit"
    ]


def test_without_an_address_nobody_is_told(at):
    at.clouds = Clouds(Forgotten())
    assert "nobody was told" in at("audit", "--notify").stderr
    assert at("audit").exit_code == 8
