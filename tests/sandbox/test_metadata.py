"""The metadata services that a machine of the sandbox sees, asked by urllib and from inside."""

import json
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.sandbox.world import Notice

AT = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"
GOOGLE = {"Metadata-Flavor": "Google"}


def base(room) -> str:
    name = {"aws": "AWS_EC2_METADATA_SERVICE_ENDPOINT", "gcp": "GCE_METADATA_HOST"}
    cloud = room.metal.running()[0].cloud
    value = room.sh(f'printf %s "${name[cloud]}"').stdout.decode()
    return value if cloud == "aws" else f"http://{value}"


def ask(url: str, headers=None, method: str = "GET", data: bytes | None = None):
    request = urllib.request.Request(url, headers=headers or {}, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode(), reply.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


@pytest.fixture
def imds(room):
    room.boot(tags={"gpuctl:project": "acme/vision"}, market="spot")
    root = base(room)
    _, token, _ = ask(f"{root}/latest/api/token", {TTL: "60"}, "PUT")

    def get(path: str, **headers):
        return ask(f"{root}/latest/{path}", {TOKEN: token, **headers})

    get.root = root
    return get


def test_imds_answers_with_a_token_only(imds):
    assert ask(f"{imds.root}/latest/meta-data/instance-id")[0] == 401
    assert imds("meta-data/instance-id")[:2] == (200, "i-0abc")
    assert imds("meta-data/instance-id", **{TOKEN: "made-up"})[0] == 401


def test_imds_gives_no_token_to_a_forwarded_request_or_for_a_bad_ttl(imds):
    url = f"{imds.root}/latest/api/token"
    assert ask(url, {TTL: "60", "X-Forwarded-For": "10.0.0.1"}, "PUT")[0] == 403
    assert ask(url, {TTL: "0"}, "PUT")[0] == 400
    assert ask(url, {TTL: "21601"}, "PUT")[0] == 400
    assert ask(url, {}, "PUT")[0] == 400


def test_an_imds_token_expires_on_the_sandboxs_clock(room, imds):
    room.clock.advance(timedelta(seconds=61))
    assert imds("meta-data/instance-id")[0] == 401


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("meta-data/placement/availability-zone", "us-east-1a"),
        ("meta-data/placement/region", "us-east-1"),
        ("meta-data/instance-type", "p3.2xlarge"),
        ("meta-data/instance-life-cycle", "spot"),
        ("meta-data/tags/instance", "gpuctl:project"),
        ("meta-data/tags/instance/gpuctl:project", "acme/vision"),
        ("meta-data/placement/", "availability-zone\nregion"),
    ],
)
def test_imds_tells_the_facts(imds, path, value):
    assert imds(path)[:2] == (200, value)


def test_a_spot_notice_keeps_its_time_and_can_be_taken_back(room, imds):
    assert imds("meta-data/spot/instance-action")[0] == 404
    room.metal.notify("i-0abc", Notice(kind="spot", at=AT))
    told = json.loads(imds("meta-data/spot/instance-action")[1])
    assert told == {"action": "terminate", "time": "2026-11-22T10:15:00Z"}
    assert imds("meta-data/spot/termination-time")[1] == "2026-11-22T10:15:00Z"
    assert imds("meta-data/events/recommendations/rebalance")[0] == 404
    room.metal.notify("i-0abc", None)
    assert imds("meta-data/spot/instance-action")[0] == 404


def test_a_rebalance_recommendation_stands_beside_a_spot_notice(room, imds):
    room.metal.notify("i-0abc", Notice(kind="rebalance", at=AT))
    room.metal.notify("i-0abc", Notice(kind="spot", at=AT))
    told = json.loads(imds("meta-data/events/recommendations/rebalance")[1])
    assert told == {"noticeTime": "2026-11-22T10:15:00Z"}
    assert imds("meta-data/spot/instance-action")[0] == 200


def test_changed_tags_are_seen_at_once(room, imds):
    room.metal.set_tags("i-0abc", {"gpuctl:project": "borealis/nlp"})
    assert imds("meta-data/tags/instance/gpuctl:project")[1] == "borealis/nlp"


def test_curl_in_a_machine_finds_the_link_local_address(room):
    room.boot()
    put = f'curl -s -X PUT http://169.254.169.254/latest/api/token -H "{TTL}: 60"'
    told = room.sh(
        f'T=$({put}); curl -s -H "{TOKEN}: $T" http://169.254.169.254/latest/meta-data/instance-id'
    )
    if b"not found" in told.stderr:
        pytest.skip("curl is not installed")
    assert told.stdout == b"i-0abc"


# --- Google


@pytest.fixture
def gce(room):
    room.boot(cloud="gcp", tags={"gpuctl-lease": "l1"}, zone="us-central1-a", market="spot")
    root = base(room)

    def get(path: str, headers=GOOGLE, **kwargs):
        return ask(f"{root}/computeMetadata/v1/{path}", headers, **kwargs)

    return get


def test_google_wants_its_header(gce):
    assert gce("instance/name", headers={})[0] == 403
    status, body, headers = gce("instance/name")
    assert (status, body, headers["Metadata-Flavor"]) == (200, "vision-1", "Google")
    assert gce("instance/name", headers={**GOOGLE, "X-Forwarded-For": "10.0.0.1"})[0] == 403


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("instance/attributes/gpuctl-lease", "l1"),
        ("instance/attributes/", "gpuctl-lease\n"),
        ("instance/zone", "projects/123456789012/zones/us-central1-a"),
        ("instance/maintenance-event", "NONE"),
        ("instance/scheduling/preemptible", "TRUE"),
        ("project/project-id", "sandbox-project"),
    ],
)
def test_google_tells_the_facts(gce, path, value):
    assert gce(path)[:2] == (200, value)


def test_google_does_not_know_the_rest(gce):
    assert gce("instance/nothing")[0] == 404
    assert gce("instance/name/deeper")[0] == 404


def test_google_tells_all_at_once_in_json(gce):
    told = json.loads(gce("instance/?recursive=true")[1])
    assert told["machineType"].endswith("/p3.2xlarge")
    assert told["attributes"] == {"gpuctl-lease": "l1"}


def test_waiting_for_a_change_returns_when_the_vm_is_preempted(room, gce):
    status, body, headers = gce("instance/preempted")
    assert (status, body) == (200, "FALSE")
    query = f"instance/preempted?wait_for_change=true&last_etag={headers['ETag']}&timeout_sec=10"
    teller = threading.Timer(
        0.3, room.metal.notify, args=("i-0abc", Notice(kind="preempted", at=AT))
    )
    teller.start()
    started = time.monotonic()
    assert gce(query)[1] == "TRUE"
    assert 0.2 < time.monotonic() - started < 5
    teller.join()


def test_waiting_ends_at_its_limit_and_not_for_other_changes(room, gce):
    query = "instance/preempted?wait_for_change=true&timeout_sec=1"
    room.metal.set_tags("i-0abc", {"other": "x"})
    started = time.monotonic()
    assert gce(query)[1] == "FALSE"
    assert time.monotonic() - started >= 1


def test_a_guest_attribute_can_be_left_there(gce):
    assert gce("instance/guest-attributes/gpuctl/armed", method="PUT", data=b"yes")[0] == 200
    assert gce("instance/guest-attributes/gpuctl/armed")[1] == "yes"
