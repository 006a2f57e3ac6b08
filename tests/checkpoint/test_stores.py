"""Every store keeps the same promises; S3 as the sandbox runs it, Cloud Storage as documented."""

import hashlib
import io
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.s3.models import S3Backend

from gpuctl.agent.checkpoint import web
from gpuctl.agent.checkpoint.gcs import Gcs, Token
from gpuctl.agent.checkpoint.restore import restore
from gpuctl.agent.checkpoint.s3 import S3, Keys, Profile
from gpuctl.agent.checkpoint.web import Answer, Request
from gpuctl.core.checkpoints import found
from gpuctl.core.errors import Denied, NotFound
from gpuctl.providers.aws.bucket import S3Bucket, machine_policy
from gpuctl.providers.aws.client import make_with_boto3
from gpuctl.providers.aws.settings import AwsSettings
from gpuctl.providers.gcp.bucket import connect_bucket
from gpuctl.sandbox.aws.cloud import AwsCloud
from gpuctl.sandbox.metal.imds import Imds
from gpuctl.sandbox.metal.metadata import Facts
from gpuctl.sandbox.metal.web import WebServer
from gpuctl.sandbox.world import Boot, NoMetal, SandboxClock

from .fake_gcs import FakeGcs, serving
from .parts import ROOT, folder_at, is_step, job_saves, saver

KEYS = Keys("sandbox", "sandbox", "", 1e12)


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    cloud = AwsCloud(SandboxClock(), NoMetal())
    endpoint = cloud.start()
    box = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",
    )
    box.create_bucket(Bucket="box")
    yield endpoint
    cloud.stop()


@pytest.fixture
def gcs() -> Iterator[tuple[FakeGcs, str]]:
    fake = FakeGcs()
    with serving(fake) as url:
        yield fake, url


def no_wait(_: float) -> None:
    """Tests do not sleep."""


@pytest.fixture(params=["folder", "s3", "gcs"])
def shelf(request, tmp_path: Path):
    if request.param == "folder":
        return folder_at(tmp_path / "box")
    if request.param == "s3":
        endpoint = request.getfixturevalue("aws")
        shelf = S3("box", "us-east-1", lambda: KEYS, endpoint=endpoint, sleep=no_wait)
        for entry in list(shelf.entries("")):
            shelf.delete(entry.key)
        return shelf
    _, url = request.getfixturevalue("gcs")
    return Gcs("box", lambda: "good", endpoint=url, sleep=no_wait)


@pytest.fixture
def slow_moto(monkeypatch) -> None:
    """Between moto's look and its write there is time for others."""
    look = S3Backend.get_object

    def slowly(*args, **kwargs):
        found_one = look(*args, **kwargs)
        time.sleep(0.02)
        return found_one

    monkeypatch.setattr(S3Backend, "get_object", slowly)


def put(shelf, key: str, data: bytes) -> None:
    shelf.put(key, lambda: io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest())


def test_what_is_put_is_read_and_listed_by_its_prefix(shelf) -> None:
    for number in range(7):
        put(shelf, f"a/b/{number}", b"x" * number)
    put(shelf, "a/c", b"other")
    listed = {entry.key: entry.size for entry in shelf.entries("a/b/")}
    assert listed == {f"a/b/{number}": number for number in range(7)}
    assert b"".join(shelf.read("a/c")) == b"other"
    assert all(entry.modified > 1e9 for entry in shelf.entries("a/"))
    assert list(shelf.entries("nothing/")) == []


def test_what_is_missing_is_no_file_and_may_be_deleted(shelf) -> None:
    with pytest.raises(FileNotFoundError):
        b"".join(shelf.read("a/none"))
    shelf.delete("a/none")
    put(shelf, "a/b", b"1")
    shelf.delete("a/b")
    assert list(shelf.entries("a/")) == []


def test_a_name_is_had_once(shelf) -> None:
    assert shelf.create("n/manifest.json", b"first")
    assert not shelf.create("n/manifest.json", b"second")
    assert b"".join(shelf.read("n/manifest.json")) == b"first"


def test_of_many_at_once_one_alone_has_the_name(shelf, slow_moto) -> None:
    """moto looks first and writes then: the sandbox's front makes one step of it."""
    for round_ in range(4):
        won: list[int] = []
        gate = threading.Barrier(6)

        def race(number: int, round_: int = round_, gate=gate, won=won) -> None:
            gate.wait()
            if shelf.create(f"race/{round_}", b"%d" % number):
                won.append(number)

        threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert b"".join(shelf.read(f"race/{round_}")) == b"%d" % won[0]


