"""Zones, subnets, security groups and their rules, addresses."""

import pytest

from gpuctl.sandbox.aws.addresses import RANGES, AddressPool

SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}


def test_the_default_vpc_has_a_subnet_per_zone_with_ids(aws):
    subnets = aws.ec2.describe_subnets()["Subnets"]
    zones = aws.ec2.describe_availability_zones()["AvailabilityZones"]
    assert {one["AvailabilityZone"] for one in subnets} == {one["ZoneName"] for one in zones}
    assert all(one["AvailabilityZoneId"].startswith("use1-az") for one in subnets)
    assert all(one["ZoneId"].startswith("use1-az") for one in zones)
    assert all(one["MapPublicIpOnLaunch"] and one["DefaultForAz"] for one in subnets)
    assert [one["IsDefault"] for one in aws.ec2.describe_vpcs()["Vpcs"]] == [True]


def test_rules_have_ids_and_tags_and_are_revoked_by_id(aws):
    group = aws.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    range_ = {"CidrIp": "192.0.2.7/32", "Description": "laptop"}
    added = aws.ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[SSH | {"IpRanges": [range_]}],
        TagSpecifications=[
            {"ResourceType": "security-group-rule", "Tags": [{"Key": "expires", "Value": "soon"}]}
        ],
    )["SecurityGroupRules"]
    (rule,) = added
    query = [{"Name": "group-id", "Values": [group]}]
    rules = aws.ec2.describe_security_group_rules(Filters=query)["SecurityGroupRules"]
    (seen,) = [one for one in rules if not one["IsEgress"]]
    assert seen["SecurityGroupRuleId"] == rule["SecurityGroupRuleId"]
    assert (seen["CidrIpv4"], seen["FromPort"]) == ("192.0.2.7/32", 22)
    assert seen["Description"] == "laptop"
    assert seen["Tags"] == [{"Key": "expires", "Value": "soon"}]
    aws.ec2.revoke_security_group_ingress(
        GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]]
    )
    rules = aws.ec2.describe_security_group_rules(Filters=query)["SecurityGroupRules"]
    assert [one for one in rules if not one["IsEgress"]] == []
    assert aws.cloud.violations == ()


def test_groups_and_rules_that_exist_are_refused_twice(aws, refused):
    ec2 = aws.ec2
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    assert refused(ec2.create_security_group, GroupName="g", Description="d")[0] == (
        "InvalidGroup.Duplicate"
    )
    rule = {"GroupId": group, "IpPermissions": [SSH | {"IpRanges": [{"CidrIp": "192.0.2.7/32"}]}]}
    ec2.authorize_security_group_ingress(**rule)
    assert refused(ec2.authorize_security_group_ingress, **rule)[0] == "InvalidPermission.Duplicate"


def test_a_group_in_use_cannot_be_deleted(aws, refused):
    group = aws.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    made = aws.running(SecurityGroupIds=[group])
    assert refused(aws.ec2.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    aws.ec2.terminate_instances(InstanceIds=[made])
    aws.pass_seconds(1)
    aws.ec2.delete_security_group(GroupId=group)


def test_letting_everybody_in_is_noted(aws):
    group = aws.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    aws.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[SSH | {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    )
    aws.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[SSH | {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
    )
    assert [(one.group, one.cidr, one.ports) for one in aws.cloud.violations] == [
        (group, "0.0.0.0/0", (22, 22)),
        (group, "::/0", (22, 22)),
    ]


def test_addresses_come_from_documentation_ranges_and_differ(aws):
    answer = aws.ec2.run_instances(**aws.order(MinCount=3, MaxCount=3, InstanceType="t3.micro"))
    seen = [one["PublicIpAddress"] for one in answer["Instances"]]
    assert len(set(seen)) == 3
    assert all(address.rpartition(".")[0] in RANGES for address in seen)


def test_an_address_in_use_is_never_given_twice():
    used = {"203.0.113.2", "203.0.113.3"}
    pool = AddressPool(lambda: used)
    given = [pool.give() for _ in range(506)]
    assert given[:2] == ["203.0.113.1", "203.0.113.4"]
    assert pool.give() == "203.0.113.1"
    assert not used & set(given)
    used |= set(given)
    with pytest.raises(RuntimeError, match="no public address left"):
        pool.give()


def test_an_elastic_address_can_be_held_and_released(aws, refused):
    made = aws.running()
    held = aws.ec2.allocate_address(Domain="vpc")
    assert held["PublicIp"].rpartition(".")[0] in RANGES
    aws.ec2.associate_address(InstanceId=made, AllocationId=held["AllocationId"])
    assert aws.see(made)["PublicIpAddress"] == held["PublicIp"]
    (seen,) = aws.ec2.describe_addresses()["Addresses"]
    assert seen["InstanceId"] == made
    code = refused(aws.ec2.release_address, AllocationId=held["AllocationId"])[0]
    assert code == "InvalidIPAddress.InUse"
    aws.ec2.disassociate_address(AssociationId=seen["AssociationId"])
    aws.ec2.release_address(AllocationId=held["AllocationId"])
    assert aws.ec2.describe_addresses()["Addresses"] == []


def test_imported_keys_are_told_back(aws, refused):
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9 a@b"
    tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "x", "Value": "y"}]}]
    aws.ec2.import_key_pair(KeyName="k", PublicKeyMaterial=public.encode(), TagSpecifications=tags)
    (pair,) = aws.ec2.describe_key_pairs(KeyNames=["k"], IncludePublicKey=True)["KeyPairs"]
    assert pair["PublicKey"].split()[:2] == public.split()[:2]
    assert pair["Tags"] == [{"Key": "x", "Value": "y"}]
    code = refused(aws.ec2.import_key_pair, KeyName="k", PublicKeyMaterial=public.encode())[0]
    assert code == "InvalidKeyPair.Duplicate"
    assert refused(aws.ec2.describe_key_pairs, KeyNames=["z"])[0] == "InvalidKeyPair.NotFound"
    aws.running(KeyName="k")
    assert aws.metal.boots[0].authorized_keys[0].split()[:2] == public.split()[:2]
