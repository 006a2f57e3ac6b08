"""The agent, asked over real SSH; the boot script really ran on that machine."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.agent.boot import BootPlan, render
from gpuctl.core.errors import RemoteFailed, UsageProblem
from gpuctl.remote import guard

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def guarded(place):
    home = place.machine.home
    (home / "bin").mkdir()
    smi = "echo 'index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB]'\n"
    smi += "echo '0, Tesla V100-SXM2-16GB, 97 %, 1000 MiB, 16160 MiB'\n"
    shims = {
        "sudo": '[ "$1" = -n ] || exit 1; shift; exec "$@"\n',
        "nvidia-smi": 'case "$1" in --query-gpu*)\n' + smi + ";; esac\n",
        "systemctl": "",
    }
    for name, body in shims.items():
        (home / "bin" / name).write_text(f"#!/bin/sh\n{body}")
        (home / "bin" / name).chmod(0o755)
    place.machine.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://127.0.0.1:9"
    plan = BootPlan(
        lease="f" * 32,
        cloud="aws",
        deadline=NOW + timedelta(hours=2),
        ceiling=NOW + timedelta(hours=12),
        user="ubuntu",
    )
    subprocess.run(
        ["/bin/sh"],
        input=render(plan, compress=False),
        env=place.machine.environ,
        check=True,
        capture_output=True,
    )
    return place.target


def test_armed(guarded):
    assert guard.armed(guarded) == guard.Armed(
        lease="f" * 32, deadline=NOW + timedelta(hours=2), ceiling=NOW + timedelta(hours=12)
    )


def test_not_armed(place):
    assert guard.armed(place.target) is None


def test_status(guarded):
    status = guard.status(guarded)
    assert status.armed
    assert status.deadline == NOW + timedelta(hours=2)
    assert status.gpus == (
        guard.Gpu(index=0, name="Tesla V100-SXM2-16GB", util=97, mem_used=1000, mem_total=16160),
    )
    assert (status.state, status.notice, status.heartbeat) == ("unknown", None, None)


def test_no_agent_no_status(place):
    with pytest.raises(RemoteFailed):
        guard.status(place.target)


def test_extend(guarded):
    later = NOW + timedelta(hours=5)
    assert guard.extend(guarded, later) == later
    armed = guard.armed(guarded)
    assert armed is not None
    assert armed.deadline == later


@pytest.mark.parametrize("hours", [-1, 13])
def test_extend_is_refused(guarded, hours):
    with pytest.raises(UsageProblem):
        guard.extend(guarded, NOW + timedelta(hours=hours))


def test_hold(guarded):
    guard.hold(guarded, 0)
    assert guard.status(guarded).hold
    guard.hold(guarded, None)
    assert not guard.status(guarded).hold


@pytest.mark.parametrize("words", ["", "[]", "{}", "nonsense", '{"lease": 1}'])
def test_an_agent_that_talks_nonsense(guarded, place, words):
    path = place.machine.home / "usr/local/bin/gpuctl-agent"
    path.write_text(f"#!/bin/sh\necho '{words}'\n")
    assert guard.armed(guarded) is None
    with pytest.raises(RemoteFailed):
        guard.status(guarded)
    with pytest.raises(RemoteFailed):
        guard.extend(guarded, NOW + timedelta(hours=3))
