"""Capacity, offerings and quotas: who is refused, with which words and which HTTP status."""

import pytest


def real(quoted, code, *, has):
    return next(q["message"] for q in quoted if q["code"] == code and has in q["message"])


def test_a_sold_out_zone_names_the_others_in_the_real_words(aws, refused, quoted):
    aws.market.offer("g4dn.xlarge", [f"us-east-1{letter}" for letter in "abcdf"])
    aws.market.no_capacity("g4dn.xlarge", "us-east-1a")
    order = aws.order(InstanceType="g4dn.xlarge", SubnetId=aws.subnet("us-east-1a"))
    code, status, text = refused(aws.ec2.run_instances, **order)
    assert (code, status) == ("InsufficientInstanceCapacity", 500)
    assert text == real(quoted, code, has="(us-east-1a)")


def test_spot_and_on_demand_sell_out_apart(aws, refused):
    aws.market.no_capacity("g6.xlarge", "us-east-1a", market="spot")
    subnet = aws.subnet("us-east-1a")
    _, status, text = refused(aws.ec2.run_instances, **aws.order(spot=True, SubnetId=subnet))
    assert status == 500
    assert "or choosing us-east-1b, us-east-1" in text
    aws.launch(SubnetId=subnet)
    aws.launch(spot=True, SubnetId=aws.subnet("us-east-1b"))
    aws.market.capacity("g6.xlarge", "us-east-1a")
    aws.launch(spot=True, SubnetId=subnet)
    assert len(aws.cloud.truth()) == 3


def test_no_spot_capacity_anywhere(aws, refused):
    aws.market.no_capacity("g6.xlarge")
    order = aws.order(spot=True, SubnetId=aws.subnet("us-east-1a"))
    assert refused(aws.ec2.run_instances, **order) == (
        "InsufficientInstanceCapacity", 500,
        "There is no Spot capacity available that matches your request.",
    )  # fmt: skip
    assert refused(aws.ec2.run_instances, **aws.order())[2] == (
        "We currently do not have sufficient g6.xlarge capacity in zones with support for 'gp3' "
        "volumes. Our system will be working on provisioning additional capacity."
    )


def test_without_a_zone_aws_chooses_one_that_has_some(aws):
    aws.market.no_capacity("g6.xlarge", "us-east-1a")
    assert aws.see(aws.launch())["Placement"]["AvailabilityZone"] == "us-east-1b"


def test_a_zone_that_does_not_sell_the_type_uses_the_real_words(aws, refused, quoted):
    zones = [f"us-east-1{letter}" for letter in "abcdf"]
    aws.market.offer("m5.2xlarge", zones)
    order = aws.order(InstanceType="m5.2xlarge", SubnetId=aws.subnet("us-east-1e"))
    code, status, text = refused(aws.ec2.run_instances, **order)
    assert (code, status) == ("Unsupported", 400)
    theirs = real(quoted, "Unsupported", has="m5.8xlarge")
    assert text == theirs.replace("m5.8xlarge", "m5.2xlarge")


def test_p3_is_retired_until_somebody_offers_it(aws, refused):
    ec2 = aws.ec2

    def zones():
        found = ec2.describe_instance_type_offerings(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": ["p3.2*"]}],
        )
        return sorted(one["Location"] for one in found["InstanceTypeOfferings"])

    assert zones() == []
    code, _, text = refused(ec2.describe_instance_types, InstanceTypes=["p3.2xlarge"])
    assert code == "InvalidInstanceType"
    assert text == "The following supplied instance types do not exist: [p3.2xlarge]"
    assert refused(ec2.run_instances, **aws.order(InstanceType="p3.2xlarge"))[0] == "Unsupported"
    aws.market.offer("p3.2xlarge", ["us-east-1a", "us-east-1c", "us-west-2a"])
    assert zones() == ["us-east-1a", "us-east-1c"]
    (record,) = ec2.describe_instance_types(InstanceTypes=["p3.2xlarge"])["InstanceTypes"]
    assert record["GpuInfo"]["Gpus"][0]["Name"] == "V100"
    assert record["VCpuInfo"]["DefaultVCpus"] == 8
    assert aws.see(aws.launch(InstanceType="p3.2xlarge"))["Hypervisor"] == "xen"
    aws.market.retire("p3.2xlarge")
    assert zones() == []


def test_a_type_that_never_was_is_refused(aws, refused):
    code, status, text = refused(aws.ec2.run_instances, **aws.order(InstanceType="g9.banana"))
    assert (code, status) == ("InvalidParameterValue", 400)
    assert text == "Invalid value 'g9.banana' for InstanceType."


