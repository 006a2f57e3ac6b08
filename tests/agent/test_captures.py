"""Every answer of nvidia-smi that was recorded is read as what the machine was doing."""

import json
from pathlib import Path

import pytest

from gpuctl.agent import agent

RECORDED = Path(__file__).parents[3] / "shared/data/recorded/nvidia_smi"

pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not here")


def read(name: str) -> str:
    return (RECORDED / name).read_text()


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("h100_idle_query-gpu.csv", "idle"),
        ("h100_load_query-gpu.csv", "busy"),
        ("l40s_idle_query-gpu.csv", "idle"),  # its gauge says 100 % with nothing on it
        ("l40s_load_query-gpu.csv", "busy"),
        ("rtx2080_idle_query-gpu.csv", "idle"),
        ("rtx2080_load_query-gpu.csv", "busy"),
        ("h100-mig_idle_query-gpu.csv", "unknown"),
        ("h100-mig_load_query-gpu.csv", "unknown"),
        ("h200-mig_idle_query-gpu.csv", "unknown"),
        ("h200-mig_load_query-gpu.csv", "unknown"),
        ("windows_two_gpus_query.csv", "unknown"),
        ("h100_idle_q.txt", "idle"),
        ("h100_load_q.txt", "busy"),
        ("h100-mig_idle_q.txt", "unknown"),
        ("h100-mig_load_q.txt", "unknown"),
    ],
)
def test_a_capture_is_read(name, state):
    assert agent.parse_smi(read(f"captures/{name}")).state() == state


@pytest.mark.parametrize(
    ("name", "count", "state"),
    [
        ("datakit_gtx-8card.xml", 8, "busy"),
        ("telegraf_a100-sxm4-v12.xml", 1, "unknown"),
        ("telegraf_a10g.xml", 1, "idle"),
        ("telegraf_tesla-t4.xml", 1, "idle"),
    ],
)
def test_xml_is_read(name, count, state):
    gpus = agent.parse_smi(read(f"xml/{name}"))
    assert (len(gpus.list), gpus.state()) == (count, state)


def test_text_and_table_agree():
    for kind in ("h100_load", "h100_idle", "h100-mig_load"):
        table = agent.parse_smi(read(f"captures/{kind}_query-gpu.csv")).list[0]
        text = agent.parse_smi(read(f"captures/{kind}_q.txt")).list[0]
        for field in ("name", "util", "mem_used", "mem_total"):
            assert getattr(table, field) == getattr(text, field)


def test_values_of_a_gpu():
    gpu = agent.parse_smi(read("captures/h100_load_query-gpu.csv")).list[0]
    assert (gpu.index, gpu.name, gpu.util) == (0, "NVIDIA H100 80GB HBM3", 100)
    assert (gpu.mem_used, gpu.mem_total) == (19818, 81559)


def test_processes_that_compute():
    table = read("captures/h100_load_query-compute-apps.csv")
    text = agent.parse_smi(read("captures/h100_load_q.txt"))
    assert agent.parse_apps(table) == text.pids == [11327, 11328, 11345]
    assert agent.parse_apps(read("captures/h100_idle_query-compute-apps.csv")) == []


def test_a_display_server_does_not_compute():
    assert agent.parse_smi(read("xml/telegraf_a10g.xml")).pids == []


def test_errors_are_unknown():
    errors = json.loads(read("errors/quoted_errors.json"))
    assert len(errors) == 7
    for error in errors:
        gpus = agent.parse_smi(error["output"])
        assert gpus.state() == "unknown"
        assert gpus.error == error["output"].splitlines()[0]


def test_no_capture_makes_the_reader_stumble():
    names = sorted(RECORDED.rglob("*.*"))
    assert len(names) > 40
    for path in names:
        text = path.read_text()
        for cut in (len(text), len(text) // 2, 40, 0):
            assert agent.parse_smi(text[:cut]).state() in ("busy", "idle", "unknown")
            assert isinstance(agent.parse_apps(text[:cut]), list)


def test_a_gauge_of_a_divided_gpu_is_not_believed():
    text = "index, name, utilization.gpu [%], mig.mode.current\n0, NVIDIA A100, 0 %, Enabled\n"
    assert agent.parse_smi(text).state() == "unknown"
    assert agent.parse_smi(text.replace("Enabled", "Disabled")).state() == "idle"


def test_fewer_gpus_than_bought_is_unknown():
    idle = agent.parse_smi(read("captures/h100_idle_query-gpu.csv"))
    assert idle.state(expected=1) == "idle"
    assert idle.state(expected=2) == "unknown"


def test_a_machine_bought_without_gpus_is_no_mystery():
    nothing = agent.parse_smi("")
    assert nothing.state(expected=None) == "unknown"
    assert nothing.state(expected=0) == "idle"
