"""Spot requests: one left open launches a machine later, when nobody waits for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpuctl.providers.aws import tags
from gpuctl.providers.aws.client import Clients, pages
from gpuctl.providers.aws.errors import translated

_SETTLED = ("active", "closed", "cancelled", "failed", "disabled")
"""States in which a one-time request launches nothing more (EC2 API, SpotInstanceRequest)."""


def open_requests(clients: Clients, region: str, lease: str) -> list[Mapping[str, Any]]:
    """The requests of a lease that may still be filled."""
    found = pages(
        clients.ec2(region).describe_spot_instance_requests,
        "SpotInstanceRequests",
        f"looking for open spot requests in {region}",
        Filters=[tags.tagged(tags.LEASE, lease)],
    )
    return [request for request in found if is_open(request)]


def is_open(request: Mapping[str, Any]) -> bool:
    """Whether it may launch a machine yet: unless it is known that it will not."""
    return request.get("State") not in _SETTLED


def cancel_open_requests(clients: Clients, region: str, lease: str) -> None:
    """Calls off whatever could still launch for a lease."""
    cancel(
        clients,
        region,
        [request["SpotInstanceRequestId"] for request in open_requests(clients, region, lease)],
    )


def cancel(clients: Clients, region: str, requests: Sequence[str]) -> None:
    """Calls off requests by id; none is no call."""
    if requests:
        with translated(f"cancelling spot requests in {region}", effect=True):
            clients.ec2(region).cancel_spot_instance_requests(SpotInstanceRequestIds=list(requests))
