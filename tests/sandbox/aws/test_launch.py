"""RunInstances: what comes back, what is kept, what is refused."""

import base64
from datetime import timedelta

KINDS = ("instance", "volume", "network-interface", "spot-instances-request")


def tagged(*kinds):
    return [{"ResourceType": kind, "Tags": [{"Key": "for", "Value": kind}]} for kind in kinds]


def test_a_spot_launch_has_its_request_and_the_sandbox_time(aws):
    aws.clock.advance(timedelta(days=3))
    before = aws.clock.now().replace(microsecond=0)
    made = aws.ec2.run_instances(**aws.order(spot=True, ClientToken="t-1"))["Instances"][0]
    assert made["State"]["Name"] == "pending"
    assert made["InstanceLifecycle"] == "spot"
    assert made["SpotInstanceRequestId"].startswith("sir-")
    assert made["ClientToken"] == "t-1"
    assert before <= made["LaunchTime"] <= aws.clock.now()


def test_tags_reach_all_four_kinds_of_resource_and_can_be_filtered(aws):
    made = aws.launch(spot=True, TagSpecifications=tagged(*KINDS))
    ec2 = aws.ec2

    def query(kind):
        return [{"Name": "tag:for", "Values": [kind]}]

    assert aws.see(made)["Tags"] == [{"Key": "for", "Value": "instance"}]
    assert len(ec2.describe_volumes(Filters=query("volume"))["Volumes"]) == 1
    found = ec2.describe_network_interfaces(Filters=query("network-interface"))
    assert found["NetworkInterfaces"][0]["Attachment"]["InstanceId"] == made
    requests = ec2.describe_spot_instance_requests(Filters=query("spot-instances-request"))
    assert requests["SpotInstanceRequests"][0]["InstanceId"] == made
    assert not ec2.describe_spot_instance_requests(Filters=query("x"))["SpotInstanceRequests"]


def test_an_unknown_kind_of_tag_is_refused(aws, refused):
    order = aws.order(TagSpecifications=tagged("snapshot"))
    assert refused(aws.ec2.run_instances, **order)[0] == "InvalidParameterValue"


def test_the_images_root_disk_is_merged_with_what_the_request_changes(aws):
    aws.launch()
    plain = aws.ec2.describe_volumes()["Volumes"][0]
    assert (plain["Size"], plain["VolumeType"], plain["Iops"]) == (75, "gp3", 3000)
    assert plain["Attachments"][0]["DeleteOnTermination"] is True
    assert plain["SnapshotId"].startswith("snap-")
    aws.cloud.reset()
    ebs = {"VolumeSize": 100, "Iops": 4000, "Throughput": 250, "Encrypted": True}
    aws.launch(BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": ebs}])
    (one,) = aws.ec2.describe_volumes()["Volumes"]
    assert (one["Size"], one["Iops"], one["Throughput"], one["Encrypted"]) == (100, 4000, 250, True)
    assert one["Attachments"][0]["DeleteOnTermination"] is True


def test_a_second_disk_survives_unless_told_otherwise(aws):
    extra = {"VolumeSize": 10, "VolumeType": "io2", "Iops": 500}
    made = aws.running(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": extra}])
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(1)
    (left,) = aws.ec2.describe_volumes()["Volumes"]
    assert (left["State"], left["VolumeType"], left["Iops"]) == ("available", "io2", 500)
    root, kept = sorted(aws.truth(made).volumes, key=lambda one: -one.gb)
    assert root.deleted is not None
    assert kept.deleted is None


def test_a_root_disk_smaller_than_its_snapshot_is_refused(aws, refused):
    small = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8}}]
    code, status, text = refused(aws.ec2.run_instances, **aws.order(BlockDeviceMappings=small))
    assert (code, status) == ("InvalidBlockDeviceMapping", 400)
    assert "expect size >= 75GB" in text


def test_the_machine_boots_with_the_launchs_user_data_key_and_gpu(aws):
    pair = aws.ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    aws.launch(KeyName=pair["KeyName"], UserData="#!/bin/sh\necho hi\n")
    assert aws.metal.boots == []
    aws.pass_seconds(1)
    (boot,) = aws.metal.boots
    assert boot.user_data == b"#!/bin/sh\necho hi\n"
    assert boot.authorized_keys[0].startswith("ssh-ed25519 ")
    assert (boot.user, boot.gpu, boot.gpus, boot.cloud) == ("ubuntu", "L4", 1, "aws")


def test_metadata_shows_tags_only_when_asked_and_follows_their_changes(aws):
    specs = tagged("instance")
    quiet = aws.running(TagSpecifications=specs)
    options = {"InstanceMetadataTags": "enabled", "HttpTokens": "required"}
    open_ = aws.running(TagSpecifications=specs, MetadataOptions=options)
    assert [dict(boot.tags) for boot in aws.metal.boots] == [{}, {"for": "instance"}]
    aws.ec2.create_tags(Resources=[quiet, open_], Tags=[{"Key": "deadline", "Value": "soon"}])
    assert aws.metal.tags[open_] == {"for": "instance", "deadline": "soon"}
    assert aws.metal.tags[quiet] == {}
    assert aws.see(open_)["MetadataOptions"]["HttpTokens"] == "required"


