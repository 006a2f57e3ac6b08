"""`ami build` and `ami test` by the real program, over real SSH, on both embedded clouds."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gpuctl.config.lockfile import read_lock
from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import SandboxState
from tests.cli.program import Program
from tests.sandboxed import home_in

pytestmark = pytest.mark.slow
whole = pytest.mark.skipif(not os.environ.get("IMAGE_STEPS"), reason="a minute: make images")

IMAGE = """
name = "tiny"
version = "1"
[base]
aws_ssm = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
gcp_family = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2204-lts"
[build]
aws_types = ["c7i.large"]
gcp_types = ["e2-standard-2"]
disk_gb = 10
steps = ["steps/10-one.sh", "steps/20-two.sh", "common/90-clean.sh"]
"""
HEAD = "#!/usr/bin/env bash\nset -euo pipefail\n"
ONE = f"{HEAD}mkdir -p /etc/tiny\necho again >>/etc/tiny/one\n"
MINE = """
[template.mine]
provider = "aws"
type = "g6.xlarge"
image = "torch-portable@1"
"""


@pytest.fixture
def work(sandbox: SandboxState) -> Path:
    """A project with a recipe of three steps."""
    work = Path(tempfile.mkdtemp(dir=sandbox.directory, prefix="w"))
    (work / "gpuctl.toml").touch()
    (work / "amis/tiny/steps").mkdir(parents=True)
    (work / "amis/tiny/image.toml").write_text(IMAGE)
    (work / "amis/tiny/steps/10-one.sh").write_text(ONE)
    second(work, "true\n")
    return work


@pytest.fixture
def gpuctl(sandbox: SandboxState, control: Control) -> Program:
    return home_in(sandbox, MINE)


def second(work: Path, text: str) -> None:
    (work / "amis/tiny/steps/20-two.sh").write_text(HEAD + text)


def costing(control: Control) -> list[str]:
    """Machines that run, or are stopped with their disks."""
    truth = control.truth()
    aws = [one["id"] for one in truth["aws"]["instances"] if one["state"] in ("pending", "running")]
    return [*aws, *(vm["name"] for vm in truth["gcp"]["vms"] if vm["deleted"] is None)]


def logs(gpuctl: Program) -> str:
    return "".join(path.read_text() for path in sorted(gpuctl.home.glob("logs/builds/*.log")))


def broken_off(gpuctl: Program, work: Path, cloud: str, word: str, what: signal.Signals) -> int:
    """A build that gets a signal once its log has the word."""
    child = subprocess.Popen(
        [sys.executable, "-m", "gpuctl", "ami", "build", "tiny", "--on", cloud, "-y"],
        env={**os.environ, "GPUCTL_HOME": str(gpuctl.home), **gpuctl.environ},
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while word not in logs(gpuctl) and time.monotonic() < end and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(what)
    return child.wait(60)


def test_a_recipe_becomes_an_image_that_computes_and_is_used(
    gpuctl: Program, control: Control, work: Path
) -> None:
    built = gpuctl("ami", "build", "portable-cu126", "-y", "--json", cwd=work).json["image"]
    assert (built["driver"], built["base"][:4]) == ("580.95.05", "ami-")
    assert costing(control) == []
    tested = gpuctl("ami", "test", "torch-portable", "-y", cwd=work).json
    assert (tested["ok"], tested["type"], tested["problems"]) == (True, "g4dn.xlarge", [])
    assert tested["says"]["torch"] == "2.10.0"
    assert tested["torch"]["devices"][0]["native"]
    assert costing(control) == []
    (locked,) = read_lock(work / "amis/images.lock.toml")
    assert (locked.tested, locked.torch) == (("g4dn.xlarge",), "2.10.0")
    region = next(iter(locked.aws))
    gpuctl("up", "-p", "acme/vision", "-t", "mine", "--region", region, "-y", cwd=work)
    said = gpuctl("ssh", "--", "sh", "-c", "cat $GPUCTL_ROOT/etc/gpuctl/image.json", cwd=work)
    assert '"torch-portable"' in said.out
    gpuctl("down", "--all", "-y", cwd=work)
    assert gpuctl("audit", "--json", cwd=work).json["findings"] == []


@whole
@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_a_failing_step_is_named_with_its_line_and_leaves_no_builder(
    gpuctl: Program, control: Control, work: Path, cloud: str
) -> None:
    second(work, "one() {\n  false\n}\none\n")
    done = gpuctl("ami", "build", "tiny", "--on", cloud, "-y", cwd=work, code=1)
    assert "Error: steps/20-two.sh:4: exit 1: false" in done.err
    assert costing(control) == []
    assert not (work / "amis/images.lock.toml").exists()
    assert "== [2/3] steps/20-two.sh" in logs(gpuctl)


@whole
def test_a_secret_that_a_step_leaves_is_refused(
    gpuctl: Program, control: Control, work: Path
) -> None:
    second(work, "echo 'machine x password y' >/root/.netrc\n")
    done = gpuctl("ami", "build", "tiny", "-y", cwd=work, code=1)
    assert "common/90-clean.sh:" in done.err
    assert "netrc" in done.err
    assert costing(control) == []


@pytest.mark.parametrize("cloud", ["gcp", pytest.param("aws", marks=whole)])
def test_after_kill_9_the_next_build_goes_on_with_the_same_builder(
    gpuctl: Program, control: Control, work: Path, cloud: str
) -> None:
    second(work, "echo begun\nsleep 1\ntest $(wc -l </etc/tiny/one) = 1\n")
    assert broken_off(gpuctl, work, cloud, "begun", signal.SIGKILL) == -9
    assert len(costing(control)) == 1
    done = gpuctl("ami", "build", "tiny", "--on", cloud, "-y", cwd=work)
    assert "steps/10-one.sh: done before" in done.err
    assert costing(control) == []
    assert gpuctl("audit", "--json", cwd=work).json["findings"] == []


@whole
@pytest.mark.parametrize("word", ["begun", "90-clean"])
def test_after_kill_9_an_audit_ends_what_costs(
    gpuctl: Program, control: Control, work: Path, word: str
) -> None:
    second(work, "echo begun\nsleep 3\n")
    assert broken_off(gpuctl, work, "gcp", word, signal.SIGKILL) == -9
    gpuctl("audit", "--fix", "-y", cwd=work)
    assert costing(control) == []


@whole
def test_ctrl_c_ends_the_builder(gpuctl: Program, control: Control, work: Path) -> None:
    second(work, "echo begun\nsleep 30\n")
    assert broken_off(gpuctl, work, "aws", "begun", signal.SIGINT) == 130
    assert costing(control) == []
