"""An order as JSON and back, for the ledger: what a lost answer is looked up by."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gpuctl.core.events import Json
from gpuctl.core.kinds import Market
from gpuctl.core.model import Access, DataVolume, DiskSpec, Offer, Order
from gpuctl.core.span import format_time, parse_time


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
    return {
        "gb": disk.gb,
        "type": disk.type,
        "iops": disk.iops,
        "throughput": disk.throughput,
    }
