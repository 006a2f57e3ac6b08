"""An image after it was made, on the embedded AWS: copied, promoted, used, shared, pruned."""

import boto3
import pytest

from gpuctl.ledger.store import SqliteLedger
from gpuctl.sandbox.control import Control
from gpuctl.sandbox.state import SandboxState, environment

from .program import Program
from .test_sandbox import gpuctl

__all__ = ["gpuctl"]

pytestmark = pytest.mark.slow

NAME = "torch-portable"
EAST, WEST = "us-east-1", "us-west-2"


def register(sandbox: SandboxState, install: str, version: str) -> str:
    """An image with the tags that `ami build` gives."""
    environ = environment(sandbox).over({})
    ec2 = boto3.client(
        "ec2",
        region_name=EAST,
        endpoint_url=environ["AWS_ENDPOINT_URL"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )
    made = ec2.register_image(
        Name=f"{NAME}-{version}",
        Architecture="x86_64",
        RootDeviceName="/dev/sda1",
        VirtualizationType="hvm",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 40}}],
    )["ImageId"]
    tags = {
        "gpuctl:managed": "true",
        "gpuctl:install": install,
        "gpuctl:image": NAME,
        "gpuctl:version": version,
        "gpuctl:driver": "580.95.05",
        "gpuctl:module": "proprietary",
        "gpuctl:cuda": "cu126",
        "gpuctl:torch": "2.10.0",
        "gpuctl:recipe-sha256": "9f" * 32,
    }
    tagged = [{"Key": key, "Value": value} for key, value in tags.items()]
    ec2.create_tags(Resources=[made], Tags=tagged)
    return str(made)


def installation(gpuctl: Program) -> str:
    """The id in the tags of all that this installation makes."""
    gpuctl("ledger", "verify")
    [file] = gpuctl.home.rglob("ledger.db")
    ledger = SqliteLedger(file, install="unused")
    try:
        return ledger.install
    finally:
        ledger.close()


def test_from_made_to_pruned(gpuctl: Program, sandbox: SandboxState, control: Control) -> None:
    install = installation(gpuctl)
    old, new = register(sandbox, install, "1"), register(sandbox, install, "2")

    copied = gpuctl("ami", "copy", f"{NAME}@2", "--to", WEST, "-y", "--json").json
    assert [(image["region"], image["ready"]) for image in copied["images"]] == [(WEST, True)]
    gpuctl("ami", "promote", f"{NAME}@2")

    gpuctl("config", "set", "template.l4-spot.image", f"{NAME}@stable")
    asked = ("up", "-p", "acme/vision", "-t", "l4-spot", "--region", EAST)
    plan = gpuctl(*asked, "--dry-run")
    assert f"{NAME}@2 ({new})" in plan.err
    machine = gpuctl(*asked, "-y", "--detach", "--json").json["machine"]
    assert (machine["image"], machine["image_name"]) == (new, f"{NAME}@2")
    assert machine["recipe_sha256"] == "9f" * 32
    gpuctl("down", "--all", "-y")

    gpuctl("ami", "share", f"{NAME}@2", "--with", "444455556666", "-y")
    listed = gpuctl("ami", "list", "--json").json["images"]
    [two] = [image for image in listed if (image["name"], image["version"]) == (NAME, "2")]
    assert sorted(region["region"] for region in two["regions"]) == [EAST, WEST]
    assert (two["channels"], two["used_by"]) == (["stable"], ["template l4-spot"])
    assert two["monthly"] is not None

    gone = gpuctl("ami", "prune", NAME, "--keep", "1", "-y", "--json").json
    assert [image["id"] for image in gone["images"]] == [old]
    assert gone["saves"] is not None
    charges = gpuctl("spend", "--from", "2020-01-01", "--json").json["charges"]
    kinds = {(charge["kind"], charge["region"], charge["project"]) for charge in charges}
    assert {("snapshot", EAST, None), ("snapshot", WEST, None)} <= kinds
    del control
