"""Compute Engine keeps every promise of a provider, over HTTP, against the emulated cloud."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import compute_v1

from gpuctl.core.errors import InvalidRequest, NotFound
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import Market
from gpuctl.core.model import Access, DiskSpec, MachineId, Offer, Order
from gpuctl.core.span import utc
from gpuctl.providers.gcp import GcpProvider, GcpSettings, connect
from gpuctl.sandbox.gcp import GcpCloud
from gpuctl.sandbox.world import NoMetal, SandboxClock

from .images import NAME, SHA, ImageContract
from .making import MakingContract
from .provider import ALICE, PUBLIC_KEY, ProviderContract

PROJECT = "sandbox-project"
ZONE = "us-central1-a"


class GcpWorld:
    """The emulated project behind the provider."""

    unsold = "n1-standard-3"

    def __init__(self, cloud: GcpCloud, clock: SandboxClock, url: str) -> None:
        self._cloud = cloud
        self._clock = clock
        self._url = url

    def now(self) -> datetime:
        return utc(self._clock.now())

    def settle(self) -> None:
        self.advance(timedelta(seconds=2))

    def advance(self, by: timedelta) -> None:
        self._clock.advance(by)

    def running(self) -> int:
        return sum(1 for vm in self._cloud.truth().vms if vm.runs and vm.runs[-1].stop is None)

    def no_capacity(self, order: Order) -> None:
        self._cloud.no_capacity(order.offer.type, order.offer.zone)

    def no_quota(self, order: Order) -> None:
        self._cloud.quota("GPUS_ALL_REGIONS", 0)

    def lose_answers(self, count: int) -> None:
        self._cloud.fault("instances.insert", count=count, drop="after")

    def lose_requests(self, count: int) -> None:
        self._cloud.fault("instances.insert", count=count, drop="before")

    def deny(self) -> None:
        self._cloud.fault("*", status=401, count=None)

    def break_listing(self) -> None:
        self._cloud.unreachable("us-central1-f")

    def interrupt(self, machine: MachineId) -> None:
        self._cloud.preempt(machine.native, machine.zone)
        self.advance(timedelta(minutes=2))

    def power_off(self, machine: MachineId) -> None:
        self._cloud.guest_poweroff(machine.native, machine.zone)
        self.advance(timedelta(minutes=2))

    def strange_leftover(self) -> str:
        disks = compute_v1.DisksClient(
            credentials=AnonymousCredentials(), client_options={"api_endpoint": self._url}
        )
        disk = {
            "name": "somebodys",
            "size_gb": 20,
            "type_": f"projects/{PROJECT}/zones/{ZONE}/diskTypes/pd-ssd",
        }
        disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk)
        self.settle()
        return "somebodys"

    def inbound(self) -> Sequence[str]:
        rules = compute_v1.FirewallsClient(
            credentials=AnonymousCredentials(), client_options={"api_endpoint": self._url}
        )
        ours = [rule for rule in rules.list(project=PROJECT) if rule.name.startswith("gpuctl-")]
        return [source for rule in ours for source in rule.source_ranges]


@pytest.fixture
def clock_of_cloud() -> SandboxClock:
    return SandboxClock()


@pytest.fixture
def cloud(clock_of_cloud: SandboxClock) -> Iterator[GcpCloud]:
    cloud = GcpCloud(clock_of_cloud, NoMetal(), project=PROJECT)
    cloud.pace(0)
    for metric in ("NVIDIA_T4_GPUS", "PREEMPTIBLE_NVIDIA_T4_GPUS", "GPUS_ALL_REGIONS"):
        cloud.quota(metric, 8)
    yield cloud
    cloud.stop()


@pytest.fixture
def world(cloud: GcpCloud, clock_of_cloud: SandboxClock) -> GcpWorld:
    return GcpWorld(cloud, clock_of_cloud, cloud.start())


@pytest.fixture
def provider(cloud: GcpCloud, clock_of_cloud: SandboxClock) -> GcpProvider:
    count = itertools.count(1)
    return connect(
        GcpSettings(install="1f" * 16, project=PROJECT, zones=(ZONE,), endpoint=cloud.start()),
        clock=lambda: utc(clock_of_cloud.now()),
        sleep=lambda seconds: clock_of_cloud.advance(timedelta(seconds=seconds)),
        new_id=lambda: f"{next(count):032x}",
        environ={},
    )


@pytest.fixture
def order(clock_of_cloud: SandboxClock) -> Order:
    deadline = utc(clock_of_cloud.now()) + timedelta(hours=8)
    return Order(
        token="0123456789abcdef0123456789abcdef",
        lease="7e" * 16,
        install="1f" * 16,
        name="vision-1",
        project="acme/vision",
        offer=Offer(
            provider="gcp",
            account=PROJECT,
            region="us-central1",
            zone=ZONE,
            type="g2-standard-4",
            gpu="L4",
            gpus=1,
            market=Market.SPOT,
            hourly=None,
            on_demand_hourly=None,
            available=True,
        ),
        image="deeplearning-platform-release/common-cu129-ubuntu-2404-nvidia-580",
        disk=DiskSpec(gb=100, type="pd-balanced"),
        access=Access(public_key=PUBLIC_KEY, user="ubuntu", sources=(ALICE,), expires=deadline),
        deadline=deadline,
        max_run=timedelta(hours=9),
        user_data=b"#!/bin/sh\necho armed\n",
    )


class TestGcp(MakingContract, ProviderContract):
    """Everything that is inherited."""


class GcpShelf:
    """The images of the emulated project."""

    other = "us-east4"
    stranger = "123456789012"

    def __init__(self, world: GcpWorld, cloud: GcpCloud) -> None:
        self._world, self._cloud = world, cloud
        options = {"api_endpoint": cloud.start()}
        anonymous = AnonymousCredentials()
        self._disks = compute_v1.DisksClient(credentials=anonymous, client_options=options)
        self._images = compute_v1.ImagesClient(credentials=anonymous, client_options=options)

    def image(self, version: str, *, ours: bool = True, encrypted: bool = False) -> str:
        assert not encrypted, "Google's own keys are no obstacle"
        name = f"{NAME}-{version}"
        disk = {"name": name, "size_gb": 20}
        self._disks.insert_unary(project=PROJECT, zone=ZONE, disk_resource=disk)
        self.settle()
        labels = {
            "gpuctl-managed": "true",
            "gpuctl-install": "1f" * 16 if ours else "ee" * 16,
            "gpuctl-image": NAME,
            "gpuctl-version": version,
            "gpuctl-recipe-sha256": SHA[:63],
            "gpuctl-driver": "580-95-05",
            "gpuctl-cuda": "cu126",
            "gpuctl-torch": "2-10-0",
        }
        link = f"projects/{PROJECT}/zones/{ZONE}/disks/{name}"
        resource = {"name": name, "source_disk": link, "labels": labels}
        self._images.insert_unary(project=PROJECT, image_resource=resource)
        self.settle()
        return f"projects/{PROJECT}/global/images/{name}"

    def settle(self) -> None:
        self._world.settle()

    def shared(self, image: StoredImage) -> bool:
        name = image.id.rpartition("/")[2]
        policy = self._images.get_iam_policy(project=PROJECT, resource=name)
        wanted = f"serviceAccount:{self.stranger}@cloudservices.gserviceaccount.com"
        given = [member for binding in policy.bindings for member in binding.members]
        assert len(given) == len(set(given))
        return wanted in given

    def snapshots(self) -> int:
        return len(list(self._images.list(project=PROJECT)))

    def deny(self) -> None:
        self._world.deny()


@pytest.fixture
def shelf(world: GcpWorld, cloud: GcpCloud) -> GcpShelf:
    return GcpShelf(world, cloud)


class TestGcpImages(ImageContract):
    """Google's images."""

    def test_only_the_projects_own_addresses_are_images_of_its_own(
        self, provider: GcpProvider, shelf: GcpShelf
    ) -> None:
        shelf.image("7")
        for text in ("projects/others/global/images/x", "projects/a/b", "Not A Name"):
            with pytest.raises(InvalidRequest):
                provider.image("us-central1", text)
        with pytest.raises(NotFound):
            provider.image("us-central1", f"projects/{PROJECT}/global/images/no-such")

    def test_people_and_accounts_are_shared_with_by_their_address(
        self, provider: GcpProvider, shelf: GcpShelf
    ) -> None:
        shelf.image("7")
        [image] = provider.images()
        for whom in ("ann@example.com", "robot@acme.iam.gserviceaccount.com"):
            provider.share_image(image, whom)
        name = image.id.rpartition("/")[2]
        policy = shelf._images.get_iam_policy(project=PROJECT, resource=name)
        assert sorted(member for binding in policy.bindings for member in binding.members) == [
            "serviceAccount:robot@acme.iam.gserviceaccount.com",
            "user:ann@example.com",
        ]

    def test_a_label_that_somebody_changed_in_between_is_read_again(
        self, provider: GcpProvider, shelf: GcpShelf, cloud: GcpCloud
    ) -> None:
        shelf.image("7")
        [image] = provider.images()
        cloud.fault("images.setLabels", status=412, reason="conditionNotMet", count=1)
        provider.promote_image(image, "stable")
        assert provider.image("us-central1", NAME).id == image.id
        with pytest.raises(InvalidRequest, match="not ready"):
            provider.promote_image(replace(image, ready=False), "stable")
