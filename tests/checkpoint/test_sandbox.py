"""The whole way, by the real program: a job is interrupted, and a new machine goes on."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import SandboxState
from tests.cli.program import Program
from tests.sandboxed import home_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TRAIN = Path(__file__).parents[2] / "examples/train.py"
CONFIG = """
[template.saved]
provider = "aws"
type = "g6.xlarge"
image = "IMAGE"
regions = ["us-east-1"]
instance_profile = "keeper"

[template.saved.checkpoint]
dir = "checkpoints"
interval = "1s"
bucket = "s3://ckpt-bucket/anna"

[template.local]
provider = "aws"
type = "g6.xlarge"
image = "IMAGE"
regions = ["us-east-1"]

[template.local.checkpoint]
dir = "checkpoints"
interval = "1s"
""".replace(
    "IMAGE",
    "ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
)


@pytest.fixture
def gpuctl(sandbox: SandboxState, control: Control) -> Program:
    program = home_in(sandbox, CONFIG)
    iam, s3 = client(sandbox, "iam"), client(sandbox, "s3")
    iam.create_instance_profile(InstanceProfileName="keeper")
    s3.create_bucket(Bucket="ckpt-bucket")
    work = program.home / "work"
    work.mkdir()
    shutil.copy(TRAIN, work)
    return program


def client(sandbox: SandboxState, service: str):
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=sandbox.aws_endpoint,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )


def straight_through(steps: int, folder: Path) -> str:
    """What a run that nobody interrupts prints."""
    done = subprocess.run(
        [sys.executable, str(TRAIN), "--steps", str(steps), "--checkpoints", str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def lines_of(text: str, word: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(word)]


def test_interrupted_once_and_the_numbers_are_the_same(
    gpuctl: Program, sandbox: SandboxState, tmp_path: Path
) -> None:
    work, steps = gpuctl.home / "work", 150
    job = ("python3", "train.py", "--steps", str(steps), "--every", "10")
    gpuctl("up", "-p", "acme/vision", "-t", "saved", "-y")
    environ = {**os.environ, **gpuctl.environ}
    argv = [sys.executable, "-m", "gpuctl", "run", "--name", "train", "--", *job, "--seconds", ".1"]
    with subprocess.Popen(
        argv, cwd=work, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout is not None
        said = ""
        for line in running.stdout:
            said += line
            if "saved step_000030" in line:
                Control(sandbox).interrupt("vision-1", notice_seconds=8)
                break
        said += running.stdout.read()
        code = running.wait(60)
    assert code == 7, said
    assert "no checkpoint of train to restore" in said
    assert "this machine ends in" in said
    told = re.search(r"told to end: saved at step (\d+)", said)
    assert told is not None, said
    last = int(told[1])
    assert f"saved step_{last:06d} (step {last}," in said

    listed = gpuctl("checkpoint", "ls", "-t", "saved", "--json").json
    assert listed["schema"] == "gpuctl.checkpoint.ls/1"
    first = listed["checkpoints"][0]
    assert (first["job"], first["step"], first["state"]) == ("train", last, "complete")
    keys = [
        one["Key"]
        for one in client(sandbox, "s3").list_objects_v2(Bucket="ckpt-bucket")["Contents"]
    ]
    assert all(key.startswith("anna/acme/vision/train/") for key in keys)

    gpuctl("up", "-p", "acme/vision", "-t", "saved", "-y")
    again = gpuctl("run", "--name", "train", "--down", "--", *job, cwd=work)
    both = again.out + again.err
    assert f"restored step_{last:06d} (step {last}," in both
    assert f"resumed at step {last}" in both
    whole = straight_through(steps, tmp_path / "whole")
    assert lines_of(both, "step ") == lines_of(whole, "step ")[last:]
    assert lines_of(both, "weights ") == lines_of(whole, "weights ")

    verified = gpuctl("checkpoint", "verify", "train", "-t", "saved", "--json").json
    assert verified["ok"] is True
    assert verified["checkpoints"][0]["step"] == steps
    pulled = gpuctl("checkpoint", "pull", "train", "-t", "saved", "--json", cwd=tmp_path).json
    state = json.loads((Path(pulled["path"]) / "model.json").read_text())
    assert state["step"] == steps

    newest = first_key(sandbox, verified["checkpoints"][0]["sequence"])
    client(sandbox, "s3").put_object(Bucket="ckpt-bucket", Key=newest, Body=b"x")
    damaged = gpuctl("checkpoint", "verify", "train", "-t", "saved", "--json", code=8).json
    assert [one["state"] for one in damaged["checkpoints"]] == ["damaged", "complete"]
    older = gpuctl("checkpoint", "pull", "train", "-t", "saved", "--to", "older", cwd=tmp_path)
    assert "passed over" in older.err


def first_key(sandbox: SandboxState, sequence: int) -> str:
    listed = client(sandbox, "s3").list_objects_v2(
        Bucket="ckpt-bucket", Prefix=f"anna/acme/vision/train/{sequence:08d}/"
    )
    return next(one["Key"] for one in listed["Contents"] if "manifest" not in one["Key"])


def test_without_a_bucket_they_are_pulled_over_ssh(gpuctl: Program, tmp_path: Path) -> None:
    work = gpuctl.home / "work"
    gpuctl("up", "-p", "acme/vision", "-t", "local", "-y")
    done = gpuctl("run", "--", "python3", "train.py", "--steps", "20", cwd=work)
    assert "names no bucket" in done.err
    listed = gpuctl("checkpoint", "ls", "-t", "local", "--machine", "vision-1", "--json").json
    assert [one["step"] for one in listed["checkpoints"]] == [20]
    assert listed["checkpoints"][0]["job"].startswith("train-py-")
    gpuctl("checkpoint", "pull", "-t", "local", "--machine", "vision-1", cwd=tmp_path)
    assert json.loads((tmp_path / "step_000020/model.json").read_text())["step"] == 20
    assert "--machine" in gpuctl("checkpoint", "ls", "-t", "local", code=2).err


def test_a_machine_without_rights_does_not_start_the_job(
    gpuctl: Program, sandbox: SandboxState
) -> None:
    config = gpuctl.home / "config/config.toml"
    config.write_text(config.read_text().replace('instance_profile = "keeper"\n', ""))
    gpuctl("up", "-p", "acme/vision", "-t", "saved", "-y")
    began = time.monotonic()
    done = gpuctl("run", "--", "touch", "ran", cwd=gpuctl.home / "work", code=125)
    assert time.monotonic() - began < 60
    assert "no instance profile" in done.out + done.err
    assert "ran" not in gpuctl("ssh", "vision-1", "--", "ls", "work/vision").out.split()
