"""An order as JSON and back, for the ledger: what a lost answer is looked up by."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from gpuctl.core.books import Books
from gpuctl.core.events import Intent, Json
from gpuctl.core.kinds import Market
from gpuctl.core.model import Access, DataVolume, DiskSpec, Offer, Order
from gpuctl.core.span import format_time, parse_time


class Used(NamedTuple):
    """What a machine was made from: the image's id, and of one's own its name and recipe."""

    id: str
    name: str | None = None
    """`NAME@VERSION`."""
    recipe_sha256: str | None = None


def image_used(books: Books, machine: str) -> Used | None:
    """The image that a machine was made from, by the order that made it; None = not known."""
    made: Intent | None = None
    for intent in books.intents.values():
        outcome = books.outcomes.get(intent.id)
        if intent.verb != "start" or outcome is None or outcome.machine != machine:
            continue
        if outcome.result == "done" and intent.order.get("image") and not intent.order.get("adopt"):
            made = intent if made is None or made.at <= intent.at else made
    if made is None:
        return None
    name, recipe = made.order.get("image_name"), made.order.get("recipe_sha256")
    return Used(
        str(made.order["image"]),
        str(name) if name else None,
        str(recipe) if recipe else None,
    )


def write_order(order: Order) -> dict[str, Json]:
    """All of it but the boot script, which follows from the lease, and what is only shown."""
    offer, access = order.offer, order.access
    return {
        "token": order.token,
        "lease": order.lease,
        "install": order.install,
        "name": order.name,
        "project": order.project,
        "provider": offer.provider,
        "account": offer.account,
        "region": offer.region,
        "zone": offer.zone,
        "type": offer.type,
        "gpu": offer.gpu,
        "gpus": offer.gpus,
        "market": offer.market.value,
        "image": order.image,
        "image_name": order.image_name,
        "recipe_sha256": order.recipe_sha256,
        "disk": _write_disk(order.disk),
        "data": None
        if order.data is None
        else {
            "name": order.data.name,
            "mount": order.data.mount,
            "disk": _write_disk(order.data.disk),
        },
        "public_key": access.public_key,
        "user": access.user,
        "sources": list(access.sources),
        "expires": format_time(access.expires),
        "tunnel": access.tunnel,
        "deadline": format_time(order.deadline),
        "max_run_s": int(order.max_run.total_seconds()),
        "subnet": order.subnet,
        "instance_profile": order.instance_profile,
        "max_hourly": None if order.max_hourly is None else f"{order.max_hourly:f}",
        "adopt": order.adopt,
        "settings": dict(order.settings),
    }


def read_order(record: Mapping[str, Any], user_data: bytes = b"") -> Order:
    """The reverse; `user_data` is rendered anew by whoever sends it again."""
    data = record["data"]
    return Order(
        token=record["token"],
        lease=record["lease"],
        install=record["install"],
        name=record["name"],
        project=record["project"],
        offer=Offer(
            provider=record["provider"],
            account=record["account"],
            region=record["region"],
            zone=record["zone"],
            type=record["type"],
            gpu=record["gpu"],
            gpus=record["gpus"],
            market=Market(record["market"]),
            hourly=None,
            on_demand_hourly=None,
            available=True,
        ),
        image=record["image"],
        image_name=record.get("image_name"),
        recipe_sha256=record.get("recipe_sha256"),
        disk=DiskSpec(**record["disk"]),
        data=None
        if data is None
        else DataVolume(name=data["name"], mount=data["mount"], disk=DiskSpec(**data["disk"])),
        access=Access(
            public_key=record["public_key"],
            user=record["user"],
            sources=tuple(record["sources"]),
            expires=parse_time(record["expires"]),
            tunnel=record["tunnel"],
        ),
        deadline=parse_time(record["deadline"]),
        max_run=timedelta(seconds=record["max_run_s"]),
        subnet=record["subnet"],
        instance_profile=record["instance_profile"],
        max_hourly=None if record["max_hourly"] is None else Decimal(record["max_hourly"]),
        user_data=user_data,
        adopt=record["adopt"],
        settings=record["settings"],
    )


def _write_disk(disk: DiskSpec) -> dict[str, Json]:
    bought = {} if disk.init_rate is None else {"init_rate": disk.init_rate}
    return {
        **bought,
        "gb": disk.gb,
        "type": disk.type,
        "iops": disk.iops,
        "throughput": disk.throughput,
    }
