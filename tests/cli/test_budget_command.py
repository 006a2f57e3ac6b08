"""`budget` and what `up` says of it, through the real command line."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import pytest

from gpuctl.app.budget import Budget
from gpuctl.cli.plans import _budget
from gpuctl.core.events import Adjust
from tests.cli.desk import NOW


@pytest.fixture
def busy(desk):
    desk.user(
        """\
        [limits]
        month = "200.00"
        [client.acme.project.vision]
        budget = { month = "4.00", total = "10.00", session = "3.00" }
        [client.acme.project.idle]
        [client.borealis.project.nlp]
        budget = { month = "1.00", hard = true }
        """
    )
    desk.price("0.50", NOW - timedelta(days=60))
    desk.machine("vision-1", "acme/vision", NOW - timedelta(hours=4))
    before = NOW - timedelta(days=20)
    desk.ledger.append(
        [
            Adjust("a1", "acme/vision", before, Decimal("6.50"), "before"),
            Adjust("a2", "borealis/nlp", NOW, Decimal("1.25"), "now"),
        ]
    )
    return desk


def test_spent_left_and_to_come(busy):
    said = busy.json("budget")
    idle, vision, nlp = said["budgets"]
    assert said["schema"] == "gpuctl.budget/1"
    assert (said["spent"], said["limit"]) == ("3.25", "200.00")
    assert vision == {
        "project": "acme/vision", "spent": "2", "limit": "4.00", "left": "2",
        "forecast": "9", "used": 50,
        "total": {"spent": "8.5", "limit": "10.00", "left": "1.5", "used": 85, "warned": 80},
        "session": "3.00", "hard": False, "warned": 50, "currency": "USD",
    }  # fmt: skip
    assert (idle["limit"], idle["used"], idle["forecast"]) == (None, None, "0")
    assert (nlp["left"], nlp["warned"], nlp["hard"]) == ("-0.25", 100, True)


def test_as_a_table_with_bars(busy):
    lines = [line.rstrip() for line in busy.ok("budget").splitlines()]
    assert lines == [
        "PROJECT       SPENT   BUDGET     LEFT  FORECAST  USED",
        "acme/idle     $0.00        -        -     $0.00",
        "acme/vision   $2.00    $4.00    $2.00     $9.00  █████░░░░░  50 %  past 50 %",
        "  in all      $8.50   $10.00    $1.50            █████████░  85 %  past 80 %",
        "borealis/nlp  $1.25    $1.00   -$0.25     $1.25  ██████████ 125 %  hard, over",
        "everything    $3.25  $200.00  $196.75            ░░░░░░░░░░   1 %  hard",
    ]
    assert busy.ok("budget", charset="ascii").isascii()


def test_a_month_that_will_be_over_says_so(busy):
    busy.user('[client.acme.project.vision]\nbudget = { month = "8.00", warn = [90] }\n')
    assert busy.ok("budget").splitlines()[1].endswith("will be over")


def test_without_projects(desk):
    assert desk.ok("budget") == "no projects\n"


def test_the_plan_tells_both_limits_and_the_mark():
    def said(**how):
        values = {"project": "acme/vision", "limit": None, "spent": Fraction(8), "hard": False}
        budget = Budget(**values | {"warn": (50, 80)} | how)
        return _budget(SimpleNamespace(budget=budget))

    assert said() == "none set; $8.00 spent this month"
    assert said(limit=Decimal(20)) == "$12.00 left of $20.00 this month"
    assert said(limit=Decimal(10), total_limit=Decimal(9), total_spent=Fraction(9)) == (
        "$2.00 left of $10.00 this month, $0.00 left of $9.00 in all  (over 80 % is used)"
    )
