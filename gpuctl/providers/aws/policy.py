"""The least IAM policy, derived from the calls that are made (calls.py).

Reading is allowed everywhere. Making is allowed only with our tags, ending and changing only on
what carries them, and retagging only of a few keys: else CreateTags would be a way to call any
instance ours and terminate it. There is no IAM condition on the address of an ingress rule, so
access.py holds that line. Longer than an inline policy may be: attach it as a managed one.

Whoever may write a role's rights and pass it on has all rights. So making the reaper's role is in a
policy of its own, for `init --reaper` alone, and the daily one may only pass that role on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuctl.providers.aws import reaper, tags
from gpuctl.providers.aws.calls import SERVICES, SETUP
from gpuctl.providers.aws.images import ROOT

MANAGED_POLICY_LIMIT = 6144
"""Characters without white space that AWS takes."""

_READS = ("describe_", "get_", "list_", "lookup_")
_MAKES = ("copy_image", "create_security_group", "create_volume", "import_key_pair")
_LAUNCH = ("run_instances",)
_IMAGE = ("create_image",)
_TAG = ("create_tags",)
_ON_OURS = (
    "attach_volume",
    "authorize_security_group_ingress",
    "cancel_spot_instance_requests",
    "delete_key_pair",
    "delete_security_group",
    "delete_snapshot",
    "delete_volume",
    "deregister_image",
    "get_console_output",
    "release_address",
    "revoke_security_group_ingress",
    "terminate_instances",
)
_IMAGES_OF_OURS = ("modify_image_attribute", "modify_snapshot_attribute")
_RETAGGED = (tags.DEADLINE, tags.EXPIRES, tags.LEASE, tags.NAME)
_MAKERS = (
    "RunInstances",
    "CreateSecurityGroup",
    "CreateVolume",
    "ImportKeyPair",
    "AuthorizeSecurityGroupIngress",
    "CopyImage",
    "CreateImage",
)
_SCHEDULES = ("create_schedule", "delete_schedule", "update_schedule")
_HAND_ON = "iam:PassRole"
_ARN = "arn:aws:ec2:*:*"
_ROLE = f"arn:aws:iam::*:role/{reaper.ROLE}"


def calls(
    services: Mapping[str, tuple[type, ...]] = SERVICES,
) -> Mapping[str, tuple[str, ...]]:
    """Every call, by the service's name in IAM, as the SDK names it."""
    return {
        service: tuple(
            sorted(
                name
                for protocol in protocols
                for name in vars(protocol)
                if not name.startswith("_")
            )
        )
        for service, protocols in services.items()
    }


def action(service: str, call: str) -> str:
    """`describe_instances` of `ec2` -> `ec2:DescribeInstances`."""
    return f"{service}:{''.join(word.capitalize() for word in call.split('_'))}"


def actions() -> frozenset[str]:
    """Every action that gpuctl needs every day."""
    return frozenset(
        [_HAND_ON, *(action(service, call) for service, names in calls().items() for call in names)]
    )


def setup_policy() -> Mapping[str, Any]:
    """What `init --reaper` and its `--undo` need besides, once: the reaper's role, by name."""
    names = [action(service, call) for service, names in calls(SETUP).items() for call in names]
    return {
        "Version": "2012-10-17",
        "Statement": [_allow("MakeTheReapersRole", [*names, "iam:TagRole"], [_ROLE])],
    }


