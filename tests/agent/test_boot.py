"""The first script, run for real by /bin/sh."""

import ast
import base64
import gzip
import json
import subprocess
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gpuctl.agent import agent
from gpuctl.agent.boot import AWS_LIMIT, installed_agent, render

from .conftest import plan

LONGEST_HOOK = tuple(f"/opt/project/bin/checkpoint-{i:04}" for i in range(20))


def test_it_fits_into_user_data():
    long = plan(
        name="n" * 40, project="c" * 30 + "/" + "p" * 30, budget="12345.67", hook=LONGEST_HOOK
    )
    assert len(render(long)) <= AWS_LIMIT - 1000


def test_what_does_not_fit_is_refused():
    noise = tuple(
        base64.b64encode(bytes([i, j, i ^ j] * 9)).decode() for i in range(99) for j in range(99)
    )
    with pytest.raises(ValueError, match="16384"):
        render(plan(hook=noise))


def test_the_same_plan_gives_the_same_bytes():
    given = plan()
    assert render(given) == render(given)
    assert gzip.decompress(render(given)) == render(given, compress=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"cloud": "azure"},
        {"user": "$(reboot)"},
        {"idle_stop_s": 0},
        {"ceiling": datetime(2020, 1, 1, tzinfo=UTC)},
        {"deadline": datetime(2026, 1, 1)},  # noqa: DTZ001 - that is the point
    ],
)
def test_a_senseless_plan_is_refused(changes):
    with pytest.raises(ValueError, match=r"."):
        render(plan(**changes))


def test_user_text_never_reaches_the_shell(machine):
    evil = "$(touch $GPUCTL_ROOT/owned)`touch $GPUCTL_ROOT/owned`\nEOF\ntouch $GPUCTL_ROOT/owned\n"
    given = plan(lease=evil, project=evil, name=evil, hook=(evil,), budget=evil)
    assert b"touch" not in render(given, compress=False)
    assert machine.sh(render(given, compress=False)).returncode == 0
    assert not (machine.root / "owned").exists()
    assert json.loads(machine.read("etc/gpuctl/lease.json"))["lease"] == evil


def test_the_switch_is_armed_before_anything_is_installed(machine):
    given = plan()
    done = machine.sh(render(given, compress=False))
    assert done.returncode == 0, done.stderr
    calls = machine.calls()
    assert calls[:3] == [
        "systemctl daemon-reload",
        "systemctl enable gpuctl-deadline.timer",
        "systemctl restart gpuctl-deadline.timer",
    ]
    assert calls[-1] == "systemctl restart --no-block gpuctl-agent.service"
    timer = machine.read("etc/systemd/system/gpuctl-deadline.timer")
    assert f"OnCalendar={given.deadline:%Y-%m-%d %H:%M:%S} UTC" in timer
    service = machine.read("etc/systemd/system/gpuctl-deadline.service")
    assert f"ExecStart=/bin/sh {machine.root}/usr/local/sbin/gpuctl-deadline check" in service
    assert json.loads(machine.read("run/gpuctl/armed.json"))["deadline"] == int(
        given.deadline.timestamp()
    )


def test_the_timer_counts_from_boot_too(machine):
    assert machine.sh(render(plan(), compress=False)).returncode == 0
    timer = machine.read("etc/systemd/system/gpuctl-deadline.timer")
    seconds = next(line for line in timer.splitlines() if line.startswith("OnBootSec="))
    left = int(seconds.partition("=")[2]) - float(Path("/proc/uptime").read_text().split()[0])
    assert 7100 < left <= 7201


def test_the_installed_agent_answers(booted):
    path = booted.root / "usr/local/bin/gpuctl-agent"
    assert path.read_bytes() == installed_agent()
    done = subprocess.run(
        [path, "armed"], env=booted.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lease"] == plan().lease


def test_a_damaged_agent_is_not_installed_and_the_deadline_stands(machine):
    script = render(plan(), compress=False).decode()
    start = script.index('put "$agent.gz"')
    broken = script[:start] + script[start:].replace("!= ", "!= 0", 1)
    done = machine.sh(broken.encode())
    assert done.returncode == 1
    assert not (machine.root / "usr/local/bin/gpuctl-agent").exists()
    assert not (machine.root / "run/gpuctl/armed.json").exists()
    assert "systemctl restart gpuctl-deadline.timer" in machine.calls()


def test_where_no_timer_can_be_started_shutdown_is_planned(machine):
    (machine.root / "refuse-systemctl").touch()
    machine.sh(render(plan(), compress=False))
    assert [call for call in machine.calls() if call.startswith("shutdown")] in (
        ["shutdown -P +119"],
        ["shutdown -P +120"],
    )
    assert not (machine.root / "run/gpuctl/armed.json").exists()


def test_a_second_boot_keeps_an_extension(machine):
    given = plan(cloud="gcp")
    later = (given.deadline + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine.sh(render(given, compress=False))
    assert machine.agent("extend", later).returncode == 0
    machine.sh(render(given, compress=False))
    assert later in machine.read("etc/gpuctl/deadline")
    timer = machine.read("etc/systemd/system/gpuctl-deadline.timer")
    assert later.replace("T", " ").replace("Z", " UTC") in timer


def test_a_new_lease_takes_over_a_stopped_machine(machine):
    first = plan(cloud="gcp")
    machine.sh(render(first, compress=False))
    (machine.root / "etc/gpuctl/superseded").write_text("1795342500\n")
    second = plan(cloud="gcp", lease="f" * 32, deadline=first.deadline + timedelta(hours=5))
    machine.sh(render(second, compress=False))
    assert machine.read("etc/gpuctl/deadline").split()[0] == str(int(second.deadline.timestamp()))
    assert json.loads(machine.read("etc/gpuctl/lease.json"))["lease"] == "f" * 32
    assert not (machine.root / "etc/gpuctl/superseded").exists()


@pytest.mark.parametrize(("hours", "taken"), [(3, True), (1, True), (13, False)])
def test_google_metadata_moves_the_deadline_at_boot(machine, hours, taken):
    given = plan(cloud="gcp")
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self):
            good = self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200 if good else 403)
            self.end_headers()
            self.wfile.write(moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        script = render(given, compress=False)
        machine.sh(script, GCE_METADATA_HOST=f"127.0.0.1:{server.server_port}")
        thread.join()
    expected = moment if taken else given.deadline
    assert machine.read("etc/gpuctl/deadline").split()[0] == str(int(expected.timestamp()))


def test_the_agent_is_old_python_and_only_its_standard_library():
    tree = ast.parse(installed_agent(), feature_version=(3, 8))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module)
        assert not isinstance(node, ast.JoinedStr), "quotes in f-strings differ between versions"
    assert imported == {
        *("__future__", "ctypes", "json", "os", "socket", "subprocess", "sys"),
        *("threading", "time", "xml.etree.ElementTree"),
    }
    assert agent.VERSION
