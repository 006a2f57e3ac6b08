"""Public images, their SSM parameters, and images made from instances."""

import pytest

PATH = "/aws/service/deeplearning/ami/x86_64"
UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"


@pytest.mark.parametrize("region", ["us-east-1", "us-east-2", "us-west-2", "eu-west-1"])
def test_parameters_lead_to_launchable_images_in_every_region(aws, region):
    ssm, ec2 = aws.client("ssm", region), aws.client("ec2", region)
    names = [f"{PATH}/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id", UBUNTU, "/no"]
    answer = ssm.get_parameters(Names=names)
    assert answer["InvalidParameters"] == ["/no"]
    ids = [one["Value"] for one in answer["Parameters"]]
    images = {one["ImageId"]: one for one in ec2.describe_images(ImageIds=ids)["Images"]}
    sizes = []
    for name in ids:
        image = images[name]
        assert image["RootDeviceName"] == "/dev/sda1"
        assert (image["Architecture"], image["VirtualizationType"]) == ("x86_64", "hvm")
        assert image["EnaSupport"] is True
        sizes.append(image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"])
    assert sizes == [75, 8]
    made = ec2.run_instances(**aws.order(region=region, ImageId=ids[1], InstanceType="t3.micro"))[
        "Instances"
    ][0]
    assert made["ImageId"] == ids[1]
    assert made["Placement"]["AvailabilityZone"].startswith(region)


def test_parameters_are_listed_by_path_in_pages(aws, refused):
    ssm = aws.client("ssm")
    pages = ssm.get_paginator("get_parameters_by_path").paginate(
        Path=PATH, Recursive=True, PaginationConfig={"PageSize": 4}
    )
    names = [one["Name"] for page in pages for one in page["Parameters"]]
    assert len(names) == 6
    assert all(name.startswith(PATH) and name.endswith("/latest/ami-id") for name in names)
    assert ssm.get_parameters_by_path(Path=PATH)["Parameters"] == []
    assert (
        refused(ssm.get_parameter, Name=f"{PATH}/nothing/latest/ami-id")[0] == "ParameterNotFound"
    )


def test_the_users_own_parameters_are_kept_too(aws):
    ssm = aws.client("ssm")
    ssm.put_parameter(Name="/mine", Value="x", Type="String")
    assert ssm.get_parameter(Name="/mine")["Parameter"]["Value"] == "x"


def test_a_launch_resolves_an_ssm_parameter(aws):
    made = aws.see(aws.launch(ImageId=f"resolve:ssm:{UBUNTU}"))
    assert made["ImageId"] == aws.client("ssm").get_parameter(Name=UBUNTU)["Parameter"]["Value"]


def test_an_image_of_an_instance_has_its_disks_and_is_soon_available(aws, refused):
    extra = {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 20}}
    made = aws.running(BlockDeviceMappings=[extra])
    tags = [
        {"ResourceType": kind, "Tags": [{"Key": "v", "Value": "1"}]}
        for kind in ("image", "snapshot")
    ]
    name = aws.ec2.create_image(InstanceId=made, Name="mine", TagSpecifications=tags)["ImageId"]
    (image,) = aws.ec2.describe_images(Owners=["self"])["Images"]
    assert (image["ImageId"], image["State"]) == (name, "pending")
    assert (
        refused(aws.ec2.run_instances, **aws.order(ImageId=name))[0] == "InvalidAMIID.Unavailable"
    )
    code = refused(aws.ec2.create_image, InstanceId=made, Name="mine")[0]
    assert code == "InvalidAMIName.Duplicate"
    aws.pass_seconds(2)
    (image,) = aws.ec2.describe_images(ImageIds=[name])["Images"]
    assert image["State"] == "available"
    disks = {one["DeviceName"]: one["Ebs"] for one in image["BlockDeviceMappings"]}
    assert {device: ebs["VolumeSize"] for device, ebs in disks.items()} == {
        "/dev/sda1": 75, "/dev/sdf": 20,
    }  # fmt: skip
    snapshots = aws.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert {one["SnapshotId"] for one in snapshots} == {e["SnapshotId"] for e in disks.values()}
    assert all(one["Tags"] == [{"Key": "v", "Value": "1"}] for one in snapshots)
    aws.launch(ImageId=name)


def test_an_image_is_copied_to_another_region(aws):
    source = aws.image("us-west-2")
    copied = aws.ec2.copy_image(SourceImageId=source, SourceRegion="us-west-2", Name="copy")
    aws.pass_seconds(2)
    (image,) = aws.ec2.describe_images(ImageIds=[copied["ImageId"]])["Images"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 75
    assert image["State"] == "available"


def test_an_image_can_be_deregistered_and_is_then_not_found(aws, refused):
    made = aws.running()
    name = aws.ec2.create_image(InstanceId=made, Name="mine")["ImageId"]
    aws.pass_seconds(2)
    aws.ec2.deregister_image(ImageId=name)
    assert refused(aws.ec2.run_instances, **aws.order(ImageId=name))[0] == "InvalidAMIID.NotFound"


def test_an_image_can_be_registered_from_a_snapshot(aws):
    volume = aws.ec2.create_volume(AvailabilityZone="us-east-1a", Size=9)["VolumeId"]
    snapshot = aws.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    name = aws.ec2.register_image(
        Name="from-snapshot",
        Architecture="x86_64",
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[
            {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 9}}
        ],
    )["ImageId"]
    (image,) = aws.ec2.describe_images(ImageIds=[name])["Images"]
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 9


def test_an_image_of_an_encrypted_disk_is_encrypted_and_so_is_its_copy(aws):
    root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 80, "Encrypted": True}}
    made = aws.running(BlockDeviceMappings=[root])
    name = aws.ec2.create_image(InstanceId=made, Name="secret")["ImageId"]
    aws.pass_seconds(2)
    told = [{"Key": "gpuctl:version", "Value": "1"}]
    west = aws.client("ec2", "us-west-2")
    copied = west.copy_image(
        Name="secret",
        SourceImageId=name,
        SourceRegion="us-east-1",
        TagSpecifications=[{"ResourceType": kind, "Tags": told} for kind in ("image", "snapshot")],
    )["ImageId"]
    for ec2, ident in ((aws.ec2, name), (west, copied)):
        (image,) = ec2.describe_images(ImageIds=[ident])["Images"]
        assert image["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
        (snapshot,) = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
        assert snapshot["Encrypted"] is True
    assert (image["Tags"], snapshot["Tags"]) == (told, told)
