"""`gpuctl` alone: today from the ledger, never wider than the terminal."""

import subprocess
import sys
from datetime import timedelta

import pytest

from gpuctl.core.kinds import State
from tests.cli.desk import NOW

HEAVY = {"boto3", "botocore", "google", "sqlite3", "tomlkit", "platformdirs", "tenacity"}


@pytest.fixture
def busy(desk):
    desk.user(
        """\
        [limits]
        month = "200.00"
        [client.acme.project.vision]
        budget = { month = "4.00" }
        [client.borealis.project.nlp]
        """
    )
    desk.price("0.50", NOW - timedelta(days=30))
    desk.machine("vision-1", "acme/vision", NOW - timedelta(hours=4))
    return desk


def test_the_board_has_machines_and_money(busy):
    lines = busy.ok().splitlines()

    assert lines[0] == "Mon 2 Mar UTC   March so far $2.00 of $200.00 (1 %)   today $2.00"
    assert lines[3].split() == [
        "vision-1", "acme/vision", "g6.xlarge", "spot", "us-east-2a", "running", "4h",
        "$0.5000", "$2.00",
    ]  # fmt: skip
    assert lines[5] == f"acme/vision  {'█' * 10}{'░' * 10}  $2.00 of $4.00, 50 % used"
    assert "borealis" not in lines[-1]


def test_as_json_the_money_is_exact(busy):
    said = busy.json()

    assert said["schema"] == "gpuctl.board/1"
    assert (said["today"], said["month"], said["limit"]) == ("2", "2", "200.00")
    assert said["projects"] == [
        {
            "project": "acme/vision", "spent": "2", "limit": "4.00", "warned": 50,
            "currency": "USD",
        }
    ]  # fmt: skip
    assert said["machines"][0]["hourly"] == "0.5"


def test_bars_fall_back_to_ascii(busy):
    shown = busy.ok(charset="ascii")

    assert shown.isascii()
    assert f"{'#' * 10}{'.' * 10}  $2.00 of $4.00" in shown


def test_a_budget_that_is_exceeded_says_so(busy):
    busy.user('[client.acme.project.vision]\nbudget = { month = "1.00" }\n')

    assert busy.ok().splitlines()[-1] == f"acme/vision  {'█' * 20}  $2.00 of $1.00 over"


@pytest.mark.parametrize("charset", ["utf-8", "ascii"])
def test_nothing_wraps_at_80_columns(desk, charset):
    project = f"{'a' * 30}/{'b' * 30}"
    desk.user(f'[client.{"a" * 30}.project.{"b" * 30}]\nbudget = {{ month = "123456.00" }}\n')
    desk.price("12345.50", NOW - timedelta(days=30))
    desk.machine("m" * 40, project, NOW - timedelta(hours=9))

    shown = desk.ok(charset=charset, COLUMNS="80")

    assert max(map(len, shown.splitlines())) <= 80
    assert "$111,109.50" in shown


def test_machines_that_are_gone_are_left_out(busy):
    busy.machine("old-1", "acme/vision", NOW, native="i-0old", state=State.GONE)
    busy.machine("kept-1", "acme/vision", NOW, native="i-0kept", state=State.STOPPED)

    shown = busy.ok()

    assert "old-1" not in shown
    assert "stopped" in next(line for line in shown.splitlines() if line.startswith("kept-1"))


def test_costs_of_nobody_are_shown(desk):
    desk.price("1.00", NOW - timedelta(days=30))
    desk.machine("lost-1", None, NOW - timedelta(hours=2))

    assert "unattributed" in desk.ok().splitlines()[-1]


def test_before_anything_is_set_up_it_says_what_to_type(desk):
    result = desk()

    assert result.exit_code == 0
    assert "gpuctl init" in result.stderr
    assert "gpuctl sandbox demo" in result.stderr
    assert not desk.ledger_path.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["init"], ["config"], ["config", "validate"], ["config", "show"], ["project", "add"],
        ["client", "add"], ["template", "add"], ["price", "history"], ["price", "update"],
        ["ssh-config", "install"], ["completion"],
    ],
)  # fmt: skip
def test_help_is_told_without_loading_what_it_does_not_need(argv):
    code = (
        "import sys; from gpuctl.cli import main\n"
        f"main({[*argv, '--help']!r}, standalone_mode=False)\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert run.stdout.splitlines()[-1] == "[]"
