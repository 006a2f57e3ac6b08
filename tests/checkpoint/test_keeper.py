"""The keeper as machines run it: one file, a real process, a job that is a real process."""

import ast
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gpuctl.agent.checkpoint.notices import End, Notices
from gpuctl.agent.ship import keeper, order
from gpuctl.core.checkpoints import Found, found
from gpuctl.core.keeping import Keep

from .parts import folder_at

ROOT = "acme/vision/train"
SAVE = """
save() { mkdir -p ck/.part && echo "$1" >ck/.part/model && mv ck/.part "ck/step_$1"; }
"""


@dataclass
class Machine:
    """A directory that takes itself for a machine."""

    path: Path
    python: str = sys.executable
    told: dict[str, object] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.path / "home/work"

    @property
    def log(self) -> str:
        return (self.path / "log").read_text()

    def start(self, script: str, **how: object) -> "subprocess.Popen[bytes]":
        pyz = self.path / "keeper"
        pyz.write_bytes(keeper())
        self.work.mkdir(parents=True, exist_ok=True)
        cloud = str(how.pop("cloud", "aws"))
        keep = Keep(**({"job": "train", "root": ROOT, "dir": "ck", "interval_s": 0} | how))
        argv = order(str(pyz), keep, cloud, "a" * 32, None, ("/bin/sh", "-c", SAVE + script))
        quick = json.loads(argv[5]) | {"tick_s": 0.02}
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path / "home"),
            "GPUCTL_ROOT": str(self.path),
        }
        with (self.path / "log").open("ab") as log:
            return subprocess.Popen(
                [self.python, *argv[1:5], json.dumps(quick), *argv[6:]],
                cwd=self.work,
                env=environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, script: str, **how: object) -> int:
        return self.start(script, **how).wait(60)

    def beat(self, kind: str | None, in_s: float = 0, **more: object) -> None:
        """What the agent writes within a second of a notice."""
        now = datetime.now(UTC)
        notice = {"kind": kind, "time": text(now + timedelta(seconds=in_s))} if kind else None
        beat = {"time": text(now), "notice": notice, **more}
        path = self.path / "run/gpuctl/heartbeat.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".new").write_text(json.dumps(beat))
        path.with_suffix(".new").rename(path)

    def found(self) -> list[Found]:
        return found(folder_at(self.path / "home/.gpuctl/checkpoints/store"), ROOT)

    def steps(self) -> list[int | None]:
        return [one.manifest.step for one in self.found() if one.manifest is not None]

    def state(self) -> dict[str, object]:
        path = self.path / "home/.gpuctl/checkpoints/train/state.json"
        return json.loads(path.read_text())


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def until(condition: Callable[[], object], limit: float = 20.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def test_what_is_complete_at_the_end_is_saved_and_the_code_passed_on(machine: Machine) -> None:
    assert machine.run("save 1; save 2; exit 3") == 3
    assert machine.steps()[0] == 2
    assert machine.state()["step"] == 2
    assert machine.run("kill -9 $$") == 137


def test_a_new_machine_begins_with_the_newest(machine: Machine) -> None:
    machine.run("save 1; sleep .3; save 2")
    shutil.rmtree(machine.work)
    assert machine.run("cat ck/step_2/model; ls ck; echo $GPUCTL_CHECKPOINTS") == 0
    assert "restored step_2 (step 2, 2 B) into ck" in machine.log
    assert "2\nstep_2\n" in machine.log
    assert machine.steps()[0] == 2
    assert len(machine.found()) <= 2, "what was restored is not saved again"


def test_what_lies_there_is_left_alone(machine: Machine) -> None:
    machine.run("save 1")
    machine.run("ls ck; save 7")
    assert "nothing is restored: ck is not empty" in machine.log
    shutil.rmtree(machine.work)
    machine.run("ls ck", restore=False)
    assert "is left as it is" in machine.log
    assert "restored step_7" not in machine.log


def test_half_a_checkpoint_is_none(machine: Machine) -> None:
    """Written in place, under a temporary name, or touched after its marker."""
    script = """
    mkdir -p ck/step_1 && echo x >ck/step_1/model
    mkdir ck/tmp-5 ck/step_4.tmp && echo x >ck/tmp-5/model && echo x >ck/step_4.tmp/model
    : >old && touch -d yesterday old && mkdir ck/step_3 && mv old ck/step_3/complete
    echo x >ck/step_3/model
    mkdir ck/step_6
    echo file >ck/step_9
    """
    assert machine.run(script) == 0
    assert machine.found() == []
    assert "step_1 does not count" in machine.log
    assert "step_3 does not count" in machine.log


def test_a_marker_makes_it_complete_and_may_tell_the_step(machine: Machine) -> None:
    script = """
    mkdir -p ck/last/opt && echo x >ck/last/model && echo y >ck/last/opt/a && sleep .02
    echo '{"step": 41}' >ck/last/complete
    """
    machine.run(script)
    assert machine.steps() == [41]
    shutil.rmtree(machine.work)
    machine.run("ls -R ck; sleep .2")
    assert machine.steps() == [41]
    assert "last does not count" not in machine.log


def test_the_job_is_told_to_save_itself_and_waits_for_the_end(machine: Machine) -> None:
    """It has ended, and the keeper has not: nobody takes the machine for one that is idle."""
    machine.beat(None)
    job = machine.start("trap 'save 9; exit 143' TERM; save 1; while :; do sleep .05; done")
    until(lambda: machine.steps() == [1])
    began = time.monotonic()
    machine.beat("spot", 110)
    until(lambda: machine.steps()[:1] == [9])
    assert time.monotonic() - began < 10
    time.sleep(0.3)
    assert job.poll() is None
    assert machine.state()["notice"] == "spot"
    machine.beat(None)
    assert job.wait(20) == 143


def test_since_when_nothing_is_computed_is_told_beside_the_tree(machine: Machine) -> None:
    machine.beat(None)
    script = "trap 'save 9; exit 143' TERM; save 1; while :; do sleep .05; done"
    job = machine.start(script, tree="0123456789ab")
    until(lambda: machine.steps() == [1])
    before = text(datetime.now(UTC))
    machine.beat("spot", 110)
    told = (
        machine.path / f"home/.gpuctl/checkpoints/store/{ROOT}/tree-0123456789ab/ended-{'a' * 32}"
    )
    until(told.exists)
    assert before <= told.read_text().strip() <= text(datetime.now(UTC))
    assert machine.steps()[0] == 9, "the checkpoint comes before the word"
    assert not told.with_name("code-" + "a" * 32).exists()
    machine.beat(None)
    assert job.wait(20) == 143


def test_a_command_instead_of_the_signal(machine: Machine) -> None:
    machine.beat(None)
    (machine.path / "home").mkdir()
    hook = 'echo "$GPUCTL_NOTICE" >asked'
    script = """
    save 1
    while [ ! -e asked ]; do sleep .05; done
    save 5; sleep .4; echo survived
    """
    job = machine.start(script, command=hook)
    until(lambda: machine.steps() == [1])
    machine.beat("spot", 100)
    assert job.wait(30) == 0
    assert machine.steps()[0] == 5
    assert "survived" in machine.log
    assert (machine.work / "asked").read_text() == "spot\n"


def test_a_rebalance_recommendation_ends_nothing(machine: Machine) -> None:
    machine.beat(None)
    job = machine.start("save 1; sleep .3; save 2; sleep 1; echo whole", interval_s=900)
    until(lambda: machine.steps() == [1])
    machine.beat("rebalance")
    until(lambda: machine.steps()[:1] == [2])
    assert job.wait(20) == 0
    assert "whole" in machine.log
    assert machine.log.count("rebalance") == 1


@pytest.mark.parametrize("how", ["deadline", "idle", "preempted"])
def test_every_other_end_is_one(machine: Machine, how: str) -> None:
    cloud = "gcp" if how == "preempted" else "aws"
    machine.beat(None)
    job = machine.start(
        "trap 'save 9; exit 0' TERM; save 1; while :; do sleep .05; done", cloud=cloud
    )
    until(lambda: machine.steps() == [1])
    if how == "deadline":
        path = machine.path / "etc/gpuctl/deadline"
        path.parent.mkdir(parents=True)
        path.write_text(f"{int(time.time()) + 100} …\n")
    elif how == "idle":
        machine.beat(None, stop_at=text(datetime.now(UTC) + timedelta(seconds=60)))
    else:
        machine.beat("preempted", 0)
    until(lambda: machine.steps()[:1] == [9])
    machine.beat(None)
    assert job.wait(20) == 0


def test_a_heartbeat_of_yesterday_is_no_notice(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.beat("spot", 100)
    notices = Notices("aws", str(tmp_path))
    assert [end.kind for end in notices.look()] == ["spot"]
    path = tmp_path / "run/gpuctl/heartbeat.json"
    old = text(datetime.now(UTC) - timedelta(minutes=5))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"time": old}))
    assert notices.look() == []
    for broken in ("", "[]", '{"time": 7, "notice": "spot"}', "{"):
        path.write_text(broken)
        assert notices.look() == []
    machine.beat("rebalance")
    assert notices.look() == [End("rebalance", None)]