def test_a_checkpoint_goes_there_and_comes_back(shelf, tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    mine = saver(shelf, workers=4)
    for step in (1, 2, 3):
        mine.save(job_saves(job, step), renamed=True)
        mine.tidy()
    assert [one.sequence for one in found(shelf, ROOT)] == [3, 2]
    manifest = restore(shelf, ROOT, str(tmp_path / "new"), print)
    assert manifest is not None
    assert is_step(tmp_path / "new/step_3", 3)


# --- S3 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "session+token/=="])
@pytest.mark.parametrize("bucket", ["box", "box.with.dots"])
@pytest.mark.parametrize(
    ("method", "key", "query", "more"),
    [
        ("GET", "", {"list-type": "2", "prefix": "a b/ü/"}, {}),
        ("PUT", "a/0001/x-1/0000-000", {}, {}),
        ("PUT", "a+b/c d/é/manifest.json", {}, {"if-none-match": "*"}),
        ("DELETE", "a/b~c_d.e", {}, {}),
    ],
)
def test_the_signature_is_the_sdks(token, bucket, method, key, query, more, monkeypatch) -> None:
    at = 1_795_342_500.0
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token, 1e12)
    shelf = S3(bucket, "eu-west-1", lambda: keys, now=lambda: at)
    body = b"content" if method == "PUT" else b""
    sha256 = hashlib.sha256(body).hexdigest()
    made = shelf.signed(method, key, query, lambda: io.BytesIO(body), len(body), sha256, more)
    moment = datetime.fromtimestamp(at, UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: moment.replace(tzinfo=None))
    theirs = AWSRequest(method, made.url, headers=more, data=body if method == "PUT" else b"")
    theirs.context["payload_signing_enabled"] = True
    credentials = Credentials(keys.id, keys.secret, token or None)
    S3SigV4Auth(credentials, "s3", "eu-west-1").add_auth(theirs)
    assert made.headers["x-amz-date"] == theirs.headers["X-Amz-Date"]
    ours = dict(re.findall(r"(\w+)=([^,]+)", made.headers["authorization"]))
    assert ours == dict(re.findall(r"(\w+)=([^,]+)", theirs.headers["Authorization"]))


def answers(*scripted):
    """A send that answers by a script, and notes what it was asked."""
    asked: list[Request] = []
    left = list(scripted)

    def send(request: Request) -> Answer:
        asked.append(request)
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        status, headers, body = one
        return Answer(status, headers, iter([body]))

    return send, asked


def scripted(*script):
    send, asked = answers(*script)
    return S3("box", "us-east-1", lambda: KEYS, send=send, sleep=no_wait), asked


def test_passing_trouble_is_tried_again_and_lasting_is_told() -> None:
    shelf, asked = scripted((503, {}, b"slow down"), ConnectionResetError(), (200, {}, b""))
    put(shelf, "a", b"1")
    assert len(asked) == 3
    shelf, asked = scripted((403, {}, b"<Code>AccessDenied</Code>"))
    with pytest.raises(PermissionError, match="AccessDenied"):
        put(shelf, "a", b"1")
    assert len(asked) == 1
    shelf, asked = scripted(*[(500, {}, b"")] * 5)
    with pytest.raises(OSError, match="HTTP 500"):
        put(shelf, "a", b"1")


def test_a_bucket_elsewhere_is_asked_there() -> None:
    shelf, asked = scripted((301, {"x-amz-bucket-region": "eu-west-1"}, b""), (200, {}, b""))
    put(shelf, "a", b"1")
    assert asked[1].url.startswith("https://box.s3.eu-west-1.amazonaws.com/")
    assert shelf.region == "eu-west-1"


def test_a_name_won_by_a_lost_answer_is_known_to_be_ours() -> None:
    shelf, _ = scripted(ConnectionResetError(), (412, {}, b""), (200, {}, b"mine"))
    assert shelf.create("a", b"mine")
    shelf, _ = scripted((412, {}, b""), (200, {}, b"theirs"))
    assert not shelf.create("a", b"mine")
    shelf, asked = scripted((409, {}, b"ConditionalRequestConflict"), (200, {}, b""))
    assert shelf.create("a", b"mine")
    assert asked[0].headers["if-none-match"] == "*"


