"""Spot requests, interruptions and the evidence they leave."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest


def request_of(aws, instance_id):
    query = [{"Name": "instance-id", "Values": [instance_id]}]
    return aws.ec2.describe_spot_instance_requests(Filters=query)["SpotInstanceRequests"][0]


def test_a_request_is_active_while_its_instance_lives_and_stays_visible(aws):
    made = aws.running(spot=True, price="0.75")
    request = request_of(aws, made)
    assert (request["State"], request["Status"]["Code"]) == ("active", "fulfilled")
    assert Decimal(request["SpotPrice"]) == Decimal("0.75")
    assert request["SpotInstanceRequestId"] == aws.see(made)["SpotInstanceRequestId"]
    aws.ec2.terminate_instances(InstanceIds=[made])
    request = request_of(aws, made)
    assert (request["State"], request["Status"]["Code"]) == (
        "closed",
        "instance-terminated-by-user",
    )
    aws.pass_seconds(2 * 3600)
    assert request_of(aws, made)["State"] == "closed"
    aws.pass_seconds(3 * 3600)
    assert aws.ec2.describe_spot_instance_requests()["SpotInstanceRequests"] == []


def test_a_cancelled_request_leaves_its_instance_running(aws, refused):
    made = aws.running(spot=True)
    name = request_of(aws, made)["SpotInstanceRequestId"]
    answer = aws.ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[name])
    assert answer["CancelledSpotInstanceRequests"] == [
        {"SpotInstanceRequestId": name, "State": "cancelled"}
    ]
    request = request_of(aws, made)
    assert request["Status"]["Code"] == "request-canceled-and-instance-running"
    assert aws.state(made) == "running"
    aws.ec2.terminate_instances(InstanceIds=[made])
    request = request_of(aws, made)
    assert (request["State"], request["Status"]["Code"]) == (
        "cancelled", "instance-terminated-by-user",
    )  # fmt: skip
    code = refused(aws.ec2.cancel_spot_instance_requests, SpotInstanceRequestIds=["sir-0"])[0]
    assert code == "InvalidSpotInstanceRequestID.NotFound"


def test_without_a_maximum_the_request_shows_the_on_demand_price(aws):
    assert Decimal(request_of(aws, aws.launch(spot=True))["SpotPrice"]) == Decimal("0.8048")


def test_a_maximum_below_the_price_is_refused_in_the_real_words(aws, refused, quoted):
    subnet = aws.subnet("us-east-1a")
    aws.market.spot_price("g6.xlarge", "us-east-1a", "0.0374")
    order = aws.order(spot=True, price="0.001", SubnetId=subnet)
    code, status, text = refused(aws.ec2.run_instances, **order)
    assert (code, status) == ("SpotMaxPriceTooLow", 400)
    assert text == next(q["message"] for q in quoted if q["code"] == code)
    aws.launch(spot=True, price="0.0374", SubnetId=subnet)
    bad = aws.order(spot=True, price="banana")
    assert refused(aws.ec2.run_instances, **bad)[0] == "InvalidParameterValue"


def test_a_one_time_spot_instance_cannot_be_stopped(aws, refused):
    made = aws.running(spot=True)
    code, _, text = refused(aws.ec2.stop_instances, InstanceIds=[made])
    assert code == "UnsupportedOperation"
    assert "one-time Spot Instance request" in text


def test_an_interruption_gives_notice_then_ends_it_with_evidence(aws):
    made = aws.running(spot=True)
    aws.market.interrupt(made, notice_seconds=120)
    notice = aws.metal.notices[made]
    assert notice.kind == "spot"
    assert timedelta(seconds=118) < notice.at - aws.clock.now() <= timedelta(seconds=120)
    assert aws.state(made) == "running"
    assert request_of(aws, made)["Status"]["Code"] == "marked-for-termination"
    aws.pass_seconds(119)
    assert aws.state(made) == "running"
    aws.pass_seconds(3)
    seen = aws.see(made)
    assert seen["State"]["Name"] == "terminated"
    assert seen["StateReason"] == {
        "Code": "Server.SpotInstanceTermination",
        "Message": "Server.SpotInstanceTermination: Spot instance termination",
    }
    assert seen["StateTransitionReason"] == f"Service initiated ({notice.at:%Y-%m-%d %H:%M:%S} GMT)"
    request = request_of(aws, made)
    assert (request["State"], request["Status"]["Code"]) == (
        "closed", "instance-terminated-no-capacity",
    )  # fmt: skip
    truth = aws.truth(made)
    assert (truth.ended_by, truth.ended) == ("provider", notice.at)
    assert made in aws.metal.off
    assert made in aws.metal.destroyed


def test_an_eviction_is_in_the_trail_as_recorded(aws):
    made = aws.running(spot=True)
    aws.market.interrupt(made, notice_seconds=5)
    aws.pass_seconds(10)
    query = [{"AttributeKey": "ResourceName", "AttributeValue": made}]
    events = aws.client("cloudtrail").lookup_events(LookupAttributes=query)["Events"]
    assert [one["EventName"] for one in events] == ["BidEvictedEvent", "RunInstances"]
    record = json.loads(events[0]["CloudTrailEvent"])
    assert record["serviceEventDetails"] == {"instanceIdSet": [made]}
    assert record["eventType"] == "AwsServiceEvent"
    assert events[0]["EventTime"] == aws.truth(made).ended


def test_ending_it_during_the_notice_is_the_users_doing(aws):
    made = aws.running(spot=True)
    aws.market.interrupt(made, notice_seconds=120)
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(300)
    assert aws.truth(made).ended_by == "user"
    assert request_of(aws, made)["Status"]["Code"] == "instance-terminated-by-user"


def test_on_demand_instances_are_not_interrupted(aws):
    made = aws.running()
    with pytest.raises(ValueError, match=made):
        aws.market.interrupt(made)


def test_stop_and_persistent_requests_are_refused(aws, refused):
    order = aws.order(spot=True)
    options = order["InstanceMarketOptions"]["SpotOptions"]
    options["InstanceInterruptionBehavior"] = "stop"
    assert refused(aws.ec2.run_instances, **order)[0] == "InvalidParameterCombination"
    options["SpotInstanceType"] = "persistent"
    assert refused(aws.ec2.run_instances, **order)[0] == "UnsupportedOperation"


def test_a_rebalance_recommendation_is_a_notice_only(aws):
    made = aws.running(spot=True)
    aws.market.rebalance(made)
    assert aws.metal.notices[made].kind == "rebalance"
    aws.pass_seconds(600)
    assert aws.state(made) == "running"
