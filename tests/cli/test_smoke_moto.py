"""Up, ps, down and report against the plain moto server: nothing of ours in between."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from .program import Program, write_config

CONFIG = """
[client.acme]
markup = "10%"
[client.acme.project.vision]

[template.plain]
provider = "aws"
type = "g4dn.xlarge"
market = "{market}"
regions = ["us-east-1"]
image = "{image}"
ssh_from = ["203.0.113.9/32"]
disk = {{ gb = 50, type = "gp3" }}
"""


SERVER = """
import signal, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""
"""In a process of its own: the sandbox changes moto in this one."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env={**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


@pytest.fixture(params=["spot", "on-demand"])
def gpuctl(request: pytest.FixtureRequest, endpoint: str, tmp_path: Path) -> Program:
    environ = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    ec2 = boto3.client(
        "ec2",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    image = ec2.register_image(Name="ours", RootDeviceName="/dev/sda1", Architecture="x86_64")
    write_config(tmp_path, CONFIG.format(market=request.param, image=image["ImageId"]))
    return Program(tmp_path, environ)


def test_a_machine_comes_up_is_listed_ends_and_is_billed(gpuctl: Program) -> None:
    up = gpuctl("up", "-p", "acme/vision", "-t", "plain", "-y", "--detach", "-o", "json").json
    assert up["schema"] == "gpuctl.up/1"
    assert up["machine"]["project"] == "acme/vision"
    assert up["attempts"][-1]["outcome"] == "started"

    listed = gpuctl("ps", "--json").json["machines"]
    assert [(m["name"], m["type"], m["state"]) for m in listed] == [
        ("vision-1", "g4dn.xlarge", "running")
    ]

    ended = gpuctl("down", "vision-1", "--json").json["machines"]
    assert ended[0]["state"] == "gone"
    assert {charge["kind"] for charge in ended[0]["charges"]} >= {"compute", "disk"}

    assert gpuctl("ps", "--json").json["machines"] == []
    report = gpuctl("report", "--json").json
    assert [p["project"] for p in report["projects"]] == ["acme/vision"]
    assert gpuctl("ledger", "verify", "--json").json["ok"]
