"""What a machine of the sandbox can do to itself: scripts, units, timers, its own end."""

import gzip
import json
from datetime import timedelta

import pytest

DEADLINE_SERVICE = """[Service]
Type=oneshot
ExecStart=/usr/local/bin/deadline
"""


def script(text: str) -> str:
    return f"#!/bin/sh\nset -eu\n{text}\n"


def settled(room) -> None:
    assert room.metal.settle(timedelta(seconds=10))


def write(room, path: str, text: str, mode: int = 0o644) -> None:
    file = room.root() / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def arm(room, calendar: str) -> None:
    """A deadline as an agent arms it."""
    write(room, "usr/local/bin/deadline", "#!/bin/sh\nsystemctl poweroff --force\n", 0o755)
    write(room, "etc/systemd/system/deadline.service", DEADLINE_SERVICE)
    write(
        room,
        "etc/systemd/system/deadline.timer",
        f"[Timer]\nOnCalendar={calendar}\n[Install]\nWantedBy=timers.target\n",
    )
    assert room.sh("sudo systemctl enable --now deadline.timer").returncode == 0


def in_hours(room, hours: float):
    return (room.clock.now() + timedelta(hours=hours)).replace(microsecond=0)


# --- first scripts


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_user_data_runs_as_the_machines_root_once_an_instance(room, pack):
    data = pack(script('echo ran >> "$GPUCTL_ROOT/root/ran"; echo "hello from $USER"').encode())
    for _ in range(2):
        room.boot(user_data=data)
        settled(room)
        room.metal.power_off("i-0abc")
    assert (room.root() / "root/ran").read_text() == "ran\n"
    assert "hello from root\n" in room.metal.console("i-0abc")


def test_a_startup_script_runs_at_every_boot(room):
    for _ in range(2):
        room.boot(script=script('echo ran >> "$GPUCTL_ROOT/root/ran"'), cloud="gcp")
        settled(room)
        room.metal.power_off("i-0abc")
    assert (room.root() / "root/ran").read_text() == "ran\nran\n"


def test_user_data_that_is_no_script_is_not_run(room):
    room.boot(script="touch $GPUCTL_ROOT/root/ran\n")
    settled(room)
    assert not (room.root() / "root/ran").exists()


def test_cloud_init_status_waits_for_the_first_script(room):
    room.boot(script=script('sleep 0.5; touch "$GPUCTL_ROOT/root/ran"'))
    assert room.sh("cloud-init status --wait").stdout == b"status: done\n"
    assert (room.root() / "root/ran").exists()


# --- power


def test_poweroff_in_the_guest_ends_the_machine_and_tells_the_cloud(room, wait_for):
    room.boot()
    room.sh("sudo poweroff")
    wait_for(lambda: room.ended)
    assert room.ended[0][0] == "i-0abc"
    assert not (room.directory / "metal/i-0abc/endpoint.json").exists()


def test_a_poweroff_that_comes_after_another_end_does_nothing(room, wait_for):
    """A stale wish must not end the boot after it."""
    room.boot()
    with room.clock.lock:
        room.sh("systemctl poweroff")
        room.metal.power_off("i-0abc")
        room.boot()
    assert room.sh("true").returncode == 0
    assert room.ended == []


def test_an_armed_deadline_ends_the_machine_at_its_own_time_during_an_advance(room):
    room.boot()
    deadline = in_hours(room, 8)
    arm(room, f"{deadline:%Y-%m-%d %H:%M:%S} UTC")
    room.clock.advance(timedelta(hours=7))
    assert room.ended == []
    room.clock.advance(timedelta(days=20))
    assert room.ended == [("i-0abc", deadline)]


def test_a_deadline_is_armed_again_at_the_next_boot(room):
    room.boot()
    deadline = in_hours(room, 8)
    arm(room, f"{deadline:%Y-%m-%d %H:%M:%S} UTC")
    room.metal.power_off("i-0abc")
    room.clock.advance(timedelta(hours=1))
    room.boot()
    room.clock.advance(timedelta(hours=10))
    assert room.ended == [("i-0abc", deadline)]


