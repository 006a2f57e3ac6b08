"""Timers by systemd, cron and launchd: fake programs on the PATH write down what they are told."""

import plistlib
import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.span import parse_duration
from gpuctl.wiring.timers import WATCH, Place, Task, install, remove, status, steps
from gpuctl.wiring.timers.cron import block
from gpuctl.wiring.timers.systemd import units

TASK = Task(
    argv=("/opt/my python/bin/python", "-P", "-m", "gpuctl", "audit", "--notify"),
    every=timedelta(hours=1),
    environ={"AWS_PROFILE": 'a "b" 100%$x\\'},
)


class Computer:
    """A home and a PATH of fakes. Each call is a line in `calls`."""

    def __init__(self, root: Path) -> None:
        self.root, self.bin = root, root / "bin"
        self.bin.mkdir()
        self.calls_file = root / "calls"

    def has(self, name: str, script: str = "exit 0") -> None:
        file = self.bin / name
        file.write_text(f'#!/bin/sh\necho {name} "$@" >> {self.calls_file}\n{script}\n')
        file.chmod(0o755)

    def has_cron(self) -> None:
        tab = self.root / "tab"
        self.has(
            "crontab",
            f'if [ "$1" = -l ]; then cat {tab} 2>/dev/null || '
            f'{{ echo "no crontab for me" >&2; exit 1; }}; else cat > {tab}; fi',
        )

    @property
    def tab(self) -> str:
        return (self.root / "tab").read_text()

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def place(self, platform: str = "linux", **environ: str) -> Place:
        path = f"{self.bin}:/usr/bin/does-not-exist:/bin"
        return Place(platform, self.root / "home", {"PATH": path, **environ})


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_systemd_gets_two_units_and_is_told_so(computer: Computer) -> None:
    computer.has("systemctl")
    computer.has_cron()
    place = computer.place()

    timer = install(TASK, place)

    assert (timer.kind, timer.changed) == ("systemd", True)
    folder = computer.root / "home/.config/systemd/user"
    assert {file.name for file in folder.glob("gpuctl*")} == {
        "gpuctl-audit.service",
        "gpuctl-audit.timer",
    }
    assert [call for call in computer.calls if "systemctl" in call][-3:] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now gpuctl-audit.timer",
        "systemctl --user restart gpuctl-audit.timer",
    ]
    service = (folder / "gpuctl-audit.service").read_text()
    assert '"/opt/my python/bin/python" "-P" "-m" "gpuctl" "audit" "--notify"' in service
    assert 'Environment="AWS_PROFILE=a \\"b\\" 100%%$x\\\\"' in service
    assert "--fix" not in service
    assert "OnCalendar=*-*-* 0/1:00:00" in (folder / "gpuctl-audit.timer").read_text()
    assert (status(place) or timer).text == timer.text


def test_again_changes_nothing(computer: Computer) -> None:
    computer.has("systemctl")
    place = computer.place(XDG_CONFIG_HOME=str(computer.root / "xdg"))
    install(TASK, place)
    files = {p: p.stat().st_ino for p in (computer.root / "xdg/systemd/user").glob("gpuctl*")}

    assert not install(TASK, place).changed
    assert {path: path.stat().st_ino for path in files} == files
    assert len(files) == 2


def test_it_is_taken_away_again(computer: Computer) -> None:
    computer.has("systemctl")
    place = computer.place()
    install(TASK, place)

    assert [Path(path).name for path in remove(place)] == [
        "gpuctl-audit.service",
        "gpuctl-audit.timer",
    ]
    assert "systemctl --user disable --now gpuctl-audit.timer" in computer.calls
    assert status(place) is None
    assert list((computer.root / "home/.config/systemd/user").iterdir()) == []
    assert remove(place) == []


def test_where_systemd_does_not_answer_cron_is_asked(computer: Computer) -> None:
    computer.has("systemctl", "exit 1")
    computer.has_cron()
    (computer.root / "tab").write_text("0 5 * * * backup\n# mine")
    place = computer.place()

    timer = install(TASK, place)

    assert timer.kind == "cron"
    assert computer.tab == f"0 5 * * * backup\n# mine\n{block(TASK)}"
    assert not install(TASK, place).changed
    assert install(TASK._replace(every=timedelta(minutes=30)), place).changed
    assert computer.tab.count("gpuctl audit: begin") == 1
    assert "*/30 * * * * env" in computer.tab
    assert status(place) is not None
    assert remove(place) == ["crontab"]
    assert computer.tab == "0 5 * * * backup\n# mine\n"
    assert remove(place) == []


