"""EventBridge Scheduler: schedules fire by the sandbox's clock, and only as their role may."""

import json
from datetime import timedelta

import pytest

TARGET = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
TRUST = {"Principal": {"Service": "scheduler.amazonaws.com"}}
RIGHT = {
    "Effect": "Allow",
    "Action": "ec2:TerminateInstances",
    "Resource": "arn:aws:ec2:*:*:instance/*",
    "Condition": {"StringEquals": {"aws:ResourceTag/team": ["ml", "ops"]}},
}


@pytest.fixture
def role(aws):
    return make_role(aws, "ender", TRUST, RIGHT)


def make_role(aws, name, trust, *rights):
    iam = aws.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **trust}]}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    if rights:
        document = {"Version": "2012-10-17", "Statement": list(rights)}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))
    return made["Role"]["Arn"]


def tagged(aws, value="ml"):
    instance = aws.running()
    aws.ec2.create_tags(Resources=[instance], Tags=[{"Key": "team", "Value": value}])
    return instance


def schedule(role, instance, expression, target=TARGET, **more):
    return {
        "Name": "end",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": target,
            "RoleArn": role,
            "Input": json.dumps({"InstanceIds": [instance]}),
        },
        **more,
    }


def names(aws):
    return [one["Name"] for one in aws.client("scheduler").list_schedules()["Schedules"]]


def test_a_schedule_ends_what_its_role_may_end(aws, role):
    instance = tagged(aws)
    start = aws.clock.now() + timedelta(hours=1)
    aws.client("scheduler").create_schedule(
        **schedule(role, instance, "rate(15 minutes)", StartDate=start)
    )
    aws.pass_seconds(3_590)
    assert aws.state(instance) == "running"
    aws.pass_seconds(15)
    assert aws.state(instance) == "terminated"
    events = aws.client("cloudtrail").lookup_events()["Events"]
    assert events[0]["EventName"] == "TerminateInstances"


def test_once_at_a_time_and_then_it_is_gone(aws, role):
    instance = tagged(aws, "ops")
    when = (aws.clock.now() + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S")
    aws.client("scheduler").create_schedule(
        **schedule(role, instance, f"at({when})", ActionAfterCompletion="DELETE")
    )
    aws.pass_seconds(301)
    assert names(aws) == []
    aws.pass_seconds(2)
    assert aws.state(instance) == "terminated"


@pytest.mark.parametrize(
    "right",
    [
        {**RIGHT, "Effect": "Deny"},
        {**RIGHT, "Action": ["ec2:StopInstances"]},
        {**RIGHT, "Resource": ["arn:aws:ec2:eu-west-1:*:instance/*"]},
        {**RIGHT, "Condition": {"StringEquals": {"aws:ResourceTag/team": "web"}}},
        {**RIGHT, "Condition": {"StringEquals": {"ec2:Region": "us-east-1"}}},
        {**RIGHT, "Condition": {"StringLike": {"aws:ResourceTag/team": "*"}}},
    ],
)
def test_what_the_role_may_not_end_runs_on(aws, right):
    instance = tagged(aws)
    role = make_role(aws, "weak", TRUST, right)
    aws.client("scheduler").create_schedule(**schedule(role, instance, "rate(1 minute)"))
    aws.pass_seconds(120)
    assert aws.state(instance) == "running"


def test_it_may_be_moved_and_called_off(aws, role):
    instance = tagged(aws)
    scheduler = aws.client("scheduler")
    soon, later = (aws.clock.now() + timedelta(hours=hours) for hours in (1, 3))
    scheduler.create_schedule(**schedule(role, instance, "rate(1 hour)", StartDate=soon))
    scheduler.update_schedule(**schedule(role, instance, "rate(1 hour)", StartDate=later))
    aws.pass_seconds(2 * 3_600)
    assert aws.state(instance) == "running"
    scheduler.delete_schedule(Name="end")
    aws.pass_seconds(2 * 3_600)
    assert aws.state(instance) == "running"


def test_after_its_end_date_it_does_nothing_more(aws, role):
    instance = aws.running()  # not tagged: the role may not end it yet
    now = aws.clock.now()
    end = now + timedelta(hours=2)
    aws.client("scheduler").create_schedule(
        **schedule(role, instance, "rate(1 hour)", StartDate=now, EndDate=end)
    )
    aws.pass_seconds(3 * 3_600)
    aws.ec2.create_tags(Resources=[instance], Tags=[{"Key": "team", "Value": "ml"}])
    aws.pass_seconds(3 * 3_600)
    assert aws.state(instance) == "running"
    assert names(aws) == ["end"]


def test_another_target_and_an_instance_that_is_gone_do_nothing(aws, role):
    instance = tagged(aws)
    scheduler = aws.client("scheduler")
    scheduler.create_schedule(
        **schedule(role, instance, "rate(1 minute)", TARGET.replace("terminate", "stop"))
    )
    scheduler.create_schedule(**{**schedule(role, "i-none", "rate(1 minute)"), "Name": "other"})
    scheduler.create_schedule(**{**schedule(role, instance, "cron(0 0 * * ? *)"), "Name": "cron"})
    aws.pass_seconds(120)
    assert aws.state(instance) == "running"


def test_a_role_that_scheduler_may_not_act_as_is_refused(aws, refused):
    create = aws.client("scheduler").create_schedule
    lambdas = make_role(aws, "other", {"Principal": {"Service": "lambda.amazonaws.com"}})
    for role in ("arn:aws:iam::123456789012:role/none", lambdas):
        code, status, says = refused(create, **schedule(role, "i-0", "rate(1 minute)"))
        assert (code, status) == ("ValidationException", 400)
        assert "must allow AWS EventBridge Scheduler to assume the role" in says


def test_a_denied_call_is_refused(aws, role, refused):
    aws.market.deny("ListSchedules")
    scheduler = aws.client("scheduler")
    assert refused(scheduler.list_schedules)[0] == "AccessDeniedException"
    aws.market.allow("ListSchedules")
    assert names(aws) == []
    assert refused(scheduler.get_schedule, Name="none")[0] == "ResourceNotFoundException"
