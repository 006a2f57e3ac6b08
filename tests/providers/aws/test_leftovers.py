"""What still costs is seen in every region, whoever left it; only ours is ever removed."""

from datetime import timedelta
from decimal import Decimal

import pytest

from gpuctl.core import errors
from gpuctl.core.kinds import Kind
from gpuctl.core.model import DataVolume, DiskSpec, Down, Leftover
from gpuctl.providers.aws import leftovers
from tests.providers.aws.rig import INSTALL, Rig

TAGS = [
    {"Key": "gpuctl:managed", "Value": "true"},
    {"Key": "gpuctl:install", "Value": INSTALL},
    {"Key": "gpuctl:project", "Value": "acme/vision"},
]

REGIONS = ("eu-west-1", "us-east-1")
ALL_REGIONS = leftovers.enabled_regions


@pytest.fixture(autouse=True)
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two regions do for most tests: an emulator answers one call at a time."""
    monkeypatch.setattr(leftovers, "enabled_regions", lambda *_: REGIONS)


def ours(kind: str) -> list[dict[str, object]]:
    return [{"ResourceType": kind, "Tags": TAGS}]


def find(rig: Rig, resource: str) -> Leftover | None:
    found = [one for one in rig.provider().leftovers() if one.resource == resource]
    assert len(found) <= 1
    return found[0] if found else None


def gone_after_removal(rig: Rig, resource: str) -> Leftover:
    left = find(rig, resource)
    assert left is not None
    assert left.ours
    provider = rig.provider()
    provider.remove(left)
    provider.remove(left)
    assert find(rig, resource) is None
    return left


def test_a_free_disk_in_a_region_nobody_configured(rig: Rig) -> None:
    made = rig.raw("eu-west-1").create_volume(
        AvailabilityZone="eu-west-1a",
        Size=100,
        VolumeType="gp3",
        Iops=4000,
        TagSpecifications=ours("volume"),
    )
    left = gone_after_removal(rig, made["VolumeId"])
    assert (left.what, left.region, left.project) == ("disk", "eu-west-1", "acme/vision")
    billed = {one.kind: one.quantity for one in left.billed}
    assert billed == {Kind.DISK: Decimal(100), Kind.DISK_IOPS: Decimal(1000)}
    assert left.created_at is not None
    assert left.fix == f"aws ec2 delete-volume --volume-id {left.resource} --region eu-west-1"


def test_an_idle_address(rig: Rig) -> None:
    made = rig.raw().allocate_address(Domain="vpc", TagSpecifications=ours("elastic-ip"))
    left = gone_after_removal(rig, made["AllocationId"])
    assert [(one.kind, one.sku) for one in left.billed] == [(Kind.IPV4, "idle")]
    assert left.billed[0].since <= rig.now()


def test_a_snapshot_that_no_image_uses(rig: Rig) -> None:
    ec2 = rig.raw()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=40)["VolumeId"]
    made = ec2.create_snapshot(VolumeId=volume, TagSpecifications=ours("snapshot"))
    left = gone_after_removal(rig, made["SnapshotId"])
    assert [(one.kind, one.quantity) for one in left.billed] == [(Kind.SNAPSHOT, Decimal(40))]


def test_an_image_brings_its_snapshots(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    rig.settle()
    made = rig.raw().create_image(
        InstanceId=machine.id.native, Name="kept", TagSpecifications=ours("image")
    )["ImageId"]
    rig.settle()
    left = find(rig, made)
    assert left is not None
    assert left.what == "image"
    assert [one.kind for one in left.billed] == [Kind.SNAPSHOT]
    assert [one for one in provider.leftovers() if one.what == "snapshot"] == []


def test_an_expired_rule_is_a_leftover_and_a_valid_one_is_not(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    (rule,) = rig.rules()
    assert find(rig, rule["SecurityGroupRuleId"]) is None
    rig.cloud.market.terminate_from_console(machine.id.native)
    rig.clock.advance(timedelta(hours=9))
    left = gone_after_removal(rig, rule["SecurityGroupRuleId"])
    assert (left.what, left.billed) == ("rule", ())
    assert "203.0.113.7/32" in left.reason
    assert list(rig.rules()) == []


def test_a_key_pair_costs_nothing_and_can_go(rig: Rig) -> None:
    rig.provider().start(rig.order())
    (key,) = [one for one in rig.provider().leftovers() if one.what == "key-pair"]
    assert key.billed == ()
    gone_after_removal(rig, key.resource)


def test_a_strangers_stopped_machine_is_seen_with_its_disks(rig: Rig) -> None:
    ec2 = rig.raw()
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    made = ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    name = made["Instances"][0]["InstanceId"]
    rig.settle()
    ec2.stop_instances(InstanceIds=[name])
    rig.settle()
    left = find(rig, name)
    assert left is not None
    assert (left.what, left.ours) == ("stopped-machine", False)
    assert {one.kind for one in left.billed} == {Kind.DISK}


def test_what_others_made_is_never_removed(rig: Rig) -> None:
    made = rig.raw().create_volume(AvailabilityZone="us-east-1a", Size=10)["VolumeId"]
    left = find(rig, made)
    assert left is not None
    with pytest.raises(ValueError, match="not made by this installation"):
        rig.provider().remove(left)
    assert find(rig, made) is not None


def test_a_projects_data_is_told_of_and_never_removed(rig: Rig) -> None:
    provider = rig.provider()
    data = DataVolume(name="sets", disk=DiskSpec(gb=200, type="gp3"))
    machine = provider.start(rig.order(data=data))
    rig.settle()
    provider.stop(machine.id, Down.END)
    rig.settle()
    (left,) = [one for one in provider.leftovers() if one.what == leftovers.DATA_VOLUME]
    assert left.ours
    assert "sets of acme/vision, attached to nothing" in left.reason
    with pytest.raises(ValueError, match="delete-volume"):
        provider.remove(left)


def test_a_region_that_cannot_be_read_makes_the_audit_incomplete(rig: Rig) -> None:
    rig.cloud.market.fault("DescribeAddresses", code="UnauthorizedOperation", status=403)
    with pytest.raises(errors.ListingIncomplete) as caught:
        rig.provider().leftovers()
    assert caught.value.region


def test_every_enabled_region_is_asked_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "enabled_regions", ALL_REGIONS)
    provider = rig.provider()
    regions = leftovers.enabled_regions(rig.clients(), rig.settings())
    assert len(regions) > 10
    assert provider.account
    rig.sent.clear()
    provider.leftovers()
    assert rig.sent.total() == 1 + 8 * len(regions) + rig.sent["ListSchedules"]
    assert rig.sent["ListSchedules"] == len(rig.settings().regions)


def test_footprint_is_this_installations_only(rig: Rig) -> None:
    rig.provider().start(rig.order())
    other = "f" * 32
    rig.provider(install=other).start(
        rig.order(token="b" * 32, lease="1" * 32, install=other, name="nlp-1")
    )
    mine = rig.provider().footprint()
    assert {one.what for one in mine} == {"security-group", "key-pair"}
    assert len(mine) == 2


def test_a_group_in_use_cannot_be_erased_yet(rig: Rig) -> None:
    provider = rig.provider()
    provider.start(rig.order())
    rig.cloud.market.fault("DeleteSecurityGroup", code="DependencyViolation", status=400)
    group = next(one for one in provider.footprint() if one.what == "security-group")
    with pytest.raises(errors.Busy):
        provider.erase(group)
