"""Beside what Google really answered: the same shapes, the same words."""

import json
import re
import urllib.request
from pathlib import Path

import pytest
from google.api_core import exceptions

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "recorded" / "gcp"

pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason="recorded answers are not here (../shared/data/recorded/gcp)"
)


def recorded(name: str):
    return json.loads((RECORDED / name).read_text())


def quoted(code: str, part: str):
    return next(
        e
        for e in recorded("quoted_launch_errors.json")
        if e.get("code") == code and part in json.dumps(e)
    )


def fetch(api, path: str):
    url = f"{api.url}/compute/v1/projects/sandbox-project/{path}"
    with urllib.request.urlopen(url, timeout=5) as reply:
        return json.load(reply)


def instances(listing):
    return [vm for scope in listing["items"].values() for vm in scope.get("instances", [])]


def types(value, name=""):
    """Every path with the JSON type found there; lists by their first element."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from types(part, f"{name}.{key}")
    elif isinstance(value, list):
        for part in value[:1]:
            yield from types(part, f"{name}[]")
    else:
        yield name, type(value).__name__


def test_an_instance_has_the_recorded_shape(api, make):
    """What both have has the same type; what every recorded one has, ours has."""
    api.up(scheduling=make.spot(), labels={"a": "b"}, tags={"items": ["web"]})
    (ours,) = instances(fetch(api, "aggregated/instances"))
    real = instances(recorded("gcpdiag_gke1__compute-instances-aggregated.json"))
    mine = dict(types(ours))
    for vm in real:
        theirs = dict(types(vm))
        assert {p: t for p, t in mine.items() if p in theirs and theirs[p] != t} == {}
    everywhere = set.intersection(*(set(vm) for vm in real))
    gap = {"serviceAccounts", "shieldedInstanceConfig", "shieldedInstanceIntegrityPolicy"}
    assert everywhere - set(ours) <= gap | {"satisfiesPzi"}


def test_times_look_as_recorded(api):
    api.up()
    (ours,) = instances(fetch(api, "aggregated/instances"))
    real = instances(recorded("gcpdiag_gke1__compute-instances-aggregated.json"))
    pattern = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}-0[78]:00\Z")
    for vm in (ours, *real):
        assert pattern.match(vm["lastStartTimestamp"])


def test_an_empty_zone_warns_as_recorded(api):
    api.up()
    ours = fetch(api, "aggregated/instances")["items"]["zones/us-east4-a"]
    listing = recorded("gcpdiag_gke1__compute-instances-aggregated.json")["items"]
    real = listing["zones/us-central1-a"]
    assert dict(types(ours)) == dict(types(real))
    assert ours["warning"]["code"] == real["warning"]["code"]


def test_regions_list_quotas_as_recorded(api):
    ours = fetch(api, "regions")
    real = recorded("gcpdiag_gke1__compute-regions.json")
    metrics = {q["metric"] for region in real["items"] for q in region["quotas"]}
    mine = {q["metric"] for region in ours["items"] for q in region["quotas"]}
    assert mine - metrics <= {"NVIDIA_L4_GPUS", "PREEMPTIBLE_NVIDIA_L4_GPUS"}
    assert set(ours["items"][0]) <= set(real["items"][0])


def test_a_stock_out_is_worded_as_recorded(api, cloud):
    real = quoted("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "zonesAvailable")
    cloud.no_capacity("nvidia-tesla-t4", "us-central1-b")
    cloud.no_capacity("nvidia-tesla-t4", "us-central1-c")
    op = api.after(api.insert(zone="us-central1-b"))
    path = f"zones/us-central1-b/operations/{op.name}"
    (error,) = fetch(api, path)["error"]["errors"]
    assert error["code"] == real["code"]
    assert error["errorDetails"] == real["errorDetails"]
    head = real["message"].partition("/zones/")[0].rpartition("/")[0]
    assert error["message"].startswith(head)


def test_a_quota_is_worded_as_recorded(api, cloud):
    real = quoted("QUOTA_EXCEEDED", "GPUS_ALL_REGIONS")
    cloud.quota("GPUS_ALL_REGIONS", 0)
    assert api.after(api.insert()).error.errors[0].message == real["message"]
    http = quoted("QUOTA_EXCEEDED", "CPUS_ALL_REGIONS")
    cloud.quota("CPUS_ALL_REGIONS", 0)
    op = api.after(api.insert())
    assert op.http_error_status_code == http["httpErrorStatusCode"]
    assert op.http_error_message == http["httpErrorMessage"]


def test_a_gpu_not_offered_is_worded_as_recorded(api):
    real = next(e for e in recorded("quoted_launch_errors.json") if e.get("http_status") == 404)
    with pytest.raises(exceptions.NotFound) as refused:
        api.insert(zone="us-east4-a", gpu=("nvidia-tesla-v100", 1))
    assert refused.value.errors[0]["reason"] == real["reason"]
    tail = re.sub(r"projects/[^/]+/zones/[^/]+/", "", real["message"])
    ours = re.sub(r"projects/[^/]+/zones/[^/]+/", "", refused.value.errors[0]["message"])
    assert ours == tail


def test_live_migration_is_worded_as_recorded(api, make):
    real = next(e for e in recorded("quoted_launch_errors.json") if e.get("http_status") == 400)
    with pytest.raises(exceptions.BadRequest) as refused:
        api.insert(scheduling={"on_host_maintenance": "MIGRATE"})
    assert refused.value.errors[0]["message"] == real["message"]
    assert refused.value.errors[0]["reason"] == real["reason"]
