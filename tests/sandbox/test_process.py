"""The sandbox as a process: started, found, asked, advanced, stopped, and never forgotten."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from datetime import datetime, timedelta

import pytest

pytest.importorskip("asyncssh")
pytest.importorskip("moto")

import boto3

from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from gpuctl.sandbox import process
from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import endpoint, environment, read_state, state_file

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sandbox")
    state = process.start(directory, seed=3)
    yield state
    process.stop(directory)


@pytest.fixture
def control(running):
    made = Control(running)
    made.reset()
    return made


@pytest.fixture
def ec2(running, monkeypatch):
    made = environment(running)
    for name in made.unset:
        monkeypatch.delenv(name, raising=False)
    for name, value in made.set.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("ec2")
    yield client
    client.close()


def launch(ec2, ssh, name: str = "vision-1", script: str = "") -> str:
    ec2.import_key_pair(KeyName=name, PublicKeyMaterial=ssh.public_key.encode())
    (image, *_) = ec2.describe_images(Owners=["amazon"])["Images"]
    told = ec2.run_instances(
        ImageId=image["ImageId"],
        InstanceType="g4dn.xlarge",
        MinCount=1,
        MaxCount=1,
        KeyName=name,
        UserData=script,
        InstanceInitiatedShutdownBehavior="terminate",
        InstanceMarketOptions={
            "MarketType": "spot",
            "SpotOptions": {"SpotInstanceType": "one-time"},
        },
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}],
    )
    return told["Instances"][0]["InstanceId"]


def state_of(ec2, machine: str) -> str:
    (reservation,) = ec2.describe_instances(InstanceIds=[machine])["Reservations"]
    return reservation["Instances"][0]["State"]["Name"]


def test_it_is_found_and_a_second_start_is_the_same(running):
    assert process.status(running.directory) == running
    assert process.start(running.directory) == running


def test_both_clouds_answer_on_loopback(running):
    for url in (running.aws_endpoint, running.gcp_endpoint, running.control_endpoint):
        assert url.startswith("http://127.0.0.1:")
    where = f"{running.gcp_endpoint}/compute/v1/projects/{running.gcp_project}/aggregated/instances"
    with urllib.request.urlopen(where, timeout=10) as reply:
        assert json.load(reply)["kind"] == "compute#instanceAggregatedList"


def test_a_machine_of_the_emulated_aws_answers_ssh(control, running, ec2, ssh, wait_for):
    machine = launch(ec2, ssh)
    wait_for(lambda: endpoint(running.directory, machine))
    where = endpoint(running.directory, machine)
    told = ssh.run(where.port, "nvidia-smi -L", user=where.user)
    assert told.stdout.startswith(b"GPU 0: "), told.stderr
    (on,) = control.status().machines
    assert (on.id, on.name, on.cloud, on.port) == (machine, "vision-1", "aws", where.port)


def test_an_interruption_by_name_is_noticed_and_then_happens(control, running, ec2, ssh, wait_for):
    machine = launch(ec2, ssh)
    wait_for(lambda: endpoint(running.directory, machine))
    control.interrupt("vision-1", notice_seconds=120)
    where = endpoint(running.directory, machine)
    ask = (
        "M=http://169.254.169.254/latest;"
        'T=$(curl -s -X PUT "$M/api/token" -H "X-aws-ec2-metadata-token-ttl-seconds: 60");'
        'curl -s -H "X-aws-ec2-metadata-token: $T" "$M/meta-data/spot/instance-action"'
    )
    told = ssh.run(where.port, ask, user=where.user)
    assert json.loads(told.stdout)["action"] == "terminate"
    control.advance(timedelta(minutes=5))
    assert state_of(ec2, machine) == "terminated"
    (true,) = control.truth()["aws"]["instances"]
    assert true["ended_by"] == "provider"


def test_a_deadline_armed_by_user_data_ends_the_instance_on_time(control, ec2, ssh):
    script = (
        "#!/bin/sh\nsystemd-run --unit=deadline --on-active=8h systemctl poweroff --force --force\n"
    )
    before = control.status().now
    machine = launch(ec2, ssh, script=script)
    control.advance(timedelta(days=20))
    (true,) = control.truth()["aws"]["instances"]
    assert true["id"] == machine
    lasted = datetime.fromisoformat(true["ended"]) - before
    assert timedelta(hours=8, seconds=-2) < lasted < timedelta(hours=8, minutes=2)


def test_the_clock_file_follows_an_advance(control, running):
    offset = control.status().offset
    now = control.advance(timedelta(hours=2))
    told = json.loads((running.directory / "clock.json").read_text())["offset_seconds"]
    assert timedelta(seconds=told) - offset == pytest.approx(
        timedelta(hours=2), abs=timedelta(seconds=1)
    )
    assert abs(control.status().now - now) < timedelta(seconds=5)
    with pytest.raises(UsageProblem, match="forward"):
        control.advance(timedelta(hours=-1))


def test_knobs_reach_their_cloud(control, ec2, ssh):
    control.knob("aws", "no_capacity", type="g4dn.xlarge")
    with pytest.raises(ec2.exceptions.ClientError, match="InsufficientInstanceCapacity"):
        launch(ec2, ssh, "sold-out")
    control.knob("gcp", "no_capacity", type="nvidia-tesla-t4", zone="us-central1-a")
    with pytest.raises(UsageProblem, match="knob"):
        control.knob("gcp", "no_such_knob")
    with pytest.raises(UsageProblem, match="azure"):
        control.knob("azure", "capacity")
    with pytest.raises(UsageProblem):
        control.knob("aws", "no_capacity", nonsense=1)


def test_what_is_not_there_cannot_be_interrupted(control):
    with pytest.raises(NotFound, match="nobody"):
        control.interrupt("nobody")


def test_gpus_are_busy_when_told(control, running, ec2, ssh, wait_for):
    machine = launch(ec2, ssh)
    wait_for(lambda: endpoint(running.directory, machine))
    control.gpu("vision-1", busy=True)
    where = endpoint(running.directory, machine)
    query = "nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits"
    assert ssh.run(where.port, query, user=where.user).stdout == b"97\n"


def test_without_the_token_nothing_is_answered(running):
    request = urllib.request.Request(f"{running.control_endpoint}/v1/status", b"{}")
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(request, timeout=5)
    refused.value.close()


def test_stop_ends_every_process_of_the_machines(tmp_path, ssh, monkeypatch, wait_for):
    state = process.start(tmp_path)
    made = environment(state)
    for name, value in made.set.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("ec2")
    machine = launch(client, ssh)
    client.close()
    wait_for(lambda: endpoint(tmp_path, machine))
    where = endpoint(tmp_path, machine)
    pid = int(
        ssh.run(where.port, "setsid sleep 600 >/dev/null 2>&1 & echo $!", user=where.user).stdout
    )
    assert process.stop(tmp_path)
    assert not alive(pid)
    assert not state_file(tmp_path).exists()
    assert process.status(tmp_path) is None
    assert not process.stop(tmp_path)


def test_a_killed_sandbox_leaves_nothing_once_looked_at(tmp_path, ssh, monkeypatch, wait_for):
    state = process.start(tmp_path)
    for name, value in environment(state).set.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("ec2")
    machine = launch(client, ssh)
    client.close()
    wait_for(lambda: endpoint(tmp_path, machine))
    where = endpoint(tmp_path, machine)
    pid = int(
        ssh.run(where.port, "setsid sleep 600 >/dev/null 2>&1 & echo $!", user=where.user).stdout
    )
    os.kill(state.pid, signal.SIGKILL)
    wait_for(lambda: process.status(tmp_path) is None and read_state(tmp_path) is None)
    assert not alive(pid)


def test_it_ends_by_itself_when_nobody_uses_it(tmp_path, wait_for):
    options = process.SandboxOptions(exit_after_idle=timedelta(seconds=1))
    process.start(tmp_path, options=options)
    wait_for(lambda: not state_file(tmp_path).exists(), limit=20)
    assert process.status(tmp_path) is None


def test_one_that_cannot_start_says_why(tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(GpuctlError, match="FileExistsError"):
        process.start(tmp_path)


def alive(pid: int) -> bool:
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False
    ).stdout
    return bool(listed.strip()) and not listed.startswith(b"Z")
