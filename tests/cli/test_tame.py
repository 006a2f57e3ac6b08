"""What is printed cannot drive the terminal; what is JSON stays the same."""

import io
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.cli.tame import Tamed, harmless

ESCAPES = ["\x1b[2J", "\x1b]0;t\x07", "\x9b31m", "\u202egnp.exe", "\rspoof", "\x00", "\x7f"]


@pytest.mark.parametrize("escape", ESCAPES)
def test_an_escape_is_shown_and_not_obeyed(escape):
    shown = harmless(f"a{escape}b")
    assert shown.isprintable()
    assert json.loads(f'"{shown}"') == f"a{escape}b"


@pytest.mark.parametrize("text", ["", "a\tb\nc\r\nd", "✓ naïve 東京 $1.20", "a\u00a0b"])
def test_what_is_harmless_stays(text):
    assert harmless(text) == text


@given(st.dictionaries(st.text(), st.text()))
def test_json_is_the_same_after_it(value):
    text = json.dumps(value, ensure_ascii=False, indent=2)
    assert json.loads(harmless(text)) == value


def test_a_character_that_cannot_be_written_is_no_error():
    below = io.BytesIO()
    stream = Tamed(below, encoding="ascii", errors="backslashreplace", write_through=True)
    stream.write("é\udc80\x1b")
    stream.draw("\r\x1b[2K")
    assert below.getvalue() == b"\\xe9\\udc80\\u001b\r\x1b[2K"


def test_the_program_s_own_streams_are_tamed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "gpuctl", "offers", "-t", "a\x1b]0;t\x07\u202eb"],
        env={"GPUCTL_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (2, 3), done.stderr
    assert "\\u001b]0;t\\u0007\\u202eb" in done.stderr


def test_what_is_no_unicode_is_a_mistake_and_no_bug(tmp_path):
    config = tmp_path / "config" / "config.toml"
    config.parent.mkdir(mode=0o700)
    config.touch(mode=0o600)
    config.write_text("[client.acme]\n")
    done = subprocess.run(
        [sys.executable, "-m", "gpuctl", "client", "set", "acme", "name", b"a\xffb"],
        env={"GPUCTL_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "is not Unicode text" in done.stderr
    assert "Traceback" not in done.stderr
