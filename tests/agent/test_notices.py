"""Notices, by a metadata service on loopback that misbehaves in every way known."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from gpuctl.agent import agent
from tests.agent.metadata import ACTION, PREEMPTED, REBALANCE, TAG, FakeMetadata, notice, serving


@pytest.fixture
def fake(monkeypatch):
    fake = FakeMetadata()
    with serving(fake) as port:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{port}/")
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{port}")
        yield fake


@pytest.fixture
def heard():
    return []


@pytest.fixture
def notices(heard):
    return agent.Notices(lambda kind, moment: heard.append((kind, agent.format_time(moment))))


def test_no_notice(fake, notices, heard):
    agent.Aws().poll(notices)
    assert fake.asked == ["token", ACTION, REBALANCE]
    assert (heard, notices.gravest()) == ([], None)


def test_a_notice_is_new_once(fake, notices, heard):
    aws = agent.Aws()
    fake.says[ACTION] = (200, notice())
    for _ in range(5):
        aws.poll(notices)
    assert heard == [("spot", "2026-11-22T10:15:00Z")]
    assert notices.gravest() == {"kind": "spot", "time": "2026-11-22T10:15:00Z"}
    assert fake.asked.count("token") == 1


def test_a_new_time_for_a_standing_notice_is_shown_and_not_new(fake, notices, heard):
    aws = agent.Aws()
    for at in ("2026-11-22T10:15:00Z", "2026-11-22T10:16:00Z"):
        fake.says[ACTION] = (200, notice(at))
        aws.poll(notices)
    assert len(heard) == 1
    assert notices.gravest()["time"] == "2026-11-22T10:16:00Z"


def test_a_notice_taken_back_and_another_later(fake, notices, heard):
    aws = agent.Aws()
    for answer in ((200, notice()), (404, ""), (200, notice()), (404, "")):
        fake.says[ACTION] = answer
        aws.poll(notices)
    assert (len(heard), notices.gravest()) == (1, None)
    fake.says[ACTION] = (200, notice("2026-11-23T01:00:00Z"))
    aws.poll(notices)
    assert len(heard) == 2


def test_a_rebalance_and_then_the_end_are_two(fake, notices, heard):
    aws = agent.Aws()
    fake.says[REBALANCE] = (200, json.dumps({"noticeTime": "2026-11-22T10:00:00Z"}))
    aws.poll(notices)
    assert notices.gravest()["kind"] == "rebalance"
    fake.says[ACTION] = (200, notice())
    aws.poll(notices)
    assert [kind for kind, _ in heard] == ["rebalance", "spot"]
    assert notices.gravest()["kind"] == "spot"


def test_a_late_notice_is_a_notice(fake, notices, heard):
    fake.says[ACTION] = (200, notice("2001-01-01T00:00:00Z"))
    agent.Aws().poll(notices)
    assert heard == [("spot", "2001-01-01T00:00:00Z")]


def half_an_answer(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{")


def not_http(handler):
    handler.wfile.write(b"\x00\xff garbage\r\n\r\n")


MALFORMED = [
    (200, ""),
    (200, "<html>log in to the wifi</html>"),
    (200, "[]"),
    (200, "null"),
    (200, '{"action": "terminate"}'),
    (200, '{"action": "terminate", "time": 7}'),
    (200, '{"action": "terminate", "time": "soon"}'),
    (200, "{" * 5000),
    (200, "x" * 200_000),
    (500, notice()),
    (503, ""),
    (429, ""),
    (302, notice()),
    half_an_answer,
    not_http,
]


@pytest.mark.parametrize("answer", MALFORMED)
def test_what_is_no_notice_changes_nothing(fake, notices, heard, answer):
    aws = agent.Aws()
    fake.says[ACTION] = answer
    aws.poll(notices)
    assert heard == []
    fake.says[ACTION] = (200, notice())
    aws.poll(notices)
    assert len(heard) == 1
    fake.says[ACTION] = answer
    aws.poll(notices)
    assert notices.gravest()["kind"] == "spot"


def test_a_token_that_ran_out_is_renewed(fake, notices, heard):
    aws = agent.Aws()
    aws.poll(notices)
    fake.tokens, fake.given = {"second"}, "second"
    fake.says[ACTION] = (200, notice())
    aws.poll(notices)
    assert len(heard) == 1


@pytest.mark.parametrize("token", [(401, ""), (403, ""), (500, ""), (200, ""), (200, "ä")])
def test_without_a_token_nothing_is_heard_and_nothing_breaks(fake, notices, token):
    fake.says["token"] = token
    aws = agent.Aws()
    aws.poll(notices)
    assert aws.tag() is None
    assert notices.gravest() is None


def test_nobody_listens(monkeypatch, notices):
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    for cloud in (agent.Aws(), agent.Gcp()):
        cloud.poll(notices)
        assert cloud.tag() is None
    assert notices.gravest() is None


def test_a_hanging_service_costs_a_second(fake, notices):
    fake.says[ACTION] = lambda _: fake.free.wait(10)
    aws = agent.Aws()
    began = time.monotonic()
    assert aws.get(ACTION) is None
    assert 0.9 < time.monotonic() - began < 2


def test_a_dripping_service_costs_a_second(fake, notices):
    def drip(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not fake.free.wait(0.1):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    fake.says[ACTION] = drip
    began = time.monotonic()
    assert agent.Aws().get(ACTION) is None
    assert time.monotonic() - began < 2


def test_a_chunked_answer(fake):
    def chunks(handler):
        handler.wfile.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\n2026-\r\nf;x=y\r\n11-22T10:15:00Z\r\n0\r\n\r\n"
        )

    fake.says[TAG] = chunks
    assert agent.Aws().tag() == "2026-11-22T10:15:00Z"


def test_the_tag(fake):
    fake.says[TAG] = (200, "2026-11-22T10:15:00Z")
    assert agent.Aws().tag() == "2026-11-22T10:15:00Z"


def test_google_tells_of_preemption_at_once(fake, notices, heard):
    preempted = threading.Event()

    def answer(handler):
        if "wait_for_change=true" in handler.path:
            preempted.wait(10)
        handler.say(200, "TRUE" if preempted.is_set() else "FALSE", ETag="abc123")

    fake.says[PREEMPTED] = answer
    gcp = agent.Gcp()
    gcp.poll(notices)
    assert notices.gravest() is None
    threading.Timer(0.2, preempted.set).start()
    began = time.monotonic()
    gcp.poll(notices)
    assert time.monotonic() - began < 2
    gcp.poll(notices)
    assert [kind for kind, _ in heard] == ["preempted"]
    assert fake.asked[-2].endswith("last_etag=abc123")


def test_google_maintenance(fake, notices, heard):
    fake.says[PREEMPTED] = (200, "FALSE")
    path = "/computeMetadata/v1/instance/maintenance-event"
    gcp = agent.Gcp()
    for body in ("TERMINATE_ON_HOST_MAINTENANCE", "TERMINATE_ON_HOST_MAINTENANCE", "NONE"):
        fake.says[path] = (200, body)
        gcp.poll(notices)
    assert [kind for kind, _ in heard] == ["maintenance"]
    assert notices.gravest() is None


# --- the hook


def lease_with(rooted, hook, timeout=5):
    lease = agent.Lease()
    lease.hook, lease.hook_timeout_s = hook, timeout
    return lease


def test_the_hook_is_told_what_and_when(rooted):
    script = 'echo "$GPUCTL_NOTICE $GPUCTL_NOTICE_TIME" >>"$GPUCTL_ROOT/hook"'
    agent.run_hook(lease_with(rooted, ["/bin/sh", "-c", script]), "spot", 1795342500)
    assert rooted.read("hook") == "spot 2026-11-22T10:15:00Z\n"


def test_the_hook_runs_in_the_home_of_its_user(rooted):
    (rooted.root / "home/ubuntu").mkdir(parents=True)
    lease = lease_with(
        rooted, ["/bin/sh", "-c", 'pwd >"$HOME/where"; echo "$USER" >>"$HOME/where"']
    )
    lease.user = "ubuntu"
    agent.run_hook(lease, "spot", 0)
    assert rooted.read("home/ubuntu/where") == f"{rooted.root}/home/ubuntu\nubuntu\n"


def test_a_hook_that_does_not_end_is_ended_with_its_children(rooted):
    script = 'sleep 100 & echo $! >"$GPUCTL_ROOT/child"; wait'
    began = time.monotonic()
    agent.run_hook(lease_with(rooted, ["/bin/sh", "-c", script], timeout=1), "spot", 0)
    assert time.monotonic() - began < 8
    child = int(rooted.read("child"))
    status = agent.call(["ps", "-o", "stat=", "-p", str(child)])[1].strip()
    assert status in ("", "Z")


def test_a_hook_that_is_missing_is_only_told(rooted, capsys):
    agent.run_hook(lease_with(rooted, ["/no/such/hook"]), "spot", 0)
    assert "cannot be run" in capsys.readouterr().err


# --- the whole daemon, for real


def test_the_daemon_hears_a_notice_that_was_there_at_boot(booted, fake):
    """Within 4 s of its start: hook run once, people told, heartbeat and status say so."""
    lease = json.loads(booted.read("etc/gpuctl/lease.json"))
    lease["hook"] = ["/bin/sh", "-c", 'echo "$GPUCTL_NOTICE" >>"$GPUCTL_ROOT/hook"']
    (booted.root / "etc/gpuctl/lease.json").write_text(json.dumps(lease))
    fake.says[ACTION] = (200, notice())
    env = booted.environ | {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
    }
    command = [sys.executable, "-I", "-S", agent.__file__, "run"]
    daemon = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 8
        while time.monotonic() < end and not (booted.root / "hook").exists():
            time.sleep(0.05)
        waited = 8 - (end - time.monotonic())
        time.sleep(2.5)
    finally:
        daemon.terminate()
        daemon.wait()
    assert waited < 4
    assert booted.read("hook") == "spot\n"
    said = json.loads(booted.agent("status", "--json").stdout)
    assert said["notice"] == {"kind": "spot", "time": "2026-11-22T10:15:00Z"}
    assert said["heartbeat"]
    assert "systemctl restart gpuctl-deadline.timer" in booted.calls()
