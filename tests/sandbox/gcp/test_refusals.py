"""Strict about requests: what Google refuses is refused, in Google's words."""

import json
import urllib.error
import urllib.request

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1
from google.protobuf import json_format

GOOD_ID = "7f3e0b1c-2d4a-4b6e-9a51-0c8d7e6f5a4b"


def post(api, body: object, query: str = "", path: str = "zones/us-central1-a/instances"):
    url = f"{api.url}/compute/v1/projects/sandbox-project/{path}{query}"
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    with refused.value as reply:
        return reply.code, json.load(reply)["error"]


def raw(make, **changes) -> dict:
    return json_format.MessageToDict(compute_v1.Instance.pb(make.vm())) | changes


def test_unknown_fields(api, make):
    code, error = post(api, raw(make, colour="red"))
    assert code == error["code"] == 400
    assert 'Unknown name "colour"' in error["message"]
    assert error["errors"][0]["reason"] == "badRequest"
    assert error["status"] == "INVALID_ARGUMENT"


def test_unknown_fields_deep_down(api, make):
    _, error = post(api, raw(make, scheduling={"spot": True}))
    assert 'Unknown name "spot"' in error["message"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": 5},
        {"labels": ["a"]},
        {"deletionProtection": "maybe"},
        {"disks": {"boot": True}},
        {"guestAccelerators": [{"acceleratorCount": "many"}]},
    ],
)
def test_wrong_types(api, make, change):
    code, _ = post(api, raw(make, **change))
    assert code == 400


def test_no_body_and_no_json(api):
    assert post(api, None)[0] == 400
    assert post(api, [])[0] == 400


def test_unknown_parameters(api, make):
    code, error = post(api, raw(make), "?dryRun=true")
    assert code == 400
    assert "dryRun" in error["message"]


def test_a_body_where_none_belongs(api):
    api.up()
    code, _ = post(api, {"x": 1}, path="zones/us-central1-a/instances/vm/start")
    assert code == 400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Vision_1"}, "Must be a match of regex"),
        ({"name": "a" * 64}, "Must be a match of regex"),
        ({"name": ""}, "resource.name"),
        ({"machine_type": ""}, "resource.machineType"),
        ({"machine_type": "n1-standard-4"}, "malformed"),
        ({"machine_type": "zones/us-central1-b/machineTypes/n1-standard-4"}, "zone"),
        ({"type": "p3.2xlarge"}, "does not exist in zone"),
        ({"labels": {"Client": "a"}}, "Label key"),
        ({"labels": {"client": "Acme"}}, "Label value"),
        ({"labels": {"client": "a" * 64}}, "Label value"),
        ({"labels": {f"k{n}": "" for n in range(65)}}, "64"),
        ({"disks": []}, "disk"),
        ({"network_interfaces": []}, "network interface"),
        ({"scheduling": compute_v1.Scheduling(provisioning_model="SPOTTY")}, "ProvisioningModel"),
        ({"gpu": ("nvidia-tesla-t4", 3)}, "not compatible"),
        ({"gpu": ("nvidia-tesla-v100", 1), "type": "n1-standard-16"}, "not compatible"),
        ({"gpu": ("nvidia-l4", 1)}, "not compatible"),
        ({"tags": compute_v1.Tags(items=["Web"])}, "regex"),
        (
            {"metadata": compute_v1.Metadata(items=[compute_v1.Items(key="a b", value="")])},
            "regex",
        ),
        (
            {"metadata": compute_v1.Metadata(items=[compute_v1.Items(key="a", value="1")] * 2)},
            "duplicate",
        ),
        (
            {"metadata": compute_v1.Metadata(items=[{"key": "a", "value": "x" * 262_145}])},
            "too large",
        ),
    ],
)
def test_what_an_instance_cannot_be(api, changes, words):
    with pytest.raises(exceptions.BadRequest, match=words):
        api.insert(**{"name": "vm"} | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpu": ("nvidia-tesla-k80", 1)}, "acceleratorTypes/nvidia-tesla-k80"),
        ({"network_interfaces": [compute_v1.NetworkInterface(network="global/networks/x")]}, "/x'"),
    ],
)
def test_what_an_instance_cannot_have(api, changes, words):
    with pytest.raises(exceptions.NotFound, match=words):
        api.insert(**changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"disk_size_gb": 20}, exceptions.BadRequest),
        ({"disk_size_gb": 70_000}, exceptions.BadRequest),
        ({"disk_type": "pd-ssd"}, exceptions.BadRequest),
        ({"disk_type": "zones/us-central1-a/diskTypes/floppy"}, exceptions.NotFound),
        ({"source_image": "global/images/mine"}, exceptions.NotFound),
        (
            {"source_image": "projects/ubuntu-os-cloud/global/images/family/dos"},
            exceptions.NotFound,
        ),
        ({"source_image": None}, exceptions.BadRequest),
    ],
)
def test_what_a_boot_disk_cannot_be(api, make, changes, error):
    with pytest.raises(error):
        api.insert(disks=[make.boot_disk(**changes)])


def test_unknown_zones_and_projects(api):
    with pytest.raises(exceptions.BadRequest, match="Unknown zone"):
        api.instances.get(**api.place("vm", "us-central1-z"))
    with pytest.raises(exceptions.NotFound):
        api.instances.get(project="other", zone="us-central1-a", instance="vm")


def test_what_is_not_emulated_says_so(api, cloud):
    with pytest.raises(exceptions.NotFound):
        api.instances.suspend_unary(**api.place("vm"))
    assert "not emulated: POST" in cloud.violations[0]


@pytest.mark.parametrize("bad", ["00000000-0000-0000-0000-000000000000", "once", "7f3e"])
def test_request_ids_are_uuids(api, bad):
    with pytest.raises(exceptions.BadRequest, match="requestId"):
        api.insert(request_id=bad)


def test_the_same_request_is_done_once(api, cloud):
    first = api.insert(request_id=GOOD_ID)
    assert api.insert(request_id=GOOD_ID).name == first.name
    api.after(first)
    again = api.insert(request_id=GOOD_ID)
    assert again.name == first.name
    assert again.status == compute_v1.Operation.Status.DONE
    assert len(cloud.truth().vms) == 1


def test_a_request_id_is_for_one_request(api):
    api.insert(request_id=GOOD_ID)
    with pytest.raises(exceptions.BadRequest, match="another request"):
        api.insert("other", request_id=GOOD_ID)
