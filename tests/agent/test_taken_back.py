"""What the agent hears is what the keeper of checkpoints acts on, and nothing ends itself then."""

import subprocess
import sys
import time

import pytest

from gpuctl.agent import agent
from gpuctl.agent.checkpoint.notices import Notices

from .test_notices import ACTION, FakeMetadata, notice, serving


@pytest.mark.parametrize(
    ("standing", "ends"), [((), True), (("rebalance",), True), (("spot",), False)]
)
def test_an_idle_machine_that_aws_takes_back_does_not_end_itself(
    rooted, monkeypatch, standing, ends
):
    """It would be billed for an hour that is free."""
    daemon, ended = agent.Daemon(), []
    monkeypatch.setattr(daemon, "power_off", ended.append)
    for kind in standing:
        daemon.notices.heard(kind, 1795342500)
    daemon.judge("stop", daemon.clock())
    assert bool(ended) is ends


def test_the_keeper_reads_what_the_agent_wrote(booted, monkeypatch):
    """The real agent and a metadata service; four seconds from the notice to the keeper."""
    fake = FakeMetadata()
    with serving(fake) as port:
        endpoint = f"http://127.0.0.1:{port}/"
        env = {**booted.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": endpoint}
        command = [sys.executable, "-I", "-S", agent.__file__, "run"]
        daemon = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            notices = Notices("aws", str(booted.root))
            end = time.monotonic() + 8
            while not (booted.root / "run/gpuctl/heartbeat.json").exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            assert [e.kind for e in notices.look() if e.kind != "deadline"] == []
            at = time.time() + 120
            fake.says[ACTION] = (200, notice(agent.format_time(at)))
            began = time.monotonic()
            while not any(e.kind == "spot" for e in notices.look()):
                assert time.monotonic() - began < 8
                time.sleep(0.05)
            waited = time.monotonic() - began
            spot = next(e for e in notices.look() if e.kind == "spot")
        finally:
            daemon.terminate()
            daemon.wait()
    assert waited < 5
    assert spot.at == int(at)
