"""Spot requests as RunInstances makes them, and the spot price history."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from gpuctl.sandbox.aws.filters import Getter, fits, paged, path, select
from gpuctl.sandbox.aws.inside import Inside
from gpuctl.sandbox.aws.instance_types import Shelf
from gpuctl.sandbox.aws.prices import HISTORY, Point, SpotPrices
from gpuctl.sandbox.aws.refusals import Refusal
from gpuctl.sandbox.aws.wire import Call, Handler, Shape
from gpuctl.sandbox.world import SandboxClock

LINUX = "Linux/UNIX"
_KEPT_HOURS = 4
"""AWS deletes requests four hours after their instances are gone (DescribeSpotInstanceRequests)."""

STATUS = {
    "fulfilled": "Your spot request is fulfilled.",
    "marked-for-termination": "Spot Instance is marked for termination.",
    "instance-terminated-by-user": ("Spot Instance terminated due to user-initiated termination."),
    "instance-terminated-no-capacity": (
        "Your Spot instance was terminated because there is no capacity available that matches "
        "your request."
    ),
    "instance-terminated-by-price": (
        "Your Spot instance was terminated because your maximum price was below the Spot price."
    ),
    "request-canceled-and-instance-running": (
        "Your Spot request is canceled, but your instance(s) remain running."
    ),
}

_GETTERS: Mapping[str, Getter] = {
    "spot-instance-request-id": path("SpotInstanceRequestId"),
    "instance-id": path("InstanceId"),
    "state": path("State"),
    "status-code": path("Status", "Code"),
    "status-message": path("Status", "Message"),
    "type": path("Type"),
    "spot-price": path("SpotPrice"),
    "create-time": path("CreateTime"),
    "product-description": path("ProductDescription"),
    "launched-availability-zone": path("LaunchedAvailabilityZone"),
    "launch.image-id": path("LaunchSpecification", "ImageId"),
    "launch.instance-type": path("LaunchSpecification", "InstanceType"),
    "launch.key-name": path("LaunchSpecification", "KeyName"),
}


@dataclass(slots=True)
class SpotRequest:
    """One request, active while its instance lives."""

    id: str
    region: str
    zone: str
    max_price: Decimal
    created: datetime
    launch: Shape
    instance: str = ""
    state: str = "active"
    code: str = "fulfilled"
    updated: datetime | None = None


class SpotRequests:
    """The account's spot requests."""

    def __init__(self, clock: SandboxClock, inside: Inside) -> None:
        self._clock, self._inside = clock, inside
        self._all: dict[str, SpotRequest] = {}

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def open(self, region: str, zone: str, max_price: Decimal, launch: Shape) -> SpotRequest:
        """A request that is being fulfilled."""
        made = SpotRequest(
            f"sir-{uuid.uuid4().hex[:8]}",
            region,
            zone,
            max_price,
            self._clock.now().replace(microsecond=0),
            launch,
        )
        self._all[made.id] = made
        return made

    def mark(self, request_id: str | None, code: str, *, closes: bool = False) -> None:
        """Give a request another status; `closes` when its instance has ended."""
        request = self._all.get(request_id or "")
        if request is None:
            return
        request.code, request.updated = code, self._clock.now().replace(microsecond=0)
        if closes:
            request.state = "closed" if request.state == "active" else request.state
            self._clock.call_in(_KEPT_HOURS * 3600, lambda: self._forget(request.id))

    def max_price(self, request_id: str | None) -> Decimal | None:
        """The most its owner pays."""
        request = self._all.get(request_id or "")
        return request.max_price if request else None

    def _forget(self, request_id: str) -> None:
        self._all.pop(request_id, None)

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {
            "ec2.DescribeSpotInstanceRequests": self._describe,
            "ec2.CancelSpotInstanceRequests": self._cancel,
            "ec2.RequestSpotInstances": _not_emulated,
            "ec2.RequestSpotFleet": _not_emulated,
            "ec2.CreateFleet": _not_emulated,
        }

    def _named(self, call: Call) -> list[SpotRequest]:
        ids = call.params.get("SpotInstanceRequestIds") or []
        here = {key: one for key, one in self._all.items() if one.region == call.region}
        for one in ids:
            if one not in here:
                raise Refusal(
                    "InvalidSpotInstanceRequestID.NotFound",
                    f"The spot instance request ID '{one}' does not exist",
                )
        return [here[one] for one in ids] if ids else list(here.values())

    def _describe(self, call: Call) -> Shape:
        shapes = [self._shape(request) for request in self._named(call)]
        chosen = select(shapes, call.params.get("Filters"), _GETTERS)
        return paged("SpotInstanceRequests", chosen, call.params)

    def _shape(self, request: SpotRequest) -> Shape:
        tags = self._inside.tags(request.region, request.id)
        return {
            "CreateTime": request.created,
            "InstanceId": request.instance,
            "LaunchSpecification": request.launch,
            "LaunchedAvailabilityZone": request.zone,
            "ProductDescription": LINUX,
            "SpotInstanceRequestId": request.id,
            "SpotPrice": f"{request.max_price:.6f}",
            "State": request.state,
            "Status": {
                "Code": request.code,
                "Message": STATUS[request.code],
                "UpdateTime": request.updated or request.created,
            },
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            "Type": "one-time",
            "InstanceInterruptionBehavior": "terminate",
        }

    def _cancel(self, call: Call) -> Shape:
        cancelled = []
        for request in self._named(call):
            if request.state == "active":
                request.state = "cancelled"
                self.mark(request.id, "request-canceled-and-instance-running")
            cancelled.append({"SpotInstanceRequestId": request.id, "State": request.state})
        return {"CancelledSpotInstanceRequests": cancelled}


