"""Lists: filters, pages, every scope in the aggregated form, operations."""

import threading
from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1

PROJECT = "sandbox-project"


@pytest.fixture
def three(api, cloud):
    """Two VMs in one zone and one in another, the first stopped."""
    cloud.pace(0)
    for name, zone, labels in (
        ("vision-1", "us-central1-a", {"gpuctl-managed": "true", "client": "acme"}),
        ("vision-2", "us-central1-a", {"gpuctl-managed": "true", "client": "borealis"}),
        ("other", "europe-west4-b", {}),
    ):
        api.up(name, zone, labels=labels, gpu=None)
    api.stop("vision-1")
    return api


def names(api, expression: str) -> set[str]:
    request = compute_v1.AggregatedListInstancesRequest(project=PROJECT, filter=expression)
    scopes = api.instances.aggregated_list(request=request)
    return {vm.name for _, scope in scopes for vm in scope.instances}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("labels.gpuctl-managed=true", {"vision-1", "vision-2"}),
        ("labels.gpuctl-managed:*", {"vision-1", "vision-2"}),
        ('labels.client="acme"', {"vision-1"}),
        ("labels.client!=acme", {"vision-2", "other"}),
        ("status=RUNNING", {"vision-2", "other"}),
        ("name=vision-1", {"vision-1"}),
        ("name:vision*", {"vision-1", "vision-2"}),
        ("name eq vision-.*", {"vision-1", "vision-2"}),
        ("name ne vision-.*", {"other"}),
        ("(status=RUNNING) (labels.client:*)", {"vision-2"}),
        ("status=RUNNING AND labels.client:*", {"vision-2"}),
        ("name=other OR labels.client=acme", {"other", "vision-1"}),
        ("NOT status=RUNNING", {"vision-1"}),
        ("labels.gpuctl-managed=true AND (status=STOPPING OR status=TERMINATED)", {"vision-1"}),
        ("scheduling.automaticRestart=true", {"vision-1", "vision-2", "other"}),
        ("", {"vision-1", "vision-2", "other"}),
    ],
)
def test_filters(three, expression, expected):
    assert names(three, expression) == expected


@pytest.mark.parametrize("expression", ["name=", "=x", "colour=red", "(name=x", "name=x)", "name"])
def test_bad_filters(api, expression):
    with pytest.raises(exceptions.BadRequest, match="filter"):
        names(api, expression)


def test_every_zone_is_there_and_says_when_it_is_empty(three):
    scopes = dict(three.instances.aggregated_list(project=PROJECT))
    assert len(scopes) == 13
    assert len(scopes["zones/us-central1-a"].instances) == 2
    empty = scopes["zones/us-east4-a"]
    assert empty.warning.code == "NO_RESULTS_ON_PAGE"
    assert empty.warning.data[0].value == "zones/us-east4-a"


def test_pages(three):
    request = compute_v1.AggregatedListInstancesRequest(project=PROJECT, max_results=1)
    pages = list(three.instances.aggregated_list(request=request).pages)
    assert len(pages) == 3
    assert all(len(page.items) == 13 for page in pages)
    zonal = compute_v1.ListInstancesRequest(project=PROJECT, zone="us-central1-a", max_results=1)
    assert [vm.name for vm in three.instances.list(request=zonal)] == ["vision-1", "vision-2"]


def test_bad_pages(api):
    for changes in ({"page_token": "mine"}, {"max_results": 501}, {"order_by": "size"}):
        with pytest.raises(exceptions.BadRequest):
            api.instances.list(request=compute_v1.ListInstancesRequest(**api.place(), **changes))


def test_newest_first(three):
    request = compute_v1.ListInstancesRequest(**three.place(), order_by="creationTimestamp desc")
    assert [vm.name for vm in three.instances.list(request=request)] == ["vision-2", "vision-1"]


def test_wait_blocks_until_done(api, clock):
    op = api.insert()
    stop = threading.Event()
    runner = threading.Thread(target=clock.run_forever, args=(stop,))
    runner.start()
    try:
        done = api.zone_operations.wait(**api.place(), operation=op.name)
    finally:
        stop.set()
        clock.call_in(0, lambda: None)
        runner.join()
    assert done.status == compute_v1.Operation.Status.DONE


def test_wait_needs_no_thread_of_the_clock(api, cloud):
    cloud.pace(0.1)
    op = api.insert()
    assert api.zone_operations.wait(**api.place(), operation=op.name).progress == 100


def test_others_are_served_while_one_waits(api, cloud):
    op = api.insert()
    waiting = threading.Thread(
        target=lambda: api.zone_operations.wait(**api.place(), operation=op.name)
    )
    waiting.start()
    for _ in range(20):
        api.get()
    api.clock.advance(timedelta(seconds=5))
    waiting.join(5)
    assert not waiting.is_alive()


def test_operations_of_every_scope(api, cloud):
    cloud.pace(0)
    api.up()
    address = compute_v1.Address(name="fixed")
    regional = api.addresses.insert_unary(
        project=PROJECT, region="us-central1", address_resource=address
    )
    rule = compute_v1.Firewall(
        name="ssh",
        allowed=[compute_v1.Allowed(I_p_protocol="tcp", ports=["22"])],
        source_ranges=["203.0.113.7/32"],
    )
    world = api.firewalls.insert_unary(project=PROJECT, firewall_resource=rule)
    place = {"project": PROJECT, "region": "us-central1"}
    assert api.region_operations.wait(**place, operation=regional.name).progress == 100
    assert api.global_operations.wait(project=PROJECT, operation=world.name).progress == 100
    assert [op.name for op in api.region_operations.list(**place)] == [regional.name]
    assert [op.name for op in api.global_operations.list(project=PROJECT)] == [world.name]
    found = dict(api.global_operations.aggregated_list(project=PROJECT))
    assert {s for s, scoped in found.items() if scoped.operations} == {
        "zones/us-central1-a",
        "regions/us-central1",
        "global",
    }
    api.region_operations.delete(**place, operation=regional.name)
    api.global_operations.delete(project=PROJECT, operation=world.name)
    (zonal,) = api.zone_operations.list(**api.place())
    api.zone_operations.delete(**api.place(), operation=zonal.name)
    with pytest.raises(exceptions.NotFound):
        api.zone_operations.get(**api.place(), operation=zonal.name)