def test_offerings_and_types_come_in_pages(aws):
    pages = aws.ec2.get_paginator("describe_instance_types").paginate(
        Filters=[{"Name": "instance-type", "Values": ["g6.*", "g5.x*"]}],
        PaginationConfig={"PageSize": 5},
    )
    names = [one["InstanceType"] for page in pages for one in page["InstanceTypes"]]
    assert len(names) == len(set(names)) > 5
    assert {name.partition(".")[0] for name in names} == {"g5", "g6"}
    region = aws.ec2.describe_instance_type_offerings(
        Filters=[{"Name": "instance-type", "Values": ["g6.xlarge"]}]
    )
    assert region["InstanceTypeOfferings"] == [
        {"InstanceType": "g6.xlarge", "LocationType": "region", "Location": "us-east-1"}
    ]


@pytest.mark.parametrize(
    ("spot", "quota", "code"),
    [
        (True, "L-3819A6DF", "MaxSpotInstanceCountExceeded"),
        (False, "L-DB2E81BA", "VcpuLimitExceeded"),
    ],
)
def test_quotas_count_vcpus_by_family_and_market(aws, refused, quoted, spot, quota, code):
    aws.market.quota(quota, 7)
    first = aws.running(spot=spot)
    got, status, text = refused(aws.ec2.run_instances, **aws.order(spot=spot))
    assert (got, status) == (code, 400)
    theirs = next(q["message"] for q in quoted if q["code"] == code)
    assert text == theirs.replace("limit of 16", "limit of 7")
    aws.launch(spot=not spot)
    aws.launch(spot=spot, InstanceType="t3.micro")
    aws.ec2.terminate_instances(InstanceIds=[first])
    aws.launch(spot=spot)


def test_a_quota_of_nothing_stops_the_first(aws, refused):
    aws.market.quota("L-3819A6DF", 0)
    code = refused(aws.ec2.run_instances, **aws.order(spot=True))[0]
    assert code == "MaxSpotInstanceCountExceeded"
    aws.market.offer("p3.2xlarge", ["us-east-1a"])
    aws.market.quota("L-7212CCBC", 0)
    order = aws.order(spot=True, InstanceType="p3.2xlarge")
    assert refused(aws.ec2.run_instances, **order)[0] == code
    aws.launch(InstanceType="p3.2xlarge")


def test_service_quotas_tell_the_numbers(aws, refused):
    quotas = aws.client("service-quotas")
    aws.market.quota("L-3819A6DF", 4)
    got = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-3819A6DF")["Quota"]
    assert (got["Value"], got["QuotaName"]) == (4.0, "All G and VT Spot Instance Requests")
    listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    codes = {one["QuotaCode"]: one["Value"] for one in listed}
    assert codes["L-3819A6DF"] == 4.0
    assert {"L-DB2E81BA", "L-7212CCBC", "L-417A185B"} <= set(codes)
    assert refused(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-0")[0] == (
        "NoSuchResourceException"
    )
    asked = quotas.request_service_quota_increase(
        ServiceCode="ec2", QuotaCode="L-3819A6DF", DesiredValue=8
    )
    assert asked["RequestedQuota"]["Status"] == "PENDING"


def test_starting_a_stopped_one_needs_capacity_again(aws, refused):
    made = aws.running()
    aws.ec2.stop_instances(InstanceIds=[made])
    aws.pass_seconds(1)
    zone = aws.see(made)["Placement"]["AvailabilityZone"]
    aws.market.no_capacity("g6.xlarge", zone)
    code, status, _ = refused(aws.ec2.start_instances, InstanceIds=[made])
    assert (code, status) == ("InsufficientInstanceCapacity", 500)
    assert aws.state(made) == "stopped"


def test_capacity_comes_back_zone_by_zone_and_type_by_type(aws, refused):
    for zone in ("us-east-1a", "us-east-1b"):
        aws.market.no_capacity("g6.xlarge", zone)
    aws.market.no_capacity("g5.xlarge")
    aws.market.capacity("g6.xlarge", "us-east-1a")
    aws.launch(SubnetId=aws.subnet("us-east-1a"))
    order = aws.order(SubnetId=aws.subnet("us-east-1b"))
    assert refused(aws.ec2.run_instances, **order)[1] == 500
    aws.market.capacity("g6.xlarge")
    aws.ec2.run_instances(**order)
    assert refused(aws.ec2.run_instances, **aws.order(InstanceType="g5.xlarge"))[1] == 500
