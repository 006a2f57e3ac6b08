"""DescribeInstances' filters and pages."""

import pytest


def ids(aws, **query):
    filters = [{"Name": name.replace("_", "-"), "Values": values} for name, values in query.items()]
    pages = aws.ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return {i["InstanceId"] for p in pages for r in p["Reservations"] for i in r["Instances"]}


def test_the_filters_that_moto_lacks(aws):
    spot = aws.launch(spot=True, ClientToken="one")
    plain = aws.launch(ClientToken="two")
    assert ids(aws, client_token=["one"]) == {spot}
    assert ids(aws, client_token=["o*", "tw?"]) == {spot, plain}
    assert ids(aws, instance_lifecycle=["spot"]) == {spot}
    request = aws.see(spot)["SpotInstanceRequestId"]
    assert ids(aws, spot_instance_request_id=[request]) == {spot}
    day = aws.see(spot)["LaunchTime"].strftime("%Y-%m-%dT*")
    assert ids(aws, launch_time=[day]) == {spot, plain}
    assert ids(aws, launch_time=["2001-*"]) == set()


def test_states_tags_and_places(aws):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "gpuctl:managed", "Value": "true"}]}]
    ours = aws.running(TagSpecifications=tags, SubnetId=aws.subnet("us-east-1b"))
    other = aws.running(InstanceType="t3.micro", SubnetId=aws.subnet("us-east-1a"))
    assert ids(aws, tag_key=["gpuctl:managed"]) == {ours}
    assert ids(aws, **{"tag:gpuctl:managed": ["true"]}) == {ours}
    assert ids(aws, **{"tag:gpuctl:managed": ["false"]}) == set()
    assert ids(aws, availability_zone=["us-east-1a"]) == {other}
    assert ids(aws, instance_type=["t3.*"]) == {other}
    aws.ec2.terminate_instances(InstanceIds=[other])
    assert ids(aws, instance_state_name=["pending", "running"]) == {ours}
    assert ids(aws, instance_state_name=["shutting-down"]) == {other}
    assert ids(aws, instance_state_code=["16"]) == {ours}


@pytest.mark.parametrize("name", ["banana", "client_tokens"])
def test_an_unknown_filter_is_refused(aws, refused, name):
    query = [{"Name": name, "Values": ["x"]}]
    code, status, text = refused(aws.ec2.describe_instances, Filters=query)
    assert (code, status, text) == ("InvalidParameterValue", 400, f"The filter '{name}' is invalid")
    assert refused(aws.ec2.describe_volumes, Filters=query)[0] == "InvalidParameterValue"
    assert refused(aws.ec2.describe_images, Filters=query)[0] == "InvalidParameterValue"


def test_pages_hold_all_and_a_foreign_token_is_refused(aws, refused):
    made = set()
    for _ in range(5):
        made.add(aws.launch(InstanceType="t3.micro"))
    first = aws.ec2.describe_instances(MaxResults=5)
    assert "NextToken" not in first
    pages = aws.ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 2})
    sizes = [sum(len(r["Instances"]) for r in page["Reservations"]) for page in pages]
    assert sizes == [2, 2, 1]
    code = refused(aws.ec2.describe_instances, NextToken="!?")[0]
    assert code == "InvalidParameterValue"
    assert ids(aws) == made


def test_regions_are_apart(aws):
    aws.launch()
    west = aws.client("ec2", "us-west-2")
    assert west.describe_instances()["Reservations"] == []
    made = west.run_instances(**aws.order(region="us-west-2"))["Instances"][0]
    assert made["Placement"]["AvailabilityZone"].startswith("us-west-2")
