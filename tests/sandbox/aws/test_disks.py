"""Volumes apart from instances."""

from datetime import timedelta


def volume(aws, zone="us-east-1a", **more):
    return aws.ec2.create_volume(AvailabilityZone=zone, Size=50, VolumeType="gp3", **more)


def test_a_volume_has_the_sandbox_time_and_gp3s_own_numbers(aws):
    aws.clock.advance(timedelta(days=2))
    made = volume(aws)
    (seen,) = aws.ec2.describe_volumes()["Volumes"]
    assert (seen["Iops"], seen["Throughput"]) == (3000, 125)
    assert abs(seen["CreateTime"] - aws.clock.now()) < timedelta(seconds=5)
    (truth,) = aws.cloud.volumes()
    assert (truth.id, truth.gb, truth.created) == (made["VolumeId"], 50, seen["CreateTime"])


def test_attach_checks_zone_state_and_device(aws, refused):
    here = aws.running(SubnetId=aws.subnet("us-east-1a"))
    near, far = volume(aws)["VolumeId"], volume(aws, "us-east-1b")["VolumeId"]
    attach = aws.ec2.attach_volume
    code, status, _ = refused(attach, VolumeId=far, InstanceId=here, Device="/dev/sdf")
    assert (code, status) == ("InvalidVolume.ZoneMismatch", 400)
    assert refused(attach, VolumeId=near, InstanceId=here, Device="/dev/sda1")[0] == (
        "InvalidParameterValue"
    )
    attach(VolumeId=near, InstanceId=here, Device="/dev/sdf")
    assert refused(attach, VolumeId=near, InstanceId=here, Device="/dev/sdg")[0] == "VolumeInUse"
    fresh = aws.launch(SubnetId=aws.subnet("us-east-1b"))
    assert refused(attach, VolumeId=far, InstanceId=fresh, Device="/dev/sdf")[0] == "IncorrectState"


def test_an_attached_volume_survives_its_instance(aws):
    made = aws.running(SubnetId=aws.subnet("us-east-1a"))
    name = volume(aws)["VolumeId"]
    aws.ec2.attach_volume(VolumeId=name, InstanceId=made, Device="/dev/sdf")
    (seen,) = aws.ec2.describe_volumes(VolumeIds=[name])["Volumes"]
    assert seen["Attachments"][0]["InstanceId"] == made
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(1)
    (left,) = aws.ec2.describe_volumes()["Volumes"]
    assert (left["VolumeId"], left["State"]) == (name, "available")


def test_detach_modify_delete_and_the_truth(aws, refused):
    made = aws.running(SubnetId=aws.subnet("us-east-1a"))
    name = volume(aws)["VolumeId"]
    aws.ec2.attach_volume(VolumeId=name, InstanceId=made, Device="/dev/sdf")
    assert refused(aws.ec2.delete_volume, VolumeId=name)[0] == "VolumeInUse"
    aws.ec2.detach_volume(VolumeId=name)
    aws.ec2.modify_volume(VolumeId=name, Size=60, Iops=4000)
    aws.pass_seconds(60)
    aws.ec2.delete_volume(VolumeId=name)
    truth = next(one for one in aws.cloud.volumes() if one.id == name)
    assert (truth.gb, truth.iops) == (60, 4000)
    assert truth.deleted - truth.created >= timedelta(seconds=60)


def test_a_root_disk_ends_when_its_instance_has_ended(aws):
    made = aws.running()
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(0.6)
    (root,) = aws.truth(made).volumes
    assert root.deleted is not None
    assert aws.ec2.describe_volumes()["Volumes"] == []
