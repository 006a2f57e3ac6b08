"""One call carries everything; it is repeated only with its own token; nothing stays behind."""

import base64
import gzip
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from gpuctl.core import errors
from gpuctl.core.kinds import Market, State
from gpuctl.core.model import DataVolume, DiskSpec
from gpuctl.providers.aws import spot
from tests.providers.aws.rig import IMAGE, LEASE, Rig, offer


def launched(rig: Rig, **changes: Any) -> dict[str, Any]:
    rig.provider().start(rig.order(**changes))
    return rig.request("RunInstances")


def test_one_call_carries_everything(rig: Rig) -> None:
    request = launched(rig, disk=DiskSpec(gb=80, type="gp3", iops=4000, throughput=300))
    assert rig.sent["RunInstances"] == 1
    assert request["ClientToken"] == "a" * 32
    assert (request["MinCount"], request["MaxCount"]) == (1, 1)
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert request["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "InstanceMetadataTags": "enabled",
    }
    assert request["InstanceMarketOptions"] == {
        "MarketType": "spot",
        "SpotOptions": {
            "SpotInstanceType": "one-time",
            "InstanceInterruptionBehavior": "terminate",
        },
    }
    assert request["BlockDeviceMappings"] == [
        {
            "DeviceName": "/dev/sda1",
            "Ebs": {
                "VolumeSize": 80,
                "VolumeType": "gp3",
                "Iops": 4000,
                "Throughput": 300,
                "DeleteOnTermination": True,
                "Encrypted": True,
            },
        }
    ]
    assert request["SubnetId"].startswith("subnet-")
    assert len(request["SecurityGroupIds"]) == 1


def test_a_disk_is_filled_at_the_rate_that_was_bought(rig: Rig) -> None:
    request = launched(rig, disk=DiskSpec(gb=80, type="gp3", init_rate=200))
    [root] = request["BlockDeviceMappings"]
    assert root["Ebs"]["VolumeInitializationRate"] == 200
    price = rig.provider().filling("us-east-1")
    assert price is not None
    assert (str(price.usd), price.source) == ("0.0036", "bundled 2026-11-01")
    assert rig.provider().filling("eu-north-1") is None


def test_every_thing_it_makes_is_tagged_from_the_first_instant(rig: Rig) -> None:
    order = rig.order()
    request = launched(rig)
    kinds = [one["ResourceType"] for one in request["TagSpecifications"]]
    assert kinds == ["instance", "volume", "network-interface", "spot-instances-request"]
    for one in request["TagSpecifications"]:
        tags = {tag["Key"]: tag["Value"] for tag in one["Tags"]}
        assert tags == {
            "gpuctl:managed": "true",
            "gpuctl:install": order.install,
            "gpuctl:lease": LEASE,
            "gpuctl:project": "acme/vision",
            "gpuctl:deadline": f"{order.deadline:%Y-%m-%dT%H:%M:%SZ}",
            "gpuctl:user": "ubuntu",
            "Name": "vision-1",
        }


def test_on_demand_asks_for_no_spot_request(rig: Rig) -> None:
    request = launched(rig, offer=offer(market=Market.ON_DEMAND))
    assert "InstanceMarketOptions" not in request
    kinds = {one["ResourceType"] for one in request["TagSpecifications"]}
    assert "spot-instances-request" not in kinds


def test_a_maximum_price_is_given_only_when_there_is_one(rig: Rig) -> None:
    request = launched(rig, max_hourly=Decimal("0.50"))
    assert request["InstanceMarketOptions"]["SpotOptions"]["MaxPrice"] == "0.5"


def test_a_price_below_the_market_is_too_low(rig: Rig) -> None:
    with pytest.raises(errors.PriceTooLow):
        launched(rig, max_hourly=Decimal("0.0001"))


def test_user_data_arrives_as_it_was(rig: Rig) -> None:
    script = gzip.compress(b"#!/bin/sh\nshutdown -h +60\n", mtime=0)
    machine = rig.provider().start(rig.order(user_data=script))
    raw = rig.raw().describe_instance_attribute(InstanceId=machine.id.native, Attribute="userData")
    assert base64.b64decode(raw["UserData"]["Value"]) == script