def test_two_jobs_under_one_name_on_one_machine(machine: Machine) -> None:
    first = machine.start("save 1; sleep 2")
    until(lambda: machine.steps() == [1])
    assert machine.run("echo second") == 125
    assert "another job on this machine" in machine.log
    assert first.wait(20) == 0


def test_with_nothing_that_verifies_the_job_does_not_start(machine: Machine) -> None:
    machine.run("save 1")
    store = machine.path / "home/.gpuctl/checkpoints/store"
    for path in store.rglob("manifest.json"):
        path.write_text("{}")
    shutil.rmtree(machine.work)
    assert machine.run("touch ran") == 125
    assert not (machine.work / "ran").exists()
    assert "--no-restore" in machine.log
    assert machine.run("touch ran", restore=False) == 0


def test_signals_to_the_group_reach_the_job_and_not_the_keeper(machine: Machine) -> None:
    job = machine.start("trap 'save 3; exit 5' TERM; echo on; while :; do sleep .05; done")
    until(lambda: "on\n" in machine.log)
    os.killpg(job.pid, 15)
    assert job.wait(20) == 5
    assert machine.steps() == [3]


def test_a_command_that_is_missing(machine: Machine) -> None:
    machine.work.mkdir(parents=True)
    pyz = machine.path / "keeper"
    pyz.write_bytes(keeper())
    keep = Keep(job="train", root=ROOT, dir="ck")
    argv = order(str(pyz), keep, "aws", "", None, ("no-such-command",))
    environ = {"PATH": os.environ["PATH"], "HOME": str(machine.path)}
    done = subprocess.run(
        [sys.executable, *argv[1:]], env=environ, cwd=machine.work, capture_output=True, check=False
    )
    assert done.returncode == 127
    done = subprocess.run([sys.executable, str(pyz)], capture_output=True, check=False)
    assert done.returncode == 2


def test_it_is_old_python_and_nothing_but_the_standard_library() -> None:
    with zipfile.ZipFile(io.BytesIO(keeper())) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert keeper.__wrapped__() == keeper()
    for name, source in texts.items():
        tree = ast.parse(source, feature_version=(3, 8))
        for node in ast.walk(tree):
            found_in = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                found_in = [node.module or ""]
            for module in found_in:
                base = module.partition(".")[0]
                assert base == "gpuctl" or base in sys.stdlib_module_names, name
                shipped = f"{module.replace('.', '/')}.py"
                assert not module.startswith("gpuctl.") or shipped in texts, name


def old_python() -> str | None:
    for version in ("3.8", "3.9"):
        found_one = shutil.which(f"python{version}")
        if found_one and subprocess.run([found_one, "-c", ""], check=False).returncode == 0:
            return found_one
    return None


@pytest.mark.skipif(old_python() is None, reason="no Python 3.8 or 3.9 here")
def test_the_oldest_python_that_machines_have(machine: Machine) -> None:
    machine.python = old_python() or ""
    assert machine.run("save 1; exit 4") == 4
    assert machine.steps() == [1]
