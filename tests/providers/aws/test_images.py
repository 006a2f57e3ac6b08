"""A name finds our own image only; what cannot boot is refused before a launch."""

from typing import Any

import pytest

from gpuctl.core import errors
from gpuctl.providers.aws import images
from tests.providers.aws.rig import IMAGE, Rig

EAST = "us-east-1"


def register(rig: Rig, name: str, version: str, **changes: Any) -> str:
    ec2 = rig.raw()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=20, VolumeType="gp3")
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    given: dict[str, Any] = {
        "Name": f"{name}-{version}",
        "Architecture": "x86_64",
        "RootDeviceName": "/dev/sda1",
        "VirtualizationType": "hvm",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 20}}
        ],
    }
    made = str(ec2.register_image(**{**given, **changes})["ImageId"])
    tags = {"gpuctl:image": name, "gpuctl:version": version}
    ec2.create_tags(
        Resources=[made], Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )
    return made


def resolve(rig: Rig, named: str, type_: str = "g4dn.xlarge") -> images.Image:
    return images.resolve(rig.clients(), EAST, named, type_)


def channel(rig: Rig, name: str, ami: str) -> None:
    rig.clients().ssm(EAST).put_parameter(  # type: ignore[attr-defined]
        Name=f"/gpuctl/images/{name}", Value=ami, Type="String"
    )


def test_by_public_parameter(rig: Rig) -> None:
    found = resolve(rig, IMAGE)
    assert found.id.startswith("ami-")
    assert (found.root, found.root_gb) == ("/dev/sda1", 8)


def test_by_id(rig: Rig) -> None:
    ami = resolve(rig, IMAGE).id
    assert resolve(rig, ami).id == ami


def test_by_name_and_version(rig: Rig) -> None:
    register(rig, "vision", "2026.10.1")
    newer = register(rig, "vision", "2026.11.1")
    found = resolve(rig, "vision@2026.11.1")
    assert (found.id, found.root_gb) == (newer, 20)


def test_by_channel_and_by_name_alone(rig: Rig) -> None:
    ami = register(rig, "vision", "2026.11.1")
    channel(rig, "vision/stable", ami)
    channel(rig, "vision/next", resolve(rig, "vision@2026.11.1").id)
    assert resolve(rig, "vision@stable").id == resolve(rig, "vision").id == ami
    assert resolve(rig, "vision@next").id == ami


@pytest.mark.parametrize(
    "named",
    ["ami-0123456789abcdef0", "nothing@1.0", "nothing@stable", "nothing", "ssm:/no/such/path"],
)
def test_what_is_not_there_is_not_found(rig: Rig, named: str) -> None:
    with pytest.raises(errors.NotFound, match="in us-east-1"):
        resolve(rig, named)


@pytest.mark.parametrize("named", ["", "Über", "a b", "name@", "../x", "ami_1@@2"])
def test_what_is_no_name_is_an_invalid_request(rig: Rig, named: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        resolve(rig, named)


def test_somebody_elses_image_under_our_name_is_refused(rig: Rig) -> None:
    channel(rig, "vision/stable", resolve(rig, IMAGE).id)
    with pytest.raises(errors.InvalidRequest, match="not to yours"):
        resolve(rig, "vision@stable")


def test_a_parameter_of_ours_may_not_point_at_strangers(rig: Rig) -> None:
    channel(rig, "vision/stable", resolve(rig, IMAGE).id)
    with pytest.raises(errors.InvalidRequest, match="not to yours"):
        resolve(rig, "ssm:/gpuctl/images/vision/stable")


def test_a_parameter_that_holds_no_image_is_refused(rig: Rig) -> None:
    channel(rig, "vision/stable", "hello")
    with pytest.raises(errors.InvalidRequest, match="'hello'"):
        resolve(rig, "vision@stable")


def test_another_architecture_cannot_boot(rig: Rig) -> None:
    with pytest.raises(errors.InvalidRequest, match="needs arm64"):
        resolve(rig, IMAGE, "g5g.xlarge")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"State": "pending"}, "pending"),
        ({"RootDeviceType": "instance-store"}, "instance store"),
        ({"RootDeviceName": None}, "root device"),
        ({"Architecture": "arm64"}, "x86_64"),
    ],
)
def test_an_image_that_cannot_be_launched_says_why(changes: dict[str, Any], word: str) -> None:
    image = {"ImageId": "ami-1", "RootDeviceName": "/dev/sda1", "Architecture": "x86_64"}
    with pytest.raises(errors.InvalidRequest, match=word):
        images._checked({**image, **changes}, "x", EAST, "g4dn.xlarge")


def test_further_disks_of_an_image_go_with_the_machine_too() -> None:
    image = {
        "ImageId": "ami-1",
        "RootDeviceName": "/dev/sda1",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 30}},
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 100}},
            {"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"},
        ],
    }
    found = images._checked(image, "x", EAST, "g4dn.xlarge")
    assert (found.root_gb, found.others) == (30, ("/dev/sdb",))
