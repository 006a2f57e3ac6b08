"""docs/sandbox-aws.md says what is emulated: it and the code cannot drift apart."""

import re
from pathlib import Path

import pytest

from gpuctl.sandbox.aws import KNOBS

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "sandbox-aws.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text()


def test_every_test_that_the_page_names_exists(page):
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named) > 50
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (HERE / file).exists() or f"\ndef {name}(" not in (HERE / file).read_text()
    ]
    assert missing == []


def test_every_call_that_is_answered_is_on_the_page_and_no_other(page, aws):
    calls = page.partition("## Calls")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in calls.splitlines() if line.startswith("| `")]
    told = set(re.findall(r"`(\w+\.\w+)`", " ".join(rows)))
    assert told == set(aws.cloud._handlers())


def test_every_knob_is_on_the_page_and_no_other(page):
    knobs = page.partition("## Knobs")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)\(", knobs, re.MULTILINE)) == set(KNOBS)
