"""Client tokens of RunInstances (zonal) and CreateVolume."""

import threading

from botocore.exceptions import ConnectionClosedError


def test_the_same_token_and_parameters_give_the_same_instance(aws):
    order = aws.order(spot=True, SubnetId=aws.subnet("us-east-1a"), ClientToken="one")
    first = aws.ec2.run_instances(**order)
    again = aws.ec2.run_instances(**order)
    assert again["Instances"][0]["InstanceId"] == first["Instances"][0]["InstanceId"]
    assert again["ReservationId"] == first["ReservationId"]
    assert len(aws.cloud.truth()) == 1


def test_the_same_token_in_another_zone_is_another_launch(aws):
    for zone in ("us-east-1a", "us-east-1b"):
        aws.launch(SubnetId=aws.subnet(zone), ClientToken="one")
    assert [one.zone for one in aws.cloud.truth()] == ["us-east-1a", "us-east-1b"]


def test_other_parameters_under_a_token_are_refused(aws, refused):
    aws.launch(ClientToken="one")
    order = aws.order(ClientToken="one", InstanceType="g5.xlarge")
    code, status, text = refused(aws.ec2.run_instances, **order)
    assert (code, status) == ("IdempotentParameterMismatch", 400)
    assert text.startswith("Arguments on this idempotent request are inconsistent with arguments")
    assert len(aws.cloud.truth()) == 1


def test_a_token_whose_instance_is_terminated_is_refused(aws, refused):
    made = aws.running(ClientToken="one")
    aws.ec2.terminate_instances(InstanceIds=[made])
    code, status, _ = refused(aws.ec2.run_instances, **aws.order(ClientToken="one"))
    assert (code, status) == ("IdempotentInstanceTerminated", 400)
    aws.pass_seconds(7200)
    assert refused(aws.ec2.run_instances, **aws.order(ClientToken="one"))[0] == code


def test_a_refused_launch_does_not_use_up_its_token(aws, refused):
    order = aws.order(ClientToken="one", SubnetId=aws.subnet("us-east-1a"))
    aws.market.no_capacity("g6.xlarge", "us-east-1a")
    assert refused(aws.ec2.run_instances, **order)[0] == "InsufficientInstanceCapacity"
    aws.market.capacity("g6.xlarge", "us-east-1a")
    aws.ec2.run_instances(**order)
    assert len(aws.cloud.truth()) == 1


def test_a_lost_answer_and_the_sdks_own_retry_launch_once(aws):
    order = aws.order()
    aws.market.fault("RunInstances", drop="after")
    aws.client("ec2", tries=3).run_instances(**order)
    assert len(aws.cloud.truth()) == 1


def test_an_explicit_token_survives_a_lost_answer_without_sdk_retries(aws):
    order = aws.order(ClientToken="mine")
    aws.market.fault("RunInstances", drop="after")
    try:
        aws.ec2.run_instances(**order)
    except ConnectionClosedError:
        pass
    else:
        raise AssertionError("the answer should have been lost")
    (lost,) = aws.cloud.truth()
    assert aws.ec2.run_instances(**order)["Instances"][0]["InstanceId"] == lost.id
    assert len(aws.cloud.truth()) == 1


def test_two_at_once_with_one_token_are_one(aws):
    order, client = aws.order(ClientToken="race"), aws.ec2
    threads = [threading.Thread(target=client.run_instances, kwargs=order) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(aws.cloud.truth()) == 1


def test_a_volume_token_gives_the_same_volume(aws, refused):
    want = {"AvailabilityZone": "us-east-1a", "Size": 10, "VolumeType": "gp3", "ClientToken": "v"}
    first, again = aws.ec2.create_volume(**want), aws.ec2.create_volume(**want)
    assert again["VolumeId"] == first["VolumeId"]
    assert (again["Size"], again["VolumeType"]) == (10, "gp3")
    assert refused(aws.ec2.create_volume, **want | {"Size": 11})[0] == "IdempotentParameterMismatch"
    assert len(aws.ec2.describe_volumes()["Volumes"]) == 1
