"""`spend` as sums and as a picture; nothing that is printed on a terminal wraps at 80 columns."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from decimal import Decimal

import pytest

from tests.cli.program import Program, write_config

PROJECT = "a-client-with-a-long-name-here/and-a-project-that-is-as-long"
CONFIG = f"""
[client.{PROJECT.split("/", maxsplit=1)[0]}.project.{PROJECT.split("/")[1]}]
budget = {{ month = "40.00" }}
"""
LEDGER = """\
{"v":1,"type":"price","id":"p1","provider":"aws","region":"us-east-1","zone":"us-east-1a","kind":"compute","sku":"p3.2xlarge","market":"spot","unit":"hour","usd":"0.9","from":"2025-03-01T00:00:00Z"}
{"v":1,"type":"price","id":"p2","provider":"gcp","kind":"gpu","sku":"nvidia-tesla-t4","market":"on-demand","unit":"hour","usd":"0.35","from":"2025-03-01T00:00:00Z"}
{"v":1,"type":"usage","id":"u1","provider":"aws","account":"1","region":"us-east-1","zone":"us-east-1a","resource":"i-0123456789abcdef0","kind":"compute","sku":"p3.2xlarge","market":"spot","quantity":"1","start":"2025-03-10T22:00:00Z","end":"2025-03-11T01:00:00Z","ended_by":"user","project":"PROJECT"}
{"v":1,"type":"usage","id":"u2","provider":"gcp","account":"g","region":"us-central1","zone":"us-central1-a","resource":"7654321","kind":"gpu","sku":"nvidia-tesla-t4","market":"on-demand","quantity":"1","start":"2025-03-14T06:00:00Z","end":"2025-03-14T08:00:00Z","ended_by":"user","project":"acme/vision"}
{"v":1,"type":"usage","id":"u3","provider":"gcp","account":"g","region":"us-central1","zone":"us-central1-a","resource":"7654322","kind":"gpu","sku":"nvidia-tesla-t4","market":"on-demand","quantity":"1","start":"2025-03-14T06:00:00Z","end":"2025-03-14T08:00:00Z","ended_by":"user","project":"theirs/own","payer":"theirs"}
{"v":1,"type":"adjust","id":"a1","project":"acme/vision","at":"2025-03-16T00:00:00Z","usd":"-0.10","note":"credit"}
""".replace("PROJECT", PROJECT)


@pytest.fixture
def gpuctl(tmp_path):
    write_config(tmp_path, CONFIG)
    (tmp_path / "in.jsonl").write_text(LEDGER)
    program = Program(tmp_path, {"LANG": "C.UTF-8", "PYTHONUTF8": "1"})
    program("ledger", "import", str(tmp_path / "in.jsonl"))
    return program


MARCH = ("spend", "--month", "2025-03")


def sums(gpuctl, by):
    found = gpuctl(*MARCH, "--by", by, "-o", "json").json["sums"]
    return {row[by]: row["cost"] for row in found}


def test_each_day_is_the_provider_s_own_and_has_what_fell_on_it(gpuctl):
    assert sums(gpuctl, "day") == {
        "2025-03-10": "1.8",
        "2025-03-11": "0.9",
        "2025-03-13": "0.35",  # Los Angeles: 23:00 to midnight
        "2025-03-14": "0.35",
        "2025-03-16": "-0.1",
    }


@pytest.mark.parametrize("by", ["project", "client", "cloud", "day", "kind"])
def test_every_sum_comes_to_the_total_without_what_the_client_pays_itself(gpuctl, by):
    found = gpuctl(*MARCH, "--by", by, "-o", "json").json
    assert sum(Decimal(row["cost"]) for row in found["sums"]) == Decimal(found["total"])
    assert found["total"] == "3.3"
    assert len(found["charges"]) == 4


def test_sums_by_name(gpuctl):
    assert sums(gpuctl, "project") == {PROJECT: "2.7", "acme/vision": "0.6"}
    assert sums(gpuctl, "client") == {PROJECT.partition("/")[0]: "2.7", "acme": "0.6"}
    assert sums(gpuctl, "cloud") == {"-": "-0.1", "aws": "2.7", "gcp": "0.7"}
    assert sums(gpuctl, "kind") == {"adjust": "-0.1", "compute": "2.7", "gpu": "0.7"}


def test_the_chart_has_a_line_a_day_also_where_nothing_was_spent(gpuctl):
    *lines, total = gpuctl(*MARCH, "--chart").out.splitlines()
    assert total == "total $3.3000"
    assert [line.split()[0] for line in lines] == [f"2025-03-{day}" for day in range(10, 17)]
    bars = {line.split()[0][-2:]: line.count("█") for line in lines}
    assert bars["10"] == 2 * bars["11"] > 0
    assert bars["12"] == bars["15"] == bars["16"] == 0
    assert max(map(len, lines)) <= 80


def test_a_terminal_that_speaks_ascii_gets_ascii(gpuctl, tmp_path):
    plain = Program(tmp_path, {"LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    out = plain(*MARCH, "--by", "project", "--chart").out
    assert out.isascii()
    assert "####" in out


def test_an_empty_month_is_said(gpuctl):
    assert gpuctl("spend", "--month", "2024-01", "--chart").out == "no charges\ntotal $0.0000\n"


@pytest.mark.parametrize(
    "argv",
    [
        MARCH,
        (*MARCH, "--chart"),
        (*MARCH, "--by", "project"),
        (*MARCH, "--by", "project", "--chart"),
        ("report", "--month", "2025-03"),
        ("budget",),
        ("price", "list"),
        ("price", "history", "p3.2xlarge", "--days", "3650"),
        ("price", "history", "p3.2xlarge", "--days", "3650", "--chart"),
        ("ps", "--cached"),
        ("project", "list"),
        (),
    ],
    ids=" ".join,
)
def test_nothing_wraps_at_80_columns(gpuctl, argv):
    lines = on_terminal(gpuctl, 80, *argv)
    assert lines
    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize(("form", "ending"), [("json", ".json"), ("text", ".txt")])
def test_the_report_itself_goes_into_a_file_too(gpuctl, form, ending):
    month = ("report", "--month", "2025-03")
    shown = gpuctl(*month, "--format", form).out
    (gpuctl.home / "out").mkdir()
    done = gpuctl(*month, "--format", form, "--out", "out")
    assert done.out == ""
    file = gpuctl.home / "out" / f"report-2025-03{ending}"
    assert file.read_text() == shown
    assert gpuctl(*month, "--format", form, "--out", "-").out == shown
    file.write_text("mine")
    assert gpuctl(*month, "--format", form, "--out", "out", code=2).out == ""
    assert file.read_text() == "mine"


def test_off_a_terminal_names_are_whole(gpuctl):
    assert PROJECT in gpuctl(*MARCH).out
    assert not any(PROJECT in line for line in on_terminal(gpuctl, 80, *MARCH))
    assert any(PROJECT in line for line in on_terminal(gpuctl, 250, *MARCH))


def on_terminal(gpuctl, columns, *argv):
    """The lines that the program prints on a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {**os.environ, **gpuctl.environ, "GPUCTL_HOME": str(gpuctl.home), "NO_COLOR": "1"}
    environ.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "gpuctl", *argv], stdin=theirs, stdout=theirs,
        stderr=subprocess.PIPE, env=environ, cwd=gpuctl.home,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:
            break  # the other end is closed
        if not part:
            break
        said += part
    os.close(ours)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err.decode()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.decode()).splitlines()