def test_a_calendar_time_that_is_past_never_comes(room):
    """As with systemd: a machine started after its deadline is not ended by the old timer."""
    room.boot()
    arm(room, "2020-01-01 00:00:00 UTC")
    room.clock.advance(timedelta(days=400))
    assert room.ended == []
    assert room.sh("systemctl show -p SubState --value deadline.timer").stdout == b"elapsed\n"


def test_a_disarmed_deadline_does_not_fire(room):
    room.boot()
    arm(room, f"{in_hours(room, 1):%Y-%m-%d %H:%M:%S} UTC")
    assert room.sh("systemctl stop deadline.timer").returncode == 0
    room.clock.advance(timedelta(hours=2))
    assert room.ended == []


def test_a_boot_during_an_advance_arms_its_deadline_before_time_goes_on(room):
    deadline = in_hours(room, 2)
    text = script(
        f"""
        units="$GPUCTL_ROOT/etc/systemd/system"
        off=/usr/bin/systemctl
        printf "[Service]\\nType=oneshot\\nExecStart=$off poweroff\\n" > "$units/d.service"
        printf '[Timer]\\nOnCalendar={deadline:%Y-%m-%d %H:%M:%S} UTC\\n' > "$units/d.timer"
        systemctl daemon-reload
        systemctl start d.timer
        """
    )
    room.clock.call_in(60, lambda: room.boot(script=text))
    room.clock.advance(timedelta(days=20))
    assert room.ended == [("i-0abc", deadline)]


def test_a_process_started_by_a_timer_reads_the_time_at_which_it_fired(room):
    room.boot()
    arm(room, f"{in_hours(room, 8):%Y-%m-%d %H:%M:%S} UTC")
    write(
        room,
        "usr/local/bin/deadline",
        '#!/bin/sh\ncp "$GPUCTL_CLOCK_OFFSET_FILE" "$GPUCTL_ROOT/root/offset"\n',
        0o755,
    )
    room.clock.advance(timedelta(days=20))
    offset = json.loads((room.root() / "root/offset").read_text())["offset_seconds"]
    assert offset == pytest.approx(8 * 3600, abs=30)


def test_shutdown_in_minutes_and_called_off(room):
    room.boot()
    room.sh("sudo shutdown -h +5")
    room.sh("sudo shutdown -c")
    room.clock.advance(timedelta(minutes=10))
    assert room.ended == []
    before = room.clock.now()
    room.sh("sudo shutdown -h +5")
    room.clock.advance(timedelta(minutes=10))
    ((_, at),) = room.ended
    assert timedelta(minutes=5) <= at - before < timedelta(minutes=5, seconds=30)


def test_systemd_run_starts_a_timer_of_its_own(room):
    room.boot()
    before = room.clock.now()
    told = room.sh("sudo systemd-run --on-active=90 --unit=end systemctl poweroff")
    assert told.returncode == 0, told.stderr
    room.clock.advance(timedelta(minutes=5))
    ((_, at),) = room.ended
    assert timedelta(seconds=90) <= at - before < timedelta(seconds=120)


def test_a_failed_service_can_power_off(room, wait_for):
    room.boot()
    write(
        room,
        "etc/systemd/system/guard.service",
        "[Unit]\nFailureAction=poweroff-force\n[Service]\nExecStart=/bin/false\n",
    )
    room.sh("systemctl start guard")
    wait_for(lambda: room.ended)


# --- services


def test_a_service_is_restarted_and_stopped(room, wait_for):
    room.boot()
    write(
        room,
        "usr/local/bin/beat",
        '#!/bin/sh\necho "$WORD" >> "$GPUCTL_ROOT/root/beats"\n'
        '[ -e "$GPUCTL_ROOT/root/stay" ] || exit 1\nsleep 600\n',
        0o755,
    )
    write(
        room,
        "etc/systemd/system/beat.service",
        "[Service]\nEnvironment=WORD=tick\nExecStart=/usr/local/bin/beat\nRestart=always\nRestartSec=1\n",
    )
    beats = room.root() / "root/beats"
    assert room.sh("systemctl start beat").returncode == 0
    wait_for(beats.exists)
    write(room, "root/stay", "")
    wait_for(lambda: beats.read_text() == "tick\ntick\n")
    wait_for(lambda: room.sh("systemctl is-active beat").stdout == b"active\n")
    assert room.sh("systemctl stop beat").returncode == 0
    assert room.sh("systemctl is-active beat").returncode == 3


