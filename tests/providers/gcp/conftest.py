"""An emulated Compute Engine for each test, and the provider connected to it."""

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest

from gpuctl.core.kinds import Market
from gpuctl.core.model import Access, DiskSpec, Offer, Order
from gpuctl.core.span import utc
from gpuctl.providers.gcp import GcpProvider, GcpSettings, connect
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.world import NoMetal, SandboxClock

INSTALL = "1f" * 16
ZONE = "us-central1-a"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFGsmHWTGRDaG/tjWrN8VRPP2ri1rTJzqk1yp8p4U9pD me"


@pytest.fixture
def time_of_cloud() -> SandboxClock:
    return SandboxClock()


@pytest.fixture
def cloud(time_of_cloud: SandboxClock) -> Iterator[GcpCloud]:
    cloud = GcpCloud(time_of_cloud, NoMetal())
    cloud.pace(0)
    for metric in ("NVIDIA_T4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS", "GPUS_ALL_REGIONS"):
        cloud.quota(metric, 8)
    yield cloud
    cloud.stop()


@pytest.fixture
def provider(cloud: GcpCloud, time_of_cloud: SandboxClock) -> GcpProvider:
    return plug(cloud, time_of_cloud)


def plug(cloud: GcpCloud, clock: SandboxClock, **changed) -> GcpProvider:
    count = itertools.count(1)
    settings = {
        "install": INSTALL,
        "project": "sandbox-project",
        "zones": (ZONE, "us-central1-b"),
        "endpoint": cloud.start(),
    }
    return connect(
        GcpSettings(**(settings | changed)),
        clock=lambda: utc(clock.now()),
        sleep=lambda seconds: clock.advance(timedelta(seconds=seconds)),
        new_id=lambda: f"{next(count):032x}",
        environ={},
    )


@pytest.fixture
def order(provider: GcpProvider, time_of_cloud: SandboxClock) -> Order:
    deadline = utc(time_of_cloud.now()) + timedelta(hours=8)
    return Order(
        token="0123456789abcdef0123456789abcdef",
        lease="7e" * 16,
        install=INSTALL,
        name="vision-1",
        project="acme/vision",
        offer=offer_of("n1-standard-4", gpu="T4"),
        image="",
        disk=DiskSpec(gb=100, type="pd-balanced"),
        access=Access(public_key=KEY, user="ubuntu", sources=("203.0.113.7/32",), expires=deadline),
        deadline=deadline,
        max_run=timedelta(hours=9),
        user_data=b"#!/bin/sh\necho armed\n",
    )


def offer_of(
    kind: str, *, gpu: str | None = None, zone: str = ZONE, market: Market = Market.SPOT
) -> Offer:
    return Offer(
        provider="gcp",
        account="sandbox-project",
        region=zone.rpartition("-")[0],
        zone=zone,
        type=kind,
        gpu=gpu,
        gpus=1 if gpu else 0,
        market=market,
        hourly=None,
        on_demand_hourly=None,
        available=True,
    )