def test_cron_hands_the_words_to_a_shell_unharmed() -> None:
    line = block(TASK).splitlines()[1]
    assert line.startswith("0 */1 * * * ")
    words = line.split(" ", 5)[5].removesuffix(" >/dev/null 2>&1").replace("\\%", "%")
    assert shlex.split(words) == ["env", 'AWS_PROFILE=a "b" 100%$x\\', *TASK.argv]


def test_a_crontab_that_cannot_be_read_is_not_written(computer: Computer) -> None:
    computer.has("crontab", "echo boom >&2; exit 1")
    with pytest.raises(GpuctlError, match="crontab -l ended with 1: boom"):
        install(TASK, computer.place())
    assert computer.calls == ["crontab -l"]


def test_systemd_takes_over_from_cron(computer: Computer) -> None:
    computer.has_cron()
    place = computer.place()
    assert install(TASK, place).kind == "cron"
    computer.has("systemctl")
    assert install(TASK, place).kind == "systemd"
    assert computer.tab == ""


def test_a_timer_that_cannot_be_started_is_an_error(computer: Computer) -> None:
    computer.has("systemctl", '[ "$2" = show-environment ] || { echo no bus >&2; exit 1; }')
    with pytest.raises(GpuctlError, match="daemon-reload ended with 1: no bus"):
        install(TASK, computer.place())


def test_where_nothing_keeps_timers(computer: Computer) -> None:
    with pytest.raises(GpuctlError, match="neither systemd nor cron") as caught:
        install(TASK, computer.place())
    assert "gpuctl audit --notify" in (caught.value.hint or "")
    assert status(computer.place()) is None


def test_a_program_that_cannot_be_run(computer: Computer) -> None:
    (computer.bin / "systemctl").write_text("\x7fELF nothing")
    (computer.bin / "systemctl").chmod(0o755)
    with pytest.raises(GpuctlError, match="systemctl could not be run"):
        install(TASK, computer.place())


def test_a_mac_has_launchd(computer: Computer) -> None:
    computer.has("launchctl")
    place = computer.place("darwin")

    timer = install(TASK, place)

    path = computer.root / "home/Library/LaunchAgents/dev.gpuctl.audit.plist"
    told = plistlib.loads(path.read_bytes())
    assert told["ProgramArguments"] == list(TASK.argv)
    assert told["StartInterval"] == 3600
    assert told["EnvironmentVariables"] == dict(TASK.environ)
    assert computer.calls == [f"launchctl unload {path}", f"launchctl load -w {path}"]
    assert not install(TASK, place).changed
    assert (status(place) or timer).where == (str(path),)
    assert remove(place) == [str(path)]
    assert status(place) is None
    assert remove(place) == []


@pytest.mark.parametrize(
    ("every", "expected"),
    [("5m", (5, 0)), ("30m", (30, 0)), ("1h", (0, 1)), ("6h", (0, 6)), ("24h", (0, 24))],
)
def test_how_often(every: str, expected: tuple[int, int]) -> None:
    assert steps(parse_duration(every)) == expected
    assert units(TASK._replace(every=parse_duration(every)))


@pytest.mark.parametrize("minutes", [1, 7, 45, 90, 300, 2880])
def test_what_no_clock_strikes_evenly(minutes: int) -> None:
    with pytest.raises(UsageProblem, match="does not divide"):
        steps(timedelta(minutes=minutes))


def test_two_chores_have_a_timer_each(computer: Computer) -> None:
    watch = TASK._replace(every=timedelta(minutes=5), chore=WATCH)
    for kind, platform in (("crontab", "linux"), ("systemctl", "linux"), ("launchctl", "darwin")):
        if kind == "crontab":
            computer.has_cron()
        else:
            computer.has(kind)
        place = computer.place(platform)
        first, second = install(TASK, place), install(watch, place)
        assert first.text != second.text
        assert (status(place), status(place, WATCH)) == (first, second)
        assert remove(place, WATCH) == list(second.where)
        assert (status(place), status(place, WATCH)) == (first, None)


def test_a_look_at_jobs_has_the_time_that_a_start_takes() -> None:
    service, timer = units(TASK._replace(every=timedelta(minutes=5), chore=WATCH)).values()
    assert "TimeoutStartSec=1800s" in service
    assert "SuccessExitStatus" not in service
    assert "OnCalendar=*:0/5" in timer
    assert "RandomizedDelaySec=15s" in timer
    assert "SuccessExitStatus=8" in units(TASK)["gpuctl-audit.service"]