def test_a_start_script_that_aws_would_refuse_is_refused_before(rig: Rig) -> None:
    with pytest.raises(errors.InvalidRequest, match="16384"):
        launched(rig, user_data=b"x" * 16_385)
    assert rig.sent.total() == 1  # who we are


def test_an_open_range_is_refused_before_anything_is_asked(rig: Rig) -> None:
    wide = replace(rig.order().access, sources=("0.0.0.0/0",))
    with pytest.raises(errors.InvalidRequest, match="single addresses"):
        launched(rig, access=wide)
    assert rig.sent.total() == 1
    assert rig.cloud.violations == ()


@pytest.mark.parametrize("code", ["InternalError", "Unavailable", "ServiceUnavailable"])
def test_an_ambiguous_answer_repeats_the_call_under_its_token(rig: Rig, code: str) -> None:
    rig.cloud.market.fault("RunInstances", code=code, count=2)
    rig.provider().start(rig.order())
    sent = [params for name, params in rig.requests if name == "RunInstances"]
    assert rig.sent["RunInstances"] == len(sent) == 3
    assert all(params == sent[0] for params in sent)
    assert rig.slept[:2] == [2.0, 4.0]
    assert rig.running() == 1


def test_a_captive_portal_is_no_launch(rig: Rig) -> None:
    rig.cloud.market.fault("RunInstances", html=True, count=1)
    machine = rig.provider().start(rig.order())
    assert machine.name == "vision-1"
    assert rig.sent["RunInstances"] == 2


def test_lost_answers_are_found_again_by_token(rig: Rig) -> None:
    rig.cloud.market.fault("RunInstances", drop="after", count=5)
    machine = rig.provider().start(rig.order())
    assert rig.sent["RunInstances"] == 5
    assert machine.lease == LEASE
    assert rig.running() == 1


def test_five_tries_without_an_answer_are_an_unknown_outcome(rig: Rig) -> None:
    rig.cloud.market.fault("RunInstances", drop="before", count=99)
    with pytest.raises(errors.UnknownOutcome) as caught:
        rig.provider().start(rig.order())
    assert caught.value.exit_code == 75
    assert rig.sent["RunInstances"] == 5
    assert sum(rig.slept) == 30.0


def test_throttling_to_the_end_launched_nothing(rig: Rig) -> None:
    rig.cloud.market.fault("RunInstances", code="RequestLimitExceeded", count=99)
    with pytest.raises(errors.Busy, match="nothing was launched"):
        rig.provider().start(rig.order())
    assert rig.sent["RunInstances"] == 5


def test_one_doubt_among_throttled_tries_remains_a_doubt(rig: Rig) -> None:
    rig.cloud.market.fault("RunInstances", code="InternalError", count=1)
    rig.cloud.market.fault("RunInstances", code="RequestLimitExceeded", count=99)
    with pytest.raises(errors.UnknownOutcome):
        rig.provider().start(rig.order())


def test_no_capacity_is_definite_and_asked_once(rig: Rig) -> None:
    rig.cloud.market.no_capacity("g4dn.xlarge", "us-east-1a")
    with pytest.raises(errors.NoZoneCapacity) as caught:
        rig.provider().start(rig.order())
    assert rig.sent["RunInstances"] == 1
    assert rig.slept == []
    assert "us-east-1b" in caught.value.zones
    assert rig.request("DescribeSpotInstanceRequests")["Filters"] == [
        {"Name": "tag:gpuctl:lease", "Values": [LEASE]},
    ]


def test_a_quota_is_named_with_the_command_that_raises_it(rig: Rig) -> None:
    rig.cloud.market.quota("L-3819A6DF", 0)
    with pytest.raises(errors.QuotaReached) as caught:
        rig.provider().start(rig.order())
    assert caught.value.code == "L-3819A6DF"
    assert "--quota-code L-3819A6DF --desired-value 4" in (caught.value.hint or "")