def test_a_service_that_fails_at_once_again_and_again_is_given_up(room, wait_for):
    room.boot()
    write(
        room,
        "etc/systemd/system/bad.service",
        "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=10ms\n",
    )
    room.sh("systemctl start bad")
    wait_for(lambda: room.sh("systemctl is-failed bad").returncode == 0)
    assert room.sh("systemctl show -p NRestarts --value bad").stdout == b"4\n"


def test_starting_a_oneshot_waits_and_tells_of_its_failure(room):
    room.boot()
    write(
        room,
        "etc/systemd/system/once.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'sleep 0.3; echo said; exit 4'\n",
    )
    told = room.sh("systemctl start once")
    assert told.returncode == 1
    assert b"journalctl -u once" in told.stderr
    assert room.sh("journalctl -u once").stdout == b"said\n"


def test_an_unknown_unit_and_an_unknown_verb_are_errors(room):
    room.boot()
    told = room.sh("systemctl start nothing")
    assert told.returncode == 5
    assert told.stderr == b"Failed to start nothing.service: Unit nothing.service not found.\n"
    assert room.sh("systemctl frobnicate").returncode == 1


def test_a_repeating_timer_is_one_elapse_over_a_long_jump(room):
    room.boot()
    write(
        room,
        "etc/systemd/system/beat.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo x >> $GPUCTL_ROOT/root/beats'\n",
    )
    write(
        room,
        "etc/systemd/system/beat.timer",
        "[Timer]\nOnActiveSec=30s\nOnUnitActiveSec=30s\n",
    )
    room.sh("systemctl start beat.timer")
    room.clock.advance(timedelta(days=20))
    assert (room.root() / "root/beats").read_text() == "x\nx\n"


# --- GPUs


def test_nvidia_smi_is_idle_until_told_otherwise(room):
    room.boot(gpus=2)
    query = (
        "nvidia-smi --query-gpu=index,utilization.gpu,memory.total --format=csv,noheader,nounits"
    )
    assert room.sh(query).stdout == b"0, 0, 16384\n1, 0, 16384\n"
    room.metal.set_gpu("i-0abc", busy=True)
    assert room.sh(query).stdout == b"0, 97, 16384\n1, 97, 16384\n"
    listed = room.sh("nvidia-smi -L").stdout.decode().splitlines()
    assert [line[:26] for line in listed] == [
        "GPU 0: Tesla V100-SXM2-16G",
        "GPU 1: Tesla V100-SXM2-16G",
    ]
    headed = room.sh("nvidia-smi --query-compute-apps=pid,used_memory --format=csv").stdout
    assert headed.startswith(b"pid, used_memory [MiB]\n4242, 13107 MiB\n")


def test_nvidia_smi_on_a_machine_without_a_gpu(room):
    room.boot(gpu=None, gpus=0)
    assert room.sh("nvidia-smi").returncode == 9


def test_an_unknown_query_field_is_an_error(room):
    room.boot()
    assert room.sh("nvidia-smi --query-gpu=nonsense --format=csv").returncode == 2


# --- what must never reach this computer


@pytest.mark.parametrize(
    "command", ["apt-get install -y x", "sudo mount /dev/x /mnt", "modprobe x"]
)
def test_what_would_change_this_computer_does_nothing(room, command):
    room.boot()
    told = room.sh(command)
    assert told.returncode == 0
    assert b"does nothing here" in told.stderr


def test_sudo_leads_absolute_paths_to_the_shims(room, wait_for):
    room.boot()
    room.sh("sudo -n /usr/bin/systemctl poweroff")
    wait_for(lambda: room.ended)
