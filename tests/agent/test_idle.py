"""Idle machines are found; busy ones, however quiet for a while, are never stopped."""

import random

import pytest

from gpuctl.agent import agent

WINDOW, GRACE = 1800, 600


def watch(trace, *, window=WINDOW, grace=GRACE):
    """Feed a trace of (seconds, active); the second at which it would be stopped, or None."""
    idle = agent.Idle(window, grace, 0.0)
    now = 0
    for seconds, active in trace:
        for _ in range(seconds):
            now += 1
            if idle.feed(float(now), active=active) == "stop":
                return now
    return None


BUSY = {
    "training": [(8 * 3600, True)],
    "evaluation on one core between epochs": [(1500, False), (5, True)] * 20,
    "one kernel every half hour": [(1799, False), (1, True)] * 16,
    "download, then work": [(1700, True), (1200, False), (3600, True)],
    "typing in a debugger now and then": [(1200, False), (10, True)] * 30,
    "back during the grace": [(WINDOW + GRACE - 2, False), (1, True)] * 10,
}


@pytest.mark.parametrize("name", BUSY)
def test_busy_traces_are_left_alone(name):
    assert watch(BUSY[name]) is None


@pytest.mark.parametrize("seed", range(40))
def test_random_busy_traces_are_left_alone(seed):
    chance = random.Random(seed)
    trace = [(chance.randint(0, WINDOW - 1), False), (chance.randint(1, 60), True)] * 30
    assert watch(trace) is None


@pytest.mark.parametrize("busy_for", [0, 60, 7200])
def test_an_idle_machine_is_stopped_after_window_and_grace(busy_for):
    assert watch([(busy_for, True), (2 * WINDOW, False)]) == busy_for + WINDOW + GRACE


def test_it_is_warned_once_and_again_after_work():
    idle = agent.Idle(WINDOW, GRACE, 0.0)
    said = [idle.feed(float(now), active=now == WINDOW + 100) for now in range(1, 3 * WINDOW)]
    assert said.count("warn") == 2
    assert said.index("warn") == WINDOW - 1


def test_without_an_idle_stop_nothing_is_ever_stopped():
    assert watch([(100_000, False)], window=None) is None


# --- what counts as activity