def test_no_permission_is_told_as_such(rig: Rig) -> None:
    rig.cloud.market.deny("RunInstances")
    with pytest.raises(errors.Denied) as caught:
        rig.provider().start(rig.order())
    assert caught.value.exit_code == 4
    assert rig.sent["RunInstances"] == 1


def test_a_retired_type_is_another_type(rig: Rig) -> None:
    with pytest.raises(errors.TypeNotOffered):
        rig.provider().start(rig.order(offer=offer(type="p3.2xlarge")))


def test_a_token_whose_machine_has_ended_starts_nothing(rig: Rig) -> None:
    provider, order = rig.provider(), rig.order()
    machine = provider.start(order)
    rig.settle()
    rig.cloud.market.terminate_from_console(machine.id.native)
    rig.settle()
    for same in (order, replace(order, disk=DiskSpec(gb=60, type="gp3"))):
        with pytest.raises(errors.CannotFill) as caught:
            provider.start(same)
    assert caught.value.code == "IdempotentInstanceTerminated"
    found = provider.find(rig.order())
    assert found is not None
    assert found.state is State.GONE
    assert rig.running() == 0


def test_a_token_used_with_other_parameters_gives_what_it_made(rig: Rig) -> None:
    provider = rig.provider()
    machine = provider.start(rig.order())
    again = provider.start(rig.order(disk=DiskSpec(gb=60, type="gp3")))
    assert again.id == machine.id
    assert rig.running() == 1


def test_the_second_attempt_of_a_command_reuses_what_stands(rig: Rig) -> None:
    provider = rig.provider()
    provider.start(rig.order())
    before = rig.sent.copy()
    provider.start(rig.order(token="b" * 32, offer=offer(zone="us-east-1b"), lease="1" * 32))
    again = rig.sent - before
    assert again["CreateSecurityGroup"] == again["ImportKeyPair"] == 0
    assert rig.running() == 2


def test_a_disk_smaller_than_the_image_is_refused_before_the_launch(rig: Rig) -> None:
    with pytest.raises(errors.InvalidRequest, match="at least 8 GB"):
        rig.provider().start(rig.order(disk=DiskSpec(gb=4, type="gp3")))
    assert rig.sent["RunInstances"] == 0


def test_a_named_subnet_in_another_zone_sends_the_launch_there(rig: Rig) -> None:
    found = rig.raw("us-east-1").describe_subnets(
        Filters=[{"Name": "availability-zone", "Values": ["us-east-1c"]}]
    )
    provider = rig.provider(subnets={"us-east-1": found["Subnets"][0]["SubnetId"]})
    with pytest.raises(errors.NoZoneCapacity) as caught:
        provider.start(rig.order())
    assert caught.value.zones == ("us-east-1c",)
    machine = provider.start(rig.order(offer=offer(zone="us-east-1c")))
    assert machine.id.zone == "us-east-1c"


def test_an_unknown_subnet_is_a_mistake_in_the_config(rig: Rig) -> None:
    with pytest.raises(errors.InvalidRequest, match="subnet-0123456789abcdef0"):
        rig.provider().start(rig.order(subnet="subnet-0123456789abcdef0"))


def test_a_private_subnet_gets_an_address_of_its_own(rig: Rig) -> None:
    ec2 = rig.raw()
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.create_subnet(
        VpcId=vpc, CidrBlock="172.31.240.0/24", AvailabilityZone="us-east-1a"
    )["Subnet"]["SubnetId"]
    request = launched(rig, subnet=subnet)
    (interface,) = request["NetworkInterfaces"]
    assert interface["AssociatePublicIpAddress"]
    assert interface["DeleteOnTermination"]
    assert interface["SubnetId"] == subnet
    assert "SubnetId" not in request


