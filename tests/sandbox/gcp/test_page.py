"""docs/sandbox-gcp.md names every call and knob, and tests that exist."""

import re
from pathlib import Path

from gpuctl.sandbox.gcp.cloud import _KNOBS
from gpuctl.sandbox.gcp.routes import METHODS

HERE = Path(__file__).parent
PAGE = (HERE.parents[2] / "docs" / "sandbox-gcp.md").read_text()


def test_every_call_is_on_the_page():
    assert set(re.findall(r"`(\w+\.[a-z]\w+)`", PAGE)) - {"test_recorded.py"} == METHODS


def test_every_knob_is_on_the_page():
    assert {knob for knob in _KNOBS if not re.search(rf"`{knob}\(", PAGE)} == set()


def test_every_test_named_exists():
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 50
    for file, name in named:
        assert f"def {name}(" in (HERE / file).read_text(), f"{file}::{name}"
