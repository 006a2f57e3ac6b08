"""The tags that make a thing ours, written in one place and read in one place."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuctl.core.model import Order
from gpuctl.core.span import format_time

MANAGED = "gpuctl:managed"
INSTALL = "gpuctl:install"
LEASE = "gpuctl:lease"
PROJECT = "gpuctl:project"
DEADLINE = "gpuctl:deadline"
TEMPLATE = "gpuctl:template"
USER = "gpuctl:user"
DATA = "gpuctl:data"
"""Name of a project's data volume, which outlives its machines."""
EXPIRES = "gpuctl:expires"
"""When an ingress rule is to be revoked."""
NAME = "Name"


def of_install(install: str) -> dict[str, str]:
    """Tags of what belongs to an installation and to no lease (group, key pair)."""
    return {MANAGED: "true", INSTALL: install}


def of_order(order: Order) -> dict[str, str]:
    """Tags of everything that a launch makes."""
    return {
        **of_install(order.install),
        LEASE: order.lease,
        PROJECT: order.project,
        DEADLINE: format_time(order.deadline),
        USER: order.access.user,
        NAME: order.name,
        **({} if order.template is None else {TEMPLATE: order.template}),
    }


def written(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """In the form of the EC2 API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def specification(resource: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """One entry of `TagSpecifications`: tags that exist from the first instant."""
    return {"ResourceType": resource, "Tags": written(tags)}


def read(thing: Mapping[str, Any]) -> Mapping[str, str]:
    """The tags of a described resource; {} when it has none."""
    pairs: Iterable[Mapping[str, str]] = thing.get("Tags") or ()
    return {pair["Key"]: pair.get("Value", "") for pair in pairs}


def where(name: str, *values: str) -> dict[str, Any]:
    """One EC2 filter."""
    return {"Name": name, "Values": list(values)}


def tagged(key: str, *values: str) -> dict[str, Any]:
    """The EC2 filter for a tag's value."""
    return where(f"tag:{key}", *values)


def ours() -> Sequence[dict[str, Any]]:
    """The filter for whatever any installation of gpuctl made."""
    return [where("tag-key", MANAGED)]
