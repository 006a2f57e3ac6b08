"""Everything that can be made to go wrong, as the real client meets it."""

import time

import pytest
import requests
from google.api_core import exceptions
from google.cloud import compute_v1

T4 = "nvidia-tesla-t4"


def failed(api, **changes):
    """The error of an insert's operation."""
    done = api.after(api.insert(**changes))
    assert done.status == compute_v1.Operation.Status.DONE
    return done, done.error.errors[0]


def test_a_stock_out_comes_in_the_operation(api, cloud):
    cloud.no_capacity(T4, "us-central1-a")
    cloud.no_capacity(T4, "us-central1-b")
    cloud.no_capacity("n1-standard-4", "us-central1-c")
    done, error = failed(api)
    assert error.code == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
    assert (done.http_error_status_code, done.http_error_message) == (503, "SERVICE UNAVAILABLE")
    info = next(d.error_info for d in error.error_details if d.error_info.reason)
    assert info.reason == "resource_availability"
    assert info.metadatas == {
        "attachment": "nvidia-tesla-t4:1",
        "vmType": "n1-standard-4",
        "zone": "us-central1-a",
        "zonesAvailable": "us-central1-f",
    }
    with pytest.raises(exceptions.NotFound):
        api.get()
    assert [d.deleted is None for d in cloud.truth().disks] == [False]


def test_a_stock_out_of_start_leaves_the_vm_terminated(api, cloud):
    api.up()
    api.stop()
    stopped = api.get().last_stop_timestamp
    cloud.no_capacity("n1-standard-4")
    done = api.start()
    assert done.error.errors[0].code == "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
    assert "Alternatively" in done.error.errors[0].error_details[1].localized_message.message
    vm = api.get()
    assert (vm.status, vm.last_stop_timestamp) == ("TERMINATED", stopped)
    cloud.capacity("n1-standard-4")
    assert not api.start().error.errors


def test_capacity_returns_zone_by_zone_and_market_by_market(api, cloud, make):
    cloud.no_capacity(T4)
    cloud.capacity(T4, "us-central1-f")
    failed(api)
    api.up("f", "us-central1-f")
    cloud.capacity(T4)
    cloud.no_capacity(T4, market="spot")
    failed(api, scheduling=make.spot())
    api.up()


def test_quota_comes_in_the_operation(api, cloud):
    cloud.quota("GPUS_ALL_REGIONS", 0)
    done, error = failed(api)
    assert (error.code, done.http_error_status_code) == ("QUOTA_EXCEEDED", 403)
    assert error.message == "Quota 'GPUS_ALL_REGIONS' exceeded. Limit: 0.0 globally."
    info = error.error_details[0].quota_info
    assert (info.limit, info.metric_name) == (0.0, "compute.googleapis.com/gpus_all_regions")


def test_regional_and_preemptible_quota(api, cloud, make):
    cloud.quota("PREEMPTIBLE_NVIDIA_T4_GPUS", 1, "us-central1")
    api.up("a", scheduling=make.spot())
    _, error = failed(api, name="b", scheduling=make.spot())
    assert error.message == (
        "Quota 'PREEMPTIBLE_NVIDIA_T4_GPUS' exceeded. Limit: 1.0 in region us-central1."
    )
    api.up("c")
    api.up("d", "us-east4-a", scheduling=make.spot())


def test_a_stopped_vm_holds_no_gpu(api, cloud):
    cloud.quota("NVIDIA_T4_GPUS", 1)
    api.up("a")
    api.stop("a")
    api.up("b")
    assert api.start("a").error.errors[0].code == "QUOTA_EXCEEDED"


def test_usage_is_listed_beside_the_limit(api):
    api.up()
    region = api.regions.get(project="sandbox-project", region="us-central1")
    quotas = {q.metric: (q.usage, q.limit) for q in region.quotas}
    assert quotas["NVIDIA_T4_GPUS"] == (1, 8)
    assert quotas["CPUS"][0] == 4
    assert quotas["SSD_TOTAL_GB"][0] == 100
    whole = {q.metric: q.usage for q in api.projects.get(project="sandbox-project").quotas}
    assert whole["GPUS_ALL_REGIONS"] == 1


@pytest.mark.parametrize(
    ("fault", "error", "reason"),
    [
        ({"reason": "rateLimitExceeded"}, exceptions.Forbidden, "rateLimitExceeded"),
        ({"status": 429}, exceptions.TooManyRequests, "rateLimitExceeded"),
        ({"reason": "quotaExceeded"}, exceptions.Forbidden, "quotaExceeded"),
        ({"reason": "backendError"}, exceptions.ServiceUnavailable, "backendError"),
        ({"status": 500}, exceptions.InternalServerError, "internalError"),
        ({"reason": "resourceNotReady"}, exceptions.BadRequest, "resourceNotReady"),
        ({"reason": "conditionNotMet"}, exceptions.PreconditionFailed, "conditionNotMet"),
        (
            {"status": 400, "reason": "billingNotEnabled"},
            exceptions.BadRequest,
            "billingNotEnabled",
        ),
    ],
)
def test_http_faults(api, cloud, fault, error, reason):
    cloud.fault("instances.insert", **fault)
    with pytest.raises(error) as refused:
        api.insert()
    assert refused.value.errors[0]["reason"] == reason
    assert cloud.truth().vms == ()
    api.up()


