"""`simulate` on recorded and made markets, as the public contract has it."""

import json
from pathlib import Path

import pytest

from tests.cli.program import Program

TRACES = Path(__file__).parents[3] / "shared/data/traces/p3-2023-02"
HOURS = ("--job-hours", "4", "--deadline-hours", "8", "--overhead-hours", "0.2")


@pytest.fixture
def gpuctl(tmp_path):
    data = [1] * 30 + [0] * 10 + [1] * 60
    trace = {"metadata": {"gap_seconds": 900}, "data": data}
    (tmp_path / "us-east-1a_v100.json").write_text(json.dumps(trace))
    return Program(tmp_path, {})


def test_all_policies_by_name(gpuctl):
    found = gpuctl("simulate", "--traces", ".", *HOURS, "--starts", "5", "-o", "json").json
    assert found["schema"] == "gpuctl.simulate/1"
    by_name = {one["policy"]: one for one in found["policies"]}
    assert list(by_name) == ["on-demand", "greedy", "uniform-progress", "gpuctl", "optimum"]
    assert by_name["on-demand"]["mean_cost_ratio"] == 1
    assert by_name["optimum"]["gap_to_optimum"] == 0
    for one in by_name.values():
        assert set(one) == {
            "policy", "jobs", "mean_cost_ratio", "deadline_misses", "gap_to_optimum", "preemptions",
        }  # fmt: skip
        assert (one["jobs"], one["deadline_misses"]) == (5, 0)
        assert one["mean_cost_ratio"] >= by_name["optimum"]["mean_cost_ratio"]


def test_some_policies_as_a_table_and_as_rows(gpuctl):
    argv = ("simulate", "--traces", ".", *HOURS, "--starts", "2", "--policy", "gpuctl")
    out = gpuctl(*argv).out.splitlines()
    assert [line.split()[0] for line in out] == ["POLICY", "gpuctl"]
    rows = gpuctl(*argv, "--policy", "greedy", "--visibility", "all", "-o", "csv").out.splitlines()
    assert [line.split(",")[0] for line in rows] == ["policy", "gpuctl", "greedy"]


def test_one_job_is_drawn(gpuctl):
    argv = ("simulate", "--traces", ".", *HOURS, "--starts", "3", "--draw", "2")
    out = gpuctl(*argv).out.splitlines()
    by_name = {line[:16].strip(): line[18:] for line in out}
    assert "job 2: 4 h of work in 8 h; a mark is 15 min" in out
    # It begins at the 34th interval: spot is gone for six, then there until the end.
    assert by_name["a us-east-1a"] == " " * 6 + "█" * 26
    assert by_name["on-demand"].split() == ["$" * 17, "100%"]
    assert by_name["greedy"].split() == ["." * 6 + "a" * 17, "30%"]
    assert by_name["optimum"].split() == ["30%"]


def test_one_job_as_data(gpuctl):
    argv = ("simulate", "--traces", ".", *HOURS, "--starts", "3", "--draw", "2", "-o", "json")
    told = gpuctl(*argv).json["timeline"]
    assert (told["job"], told["first_interval"], told["interval_seconds"]) == (2, 34, 900)
    stays = {one["policy"]: one["stays"] for one in told["policies"]}
    assert stays["greedy"] == [
        {"place": None, "intervals": 6},
        {"place": "us-east-1a", "intervals": 17},
    ]
    assert stays["on-demand"] == [{"place": "on-demand", "intervals": 17}]


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (("--traces", "none", *HOURS), 3, "no such file"),
        (("--traces", "config", *HOURS), 3, "no trace there"),
        (("--traces", ".", *HOURS[:-1], "x"), 2, "--overhead-hours"),
        (("--traces", ".", "--job-hours", "0", *HOURS[2:]), 2, "no time at all"),
        (("--traces", ".", "--job-hours", "9", *HOURS[2:]), 2, "not even an on-demand machine"),
        (("--traces", ".", *HOURS[:2], "--deadline-hours", "90", *HOURS[4:]), 2, "recorded for"),
        (("--traces", "bad.json", *HOURS), 2, "bad.json"),
        (("--traces", ".", *HOURS, "--starts", "3", "--draw", "4"), 2, "there are 3 jobs"),
    ],
)
def test_wrong_inputs(gpuctl, argv, code, says):
    (gpuctl.home / "config").mkdir(exist_ok=True)
    if "bad.json" in argv:
        (gpuctl.home / "bad.json").write_text("{")
    assert says in gpuctl("simulate", *argv, code=code).err


@pytest.mark.skipif(not TRACES.exists(), reason="the recorded traces are not at hand")
def test_recorded_markets(gpuctl):
    found = gpuctl(
        "simulate", "--traces", str(TRACES), "--job-hours", "48", "--deadline-hours", "60",
        "--overhead-hours", "0.2", "--starts", "2", "--policy", "gpuctl", "--policy",
        "uniform-progress", "-o", "json",
    ).json["policies"]  # fmt: skip
    assert [one["deadline_misses"] for one in found] == [0, 0]
    assert all(0 < one["mean_cost_ratio"] < 1 for one in found)
