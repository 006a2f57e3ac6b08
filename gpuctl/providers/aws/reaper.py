"""AWS's own timer for each machine: EventBridge Scheduler terminates it soon after its deadline.

It covers what the guest's timer cannot: a kernel that hangs, an image without cloud-init. It is a
schedule for one instance, made after the launch, moved by `extend`, deleted by `down`; its role
may terminate what carries our tag and nothing else (docs/adr/0008). Where the role is missing
nothing is scheduled, and nothing fails.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gpuctl.core.errors import GpuctlError, NotFound
from gpuctl.core.kinds import State
from gpuctl.core.model import Check, Footprint, Leftover, MachineId
from gpuctl.providers.aws import tags
from gpuctl.providers.aws.client import Clients, pages, part
from gpuctl.providers.aws.errors import Refusal, refusal_of, sdk_errors, translated
from gpuctl.providers.aws.parallel import each
from gpuctl.providers.aws.settings import AwsSettings
from gpuctl.providers.aws.translate import NAME, state_of

log = logging.getLogger(__name__)

ROLE = "gpuctl-reaper"
SCHEDULE, REAPER = "schedule", "reaper-role"
"""What these are called among leftovers, and in the footprint."""
MARGIN = timedelta(minutes=15)
"""The guest ends first, and its end is its own: this is for one that does not."""
SECOND = timedelta(days=2)
"""So long it is tried again each quarter of an hour: a schedule that fires once may fail once."""
_AGAIN = "rate(15 minutes)"
_PREFIX = "gpuctl-"
_CALL = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
_POLICY = "terminate-machines-of-gpuctl"
_GLOBAL = "global"
_NONE_THERE = ("ResourceNotFoundException", "AccessDeniedException")
_MISSING = "if its guest hangs, nothing ends it at its deadline: gpuctl init --reaper"


def name_of(install: str, instance_id: str) -> str:
    """At most 64 characters of a-z, 0-9 and - (Scheduler's own rule)."""
    return f"{_PREFIX}{install[:8]}-{instance_id}"


def arm(
    clients: Clients, settings: AwsSettings, account: str, machine: MachineId, deadline: datetime
) -> str | None:
    """Schedule the machine's end, anew where it is scheduled. None, or why that is not so."""
    wanted = _schedule(settings, account, machine, deadline)
    scheduler = clients.scheduler(machine.region)
    try:
        try:
            scheduler.create_schedule(**wanted)
        except sdk_errors() as error:
            if refusal_of(error).code != "ConflictException":
                raise
            scheduler.update_schedule(**wanted)
    except sdk_errors() as error:
        refusal = refusal_of(error)
        log.info("scheduling the end of %s: %s", machine.native, refusal.detail)
        if refusal.code == "AccessDeniedException" or _roleless(refusal):
            return _MISSING
        return f"its end could not be scheduled at AWS ({refusal.code}): it ends by its own timer"
    return None


def move(
    clients: Clients, settings: AwsSettings, account: str, machine: MachineId, deadline: datetime
) -> None:
    """Move the end that is scheduled, if one is. Raises where an earlier one may be left.

    Who may not do so could not have scheduled it either, and without its role it ends nothing.
    """
    wanted = _schedule(settings, account, machine, deadline)
    try:
        clients.scheduler(machine.region).update_schedule(**wanted)
    except sdk_errors() as error:
        refusal = refusal_of(error)
        if refusal.code not in _NONE_THERE and not _roleless(refusal):
            with translated(f"moving the scheduled end of {machine.native}", effect=True):
                raise
        log.info("no scheduled end of %s is moved: %s", machine.native, refusal.detail)


def _roleless(refusal: Refusal) -> bool:
    return refusal.code == "ValidationException" and " role " in refusal.message


def disarm(clients: Clients, region: str, name: str) -> None:
    """Delete a schedule; none there is no error."""
    try:
        clients.scheduler(region).delete_schedule(Name=name)
    except sdk_errors() as error:
        if refusal_of(error).code != "ResourceNotFoundException":
            with translated(f"deleting {name} in {region}", effect=True):
                raise


def _schedule(
    settings: AwsSettings, account: str, machine: MachineId, deadline: datetime
) -> Mapping[str, Any]:
    start = deadline + MARGIN
    return {
        "Name": name_of(settings.install, machine.native),
        "Description": f"gpuctl: ends {machine.native} if it has not ended itself",
        # Not at(): that one fires once, and its StartDate is ignored (EventBridge Scheduler
        # user guide, "Schedule types").
        "ScheduleExpression": _AGAIN,
        "StartDate": start,
        "EndDate": start + SECOND,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "ActionAfterCompletion": "DELETE",
        "Target": {
            "Arn": _CALL,
            "RoleArn": f"arn:aws:iam::{account}:role/{ROLE}",
            "Input": json.dumps({"InstanceIds": [machine.native]}),
            "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
        },
    }


def orphans(clients: Clients, settings: AwsSettings, account: str) -> list[Leftover]:
    """Schedules of machines that are gone, where machines are started. They cost nothing and end
    by themselves; so one that may not be listed is no error.
    """

    def of_region(region: str) -> list[Leftover]:
        try:
            return _orphans(clients, settings, account, region)
        except GpuctlError as error:
            log.info("schedules in %s: %s", region, error)
            return []

    return [one for found in each(settings.regions, of_region) for one in found]


def _orphans(clients: Clients, settings: AwsSettings, account: str, region: str) -> list[Leftover]:
    doing = f"listing schedules in {region}"
    listed = pages(clients.scheduler(region).list_schedules, "Schedules", doing, NamePrefix=_PREFIX)
    names = {one["Name"]: "i-" + one["Name"].rpartition("-i-")[2] for one in listed}
    alive = _alive(clients, region, sorted(set(names.values()))) if names else set()
    return [
        Leftover(
            provider=NAME,
            account=account,
            region=region,
            zone=None,
            resource=name,
            what=SCHEDULE,
            ours=name.startswith(name_of(settings.install, "")),
            reason=f"would end {instance}, which has ended",
            fix=f"aws scheduler delete-schedule --name {name} --region {region}",
            machine=instance,
        )
        for name, instance in sorted(names.items())
        if instance not in alive
    ]


def _alive(clients: Clients, region: str, instances: list[str]) -> set[str]:
    reservations = pages(
        clients.ec2(region).describe_instances,
        "Reservations",
        f"looking for scheduled machines in {region}",
        Filters=[tags.where("instance-id", *instances)],
    )
    return {
        one["InstanceId"]
        for reservation in reservations
        for one in reservation.get("Instances") or ()
        if state_of(one) not in (State.GONE, State.STOPPING)
    }


def lay(clients: Clients, settings: AwsSettings, account: str) -> tuple[str, ...]:
    """Make the role, or give it its rights again; what was made, in words."""
    made = _role(clients) is None
    iam = clients.role_maker()
    if made:
        with translated(f"making the role {ROLE}", effect=True):
            iam.create_role(
                RoleName=ROLE,
                Description="Lets EventBridge Scheduler end machines of gpuctl.",
                AssumeRolePolicyDocument=json.dumps(trust(account)),
                Tags=tags.written(tags.of_install(settings.install)),
            )
    with translated(f"giving {ROLE} its one right", effect=True):
        iam.put_role_policy(
            RoleName=ROLE, PolicyName=_POLICY, PolicyDocument=json.dumps(rights(account))
        )
    return (f"role {ROLE}: AWS ends a machine that hangs, after its deadline",) if made else ()


def trust(account: str) -> Mapping[str, Any]:
    """Who may act as the reaper: Scheduler, for this account alone."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"aws:SourceAccount": account}},
            }
        ],
    }


def rights(account: str) -> Mapping[str, Any]:
    """What the reaper may do: terminate what carries our tag."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "ec2:TerminateInstances",
                "Resource": f"arn:aws:ec2:*:{account}:instance/*",
                "Condition": {"StringEquals": {f"aws:ResourceTag/{tags.MANAGED}": "true"}},
            }
        ],
    }


