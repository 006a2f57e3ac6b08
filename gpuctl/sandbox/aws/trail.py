"""CloudTrail's event history: who launched and who ended what, for ninety days."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gpuctl.sandbox.aws.filters import page
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Shape
from gpuctl.sandbox.world import SandboxClock

_KEPT = timedelta(days=90)
_KEYS = {"EventId", "EventName", "EventSource", "ReadOnly", "ResourceName", "ResourceType"} | {
    "Username"
}
_MOST = 50


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `record` is the JSON that CloudTrail itself would deliver."""

    id: str
    name: str
    at: datetime
    region: str
    user: str
    resources: tuple[str, ...]
    record: Mapping[str, Any]


class Trail:
    """What has been done in the account."""

    def __init__(self, clock: SandboxClock, account: str) -> None:
        self._clock, self._account = clock, account
        self._events: list[Event] = []

    def reset(self) -> None:
        """Forget all."""
        self._events.clear()

    def called(
        self, region: str, name: str, resources: Sequence[str], details: Mapping[str, Any]
    ) -> None:
        """Somebody called EC2; `details` are the record's own fields (requestParameters…)."""
        record = {
            "eventType": "AwsApiCall",
            "userIdentity": {
                "type": "IAMUser",
                "arn": f"arn:aws:iam::{self._account}:user/sandbox",
                "accountId": self._account,
                "userName": "sandbox",
            },
            "sourceIPAddress": "127.0.0.1",
            **details,
        }
        self._add(region, name, "sandbox", resources, record)

    def evicted(self, region: str, instance_id: str) -> None:
        """AWS took a spot instance back, as recorded from the real service in 2024."""
        record = {
            "eventType": "AwsServiceEvent",
            "userIdentity": {"accountId": self._account, "invokedBy": "sec2.amazonaws.com"},
            "sourceIPAddress": "ec2.amazonaws.com",
            "userAgent": "ec2.amazonaws.com",
            "requestParameters": None,
            "responseElements": None,
            "serviceEventDetails": {"instanceIdSet": [instance_id]},
        }
        self._add(region, "BidEvictedEvent", "sec2.amazonaws.com", (instance_id,), record)

    def _add(
        self,
        region: str,
        name: str,
        user: str,
        resources: Sequence[str],
        record: Mapping[str, Any],
    ) -> None:
        event_id, at = str(uuid.uuid4()), self._clock.now().replace(microsecond=0)
        full = {
            "eventVersion": "1.10",
            "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "eventSource": "ec2.amazonaws.com",
            "eventName": name,
            "awsRegion": region,
            "requestID": str(uuid.uuid4()),
            "eventID": event_id,
            "readOnly": False,
            "managementEvent": True,
            "recipientAccountId": self._account,
            "eventCategory": "Management",
            **record,
        }
        self._events.append(Event(event_id, name, at, region, user, tuple(resources), full))

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {"cloudtrail.LookupEvents": self._lookup}

    def _lookup(self, call: Call) -> Shape:
        asked = call.params.get("LookupAttributes") or []
        if len(asked) > 1 or any(one["AttributeKey"] not in _KEYS for one in asked):
            raise Refusal(
                "InvalidLookupAttributesException", "Only one lookup attribute may be specified."
            )
        if int(call.params.get("MaxResults") or _MOST) > _MOST:
            raise Refusal("InvalidMaxResultsException", "MaxResults must be between 1 and 50.")
        now = self._clock.now()
        start = max(_moment(call.params.get("StartTime")) or now - _KEPT, now - _KEPT)
        end = _moment(call.params.get("EndTime")) or now
        if start > end:
            raise Refusal("InvalidTimeRangeException", "Invalid time range.")
        found = [
            event
            for event in reversed(self._events)
            if event.region == call.region
            and start <= event.at <= end
            and all(_is(event, one["AttributeKey"], one["AttributeValue"]) for one in asked)
        ]
        chosen, token = page([_shape(event) for event in found], call.params, _MOST)
        return {"Events": chosen, **({"NextToken": token} if token else {})}


def _moment(value: float | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def _is(event: Event, key: str, value: str) -> bool:
    if key == "ResourceName":
        return value in event.resources
    have = {
        "EventId": event.id,
        "EventName": event.name,
        "EventSource": "ec2.amazonaws.com",
        "ReadOnly": "false",
        "Username": event.user,
        "ResourceType": "AWS::EC2::Instance",
    }
    return have[key] == value


def _shape(event: Event) -> Shape:
    return {
        "EventId": event.id,
        "EventName": event.name,
        "ReadOnly": "false",
        "EventTime": event.at,
        "EventSource": "ec2.amazonaws.com",
        "Username": event.user,
        "Resources": [
            {"ResourceType": "AWS::EC2::Instance", "ResourceName": name} for name in event.resources
        ],
        "CloudTrailEvent": json.dumps(event.record),
    }
