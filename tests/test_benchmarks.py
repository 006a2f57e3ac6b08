"""The benchmarks run and print; what they measure is never asserted."""

import importlib
import os
import sys
from decimal import Decimal

import pytest

from benchmarks import reporting
from benchmarks.__main__ import names
from benchmarks.cpu import Command, interleaved
from benchmarks.table import Row, table


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row(name="a", unit="ms", value=60, baseline=50, goal=1.3), True),
        (Row(name="a", unit="ms", value=70, baseline=50, goal=1.3), False),
        (Row(name="a", unit="ms", value=60, goal=100), True),
        (Row(name="a", unit="ms", value=60, baseline=50), None),
        (Row(name="a", unit="ms", value=None, goal=1.3), None),
    ],
)
def test_a_goal_bounds_the_ratio_or_else_the_value(row: Row, met: bool | None) -> None:
    assert row.met is met


def test_columns_line_up() -> None:
    rows = [
        Row(name="a", unit="ms", value=5, baseline=4, goal=1.3),
        Row(name="bb", unit="ms", value=None),
    ]
    lines = table("Title", rows).splitlines()
    assert lines[0] == "Title"
    assert [line.split() for line in lines[2:]] == [
        ["a", "5.0", "ms", "1.25x", "<=", "1.3", "met"],
        ["bb", "-", "ms"],
    ]
    assert len({line.index("ms") for line in lines[2:]}) == 1


def test_a_command_that_fails_is_not_quick() -> None:
    env = dict(os.environ)
    costs = interleaved(
        {
            "good": Command([sys.executable, "-c", "sum(range(10**5))"], env),
            "bad": Command([sys.executable, "-c", "raise SystemExit(3)"], env),
        },
        rounds=1,
    )
    assert costs["good"].failed == 0
    assert costs["good"].minimum > 0
    assert costs["bad"].failed == 3


def test_every_benchmark_has_a_title_and_a_measure() -> None:
    assert "startup" in names()
    for name in names():
        module = importlib.import_module(f"benchmarks.{name}")
        assert isinstance(module.TITLE, str), name
        assert callable(module.measure), name


def test_the_report_that_is_measured_comes_to_what_the_bare_loop_does() -> None:
    charges = [reporting._charge(number) for number in range(5_000)]
    bare = reporting._bare(charges)
    made = reporting._reported(charges)
    assert [account.project for account in made.accounts] == sorted(bare)
    for account in made.accounts:
        assert abs(account.cost - bare[account.project]) < Decimal("0.01")
    events = list(reporting._history())
    assert len({event.id for event in events}) == len(events)
