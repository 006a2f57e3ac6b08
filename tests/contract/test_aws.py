"""AWS keeps every promise of the provider port, over HTTP against the emulated cloud."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from gpuctl.core.images.stored import StoredImage
from gpuctl.core.model import MachineId, Order
from gpuctl.providers.aws import AwsProvider
from tests.contract.images import NAME, SHA, ImageContract
from tests.contract.making import MakingContract
from tests.contract.provider import ProviderContract
from tests.providers.aws.rig import INSTALL, Rig, fresh, serving


class AwsWorld:
    """What a test may do to the emulated AWS behind the provider's back."""

    unsold = "p3.2xlarge"

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._market = rig.cloud.market

    def now(self) -> datetime:
        return self._rig.now()

    def settle(self) -> None:
        self._rig.settle()

    def advance(self, by: timedelta) -> None:
        self._rig.clock.advance(by)

    def running(self) -> int:
        return self._rig.running()

    def no_capacity(self, order: Order) -> None:
        self._market.no_capacity(order.offer.type, order.offer.zone)

    def no_quota(self, order: Order) -> None:
        self._market.quota("L-3819A6DF", 0)

    def lose_answers(self, count: int) -> None:
        self._market.fault("RunInstances", drop="after", count=count)

    def lose_requests(self, count: int) -> None:
        self._market.fault("RunInstances", drop="before", count=count)

    def deny(self) -> None:
        self._market.fault("*", code="AuthFailure", status=401, count=1000)

    def break_listing(self) -> None:
        self._market.fault("DescribeVolumes", code="OptInRequired", status=403, count=1)

    def interrupt(self, machine: MachineId) -> None:
        self._market.interrupt(machine.native)
        self.advance(timedelta(minutes=3))

    def power_off(self, machine: MachineId) -> None:
        self._rig.power_off(machine.native)

    def strange_leftover(self) -> str:
        made = self._rig.raw().create_volume(AvailabilityZone="us-east-1b", Size=100)
        return str(made["VolumeId"])

    def inbound(self) -> Sequence[str]:
        rules = self._rig.rules()
        return [rule.get("CidrIpv4") or rule.get("CidrIpv6") for rule in rules]


class AwsShelf:
    """The images of the emulated account."""

    other = "us-west-2"
    stranger = "444455556666"

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    def image(self, version: str, *, ours: bool = True, encrypted: bool = False) -> str:
        ec2 = self._rig.raw()
        volume = ec2.create_volume(
            AvailabilityZone="us-east-1a", Size=20, VolumeType="gp3", Encrypted=encrypted
        )["VolumeId"]
        snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        made = ec2.register_image(
            Name=f"{NAME}-{version}",
            Architecture="x86_64",
            RootDeviceName="/dev/sda1",
            VirtualizationType="hvm",
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 20}}
            ],
        )["ImageId"]
        ec2.delete_snapshot(SnapshotId=snapshot)
        tags = {
            "gpuctl:managed": "true",
            "gpuctl:install": INSTALL if ours else "ee" * 16,
            "gpuctl:image": NAME,
            "gpuctl:version": version,
            "gpuctl:recipe-sha256": SHA,
            "gpuctl:driver": "580.95.05",
            "gpuctl:cuda": "cu126",
            "gpuctl:torch": "2.10.0",
        }
        tagged = [{"Key": key, "Value": value} for key, value in tags.items()]
        ec2.create_tags(Resources=[made], Tags=tagged)
        return str(made)

    def settle(self) -> None:
        self._rig.settle()

    def shared(self, image: StoredImage) -> bool:
        ec2 = self._rig.raw()
        found = ec2.describe_image_attribute(ImageId=image.id, Attribute="launchPermission")
        snapshots = [
            ec2.describe_snapshot_attribute(
                SnapshotId=thing.resource, Attribute="createVolumePermission"
            )["CreateVolumePermissions"]
            for thing in image.billed
        ]
        allowed = [found["LaunchPermissions"], *snapshots]
        return all({"UserId": self.stranger} in permissions for permissions in allowed)

    def snapshots(self) -> int:
        return len(self._rig.raw().describe_snapshots(OwnerIds=["self"])["Snapshots"])

    def deny(self) -> None:
        AwsWorld(self._rig).deny()


@pytest.fixture(scope="module")
def aws() -> Iterator[Rig]:
    with serving() as rig:
        yield rig


@pytest.fixture
def rig(aws: Rig) -> Rig:
    return fresh(aws)


@pytest.fixture
def provider(rig: Rig) -> AwsProvider:
    return rig.provider()


@pytest.fixture
def order(rig: Rig) -> Order:
    return rig.order()


@pytest.fixture
def world(rig: Rig) -> AwsWorld:
    return AwsWorld(rig)


class TestAws(MakingContract, ProviderContract):
    """AWS."""


@pytest.fixture
def shelf(rig: Rig) -> AwsShelf:
    return AwsShelf(rig)


class TestAwsImages(ImageContract):
    """AWS's images."""