def test_user_data_over_16_kib_is_refused(aws, refused):
    code, _, text = refused(aws.ec2.run_instances, **aws.order(UserData="x" * 16385))
    assert (code, text) == ("InvalidParameterValue", "User data is limited to 16384 bytes")
    binary = bytes(range(256)) * 64
    aws.running(UserData=binary)
    assert aws.metal.boots[0].user_data == binary
    assert base64.b64encode(binary)


def test_images_keys_subnets_and_zones_are_checked(aws, refused):
    run = aws.ec2.run_instances
    unknown = "ami-0123456789abcdef0"
    assert refused(run, **aws.order(ImageId=unknown)) == (
        "InvalidAMIID.NotFound", 400, f"The image id '[{unknown}]' does not exist",
    )  # fmt: skip
    assert refused(run, **aws.order(ImageId="banana"))[0] == "InvalidAMIID.Malformed"
    assert refused(run, **aws.order(KeyName="nobody"))[0] == "InvalidKeyPair.NotFound"
    assert refused(run, **aws.order(SubnetId="subnet-00000000"))[0] == "InvalidSubnetID.NotFound"
    placement = {"AvailabilityZone": "eu-west-1a"}
    assert refused(run, **aws.order(Placement=placement))[0] == "InvalidParameterValue"
    groups = ["sg-00000000000000000"]
    assert refused(run, **aws.order(SecurityGroupIds=groups))[0] == "InvalidGroup.NotFound"
    assert aws.cloud.truth() == ()


def test_the_subnet_decides_the_zone_and_the_address_is_public(aws):
    made = aws.see(aws.launch(SubnetId=aws.subnet("us-east-1d")))
    assert made["Placement"]["AvailabilityZone"] == "us-east-1d"
    assert made["PublicIpAddress"].startswith(("203.0.113.", "198.51.100."))
    (nic,) = made["NetworkInterfaces"]
    assert nic["Association"]["PublicIp"] == made["PublicIpAddress"]
    assert nic["Attachment"]["DeleteOnTermination"] is True
    assert made["SecurityGroups"][0]["GroupName"] == "default"


def test_a_network_interface_specification_is_honoured(aws):
    group = aws.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    nic = {
        "DeviceIndex": 0,
        "SubnetId": aws.subnet("us-east-1b"),
        "Groups": [group],
        "AssociatePublicIpAddress": True,
    }
    made = aws.see(aws.launch(NetworkInterfaces=[nic]))
    assert made["Placement"]["AvailabilityZone"] == "us-east-1b"
    assert [one["GroupId"] for one in made["SecurityGroups"]] == [group]
    assert made["PublicIpAddress"]


def test_several_at_once_share_a_reservation(aws):
    answer = aws.ec2.run_instances(**aws.order(MinCount=2, MaxCount=3))
    assert len(answer["Instances"]) == 3
    (reservation,) = aws.ec2.describe_instances()["Reservations"]
    assert len(reservation["Instances"]) == 3


def test_a_dry_run_says_so_and_launches_nothing(aws, refused):
    code, status, _ = refused(aws.ec2.run_instances, **aws.order(DryRun=True))
    assert (code, status) == ("DryRunOperation", 412)
    aws.market.deny("RunInstances")
    code, status, _ = refused(aws.ec2.run_instances, **aws.order(DryRun=True))
    assert (code, status) == ("UnauthorizedOperation", 403)
    assert aws.cloud.truth() == ()
    aws.market.allow("RunInstances")
    one = aws.launch()
    assert refused(aws.ec2.terminate_instances, InstanceIds=[one], DryRun=True)[1] == 412
    assert aws.truth(one).ended is None


def test_what_is_not_emulated_is_refused_loudly(aws, refused):
    order = aws.order(LaunchTemplate={"LaunchTemplateName": "x"})
    assert refused(aws.ec2.run_instances, **order)[0] == "UnsupportedOperation"
    assert refused(aws.ec2.get_spot_placement_scores, TargetCapacity=1)[0] == "InvalidAction"
    assert refused(aws.ec2.request_spot_instances)[0] == "UnsupportedOperation"


def test_an_instance_profile_that_does_not_exist_is_refused_as_recorded(aws, refused):
    code, status, text = refused(
        aws.ec2.run_instances, **aws.order(IamInstanceProfile={"Name": "nobody"})
    )
    assert (code, status) == ("InvalidParameterValue", 400)
    assert text == (
        "Value (nobody) for parameter iamInstanceProfile.name is invalid. "
        "Invalid IAM Instance Profile name"
    )


def test_termination_protection_given_at_launch_holds(aws, refused):
    made = aws.running(DisableApiTermination=True)
    code, _, text = refused(aws.ec2.terminate_instances, InstanceIds=[made])
    assert code == "OperationNotPermitted"
    assert "disableApiTermination" in text
    aws.ec2.modify_instance_attribute(InstanceId=made, DisableApiTermination={"Value": False})
    aws.ec2.terminate_instances(InstanceIds=[made])
