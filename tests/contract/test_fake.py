"""The fake cloud that the verbs are tried on keeps every promise of a provider, in both kinds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import EndedBy, Market
from gpuctl.core.model import Access, DiskSpec, MachineId, Offer, Order
from tests.conftest import HandClock
from tests.contract.images import ImageContract
from tests.contract.making import MakingContract
from tests.contract.provider import ALICE, PUBLIC_KEY, ProviderContract
from tests.fake_cloud import FakeCloud, Thing
from tests.fake_images import stored
from tests.fakes import FakeProvider

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
ZONE = "us-east-1a"


class FakeWorld:
    """What a test may do to the fake behind its provider's back."""

    unsold = "p9.huge"

    def __init__(self, cloud: FakeCloud, clock: HandClock) -> None:
        self._cloud = cloud
        self._clock = clock

    def now(self) -> datetime:
        return self._clock()

    def settle(self) -> None:
        self._clock.tick(minutes=1)

    def advance(self, by: timedelta) -> None:
        self._clock.tick(seconds=by.total_seconds())

    def running(self) -> int:
        return len(self._cloud.running())

    def no_capacity(self, order: Order) -> None:
        self._cloud.sold_out.add((order.offer.type, order.offer.zone, None))

    def no_quota(self, order: Order) -> None:
        self._cloud.quotas[order.offer.type] = "L-3819A6DF"

    def lose_answers(self, count: int) -> None:
        self._cloud.lost_answers = count

    def lose_requests(self, count: int) -> None:
        self._cloud.lost_requests = count

    def deny(self) -> None:
        self._cloud.denied = True

    def break_listing(self) -> None:
        self._cloud.broken_region = "us-west-2"

    def interrupt(self, machine: MachineId) -> None:
        self._cloud.interrupt(machine.native)
        self._clock.tick(minutes=2)

    def power_off(self, machine: MachineId) -> None:
        vm = self._cloud.vm(machine.native)
        self._cloud.end(vm, EndedBy.USER, "Client.InstanceInitiatedShutdown")

    def strange_leftover(self) -> str:
        self._cloud.things.append(Thing("vol-strange", ours=False, created=self._clock()))
        return "vol-strange"

    def inbound(self) -> Sequence[str]:
        return [source for sources in self._cloud.inbound.values() for source in sources]


@pytest.fixture
def hand() -> HandClock:
    return HandClock(NOW)


@pytest.fixture(params=[False, True], ids=["ends", "stops"])
def cloud(request: pytest.FixtureRequest, hand: HandClock) -> FakeCloud:
    return FakeCloud(
        hand,
        stops=request.param,
        spot={("p3.2xlarge", ZONE): "0.918", ("p3.2xlarge", "us-east-1b"): "0.95"},
        on_demand={"p3.2xlarge": "3.06"},
    )


@pytest.fixture
def world(cloud: FakeCloud, hand: HandClock) -> FakeWorld:
    return FakeWorld(cloud, hand)


@pytest.fixture
def provider(cloud: FakeCloud) -> FakeProvider:
    return FakeProvider(cloud)


@pytest.fixture
def order(cloud: FakeCloud) -> Order:
    deadline = NOW + timedelta(hours=8)
    return Order(
        token="0123456789abcdef0123456789abcdef",
        lease="7e" * 16,
        install="1f" * 16,
        name="vision-1",
        project="acme/vision",
        offer=Offer(
            provider="gcp" if cloud.stops else "aws",
            account="111122223333",
            region="us-east-1",
            zone=ZONE,
            type="p3.2xlarge",
            gpu="V100",
            gpus=1,
            market=Market.SPOT,
            hourly=None,
            on_demand_hourly=None,
            available=True,
        ),
        image="ami-1",
        disk=DiskSpec(gb=100, type="gp3"),
        access=Access(public_key=PUBLIC_KEY, user="ubuntu", sources=(ALICE,), expires=deadline),
        deadline=deadline,
        max_run=timedelta(hours=24),
        user_data=b"#!/bin/sh\n",
    )


class TestFake(MakingContract, ProviderContract):
    """Everything that is inherited."""


class FakeShelf:
    """The images of the fake."""

    other = "us-west-2"
    stranger = "444455556666"

    def __init__(self, cloud: FakeCloud, hand: HandClock) -> None:
        self._cloud, self._clock = cloud, hand

    def image(self, version: str, *, ours: bool = True, encrypted: bool = False) -> str:
        name = "gcp" if self._cloud.stops else "aws"
        region = "global" if self._cloud.stops else "us-east-1"
        made = stored(
            version,
            made_at=self._clock(),
            region=region,
            provider=name,
            ours=ours,
            encrypted=encrypted,
        )
        self._cloud.kept.images.append(made)
        return made.id

    def settle(self) -> None:
        self._clock.tick(minutes=1)

    def shared(self, image: StoredImage) -> bool:
        return (image.id, self.stranger) in self._cloud.kept.shares

    def snapshots(self) -> int:
        return len(self._cloud.kept.images)

    def deny(self) -> None:
        self._cloud.denied = True


@pytest.fixture
def shelf(cloud: FakeCloud, hand: HandClock) -> FakeShelf:
    return FakeShelf(cloud, hand)


class TestFakeImages(ImageContract):
    """Its images."""
