"""The IAM policy and the calls agree, and the policy gives no more than they need."""

import ast
import json
from pathlib import Path

import boto3

from gpuctl.providers.aws import policy
from gpuctl.providers.aws.calls import SERVICES, SETUP

PACKAGE = Path(policy.__file__).parent
SDK = {"servicequotas": "service-quotas"}


def granted() -> set[str]:
    return {action for statement in policy.policy()["Statement"] for action in statement["Action"]}


def test_what_is_called_is_granted_and_nothing_else() -> None:
    assert granted() == policy.actions()


def test_every_call_is_one_that_aws_knows() -> None:
    session = boto3.Session("testing", "testing", region_name="us-east-1")
    every = [*policy.calls().items(), *policy.calls(SETUP).items()]
    for service, names in every:
        client = session.client(SDK.get(service, service))
        for name in names:
            operation = client.meta.method_to_api_mapping[name]
            assert policy.action(service, name) == f"{service}:{operation}"


def test_every_call_in_the_code_is_listed_and_every_listed_one_is_made() -> None:
    every = [policy.calls(), policy.calls(SETUP)]
    listed = {name for calls in every for names in calls.values() for name in names}
    used = set()
    for path in PACKAGE.glob("*.py"):
        if path.name in ("calls.py", "policy.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in listed:
                used.add(node.attr)
    assert used == listed


def test_protocols_have_nothing_but_calls() -> None:
    for protocols in SERVICES.values():
        for protocol in protocols:
            assert all(callable(value) for key, value in vars(protocol).items() if key[0] != "_")


def test_nothing_is_ended_or_changed_that_is_not_ours() -> None:
    for statement in policy.policy()["Statement"]:
        words = ("Terminate", "Delete", "Revoke", "Cancel", "Release", "Deregister", "Attach")
        if statement["Sid"] == "ScheduleTheEndOfOurs":
            assert statement["Resource"] == ["arn:aws:scheduler:*:*:schedule/default/gpuctl-*"]
        elif any(word in action for action in statement["Action"] for word in words):
            condition = statement["Condition"]["StringEquals"]
            assert condition == {"aws:ResourceTag/gpuctl:managed": "true"}


def test_a_launch_needs_our_tags_imdsv2_and_encryption() -> None:
    statements = {one["Sid"]: one for one in policy.policy()["Statement"]}
    launch = statements["LaunchOnlyWithOurTagsAndImdsV2"]
    assert launch["Resource"] == ["arn:aws:ec2:*:*:instance/*"]
    assert launch["Condition"]["StringEquals"] == {"ec2:MetadataHttpTokens": "required"}
    assert set(launch["Condition"]["Null"]) == {
        "aws:RequestTag/gpuctl:managed",
        "aws:RequestTag/gpuctl:lease",
        "aws:RequestTag/gpuctl:deadline",
    }
    disks = statements["LaunchOnlyWithEncryptedDisks"]
    assert disks["Condition"] == {"Bool": {"ec2:Encrypted": "true"}}
    resources = [
        resource
        for one in statements.values()
        for resource in one["Resource"]
        if "ec2:RunInstances" in one["Action"]
    ]
    assert "*" not in resources


def test_of_roles_the_daily_policy_hands_on_the_reapers_alone() -> None:
    """Whoever may write a role's rights and hand it on has all rights: that is apart."""
    assert {one for one in granted() if one.startswith("iam:")} == {"iam:PassRole", "iam:GetRole"}
    (passing,) = [one for one in policy.policy()["Statement"] if "iam:PassRole" in one["Action"]]
    assert passing["Resource"] == ["arn:aws:iam::*:role/gpuctl-reaper"]
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}
    }


def test_the_role_is_made_with_rights_of_their_own() -> None:
    (statement,) = policy.setup_policy()["Statement"]
    assert statement["Resource"] == ["arn:aws:iam::*:role/gpuctl-reaper"]
    assert set(statement["Action"]) == {
        "iam:CreateRole",
        "iam:DeleteRole",
        "iam:DeleteRolePolicy",
        "iam:PutRolePolicy",
        "iam:TagRole",
    }


def test_no_other_role_is_passed_unless_it_is_named() -> None:
    role = "arn:aws:iam::123456789012:role/gpuctl-agent"
    passing = policy.policy(profile_role=role)["Statement"][-1]
    assert (passing["Action"], passing["Resource"]) == (["iam:PassRole"], [role])


def test_it_fits_into_a_managed_policy() -> None:
    text = json.dumps(policy.policy(profile_role="arn:" + "x" * 60), separators=(",", ":"))
    assert len(text) <= policy.MANAGED_POLICY_LIMIT