@pytest.mark.parametrize(
    "page", [b"<html>log in</html>", b"", b"<ListBucketResult></ListBucketResult>", b"{}"]
)
def test_a_page_of_somebody_else_is_no_listing(page) -> None:
    shelf, _ = scripted((200, {}, page))
    with pytest.raises(OSError, match="not S3"):
        list(shelf.entries("a/"))


def facts(profile: str | None) -> Facts:
    boot = Boot(
        id="i-0abc", cloud="aws", name="vision-1", region="us-east-1", zone="us-east-1a",
        type="g6.xlarge", user_data=b"", user="ubuntu", authorized_keys=(), profile=profile,
    )  # fmt: skip
    return Facts(boot, SandboxClock())


def test_keys_are_the_instance_profiles_and_are_fetched_once() -> None:
    web_server = WebServer(Imds(facts("keeper")).answer)
    try:
        now = [0.0]
        profile = Profile(f"http://127.0.0.1:{web_server.port}", lambda: now[0])
        first = profile.keys()
        assert (first.id, first.token) == ("sandbox", "sandbox")
        assert profile.keys() is first
        now[0] = first.until
        assert profile.keys() is not first
        assert profile.region() == "us-east-1"
    finally:
        web_server.close()


def test_without_an_instance_profile_it_is_said_so() -> None:
    web_server = WebServer(Imds(facts(None)).answer)
    try:
        with pytest.raises(PermissionError, match="no instance profile"):
            Profile(f"http://127.0.0.1:{web_server.port}").keys()
    finally:
        web_server.close()


def test_the_machines_policy_is_one_prefix_of_one_bucket() -> None:
    listing, objects = machine_policy("box", "anna/acme")["Statement"]
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["anna/acme/*"]}}
    assert objects["Resource"] == "arn:aws:s3:::box/anna/acme/*"
    assert set(listing["Action"] + objects["Action"]) == {
        *("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
    }


# --- Cloud Storage --------------------------------------------------------------------------


def test_google_finds_damage_on_the_way(gcs) -> None:
    fake, url = gcs
    fake.lie = True
    with pytest.raises(OSError, match="arrived damaged"):
        put(Gcs("box", lambda: "good", endpoint=url), "a", b"1")


def test_googles_lost_answer(gcs) -> None:
    fake, url = gcs
    shelf = Gcs("box", lambda: "good", endpoint=url, sleep=no_wait)
    fake.lost = True
    assert shelf.create("a", b"mine")
    fake.fails = [503, 429]
    assert not shelf.create("a", b"other")


def test_the_token_of_the_service_account(gcs) -> None:
    fake, url = gcs
    now = [0.0]
    token = Token(url, lambda: now[0])
    assert token.token() == "good"
    fake.account = False
    assert token.token() == "good"
    now[0] = 3599.0
    with pytest.raises(PermissionError, match="no service account"):
        token.token()


# --- the laptop's own readers ---------------------------------------------------------------


def test_the_laptop_reads_s3_through_the_sdk(aws: str) -> None:
    machine = S3("box", "us-east-1", lambda: KEYS, endpoint=aws)
    put(machine, "laptop/a", b"content")
    environ = {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
    }
    settings = AwsSettings(account_alias="x", install="f" * 32, regions=("us-east-1",))
    make = make_with_boto3(settings, environ)
    laptop = S3Bucket(make, "box")
    assert [(e.key, e.size) for e in laptop.entries("laptop/")] == [("laptop/a", 7)]
    assert b"".join(laptop.read("laptop/a")) == b"content"
    with pytest.raises(FileNotFoundError):
        b"".join(laptop.read("laptop/none"))
    with pytest.raises(NotFound):
        list(S3Bucket(make, "no-such-bucket").entries(""))


def test_the_laptop_reads_cloud_storage(gcs) -> None:
    fake, url = gcs
    fake.objects = {f"a/{number}": b"x" * number for number in range(5)}
    laptop = connect_bucket("box", {"STORAGE_EMULATOR_HOST": url.removeprefix("http://")})
    assert [(e.key, e.size) for e in laptop.entries("a/")] == [(f"a/{n}", n) for n in range(5)]
    assert b"".join(laptop.read("a/4")) == b"xxxx"
    with pytest.raises(FileNotFoundError):
        b"".join(laptop.read("a/none"))
    fake.fails = [403]
    with pytest.raises(Denied):
        list(laptop.entries("a/"))


def test_a_short_file_and_a_service_that_speaks_no_http() -> None:
    with pytest.raises(OSError, match=r"."):
        web.once(Request("GET", "http://127.0.0.1:9/", {}))
