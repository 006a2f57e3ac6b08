"""Google's price list: read from all its pages, kept for a day, never in the way."""

import itertools
import json
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.span import Span
from gpuctl.providers.gcp import connect
from gpuctl.providers.gcp.catalog import index
from gpuctl.providers.gcp.prices import bundled
from gpuctl.providers.gcp.settings import GcpSettings
from gpuctl.providers.gcp.skus import read, read_all
from gpuctl.sandbox.gcp import pricelist
from tests.providers.gcp.conftest import INSTALL

SAMPLE = Path(__file__).parents[4] / "shared/data/billing/gcp_catalog_skus_opencost.json"
DEMAND, SPOT = Market.ON_DEMAND, Market.SPOT


def _everything():
    pages, token = [], ""
    while True:
        page = pricelist.page({"pageToken": token})
        pages += page["skus"]
        token = page["nextPageToken"]
        if not token:
            return pages


def test_what_is_known_is_found_among_all_the_others():
    found = index(read_all(_everything()))
    usd = {
        (sku, market): listed.usd
        for (region, sku, market), listed in found.items()
        if region in ("us-central1", None)
    }
    assert usd == {
        ("n1-core", DEMAND): Decimal("0.031611"),
        ("n1-core", SPOT): Decimal("0.00882"),
        ("n1-ram", DEMAND): Decimal("0.004237"),
        ("n1-ram", SPOT): Decimal("0.00113"),
        ("g2-core", DEMAND): Decimal("0.02498844"),
        ("g2-core", SPOT): Decimal("0.009999"),
        ("g2-ram", DEMAND): Decimal("0.00292735"),
        ("g2-ram", SPOT): Decimal("0.0011713"),
        ("a2-core", DEMAND): Decimal("0.031611"),
        ("a2-core", SPOT): Decimal("0.01581"),
        ("a2-ram", DEMAND): Decimal("0.004237"),
        ("a2-ram", SPOT): Decimal("0.002118"),
        ("nvidia-tesla-t4", DEMAND): Decimal("0.35"),
        ("nvidia-tesla-t4", SPOT): Decimal("0.175"),
        ("nvidia-tesla-v100", DEMAND): Decimal("2.48"),
        ("nvidia-tesla-v100", SPOT): Decimal("1.0885"),
        ("nvidia-l4", DEMAND): Decimal("0.56004"),
        ("nvidia-l4", SPOT): Decimal("0.2231"),
        ("nvidia-tesla-a100", DEMAND): Decimal("2.933908"),
        ("nvidia-tesla-a100", SPOT): Decimal("1.4341"),
        ("nvidia-a100-80gb", DEMAND): Decimal("3.92814"),
        ("nvidia-a100-80gb", SPOT): Decimal("1.571256"),
        ("pd-standard", DEMAND): Decimal("0.04"),
        ("pd-ssd", DEMAND): Decimal("0.17"),
        ("pd-balanced", DEMAND): Decimal("0.1"),
        ("snapshot", DEMAND): Decimal("0.05"),
        ("in-use", DEMAND): Decimal("0.005"),
        ("in-use-spot", DEMAND): Decimal("0.0025"),
        ("idle", DEMAND): Decimal("0.01"),
    }


@pytest.mark.skipif(not SAMPLE.exists(), reason="the recorded price list is not at hand")
def test_the_recorded_list_is_read():
    skus = json.loads(SAMPLE.read_text("utf-8"))["skus"]
    found = index(read_all(skus))
    a100 = found["us-central1", "nvidia-tesla-a100", DEMAND]
    assert (a100.usd, a100.since) == (
        Decimal("2.933908"),
        datetime(2023, 3, 24, 10, 52, 50, tzinfo=UTC),
    )
    # Its other entries are in rupiah: not what was asked for, and so no price.
    assert {sku for _, sku, _ in found} == {"nvidia-tesla-a100", "a2-ram", "a2-core"}


@given(st.integers(0, 10**6), st.integers(0, 999_999_999))
def test_an_amount_is_exact(units, nanos):
    sku = _everything()[0]
    expression = sku["pricingInfo"][0]["pricingExpression"]
    expression["tieredRates"][0]["unitPrice"] |= {"units": str(units), "nanos": nanos}
    assert all(listed.usd * 10**9 == units * 10**9 + nanos for listed in read(sku))


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("SSD backed Local Storage", "local-ssd"),
        ("SSD backed Local Storage in Bangkok", "local-ssd"),
        ("SSD backed Local Storage running in Paris", "local-ssd"),
        ("SSD backed Local Storage attached to Spot Preemptible VMs", "local-ssd-spot"),
        ("SSD backed Local Storage attached to Spot Preemptible VMs in Paris", "local-ssd-spot"),
        ("Commitment v1: Local SSD in Americas for 1 Year", None),
    ],
)
def test_local_ssd_has_two_prices(description, name):
    sku = next(one for one in _everything() if one["description"].startswith("SSD backed PD"))
    found = {listed.sku for listed in read(sku | {"description": description})}
    assert found == ({name} if name else set())


