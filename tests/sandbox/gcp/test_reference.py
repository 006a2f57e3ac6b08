"""What can be had and where, as the real client reads it; the routes beside the library's own."""

import inspect
import re

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1
from google.cloud.compute_v1 import services

from gpuctl.sandbox.gcp.routes import ROUTES

PROJECT = "sandbox-project"


def test_zones_and_regions(api):
    zones = {zone.name for zone in api.zones.list(project=PROJECT)}
    assert zones >= {
        *(f"us-central1-{letter}" for letter in "abcf"),
        "us-east4-a",
        "us-west1-b",
        "europe-west4-a",
        "europe-west4-b",
    }
    zone = api.zones.get(project=PROJECT, zone="us-west1-b")
    assert (zone.status, zone.region.rpartition("/")[2]) == ("UP", "us-west1")
    regions = {region.name: region for region in api.regions.list(project=PROJECT)}
    assert len(regions["us-central1"].zones) == 4
    with pytest.raises(exceptions.BadRequest):
        api.regions.get(project=PROJECT, region="moon-1")


def test_machine_types(api):
    kind = api.machine_types.get(**api.place(), machine_type="n1-standard-4")
    assert (kind.guest_cpus, kind.memory_mb, list(kind.accelerators)) == (4, 15_360, [])
    a2 = api.machine_types.get(**api.place(), machine_type="a2-highgpu-1g")
    assert a2.accelerators[0].guest_accelerator_type == "nvidia-tesla-a100"
    listed = {m.name for m in api.machine_types.list(**api.place())}
    assert {"n1-standard-4", "n1-standard-8", "g2-standard-4", "a2-highgpu-1g"} <= listed
    with pytest.raises(exceptions.NotFound):
        api.machine_types.get(**api.place(zone="us-central1-f"), machine_type="g2-standard-4")
    request = compute_v1.AggregatedListMachineTypesRequest(
        project=PROJECT, filter="name=g2-standard-4"
    )
    scopes = dict(api.machine_types.aggregated_list(request=request))
    assert scopes["zones/us-central1-a"].machine_types[0].memory_mb == 16_384
    assert not scopes["zones/us-central1-f"].machine_types


def test_accelerator_types(api):
    v100 = api.accelerator_types.get(**api.place(), accelerator_type="nvidia-tesla-v100")
    assert v100.maximum_cards_per_instance == 8
    assert {a.name for a in api.accelerator_types.list(**api.place(zone="us-east4-b"))} == {
        "nvidia-tesla-t4"
    }
    with pytest.raises(exceptions.NotFound) as gone:
        api.accelerator_types.get(
            **api.place(zone="us-east4-a"), accelerator_type="nvidia-tesla-v100"
        )
    assert "zones/us-east4-a/acceleratorTypes/nvidia-tesla-v100' was not found" in str(gone.value)
    scopes = dict(api.accelerator_types.aggregated_list(project=PROJECT))
    assert len(scopes["zones/us-central1-a"].accelerator_types) == 4


def test_disk_types(api):
    found = {kind.name for kind in api.disk_types.list(**api.place())}
    assert found == {"pd-standard", "pd-balanced", "pd-ssd"}
    kind = api.disk_types.get(**api.place(), disk_type="pd-ssd")
    assert kind.valid_disk_size == "10GB-65536GB"


def test_images(api):
    family = "common-cu129-ubuntu-2204-nvidia-580"
    image = api.images.get_from_family(project="deeplearning-platform-release", family=family)
    assert (image.name, image.disk_size_gb) == (f"{family}-v20260818", 50)
    assert api.images.get(project="deeplearning-platform-release", image=image.name) == image
    assert [i.family for i in api.images.list(project="ubuntu-os-cloud")] == [
        "ubuntu-2204-lts",
        "ubuntu-2404-lts-amd64",
    ]
    assert list(api.images.list(project=PROJECT)) == []
    with pytest.raises(exceptions.NotFound):
        api.images.get_from_family(project="ubuntu-os-cloud", family="dos")


def _library_routes() -> set[tuple[str, str, str]]:
    """(client, verb, path) of every call that the installed client library can make."""
    found = set()
    for name in {route.method.partition(".")[0] for route in ROUTES}:
        module = re.sub(r"(?<=[a-z])([A-Z])", lambda m: "_" + m.group(1).lower(), name)
        package = __import__(
            f"{services.__name__}.{module}.transports.rest_base", fromlist=["rest_base"]
        )
        source = inspect.getsource(package)
        for verb, path in re.findall(r'"method": "(\w+)",\s*"uri": "([^"]+)"', source):
            found.add((name, verb.upper(), path))
    return found


def test_every_route_is_one_of_the_librarys():
    ours = {(r.method.partition(".")[0], r.verb, r.template) for r in ROUTES}
    assert ours <= _library_routes()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.method)
def test_every_route_has_its_request_type(route):
    assert hasattr(compute_v1, route.message)