def test_a_failed_spot_attempt_leaves_no_open_request(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ones = [{"SpotInstanceRequestId": "sir-1"}, {"SpotInstanceRequestId": "sir-2"}]
    monkeypatch.setattr(spot, "open_requests", lambda *_: open_ones)
    rig.cloud.market.no_capacity("g4dn.xlarge")
    with pytest.raises(errors.NoZoneCapacity):
        rig.provider().start(rig.order())
    cancelled = rig.request("CancelSpotInstanceRequests")
    assert cancelled["SpotInstanceRequestIds"] == ["sir-1", "sir-2"]


def test_trouble_in_cleaning_up_does_not_hide_why(rig: Rig) -> None:
    rig.cloud.market.no_capacity("g4dn.xlarge")
    rig.cloud.market.deny("DescribeSpotInstanceRequests")
    with pytest.raises(errors.NoZoneCapacity):
        rig.provider().start(rig.order())


DATA = DataVolume(name="sets", disk=DiskSpec(gb=200, type="gp3"))


def test_a_data_volume_is_made_once_and_attached_again(rig: Rig) -> None:
    provider = rig.provider()
    first = provider.start(rig.order(data=DATA))
    rig.settle()
    kept = [one for one in provider.get(first.id).billed if one.keeps]
    assert [one.quantity for one in kept] == [Decimal(200)]
    provider.stop(first.id, "end")
    rig.settle()
    second = provider.start(rig.order(data=DATA, token="b" * 32, lease="1" * 32))
    data = [left for left in provider.leftovers() if left.what == "data-volume"]
    assert [left.machine for left in data] == [second.id.native]
    assert data[0].project == "acme/vision"
    assert data[0].billed[0].quantity == Decimal(200)
    assert rig.sent["CreateVolume"] == 1


def test_a_data_volume_in_use_is_not_taken_away(rig: Rig) -> None:
    provider = rig.provider()
    first = provider.start(rig.order(data=DATA))
    with pytest.raises(errors.InvalidRequest, match=first.id.native):
        provider.start(rig.order(data=DATA, token="b" * 32, lease="1" * 32))
    assert rig.running() == 1


def test_the_same_order_with_a_data_volume_is_the_same_machine(rig: Rig) -> None:
    provider = rig.provider()
    assert provider.start(rig.order(data=DATA)).id == provider.start(rig.order(data=DATA)).id
    assert rig.sent["CreateVolume"] == 1


def test_a_data_volume_elsewhere_names_its_zone(rig: Rig) -> None:
    provider = rig.provider()
    provider.start(rig.order(data=DATA))
    with pytest.raises(errors.NoZoneCapacity) as caught:
        provider.start(
            rig.order(data=DATA, token="b" * 32, lease="1" * 32, offer=offer(zone="us-east-1b"))
        )
    assert caught.value.zones == ("us-east-1a",)
    assert rig.running() == 1


def test_a_data_volume_that_cannot_be_attached_is_an_unknown_outcome(rig: Rig) -> None:
    rig.cloud.market.fault("AttachVolume", code="IncorrectState", count=99)
    with pytest.raises(errors.UnknownOutcome, match="could not be attached"):
        rig.provider().start(rig.order(data=DATA))
    assert rig.running() == 1


def test_a_lease_with_two_attempts_is_found_by_the_right_token(rig: Rig) -> None:
    provider = rig.provider()
    provider.start(rig.order())
    assert provider.find(rig.order(token="b" * 32)) is None


def test_a_new_machine_that_cannot_be_seen_yet_is_not_found_yet(rig: Rig) -> None:
    rig.cloud.market.lag(2)
    provider = rig.provider()
    machine = provider.start(rig.order())
    assert provider.find(rig.order()) is None
    found = provider.find(rig.order())
    assert found is not None
    assert found.id == machine.id


def test_the_deadline_is_read_to_the_second(rig: Rig) -> None:
    deadline = rig.now() + timedelta(hours=3, seconds=7)
    machine = rig.provider().start(rig.order(deadline=deadline))
    assert machine.deadline == deadline


def test_the_image_is_the_resolved_one(rig: Rig) -> None:
    machine = rig.provider().start(rig.order(image=IMAGE))
    assert machine.image is not None
    assert machine.image.startswith("ami-")