def test_images_are_stored_at_a_price_of_their_own_and_not_that_of_machine_images():
    sku = next(one for one in _everything() if one["description"].startswith("SSD backed PD"))
    for description, known in (("Storage Image", {"image"}), ("Storage Machine Image", set())):
        found = {listed.sku for listed in read(sku | {"description": description})}
        assert found == known


def test_another_currency_is_no_price():
    sku = _everything()[0]
    rates = sku["pricingInfo"][0]["pricingExpression"]["tieredRates"]
    rates[0]["unitPrice"]["currencyCode"] = "EUR"
    with pytest.raises(ValueError, match="asked for USD"):
        list(read(sku))


T4 = Priced("gcp", "us-central1", "us-central1-a", Kind.GPU, "nvidia-tesla-t4", SPOT, Unit.HOUR)
A100 = T4._replace(sku="nvidia-a100-80gb", market=DEMAND)
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DAY = Span(NOW, NOW + timedelta(hours=1))


@pytest.fixture
def at(cloud, tmp_path):
    """The provider of a process that starts at a moment; the cache is the same each time."""
    ids = itertools.count()

    def at(moment):
        return connect(
            GcpSettings(install=INSTALL, project="sandbox-project", endpoint=cloud.start()),
            clock=lambda: moment,
            sleep=lambda seconds: None,
            new_id=lambda: f"{next(ids):032x}",
            environ={},
            cache=tmp_path / "cache",
        )

    return at


def test_the_list_is_asked_for_once_a_day(cloud, at, tmp_path):
    (point,) = at(NOW).prices(A100, DAY)
    assert point.usd == Decimal("3.92814")
    assert point.at == datetime(2024, 2, 1, 8, tzinfo=UTC)
    assert point.source == "Google's price list of 2026-11-22"
    first = cloud.requests
    assert first > 2, "the list has several pages"
    provider = at(NOW + timedelta(hours=23))
    assert provider.prices(A100, DAY) == (point,)
    assert provider.prices(T4, DAY)[0].usd == Decimal("0.175")
    assert cloud.requests == first
    assert at(NOW + timedelta(hours=24)).prices(T4, DAY)
    assert cloud.requests == 2 * first
    (file,) = (tmp_path / "cache").iterdir()
    assert stat.S_ISREG(file.stat().st_mode)


@pytest.mark.parametrize("status", [403, 500])
def test_without_the_list_the_bundled_prices_hold_and_the_doctor_says_why(cloud, at, status):
    cloud.fault("skus.list", status=status, reason="forbidden", count=None)
    provider = at(NOW)
    (point,) = provider.prices(T4, DAY)
    assert point.source == f"bundled {bundled().dated}"
    before = cloud.requests
    assert provider.prices(T4, DAY) == (point,)
    assert cloud.requests == before, "asked once a process"
    check = next(check for check in provider.checks(None) if check.name == "prices")
    assert check.ok
    assert f"{status}" in check.why


def test_a_list_that_cannot_be_asked_for_today_is_better_than_none(cloud, at):
    at(NOW).prices(T4, DAY)
    cloud.fault("skus.list", status=500, reason="backendError", count=None)
    (point,) = at(NOW + timedelta(days=3)).prices(A100, DAY)
    assert point.source == "Google's price list of 2026-11-22"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "asked": "x", "prices": []}', "\x00"],
)
def test_a_damaged_file_is_made_again(cloud, at, tmp_path, content):
    file = tmp_path / "cache" / "google-prices.json"
    file.parent.mkdir()
    file.write_text(content)
    (point,) = at(NOW).prices(A100, DAY)
    assert point.usd == Decimal("3.92814")
    assert json.loads(file.read_text())["asked"] == "2026-11-22T09:00:00Z"


def test_what_the_list_lacks_comes_from_the_package(at):
    thing = T4._replace(region="europe-west4", zone="europe-west4-a", market=DEMAND)
    (point,) = at(NOW).prices(thing, DAY)
    assert (point.usd, point.source) == (Decimal("0.3675"), f"bundled {bundled().dated}")