class FakeProc:
    def __init__(self, root):
        self.root = root
        self.put("proc/loadavg", "0.01 0.02 0.00 1/200 4242\n")
        self.traffic(0)

    def put(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def traffic(self, sent):
        head = "Inter-| Receive\n face |bytes\n"
        line = (
            f"  eth0: 100 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n    lo: 9 0 0 0 0 0 0 0 9{sent} 0\n"
        )
        self.put("proc/net/dev", head + line)
        self.put("proc/diskstats", " 259 0 nvme0n1 1 0 80 0 1 0 80 0 0 0 0\n")

    def cpu(self, pid, ticks):
        fields = " ".join(["S", *"1234567890", str(ticks), "0", "0"])
        self.put(f"proc/{pid}/stat", f"{pid} (python (x) y) {fields}\n")


@pytest.fixture
def proc(rooted):
    return FakeProc(rooted.root)


@pytest.fixture
def host(proc):
    host = agent.Host()
    host.cores = 8
    return host


def test_a_quiet_machine_gives_no_reason(host, proc):
    for now in range(0, 300, 5):
        assert host.reasons(float(now), 20, []) == []


def test_one_process_at_full_speed_is_work_on_any_number_of_cores(host, proc):
    for cores, load, busy in ((8, "1.00", True), (96, "1.00", True), (1, "0.31", True)):
        host.cores = cores
        proc.put("proc/loadavg", load + " 1 1 1/1 1\n")
        assert bool(host.load()) is busy
    host.cores = 2
    proc.put("proc/loadavg", "0.59 1 1 1/1 1\n")
    assert not host.load()


def test_a_download_counts(host, proc):
    for now in range(0, 60, 5):
        proc.traffic(now * 1_100_000)
        found = host.reasons(float(now), 20, [])
    assert found
    assert found[0].startswith("disk and network 1.1 MB/s")


def test_a_trickle_does_not_count(host, proc):
    for now in range(0, 120, 5):
        proc.traffic(now * 900_000)
        assert host.reasons(float(now), 20, []) == []


def test_partitions_and_mapped_devices_are_not_counted_twice():
    whole = ["sda", "vdb", "xvda", "nvme0n1", "nvme11n1"]
    parts = ["sda1", "xvda1", "nvme0n1p1", "loop0", "dm-0", "md0", "ram1", "sr0"]
    assert [name for name in whole + parts if agent.whole_disk(name)] == whole


def test_a_notebook_that_only_holds_memory_is_idle(host, proc):
    proc.cpu(77, 1000)
    assert host.computing(0.0, [77]) == "new GPU process 77"
    assert not host.computing(5.0, [77])
    proc.cpu(77, 1000 + 60)
    assert host.computing(10.0, [77]) == "GPU process 77"


def test_typing_counts_and_presence_does_not(host, proc, rooted, monkeypatch):
    proc.put("dev/pts/3", "")
    typed_at = (rooted.root / "dev/pts/3").stat().st_atime
    monkeypatch.setattr(agent, "wall_now", lambda: typed_at + 5)
    assert host.typed(20) == "terminal pts/3"
    monkeypatch.setattr(agent, "wall_now", lambda: typed_at + 25)
    assert not host.typed(20)


def test_a_real_machine_whose_load_cannot_be_read_is_busy(monkeypatch):
    monkeypatch.setattr(agent, "read_text", lambda _: None)
    host = agent.Host()
    assert (host.load(), host.traffic(0.0)) == ("load unknown", "traffic unknown")


# --- the daemon, by hand


@pytest.fixture
def daemon(booted, rooted, monkeypatch):
    """A booted machine with one idle GPU, and time that moves only when told to."""
    lease = agent.read_json("/etc/gpuctl/lease.json")
    agent.write_text("/etc/gpuctl/lease.json", agent.json.dumps(lease | {"idle_stop_s": 600}))
    daemon = agent.Daemon()
    moment = [daemon.clock()]
    monkeypatch.setattr(agent.time, "monotonic", lambda: moment[0])
    daemon.idle.active_at = moment[0]
    daemon.looked_at = moment[0]
    gpu = agent.Gpu(0, "Tesla V100", 0, 10, 16160)
    daemon.eye.look = lambda _: agent.Gpus([gpu], [])
    started = []
    monkeypatch.setattr(agent, "launch", started.append)

    def spend(seconds, util, step=1):
        gpu.util = util
        for _ in range(0, seconds, step):
            moment[0] += step
            daemon.tick()

    daemon.spend = spend
    daemon.gpu = gpu
    daemon.started = started
    return daemon


def beat():
    return agent.read_json("/run/gpuctl/heartbeat.json")


def test_an_idle_machine_powers_itself_off(daemon, booted):
    daemon.spend(1190, 0)
    assert daemon.started == []
    assert beat()["state"] == "idle"
    assert beat()["stop_at"]
    daemon.spend(20, 0)
    assert [argv[-1] for argv in daemon.started] == ["now"]
    assert "idle for 1200 s" in booted.read("var/lib/gpuctl/stopped.json")
    assert any("wall gpuctl: idle" in call for call in booted.calls())


def test_a_busy_one_does_not(daemon):
    daemon.spend(1000, 0)
    daemon.spend(2, 97)
    assert beat()["state"] == "busy"
    daemon.spend(1100, 0)
    assert daemon.started == []


def test_one_whose_gpu_says_nothing_counts_as_busy(daemon):
    daemon.spend(3000, None)
    assert daemon.started == []
    assert beat()["state"] == "unknown"
    assert beat()["why"] == ["GPU unknown"]


def test_a_gap_in_looking_is_no_evidence(daemon):
    daemon.spend(1100, 0)
    daemon.spend(3600, 0, step=3600)
    assert daemon.started == []


def test_held_machines_stay(daemon):
    agent.hold("0")
    daemon.spend(3000, 0)
    assert daemon.started == []


def test_the_deadline_is_kept_without_the_timer(daemon, booted):
    booted.advance(2 * 3600 - 300)
    daemon.spend(1, 97)
    assert daemon.started == []
    assert sum("this machine ends at" in call for call in booted.calls()) == 1
    booted.advance(2 * 3600 + 1)
    daemon.spend(3, 97)
    assert [argv[-1] for argv in daemon.started] == ["now"]


def test_an_earlier_tag_moves_the_file(daemon, booted):
    daemon.tag = agent.format_time(agent.wall_now() + 1800)
    daemon.spend(1, 97)
    assert daemon.tag in booted.read("etc/gpuctl/deadline")
    assert "systemctl restart gpuctl-deadline.timer" in booted.calls()


def test_a_full_disk_does_not_stop_the_end(daemon, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(agent, "write_text", full)
    daemon.power_off("deadline")
    assert [argv[-1] for argv in daemon.started] == ["now"]
