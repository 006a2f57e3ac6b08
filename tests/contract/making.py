"""What every provider promises of making images, to be inherited beside `ProviderContract`."""

from datetime import timedelta

import pytest

from gpuctl.core.errors import Denied, NotFound
from gpuctl.core.images.making import ImageOrder, Making
from gpuctl.core.model import Down, MachineId, Order
from gpuctl.core.ports import Provider
from tests.contract.provider import World, started


def image_order(order: Order, machine: MachineId, token: str = "5e" * 16) -> ImageOrder:
    return ImageOrder(
        token=token,
        lease=order.lease,
        install=order.install,
        machine=machine,
        name="torch-portable",
        version="1",
        recipe_sha256="ab" * 32,
        driver="580.95.05",
        module="proprietary",
        cuda="cu126",
        torch="2.10.0",
    )


class MakingContract:
    """Inherit it and give the fixtures of `ProviderContract`."""

    def test_an_image_is_made_of_a_builder_and_becomes_ready(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        wanted = image_order(order, started(provider, order, world).id)
        taken = provider.make_image(wanted)
        assert taken.making in (Making.PENDING, Making.READY)
        world.advance(timedelta(minutes=5))
        ready = provider.taken_image(wanted)
        assert ready is not None
        assert (ready.id, ready.making) == (taken.id, Making.READY)
        assert ready.region in (order.offer.region, "global")
        assert (ready.gb, ready.architecture) == (order.disk.gb, "x86_64")

    def test_the_same_image_order_makes_one_image(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        wanted = image_order(order, started(provider, order, world).id)
        first = provider.make_image(wanted)
        world.settle()
        assert provider.make_image(wanted).id == first.id
        assert len(images(provider)) == 1

    def test_an_image_outlives_its_builder(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world)
        wanted = image_order(order, machine.id)
        taken = provider.make_image(wanted)
        world.advance(timedelta(minutes=5))
        provider.stop(machine.id, Down.DELETE)
        world.advance(timedelta(minutes=5))
        kept = provider.taken_image(wanted)
        assert kept is not None
        assert kept.id == taken.id

    def test_of_an_image_that_was_never_ordered_there_is_no_trace(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world).id
        assert provider.taken_image(image_order(order, machine)) is None

    def test_an_image_is_unmade_with_all_that_it_costs(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        wanted = image_order(order, started(provider, order, world).id)
        provider.make_image(wanted)
        world.advance(timedelta(minutes=5))
        (left,) = images(provider)
        assert (left.ours, left.lease) == (True, order.lease)
        assert left.billed
        provider.unmake_image(wanted)
        provider.unmake_image(wanted)
        world.settle()
        assert provider.taken_image(wanted) is None
        assert [one for one in provider.leftovers() if one.what in ("image", "snapshot")] == []

    def test_of_no_builder_there_is_no_image(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        machine = started(provider, order, world).id
        nobody = MachineId(machine.provider, machine.account, machine.region, machine.zone, "i-0")
        with pytest.raises(NotFound):
            provider.make_image(image_order(order, nobody))

    def test_without_credentials_no_image_is_made(
        self, provider: Provider, order: Order, world: World
    ) -> None:
        wanted = image_order(order, started(provider, order, world).id)
        world.deny()
        with pytest.raises(Denied):
            provider.make_image(wanted)


def images(provider: Provider):
    return [left for left in provider.leftovers() if left.what == "image"]
