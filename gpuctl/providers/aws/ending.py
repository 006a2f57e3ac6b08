"""How a run ended: the instance's own words, then its spot request, then the audit log."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gpuctl.core.errors import Denied, NotFound
from gpuctl.core.kinds import State
from gpuctl.core.model import Ending
from gpuctl.core.ports import Clock
from gpuctl.providers.aws import tags, translate
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.parallel import together

AUDIT_DAYS = 90
"""How far back CloudTrail's event history goes, in every account and without a trail."""

_ENDS = ("BidEvictedEvent", "TerminateInstances", "StopInstances")


def evidence(clients: Clients, region: str, instance_id: str, clock: Clock) -> Ending | None:
    """The best evidence left of how an instance ended; None when there is none at all."""
    instance = _described(clients, region, instance_id)
    if instance is not None:
        state = translate.state_of(instance)
        if state in (State.STARTING, State.RUNNING):
            return None
        told = translate.ending_of(instance)
        if told is not None:
            return told
    return of_request_or_event(clients, region, instance_id, clock)


def of_request_or_event(
    clients: Clients, region: str, instance_id: str, clock: Clock
) -> Ending | None:
    """From the spot request (seen for about two days), else from CloudTrail (90 days)."""
    found: Sequence[Ending | None] = together(
        lambda: from_spot_request(clients, region, instance_id),
        lambda: from_audit_log(clients, region, instance_id, clock()),
    )
    return next((ending for ending in found if ending is not None), None)


def from_spot_request(clients: Clients, region: str, instance_id: str) -> Ending | None:
    """The status of the request that the instance came from."""
    requests = pages(
        clients.ec2(region).describe_spot_instance_requests,
        "SpotInstanceRequests",
        f"asking how {instance_id} ended",
        Filters=[tags.where("instance-id", instance_id)],
    )
    endings = [translate.ending_of_request(request) for request in requests]
    return next((ending for ending in endings if ending is not None), None)


def from_audit_log(clients: Clients, region: str, instance_id: str, now: datetime) -> Ending | None:
    """The last event that ended the instance. None too where CloudTrail may not be read.

    `BidEvictedEvent` is a service event: it carries its instances in the event's body.
    """
    since = now - timedelta(days=AUDIT_DAYS)
    try:
        named = pages(
            clients.cloudtrail(region).lookup_events,
            "Events",
            f"asking the audit log how {instance_id} ended",
            LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": instance_id}],
            StartTime=since,
            EndTime=now,
        )
        evicted = pages(
            clients.cloudtrail(region).lookup_events,
            "Events",
            f"asking the audit log how {instance_id} ended",
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "BidEvictedEvent"}],
            StartTime=since,
            EndTime=now,
        )
    except (Denied, NotFound):
        return None
    return last_end((*named, *evicted), instance_id)


def last_end(events: Sequence[Mapping[str, Any]], instance_id: str) -> Ending | None:
    """The newest event that ended this instance; refused calls ended nothing."""
    ends = []
    for event in events:
        name, body = event.get("EventName", ""), _body(event)
        if name not in _ENDS or body.get("errorCode"):
            continue
        if name == "BidEvictedEvent" and instance_id not in _evicted(body):
            continue
        ends.append((event["EventTime"], name))
    if not ends:
        return None
    at, name = max(ends)
    return translate.ending_of_event(name, at)


def _evicted(body: Mapping[str, Any]) -> Sequence[str]:
    details = body.get("serviceEventDetails") or {}
    found: Sequence[str] = details.get("instanceIdSet") or ()
    return found


def _body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        body = json.loads(event.get("CloudTrailEvent") or "{}")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _described(clients: Clients, region: str, instance_id: str) -> Mapping[str, Any] | None:
    try:
        reservations = pages(
            clients.ec2(region).describe_instances,
            "Reservations",
            f"looking at {instance_id}",
            InstanceIds=[instance_id],
        )
    except NotFound:
        return None
    instances = [one for each in reservations for one in each.get("Instances") or ()]
    return instances[0] if instances else None
