"""EventBridge Scheduler: moto keeps the schedules, and here they are run when they are due.

Of all targets only `aws-sdk:ec2:terminateInstances` does something; of all expressions `rate(N
minutes)` with a start, and `at(…)`, once. The role is looked at as IAM does: who may act as it when
a schedule is made, and what it may end when one fires.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from gpuctl.sandbox.aws.fleet import Fleet
from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.trail import Trail
from gpuctl.sandbox.world import Handle, SandboxClock

_log = logging.getLogger(__name__)

_TARGET = "arn:aws:scheduler:::aws-sdk:ec2:terminateInstances"
_ACTION = "ec2:TerminateInstances"
_RATE = r"rate\((\d+) (minute|hour|day)s?\)"
_AT = r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)"
_CALLS = {"POST": "CreateSchedule", "PUT": "UpdateSchedule", "DELETE": "DeleteSchedule"}
_WHY = ("Client.UserInitiatedShutdown", "User initiated shutdown")

Key = tuple[str, str]
"""Region and name."""


def action_of(environ: Mapping[str, Any]) -> str:
    """Which call a request to the service is: it is told by method and path."""
    path, method = str(environ["PATH_INFO"]), str(environ["REQUEST_METHOD"])
    if path.rstrip("/") == "/schedules":
        return "ListSchedules"
    return _CALLS.get(method, "GetSchedule")


class Schedules:
    """The account's schedules in time."""

    def __init__(
        self, clock: SandboxClock, inside: Inside, fleet: Fleet, trail: Trail, account: str
    ) -> None:
        self._clock, self._inside, self._fleet = clock, inside, fleet
        self._trail, self._account = trail, account
        self._planned: dict[Key, tuple[Any, Handle]] = {}

    def reset(self) -> None:
        """Call off everything."""
        for _, handle in self._planned.values():
            handle.cancel()
        self._planned.clear()

    def check(self, action: str, body: bytes) -> None:
        """Refuse a role that Scheduler may not act as."""
        if action not in ("CreateSchedule", "UpdateSchedule"):
            return
        arn = str(json.loads(body or b"{}").get("Target", {}).get("RoleArn", ""))
        role = self._role(arn)
        if role is None or "scheduler.amazonaws.com" not in json.dumps(
            _document(role.assume_role_policy_document)
        ):
            raise Refusal(
                "ValidationException",
                "The execution role you provide must allow AWS EventBridge Scheduler to assume "
                "the role.",
            )

    def follow(self) -> None:
        """Plan what is new or was changed; call off what is gone. Called after each request."""
        there = dict(self._all())
        for key in list(self._planned):
            if key not in there or self._planned[key][0] != _facts(there[key]):
                self._planned.pop(key)[1].cancel()
        for key, schedule in there.items():
            if key not in self._planned:
                first = _first(schedule)
                if first is not None:
                    self._plan(key, schedule, max(first, self._clock.now()))

    def _plan(self, key: Key, schedule: Any, when: datetime) -> None:
        handle = self._clock.call_at(when, lambda: self._fire(key, when))
        self._planned[key] = (_facts(schedule), handle)

    def _fire(self, key: Key, when: datetime) -> None:
        schedule = dict(self._all()).get(key)
        if schedule is None:
            return
        end = _moment(schedule.end_date)
        pause = _pause(schedule.schedule_expression)
        if end is None or when <= end:
            self._call(key[0], schedule)
        following = None if pause is None else when + pause
        if following is not None and (end is None or following <= end):
            self._plan(key, schedule, following)
            return
        self._planned.pop(key, None)
        if schedule.action_after_completion == "DELETE":
            self._backend(key[0]).delete_schedule(None, key[1])

    def _call(self, region: str, schedule: Any) -> None:
        # moto's update forgets that a state which is not named is ENABLED.
        if schedule.target["Arn"] != _TARGET or schedule.state == "DISABLED":
            return
        asked = json.loads(schedule.target.get("Input") or "{}").get("InstanceIds") or ()
        for instance_id in asked:
            instance = self._fleet.get(instance_id)
            if instance is None or instance.region != region:
                _log.info("%s: InvalidInstanceID.NotFound", instance_id)
            elif not self._may(schedule.target["RoleArn"], region, instance_id):
                _log.info("%s: UnauthorizedOperation", instance_id)
            else:
                self._fleet.terminate(instance, "user", _WHY)
                items = [{"instanceId": instance_id}]
                details = {"requestParameters": {"instancesSet": {"items": items}}}
                self._trail.called(region, "TerminateInstances", [instance_id], details)

    def _may(self, role_arn: str, region: str, instance_id: str) -> bool:
        """Whether one of the role's own policies lets it end this instance."""
        role = self._role(role_arn)
        arn = f"arn:aws:ec2:{region}:{self._account}:instance/{instance_id}"
        tags = self._inside.tags(region, instance_id)
        texts = list(role.policies.values()) if role is not None else []
        return any(
            one["Effect"] == "Allow"
            and _ACTION in _listed(one["Action"])
            and any(fnmatchcase(arn, pattern) for pattern in _listed(one["Resource"]))
            and _holds(one.get("Condition") or {}, tags)
            for text in texts
            for one in _document(text)["Statement"]
        )

    def _role(self, arn: str) -> Any | None:
        from moto.iam.models import iam_backends  # noqa: PLC0415 - moto costs a second

        roles = iam_backends[self._account]["aws"].roles.values()
        return next((role for role in roles if role.arn == arn), None)

    def _backend(self, region: str) -> Any:
        from moto.scheduler.models import scheduler_backends  # noqa: PLC0415

        return scheduler_backends[self._account][region]

    def _all(self) -> Iterator[tuple[Key, Any]]:
        from moto.scheduler.models import scheduler_backends  # noqa: PLC0415

        for region, backend in list(scheduler_backends[self._account].items()):
            for group in backend.schedule_groups.values():
                for schedule in group.schedules.values():
                    yield (region, schedule.name), schedule


def _facts(schedule: Any) -> Any:
    """What makes it another schedule."""
    return (
        schedule.schedule_expression,
        schedule.start_date,
        schedule.end_date,
        json.dumps(schedule.target, sort_keys=True),
    )


def _first(schedule: Any) -> datetime | None:
    """When it fires first; None for an expression that is not emulated."""
    at = re.fullmatch(_AT, schedule.schedule_expression)
    if at:
        return datetime.fromisoformat(at[1]).replace(tzinfo=UTC)
    if _pause(schedule.schedule_expression) is None:
        return None
    made = datetime.fromtimestamp(schedule.creation_date, UTC)
    return _moment(schedule.start_date) or made


def _pause(expression: str) -> timedelta | None:
    rate = re.fullmatch(_RATE, expression)
    return timedelta(**{f"{rate[2]}s": int(rate[1])}) if rate else None


def _moment(stamp: Any) -> datetime | None:
    return None if stamp is None else datetime.fromtimestamp(float(stamp), UTC)


def _document(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) else text


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _holds(condition: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    """Only conditions on the resource's own tags are emulated; any other holds never."""
    for operator, wanted in condition.items():
        for key, value in wanted.items():
            tag = key.removeprefix("aws:ResourceTag/")
            if operator != "StringEquals" or tag == key or tags.get(tag) not in _listed(value):
                return False
    return True
