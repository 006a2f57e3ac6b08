"""CloudTrail's event history."""

import json
from datetime import timedelta


def names(aws, **query):
    attributes = [{"AttributeKey": key, "AttributeValue": value} for key, value in query.items()]
    pages = (
        aws.client("cloudtrail")
        .get_paginator("lookup_events")
        .paginate(LookupAttributes=attributes)
    )
    return [one["EventName"] for page in pages for one in page["Events"]]


def test_a_life_is_told_newest_first_by_resource(aws):
    made = aws.running(ClientToken="tok")
    aws.pass_seconds(60)
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.running()
    assert names(aws, ResourceName=made) == ["TerminateInstances", "RunInstances"]
    events = aws.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": made}]
    )["Events"]
    assert events[0]["EventTime"] == aws.truth(made).ended
    record = json.loads(events[1]["CloudTrailEvent"])
    assert record["requestParameters"]["clientToken"] == "tok"
    assert record["eventTime"].endswith("Z")


def test_refused_launches_are_told_with_their_code(aws, refused):
    aws.market.no_capacity("g6.xlarge")
    refused(aws.ec2.run_instances, **aws.order())
    (event,) = aws.client("cloudtrail").lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "RunInstances"}]
    )["Events"]
    record = json.loads(event["CloudTrailEvent"])
    assert record["errorCode"] == "Server.InsufficientInstanceCapacity"


def test_ninety_days_are_kept_and_times_are_honoured(aws, refused):
    made = aws.running(InstanceType="t3.micro")
    trail = aws.client("cloudtrail")
    after = aws.clock.now() + timedelta(seconds=5)
    assert trail.lookup_events(StartTime=after - timedelta(hours=1), EndTime=after)["Events"]
    assert not trail.lookup_events(EndTime=after - timedelta(hours=1))["Events"]
    aws.clock.advance(timedelta(days=89))
    assert names(aws, ResourceName=made) == ["RunInstances"]
    aws.clock.advance(timedelta(days=2))
    assert names(aws, ResourceName=made) == []
    two = [{"AttributeKey": "EventName", "AttributeValue": "x"}] * 2
    assert (
        refused(trail.lookup_events, LookupAttributes=two)[0] == "InvalidLookupAttributesException"
    )


def test_other_regions_have_their_own(aws):
    aws.launch()
    assert aws.client("cloudtrail", "us-west-2").lookup_events()["Events"] == []