def _not_emulated(call: Call) -> Shape:
    raise Refusal(
        "UnsupportedOperation", f"The sandbox does not emulate {call.action}; use RunInstances."
    )


class SpotHistory:
    """DescribeSpotPriceHistory."""

    def __init__(self, clock: SandboxClock, prices: SpotPrices, shelf: Shelf) -> None:
        self._clock, self._prices, self._shelf = clock, prices, shelf

    def handlers(self) -> Mapping[str, Handler]:
        """The calls answered here."""
        return {"ec2.DescribeSpotPriceHistory": self._describe}

    def _describe(self, call: Call) -> Shape:
        params = call.params
        now = self._clock.now()
        start = max(_aware(params.get("StartTime")) or now - HISTORY, now - HISTORY)
        end = min(_aware(params.get("EndTime")) or now, now)
        wanted = _History(params)
        rows = [
            _row(type_name, zone, point)
            for type_name in self._shelf.sold(call.region)
            if wanted.type(type_name)
            for zone in self._shelf.zones(call.region, type_name)
            if wanted.zone(zone)
            for point in self._prices.points(type_name, zone, start, end)
        ]
        if not wanted.product(LINUX):
            rows = []
        rows = select(rows, params.get("Filters"), _HISTORY_GETTERS)
        rows.sort(key=lambda row: row["Timestamp"], reverse=True)
        return {"NextToken": "", **paged("SpotPriceHistory", rows, params)}


_HISTORY_GETTERS: Mapping[str, Getter] = {
    "availability-zone": path("AvailabilityZone"),
    "instance-type": path("InstanceType"),
    "product-description": path("ProductDescription"),
    "spot-price": path("SpotPrice"),
    "timestamp": path("Timestamp"),
}


class _History:
    """What of the history is asked for, so that no more is made."""

    def __init__(self, params: Shape) -> None:
        filters = {one.get("Name"): one.get("Values", []) for one in params.get("Filters") or ()}
        self._types = params.get("InstanceTypes") or filters.get("instance-type") or ["*"]
        zone = params.get("AvailabilityZone")
        self._zones = [zone] if zone else filters.get("availability-zone") or ["*"]
        self._products = params.get("ProductDescriptions") or ["*"]

    def type(self, name: str) -> bool:
        return fits(name, self._types)

    def zone(self, name: str) -> bool:
        return fits(name, self._zones)

    def product(self, name: str) -> bool:
        return fits(name, self._products) or fits(f"{name} (Amazon VPC)", self._products)


def _row(type_name: str, zone: str, point: Point) -> Shape:
    return {
        "AvailabilityZone": zone,
        "InstanceType": type_name,
        "ProductDescription": LINUX,
        "SpotPrice": f"{point.usd:.6f}",
        "Timestamp": point.at,
    }


def _aware(value: datetime | None) -> datetime | None:
    if value is None or value.tzinfo is not None:
        return value
    return value.replace(tzinfo=UTC)
