"""What only AWS's images do: keys that forbid sharing, tags that travel, snapshots that stay."""

from typing import Any

import pytest

from gpuctl.core.errors import InvalidRequest, ListingIncomplete, NotFound
from gpuctl.core.images.stored import StoredImage
from gpuctl.providers.aws import images
from tests.providers.aws.rig import INSTALL, Rig

EAST, WEST = "us-east-1", "us-west-2"
WHOM = "444455556666"


def register(rig: Rig, version: str, **tags: str) -> StoredImage:
    ec2 = rig.raw()
    made = ec2.register_image(
        Name=f"vision-{version}",
        Architecture="x86_64",
        RootDeviceName="/dev/sda1",
        VirtualizationType="hvm",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20}}],
    )["ImageId"]
    told = {
        "gpuctl:managed": "true",
        "gpuctl:install": INSTALL,
        "gpuctl:image": "vision",
        "gpuctl:version": version,
        **{f"gpuctl:{key}": value for key, value in tags.items()},
    }
    tagged = [{"Key": key, "Value": value} for key, value in told.items()]
    ec2.create_tags(Resources=[made], Tags=tagged)
    return rig.provider().image(EAST, made)


def encrypt(rig: Rig, image: StoredImage, key: str | None) -> None:
    """Its snapshot, as if the builder's disk had been encrypted with that key."""
    backend: Any = rig.cloud._inside.backend(EAST)
    for snapshot in backend.snapshots.values():
        if snapshot.id == backend.amis[image.id].ebs_snapshot.id:
            snapshot.encrypted, snapshot.kms_key_id = True, key


def test_a_copy_has_its_tags_and_not_those_of_its_builder(rig: Rig) -> None:
    made = register(rig, "1", project="acme/vision", lease="7e" * 16, deadline="x")
    copy = rig.provider().copy_image(made, WEST)
    [spec, snapshot] = rig.request("CopyImage")["TagSpecifications"]
    tags = {one["Key"]: one["Value"] for one in spec["Tags"]}
    assert (spec["ResourceType"], snapshot["ResourceType"]) == ("image", "snapshot")
    assert tags["gpuctl:project"] == "acme/vision"
    assert "gpuctl:deadline" not in tags
    assert (copy.ready, copy.ours, copy.region) == (False, True, WEST)
    rig.settle()
    there = rig.provider().image(WEST, "vision@1")
    assert (there.id, there.project) == (copy.id, "acme/vision")


def test_an_image_of_which_nothing_is_left_cannot_be_copied(rig: Rig) -> None:
    made = register(rig, "1")
    rig.provider().remove_image(made)
    with pytest.raises(NotFound, match="gone from us-east-1"):
        rig.provider().copy_image(made, WEST)


def test_what_awss_own_key_encrypts_is_not_shared_and_the_reason_is_told(rig: Rig) -> None:
    made = register(rig, "1")
    encrypt(rig, made, None)
    with pytest.raises(InvalidRequest, match="opens it in your account alone") as caught:
        rig.provider().share_image(made, WHOM)
    assert "a key of yours" in (caught.value.hint or "")
    assert rig.sent["ModifyImageAttribute"] == 0


def test_a_key_of_ones_own_is_the_keys_own_affair(rig: Rig) -> None:
    made = register(rig, "1")
    clients: Any = rig.clients()
    own = clients._client("kms", EAST).create_key()["KeyMetadata"]["Arn"]
    encrypt(rig, made, own)
    rig.provider().share_image(made, WHOM)
    assert rig.sent["DescribeKey"] == 1
    assert rig.sent["ModifyImageAttribute"] == 1


def test_nobody_shares_with_himself(rig: Rig) -> None:
    made = register(rig, "1")
    with pytest.raises(InvalidRequest, match="your own account"):
        rig.provider().share_image(made, rig.provider().account)


def test_what_is_still_written_is_not_promoted(rig: Rig) -> None:
    copy = rig.provider().copy_image(register(rig, "1"), WEST)
    with pytest.raises(InvalidRequest, match="not ready in us-west-2"):
        rig.provider().promote_image(copy, "stable")
    assert rig.sent["PutParameter"] == 0


def test_a_channel_is_a_parameter_of_its_region(rig: Rig) -> None:
    made = register(rig, "1")
    rig.provider().promote_image(made, "stable")
    sent = rig.request("PutParameter")
    assert sent["Name"] == "/gpuctl/images/vision/stable"
    assert (sent["Value"], sent["Overwrite"]) == (made.id, True)
    assert images.resolve(rig.clients(), EAST, "vision", "g4dn.xlarge").id == made.id


def test_images_without_a_version_of_ours_are_not_listed(rig: Rig) -> None:
    register(rig, "1")
    bare = register(rig, "2")
    rig.raw().delete_tags(Resources=[bare.id], Tags=[{"Key": "gpuctl:version"}])
    assert [image.version for image in rig.provider().images()] == ["1"]


def test_a_region_that_cannot_be_read_is_an_incomplete_list(rig: Rig) -> None:
    register(rig, "1")
    rig.cloud.market.fault("DescribeSnapshots", code="UnauthorizedOperation", status=403, count=9)
    with pytest.raises(ListingIncomplete) as caught:
        rig.provider().images()
    assert caught.value.region == EAST