def check(clients: Clients) -> Check:
    """Whether a machine that hangs is ended: a line for `doctor`."""
    name = "aws reaper"
    try:
        role = _role(clients)
    except GpuctlError as error:
        return Check(name=name, ok=None, says=f"could not be read: {error.message}")
    if role is not None:
        minutes = int(MARGIN.total_seconds() // 60)
        says = f"AWS ends a machine that hangs {minutes} minutes after its deadline"
        return Check(name=name, ok=True, says=says)
    return Check(
        name=name,
        ok=None,
        says=f"there is no role {ROLE}",
        why="a machine whose guest hangs, or whose image has no cloud-init, is ended by nobody",
        fix="gpuctl init --reaper",
    )


def laid(clients: Clients, settings: AwsSettings, account: str) -> list[Footprint]:
    """The role, where this installation has made it."""
    try:
        role = _role(clients)
    except GpuctlError as error:
        log.info("looking for %s: %s", ROLE, error)
        return []
    if role is None or tags.read(role).get(tags.INSTALL) != settings.install:
        return []
    return [Footprint(provider=NAME, account=account, region=_GLOBAL, resource=ROLE, what=REAPER)]


def lift(clients: Clients) -> None:
    """Remove the role; none there is no error for whoever calls."""
    iam = clients.role_maker()
    iam.delete_role_policy(RoleName=ROLE, PolicyName=_POLICY)
    iam.delete_role(RoleName=ROLE)


def _role(clients: Clients) -> Mapping[str, Any] | None:
    doing = f"looking for the role {ROLE}"
    try:
        with translated(doing):
            reply = clients.roles().get_role(RoleName=ROLE)
    except NotFound:
        return None
    role: Mapping[str, Any] = part(reply, "Role", doing)
    return role
