"""The deadline: when it strikes, how it moves, and that it never moves too far."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.agent import agent
from gpuctl.agent.boot import render

from .conftest import plan


def stamp(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(machine, path, text):
    (machine.root / path).parent.mkdir(parents=True, exist_ok=True)
    (machine.root / path).write_text(text)


# --- the shell's own switch


def test_nothing_happens_before_the_deadline(booted):
    assert booted.switch("check").returncode == 0
    assert booted.calls() == []


def test_at_the_deadline_it_powers_off_and_then_forces_it(booted):
    booted.advance(2 * 3600)
    booted.switch("check")
    acts = [call for call in booted.calls() if "poweroff" in call]
    assert acts == ["systemctl poweroff", "poweroff --force --force"]


def test_a_clock_set_back_does_not_save_it(booted):
    put(booted, "run/gpuctl/due_uptime", "1\n")
    booted.advance(-86400)
    booted.switch("check")
    assert "systemctl poweroff" in booted.calls()


@pytest.mark.parametrize("text", ["", "soon\n", "0123456789\n", "99999999999\n", "12\n", "-1\n"])
def test_an_unreadable_deadline_is_an_hour_after_boot(booted, text):
    put(booted, "etc/gpuctl/deadline", text)
    booted.switch("arm")
    timer = booted.read("etc/systemd/system/gpuctl-deadline.timer")
    assert "OnCalendar" not in timer
    seconds = int(timer.partition("OnBootSec=")[2].split()[0])
    assert seconds == int(booted.read("run/gpuctl/due_uptime")) >= 3600
    booted.forget_calls()
    booted.switch("check")
    struck = "systemctl poweroff" in booted.calls()
    assert struck == (agent.uptime() >= agent.UNREADABLE_AFTER_S)


def test_power_off_is_tried_another_way_when_systemd_refuses(booted):
    (booted.root / "refuse-systemctl").touch()
    booted.switch("now")
    acts = [call for call in booted.calls() if "poweroff" in call]
    assert acts == ["systemctl poweroff", "poweroff ", "poweroff --force --force"]


# --- the agent's command


def test_extend_moves_file_and_timer(booted):
    later = stamp(hours=5)
    done = booted.agent("extend", later)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"deadline": later})
    assert later in booted.read("etc/gpuctl/deadline")
    assert "systemctl restart gpuctl-deadline.timer" in booted.calls()
    assert json.loads(booted.agent("armed").stdout)["deadline"] == later
    booted.advance(3 * 3600)
    booted.switch("check")
    assert "systemctl poweroff" not in booted.calls()


def test_extend_may_also_end_it_earlier(booted):
    assert booted.agent("extend", stamp(minutes=5)).returncode == 0


@pytest.mark.parametrize("ahead", [{"hours": 13}, {"days": 400}, {"hours": -1}, {"seconds": 0}])
def test_extend_refuses_the_past_and_what_is_beyond_the_ceiling(booted, ahead):
    before = booted.read("etc/gpuctl/deadline")
    done = booted.agent("extend", stamp(**ahead))
    assert done.returncode == 4
    assert done.stderr
    assert booted.read("etc/gpuctl/deadline") == before
    assert booted.calls() == []


@pytest.mark.parametrize(
    "text", ["tomorrow", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00"]
)
def test_extend_wants_a_time(booted, text):
    assert booted.agent("extend", text).returncode == 2


def test_extend_says_when_the_timer_did_not_take_it(booted):
    (booted.root / "refuse-systemctl").touch()
    assert booted.agent("extend", stamp(hours=3)).returncode == 1


def test_a_ceiling_that_cannot_be_read_extends_nothing(booted):
    put(booted, "etc/gpuctl/lease.json", "{}")
    assert booted.agent("extend", stamp(hours=1)).returncode == 4


def test_a_deadline_file_beyond_the_ceiling_is_not_believed(booted):
    put(booted, "etc/gpuctl/deadline", "4102444800 2100-01-01T00:00:00Z\n")
    said = json.loads(booted.agent("status", "--json").stdout)
    assert said["deadline"] == said["ceiling"]


def test_not_armed_when_the_timer_is_not_running(booted):
    assert booted.agent("armed").returncode == 0
    (booted.root / "refuse-systemctl").touch()
    assert booted.agent("armed").returncode == 3


def test_not_armed_before_the_boot_script(machine):
    assert machine.agent("armed").returncode == 3
    assert json.loads(machine.agent("status", "--json").stdout)["armed"] is False


@pytest.mark.parametrize("argv", [[], ["dance"], ["extend"], ["status", "--xml"], ["run", "now"]])
def test_usage(machine, argv):
    assert machine.agent(*argv).returncode == 2


def test_hold_and_unhold(booted):
    booted.agent("hold", "60")
    assert json.loads(booted.agent("status", "--json").stdout)["hold"] is True
    booted.advance(61)
    assert json.loads(booted.agent("status", "--json").stdout)["hold"] is False
    booted.agent("hold")
    assert json.loads(booted.agent("status", "--json").stdout)["hold"] is True
    booted.agent("unhold")
    assert json.loads(booted.agent("status", "--json").stdout)["hold"] is False


# --- the tag


def lease_with(rooted, monkeypatch):
    assert rooted.sh(render(plan(), compress=False)).returncode == 0
    return agent.Lease()


def test_an_earlier_tag_is_heeded_once(rooted, monkeypatch):
    lease = lease_with(rooted, monkeypatch)
    sooner = stamp(hours=1)
    assert lease.heed(sooner) == agent.parse_time(sooner)
    lease.move(agent.parse_time(sooner))
    assert lease.heed(sooner) is None


@pytest.mark.parametrize("tag", [None, "", "never"])
def test_an_unreadable_tag_changes_nothing(rooted, monkeypatch, tag):
    assert lease_with(rooted, monkeypatch).heed(tag) is None


@pytest.mark.parametrize("hours", [3, 20])
def test_a_later_tag_changes_nothing(rooted, monkeypatch, hours):
    assert lease_with(rooted, monkeypatch).heed(stamp(hours=hours)) is None


def test_a_tag_that_an_extension_found_is_old_news(rooted, monkeypatch):
    lease = lease_with(rooted, monkeypatch)
    at_launch = stamp(hours=2)
    monkeypatch.setattr(agent.Aws, "tag", lambda _: at_launch)
    assert agent.extend(stamp(hours=6)) == 0
    assert lease.heed(at_launch) is None
    assert lease.heed(stamp(hours=1)) is not None


# --- times


@given(st.integers(0, 253402300799))
def test_times_are_read_as_they_are_written(seconds):
    assert agent.parse_time(agent.format_time(seconds)) == seconds


@given(st.text(alphabet="0123456789-:TZ+ ", min_size=18, max_size=22))
def test_a_time_is_what_the_library_takes_for_one(text):
    read = agent.parse_time(text)
    try:
        known = datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        known = None
    if known is not None and len(text.strip()) == 20:
        assert read == int(known.timestamp())
    elif read is not None:
        assert agent.format_time(read)[:10] == text.strip()[:10]
