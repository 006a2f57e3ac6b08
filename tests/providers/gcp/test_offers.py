"""Offers and prices: what is sold where, summed from its parts, or not priced at all."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from gpuctl.core.errors import InvalidRequest
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.model import Accelerator, Order, Want
from gpuctl.core.span import Span
from gpuctl.providers.gcp import GcpProvider
from gpuctl.providers.gcp.prices import bundled
from gpuctl.providers.gcp.shapes import known_shape
from gpuctl.sandbox.gcp import GcpCloud

T4 = Want(
    types=("n1-standard-4",),
    markets=(Market.SPOT, Market.ON_DEMAND),
    accelerator=Accelerator(type="nvidia-tesla-t4"),
)
YEAR = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def test_an_n1_machine_is_the_sum_of_its_parts(provider: GcpProvider) -> None:
    found = provider.offers(T4)
    assert [(o.zone[-1], o.market.value) for o in found] == [
        ("a", "spot"),
        ("a", "on-demand"),
        ("b", "spot"),
        ("b", "on-demand"),
    ]
    demand = found[1]
    assert demand.hourly == 4 * Decimal("0.031611") + 15 * Decimal("0.004237") + Decimal("0.35")
    assert [part.sku for part in demand.components] == ["n1-core", "n1-ram", "nvidia-tesla-t4"]
    assert sum(part.hourly for part in demand.components) == demand.hourly
    assert found[0].hourly is not None
    assert found[0].hourly < demand.hourly == found[0].on_demand_hourly
    assert (demand.gpu, demand.gpus, demand.gpu_memory_gib) == ("T4", 1, 16)
    assert (demand.vcpus, demand.memory_gib) == (4, 15)
    assert demand.source == "bundled 2026-11-01"


def test_a_machine_with_its_own_gpu_takes_no_other(provider: GcpProvider) -> None:
    [offer] = provider.offers(
        replace(T4, types=("g2-standard-4",), zones=("us-central1-a",), markets=(Market.ON_DEMAND,))
    )
    assert (offer.gpu, offer.gpus) == ("L4", 1)
    # what Google's own price page shows for g2-standard-4 in Iowa
    assert round(offer.hourly or 0, 4) == Decimal("0.7068")


def test_known_totals_of_the_price_page() -> None:
    shape = known_shape("a2-highgpu-1g")
    assert shape is not None
    parts = bundled().components("us-central1", shape, shape.gpu, shape.gpus, Market.ON_DEMAND)
    assert parts is not None
    assert round(sum(part.hourly for part in parts), 6) == Decimal("3.673385")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"types": ("n1-standard-3",)}, "n1-standard-3 is not offered"),
        ({"accelerator": Accelerator(type="T4", count=9)}, "at most 4"),
        ({"accelerator": Accelerator(type="nvidia-tesla-p100")}, "p100 is not offered"),
    ],
)
def test_what_is_not_sold_says_why(provider: GcpProvider, change: dict, reason: str) -> None:
    want = replace(T4, zones=("us-central1-b",), markets=(Market.SPOT,), **change)
    [offer] = provider.offers(want)
    assert not offer.available
    assert reason in (offer.reason or "")


def test_regions_choose_among_the_zones_that_are_set(provider: GcpProvider) -> None:
    assert provider.offers(replace(T4, regions=("us-central1",)))
    with pytest.raises(InvalidRequest, match="No Google zone"):
        provider.offers(replace(T4, regions=("europe-west4",)))


def test_types_keep_their_rank(provider: GcpProvider) -> None:
    found = provider.offers(replace(T4, types=("n1-standard-8", "n1-standard-4")))
    assert {(offer.type, offer.rank) for offer in found} == {
        ("n1-standard-8", 0),
        ("n1-standard-4", 1),
    }


def test_a_vm_that_stands_is_the_only_offer(provider: GcpProvider, order: Order) -> None:
    provider.start(order)
    [offer] = provider.offers(replace(T4, name="vision-1", markets=(Market.ON_DEMAND,)))
    assert (offer.zone, offer.type, offer.market) == (
        "us-central1-a",
        "n1-standard-4",
        Market.SPOT,
    )
    assert offer.available
    assert len(provider.offers(replace(T4, name="not-there-yet"))) == 4


def test_a_type_is_asked_for_once(provider: GcpProvider, cloud: GcpCloud, order: Order) -> None:
    e2 = replace(order, offer=replace(order.offer, type="e2-standard-4", gpu=None, gpus=0))
    machine = provider.start(e2)
    before = cloud.requests
    assert provider.get(machine.id).type == "e2-standard-4"
    assert cloud.requests - before == 2  # the VM and its disk
    assert {b.sku for b in machine.billed if b.kind is Kind.VCPU} == {"e2-core"}


def price(sku: str, kind: Kind, market: Market, region: str | None = "us-central1") -> Priced:
    return Priced(
        provider="gcp",
        region=region,
        zone=None,
        kind=kind,
        sku=sku,
        market=market,
        unit=Unit.HOUR,
    )


def test_spot_never_falls_back_to_on_demand(provider: GcpProvider) -> None:
    [spot] = provider.prices(price("n1-core", Kind.VCPU, Market.SPOT), YEAR)
    [demand] = provider.prices(price("n1-core", Kind.VCPU, Market.ON_DEMAND), YEAR)
    assert spot.usd < demand.usd
    assert demand.at < YEAR.start < spot.at
    assert provider.prices(price("n1-core", Kind.VCPU, Market.SPOT, "asia-northeast1"), YEAR) == ()


def test_disks_and_addresses_of_a_spot_machine_have_list_prices(provider: GcpProvider) -> None:
    [disk] = provider.prices(price("pd-ssd", Kind.DISK, Market.SPOT), YEAR)
    [address] = provider.prices(price("idle", Kind.IPV4, Market.SPOT, "us-west1"), YEAR)
    assert (disk.usd, address.usd) == (Decimal("0.17"), Decimal("0.01"))
    assert provider.prices(price("pd-ssd", Kind.DISK, Market.SPOT, None), YEAR) == ()


def test_regions_priced_alike_share_a_table() -> None:
    book = bundled()
    for sku in ("n1-core", "nvidia-l4", "pd-balanced"):
        assert book.rate("us-east1", sku, Market.ON_DEMAND) == book.rate(
            "us-central1", sku, Market.ON_DEMAND
        )
    assert book.rate("mars-north1", "n1-core", Market.ON_DEMAND) is None


def test_every_bundled_price_is_sane() -> None:
    book = bundled()
    assert book.list_since <= book.dated
    for market, regions in book.by_market.items():
        for region, rates in regions.items():
            for sku, rate in rates.items():
                assert 0 < rate < 10, (market, region, sku)
                listed = book.rate(region, sku, Market.ON_DEMAND)
                assert listed is not None, (region, sku)
                assert rate <= listed
