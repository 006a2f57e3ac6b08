"""A machine that EC2 has forgotten, and that no command ever saw: from the audit log.

EC2 tells of an ended instance for about an hour, CloudTrail of its launch for 90 days. Without
this an `up` that was killed while it launched, and a laptop opened again the next day, would
leave a run that nobody accounts for.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gpuctl.core.errors import Denied, NotFound
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State
from gpuctl.core.model import Billable, Ending, Machine, MachineId, Order
from gpuctl.core.span import utc
from gpuctl.providers.aws import ending as endings
from gpuctl.providers.aws import translate
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.gpus import gpu_of

AFTER = timedelta(minutes=55)
"""No instance is forgotten sooner after its launch (an ended one is shown for an hour)."""
_SLACK = timedelta(hours=1)
"""How far this computer's clock may be off for the launch to be found."""


def find(clients: Clients, order: Order, account: str, now: datetime) -> Machine | None:
    """The ended machine of the order's token; None without a trace, or where no log may be read,
    or so soon after the launch that EC2 itself would still tell of it.

    Where nothing tells how it ended, its own switch did: at the order's deadline, marked as a
    guess.
    """
    found = _launch(clients, order, now)
    if found is None:
        return None
    instance_id, launched = found
    if now - launched < AFTER:
        return None
    region = order.offer.region
    told = endings.of_request_or_event(clients, region, instance_id, lambda: now)
    ending = told or Ending(
        at=max(launched, min(order.deadline, now)),
        by=EndedBy.USER,
        evidence=Evidence.DEADLINE,
        reason="no trace of its end",
    )
    gpu = gpu_of(order.offer.type)
    return Machine(
        id=MachineId(translate.NAME, account, region, order.offer.zone, instance_id),
        name=order.name,
        type=order.offer.type,
        gpu=gpu.name,
        gpus=gpu.count,
        market=order.offer.market,
        state=State.GONE,
        launched_at=launched,
        ran=(_computing(order, instance_id, launched, ending.at),),
        ending=ending,
        project=order.project,
        lease=order.lease,
        install=order.install,
        deadline=order.deadline,
        user=order.access.user,
    )


def _computing(order: Order, instance_id: str, since: datetime, until: datetime) -> Billable:
    return Billable(
        resource=instance_id,
        kind=Kind.COMPUTE,
        sku=order.offer.type,
        quantity=Decimal(1),
        market=order.offer.market,
        since=since,
        until=until,
    )


def _launch(clients: Clients, order: Order, now: datetime) -> tuple[str, datetime] | None:
    try:
        events = pages(
            clients.cloudtrail(order.offer.region).lookup_events,
            "Events",
            f"asking the audit log for the launch of {order.name}",
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "RunInstances"}],
            StartTime=order.deadline - order.max_run - _SLACK,
            EndTime=max(min(order.deadline + _SLACK, now), order.deadline - order.max_run),
        )
    except (Denied, NotFound):
        return None
    return next((one for event in events if (one := _made(event, order.token))), None)


def _made(event: Mapping[str, Any], token: str) -> tuple[str, datetime] | None:
    """The instance that a RunInstances event made under that token, and when."""
    try:
        body = json.loads(event.get("CloudTrailEvent") or "{}")
    except ValueError:
        return None
    asked = body.get("requestParameters") or {}
    answered = (body.get("responseElements") or {}).get("instancesSet") or {}
    items: Sequence[Mapping[str, Any]] = answered.get("items") or ()
    if asked.get("clientToken") != token or body.get("errorCode") or not items:
        return None
    return str(items[0]["instanceId"]), utc(event["EventTime"])
