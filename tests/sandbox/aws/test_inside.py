"""What moto itself does today: when one of these fails, an emulation of ours may go away.

Each test asks a bare moto, without our front and without what inside.py puts on its objects.
"""

import pytest

from gpuctl.sandbox.aws.inside import Inside, image_mappings, moto_clock, prepare, public_addresses
from gpuctl.sandbox.aws.wire import Moto

ACCOUNT = "210987654321"
REGION = "us-east-1"


@pytest.fixture
def moto(aws):
    bare = Moto(ACCOUNT)
    bare.reset()
    yield bare
    bare.reset()


def launch(moto, **more):
    params = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "InstanceType": "g6.xlarge"} | more
    return moto.call(REGION, "RunInstances", params)["Instances"][0]


def test_moto_still_ignores_client_tokens(moto):
    assert (
        launch(moto, ClientToken="t")["InstanceId"] != launch(moto, ClientToken="t")["InstanceId"]
    )


def test_moto_still_makes_no_spot_request(moto):
    made = launch(moto, InstanceMarketOptions={"MarketType": "spot"})
    assert "SpotInstanceRequestId" not in made
    assert not moto.call(REGION, "DescribeSpotInstanceRequests", {}).get("SpotInstanceRequests")


def test_moto_still_runs_at_once(moto):
    name = launch(moto)["InstanceId"]
    found = moto.call(REGION, "DescribeInstances", {"InstanceIds": [name]})
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"


def test_moto_still_drops_iops_and_interface_tags(moto):
    ebs = {"VolumeSize": 9, "VolumeType": "gp3", "Iops": 4000}
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}]
    disks = [{"DeviceName": "/dev/sda1", "Ebs": ebs}]
    launch(moto, BlockDeviceMappings=disks, TagSpecifications=tags)
    assert moto.call(REGION, "DescribeVolumes", {})["Volumes"][0]["Iops"] == 3000
    assert not moto.call(REGION, "DescribeNetworkInterfaces", {})["NetworkInterfaces"][0]["TagSet"]


def test_moto_still_refuses_the_filters_that_we_answer(moto):
    query = {"Filters": [{"Name": "client-token", "Values": ["x"]}]}
    launch(moto)
    with pytest.raises(NotImplementedError):
        moto.call(REGION, "DescribeInstances", query)


def test_the_clock_is_replaced_everywhere_and_put_back(moto, aws):
    from moto.core import utils  # noqa: PLC0415
    from moto.ec2.models import instances  # noqa: PLC0415

    before = utils.utcnow
    fixed = aws.clock.now().replace(year=2031, month=2, day=3)
    with moto_clock(lambda: fixed):
        made = launch(moto)
        assert made["LaunchTime"].date() == fixed.date()
        (volume,) = moto.call(REGION, "DescribeVolumes", {})["Volumes"]
        assert volume["CreateTime"].date() == fixed.date()
    assert utils.utcnow is instances.utcnow is before


def test_public_addresses_are_replaced(moto):
    with public_addresses(lambda: "203.0.113.99"):
        subnet = moto.call(REGION, "DescribeSubnets", {})["Subnets"][0]["SubnetId"]
        assert launch(moto, SubnetId=subnet)["PublicIpAddress"] == "203.0.113.99"


def test_images_have_our_mappings_only_where_we_gave_some(moto):
    inside = Inside(ACCOUNT)
    made = moto.call(REGION, "RegisterImage", {"Name": "x"})["ImageId"]

    def disks():
        (image,) = moto.call(REGION, "DescribeImages", {"ImageIds": [made]})["Images"]
        return [one["Ebs"]["VolumeSize"] for one in image["BlockDeviceMappings"]]

    with image_mappings():
        assert disks() == [15]
        inside.map_image(REGION, made, [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 75}}])
        assert disks() == [75]


def test_the_old_images_are_not_loaded(moto):
    prepare()
    assert not moto.call(REGION, "DescribeImages", {}).get("Images")
