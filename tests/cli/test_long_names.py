"""A VM whose name is as long as Google lets it be, made by somebody else, is like any other."""

import pytest
import requests

from gpuctl.config.paths import paths
from gpuctl.core.errors import RemoteFailed
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.world import NoMetal, SandboxClock
from gpuctl.wiring.reach import OpenSsh
from tests.cli.program import Program, write_config
from tests.core.cloudstory import machine

NAME = "t" + "r" * 61 + "9"
ZONE = "us-central1-a"
CONFIG = f"""\
[gcp]
zones = ["{ZONE}"]

[client.acme.project.nlp]
template = "theirs"

[template.theirs]
provider = "gcp"
type = "n1-standard-4"
market = "on-demand"
zones = ["{ZONE}"]
vm = "{NAME}"
image = "deeplearning-platform-release/common-cu129-ubuntu-2204-nvidia-580"
user = "ubuntu"
ssh_from = ["192.0.2.10/32"]
disk = {{ gb = 100, type = "pd-balanced" }}
"""


@pytest.fixture
def cloud():
    made = GcpCloud(SandboxClock(), NoMetal())
    made.pace(0)
    yield made
    made.stop()


@pytest.fixture
def gpuctl(cloud, tmp_path):
    home = tmp_path / "home"
    write_config(home, CONFIG)
    environ = {"GPUCTL_GCP_ENDPOINT": cloud.start(), "GOOGLE_CLOUD_PROJECT": "sandbox-project"}
    return Program(home, environ)


def make(cloud, **labels):
    """Make and stop it, by other means than gpuctl."""
    url = f"{cloud.start()}/compute/v1/projects/sandbox-project/zones/{ZONE}/instances"
    body = {
        "name": NAME,
        "machineType": f"zones/{ZONE}/machineTypes/n1-standard-4",
        "labels": labels,
        "disks": [
            {
                "boot": True,
                "autoDelete": True,
                "initializeParams": {
                    "sourceImage": "projects/debian-cloud/global/images/family/debian-12"
                },
            }
        ],
        "networkInterfaces": [{"network": "global/networks/default"}],
    }
    for address, sent in ((url, body), (f"{url}/{NAME}/stop", None)):
        answer = requests.post(address, json=sent, timeout=10)
        assert answer.ok, answer.text


def test_one_that_a_template_names_is_started_listed_and_ended(cloud, gpuctl):
    make(cloud)
    up = gpuctl("up", "-p", "acme/nlp", "-y", "--detach", "-o", "json").json
    assert up["machine"]["name"] == NAME
    assert [one["name"] for one in gpuctl("ps", "-o", "json").json["machines"]] == [NAME]
    down = gpuctl("down", NAME, "-y", "-o", "json").json
    assert [one["state"] for one in down["machines"]] == ["stopped"]


def test_ssh_is_told_of_it_and_refuses_what_is_no_name(tmp_path):
    places = paths({"GPUCTL_HOME": str(tmp_path / "home")}, tmp_path)
    reach = OpenSsh({"GPUCTL_SANDBOX": str(tmp_path)}, places, lambda _: None)
    assert reach.target(machine(name=NAME)).alias == NAME
    with pytest.raises(RemoteFailed, match="is not the name of a machine") as caught:
        reach.target(machine(name="-oProxyCommand=x"))
    assert caught.value.hint