def test_a_fault_counts(api, cloud):
    api.up()
    cloud.fault("instances.*", status=500, count=2)
    for _ in range(2):
        with pytest.raises(exceptions.InternalServerError):
            api.get()
    api.get()
    cloud.fault("instances.get", status=500, count=None)
    for _ in range(3):
        with pytest.raises(exceptions.InternalServerError):
            api.get()
    cloud.clear_faults()
    api.get()


def test_an_operation_fault(api, cloud):
    cloud.fault("instances.insert", op_code="INTERNAL_ERROR")
    done, error = failed(api)
    assert (error.code, done.http_error_status_code) == ("INTERNAL_ERROR", 500)
    assert list(api.instances.list(**api.place())) == []


def test_an_operation_error_without_http_fields(api, cloud):
    api.up()
    cloud.fault("instances.stop", op_code="RESOURCE_OPERATION_RATE_EXCEEDED", status=0)
    done = api.stop()
    assert done.error.errors[0].code == "RESOURCE_OPERATION_RATE_EXCEEDED"
    assert (done.http_error_status_code, done.http_error_message) == (0, "")
    assert api.get().status == "RUNNING"


def test_dropped_before_nothing_was_done(api, cloud):
    cloud.fault("instances.insert", drop="before")
    with pytest.raises(requests.exceptions.ConnectionError):
        api.insert()
    assert cloud.truth().vms == ()


def test_dropped_after_it_was_done(api, cloud):
    cloud.fault("instances.insert", drop="after")
    token = "7f3e0b1c-2d4a-4b6e-9a51-0c8d7e6f5a4b"
    with pytest.raises(requests.exceptions.ConnectionError):
        api.insert(request_id=token)
    assert len(cloud.truth().vms) == 1
    assert not api.after(api.insert(request_id=token)).error.errors
    assert len(cloud.truth().vms) == 1


def test_a_reply_held_back(api, cloud):
    api.up()
    cloud.fault("instances.stop", delay=0.5)
    with pytest.raises(requests.exceptions.ReadTimeout):
        api.instances.stop_unary(**api.place("vm"), timeout=0.1)
    assert api.get().status == "STOPPING"


def test_latency(api, cloud):
    api.up()
    cloud.latency(100)
    before = time.monotonic()
    api.get()
    assert time.monotonic() - before >= 0.1


def test_denied(api, cloud):
    api.up()
    cloud.deny("instances.start")
    with pytest.raises(exceptions.Forbidden) as refused:
        api.instances.start_unary(**api.place("vm"))
    assert refused.value.errors[0]["reason"] == "forbidden"
    assert refused.value.message.endswith(
        "Required 'compute.instances.start' permission for "
        "'projects/sandbox-project/zones/us-central1-a/instances/vm'"
    )
    cloud.allow("instances.start")
    api.start()


def test_listings_lag_behind(api, cloud):
    cloud.lag(2)
    api.up()
    assert [list(api.instances.list(**api.place())) for _ in range(2)] == [[], []]
    assert len(list(api.instances.list(**api.place()))) == 1


def test_a_zone_out_of_reach(api, cloud):
    api.up()
    api.up("b", "us-central1-b")
    cloud.unreachable("us-central1-a")
    pages = list(api.instances.aggregated_list(project="sandbox-project").pages)
    assert list(pages[0].unreachables) == ["projects/sandbox-project/zones/us-central1-a"]
    scopes = pages[0].items
    assert scopes["zones/us-central1-a"].warning.code == "UNREACHABLE"
    assert list(scopes["zones/us-central1-a"].instances) == []
    assert len(scopes["zones/us-central1-b"].instances) == 1
    cloud.reachable("us-central1-a")
    pages = list(api.instances.aggregated_list(project="sandbox-project").pages)
    assert list(pages[0].unreachables) == []


def test_knobs_by_name(api, cloud, make):
    cloud.control("no_capacity", type=T4, zone="us-central1-a")
    failed(api)
    cloud.control("capacity", type=T4)
    cloud.control("pace", factor=0)
    api.up(scheduling=make.spot())
    cloud.control("preempt", name="vm")
    assert api.get().status == "TERMINATED"
    cloud.control("reset")
    assert list(api.instances.list(**api.place())) == []


@pytest.mark.parametrize(
    ("knob", "arguments"),
    [
        ("explode", {}),
        ("preempt", {"vm": "x"}),
        ("preempt", {"name": "nobody"}),
        ("fault", {"method": "instances.fly"}),
        ("fault", {"method": "instances.get", "drop": "during"}),
        ("deny", {"method": "instances.fly"}),
        ("no_capacity", {"type": "p3.2xlarge"}),
        ("no_capacity", {"type": T4, "zone": "mars"}),
        ("quota", {"metric": "LUCK", "limit": 1}),
        ("unreachable", {"zone": "mars"}),
    ],
)
def test_a_knob_turned_wrongly(cloud, knob, arguments):
    with pytest.raises(ValueError, match=r"no |arguments|argument|drop|knob"):
        cloud.control(knob, **arguments)


def test_reset_clears_the_machines_and_calls_off_plans(api, cloud, metal, clock):
    vm = api.up()
    api.instances.stop_unary(**api.place("vm"))
    cloud.reset()
    assert ("destroy", str(vm.id)) in metal.calls
    metal.calls.clear()
    api.up("fresh")
    assert api.get("fresh").status == "RUNNING"
    assert ("power_off", str(vm.id)) not in metal.calls


def test_stopped_it_answers_no_more(api, cloud):
    api.up()
    cloud.stop()
    cloud.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        api.get()