def policy(*, profile_role: str | None = None) -> Mapping[str, Any]:
    """The policy document. `profile_role`: ARN of the role that machines may be given, if any."""
    reads = sorted(
        action(service, call)
        for service, names in calls().items()
        for call in names
        if call.startswith(_READS) and call not in _ON_OURS
    )
    statements: list[Mapping[str, Any]] = [
        _allow("Read", reads, ["*"]),
        _allow(
            "LaunchOnWhatIsThere",
            _named(_LAUNCH),
            [
                f"{_ARN}:{kind}/*"
                for kind in ("image", "snapshot", "subnet", "key-pair", "security-group")
            ],
        ),
        _allow(
            "LaunchOnlyWithOurTagsAndImdsV2",
            _named(_LAUNCH),
            [f"{_ARN}:instance/*"],
            {
                "Null": {
                    f"aws:RequestTag/{key}": "false"
                    for key in (tags.MANAGED, tags.LEASE, tags.DEADLINE)
                },
                "StringEquals": {"ec2:MetadataHttpTokens": "required"},
            },
        ),
        _allow(
            "LaunchOnlyWithEncryptedDisks",
            [*_named(_LAUNCH), *_named(("create_volume",))],
            [f"{_ARN}:volume/*"],
            {"Bool": {"ec2:Encrypted": "true"}},
        ),
        _allow(
            "LaunchParts",
            _named(_LAUNCH),
            [f"{_ARN}:{kind}/*" for kind in ("network-interface", "spot-instances-request")],
        ),
        _allow(
            "MakeOnlyWithOurTags",
            _named([call for call in _MAKES if call != "create_volume"]),
            [f"{_ARN}:{kind}/*" for kind in ("security-group", "key-pair", "image", "snapshot")],
            {"Null": {f"aws:RequestTag/{tags.MANAGED}": "false"}},
        ),
        _allow("MakeInVpc", _named(("create_security_group",)), [f"{_ARN}:vpc/*"]),
        _allow(
            "TagWhatIsBeingMade",
            _named(_TAG),
            ["*"],
            {"StringEquals": {"ec2:CreateAction": list(_MAKERS)}},
        ),
        _allow(
            "RetagOnlyOurs",
            _named(_TAG),
            ["*"],
            {
                **_on_ours(),
                "ForAllValues:StringEquals": {"aws:TagKeys": list(_RETAGGED)},
            },
        ),
        _allow("ImageOfOurMachines", _named(_IMAGE), [f"{_ARN}:instance/*"], _on_ours()),
        _allow(
            "ImageOnlyWithOurTags",
            _named(_IMAGE),
            [f"{_ARN}:image/*", f"{_ARN}:snapshot/*"],
            {"Null": {f"aws:RequestTag/{tags.MANAGED}": "false"}},
        ),
        _allow("EndAndChangeOnlyOurs", _named(_ON_OURS), ["*"], _on_ours()),
        _allow("ShareOnlyOurImages", _named(_IMAGES_OF_OURS), ["*"], _on_ours()),
        _allow(
            "PointChannelsAtImages",
            [action("ssm", "put_parameter")],
            [f"arn:aws:ssm:*:*:parameter{ROOT}*"],
        ),
        _allow(
            "OpenOnlyOurGroups",
            _named(("authorize_security_group_ingress",)),
            [f"{_ARN}:security-group-rule/*"],
        ),
        _allow(
            "ScheduleTheEndOfOurs",
            [action("scheduler", name) for name in _SCHEDULES],
            [f"arn:aws:scheduler:*:*:schedule/default/{reaper.name_of('', '')[:-1]}*"],
        ),
        _allow(
            "GiveSchedulesTheReapersRole",
            [_HAND_ON],
            [_ROLE],
            {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
        ),
    ]
    if profile_role is not None:
        passing = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        statements.append(_allow("GiveMachinesTheirRole", [_HAND_ON], [profile_role], passing))
    return {"Version": "2012-10-17", "Statement": statements}


def _named(names: Sequence[str]) -> list[str]:
    return [action("ec2", name) for name in names]


def _on_ours() -> Mapping[str, Any]:
    return {"StringEquals": {f"aws:ResourceTag/{tags.MANAGED}": "true"}}


def _allow(
    sid: str,
    actions_: Sequence[str],
    resources: Sequence[str],
    condition: Mapping[str, Any] | None = None,
) -> Mapping[str, Any]:
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions_),
        "Resource": list(resources),
    }
    if condition is not None:
        statement["Condition"] = condition
    return statement
