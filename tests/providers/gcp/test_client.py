"""Where requests go, with which credentials, how often; and what is imported for them."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.auth import exceptions
from google.auth.credentials import AnonymousCredentials

from gpuctl.core.errors import Busy, Denied, ListingIncomplete, UsageProblem
from gpuctl.providers.gcp import GcpProvider, GcpSettings, connect, light
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import credentials, loopback
from gpuctl.providers.gcp.role import NEEDS, PERMISSIONS
from gpuctl.sandbox.gcp import GcpCloud

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:1", "http://localhost:1/", "http://[::1]:80", "https://127.0.0.9"],
)
def test_only_this_machine_gets_anonymous_credentials(endpoint: str) -> None:
    assert loopback(endpoint)
    assert isinstance(credentials(endpoint)[0], AnonymousCredentials)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://compute.example.com",
        "http://127.0.0.1.example.com",
        "http://10.0.0.1:80",
        "http://localhost@example.com",
        "ftp://127.0.0.1",
        "http://",
        "http:///",
    ],
)
def test_nothing_is_sent_in_the_clear_to_others(endpoint: str) -> None:
    with pytest.raises(UsageProblem, match="GPUCTL_GCP_ENDPOINT"):
        credentials(endpoint)


def test_another_https_address_gets_real_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not loopback("https://compute-private.p.googleapis.com")
    monkeypatch.setattr("google.auth.default", lambda scopes: ("real", "own-project"))
    assert credentials("https://compute-private.p.googleapis.com") == ("real", "own-project")


def test_no_credentials_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(scopes: object) -> None:
        raise exceptions.DefaultCredentialsError("not found")

    monkeypatch.setattr("google.auth.default", none)
    with pytest.raises(Denied) as caught:
        credentials(None)
    assert caught.value.hint == "gcloud auth application-default login"
    assert caught.value.exit_code == 4


def test_a_project_must_be_named() -> None:
    with pytest.raises(UsageProblem, match="project"):
        plugged({"GPUCTL_GCP_ENDPOINT": "http://127.0.0.1:1"})


def test_the_environment_names_project_and_endpoint() -> None:
    environ = {"GPUCTL_GCP_ENDPOINT": "http://127.0.0.1:1", "GOOGLE_CLOUD_PROJECT": "mine"}
    assert plugged(environ).account == "mine"


def plugged(environ: dict[str, str]) -> GcpProvider:
    return connect(GcpSettings(install="i"), clock=None, sleep=None, new_id=None, environ=environ)


def test_a_proxy_is_not_asked_for_this_machine(
    provider: GcpProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://192.0.2.1:3128")
    assert list(provider.machines()) == []


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 500}, {"status": 429}, {"drop": "before"}]
)
def test_reads_are_tried_again(provider: GcpProvider, cloud: GcpCloud, fault: dict) -> None:
    cloud.fault("instances.aggregatedList", count=2, **fault)
    before = cloud.requests
    assert list(provider.machines()) == []
    assert cloud.requests - before == 3


def test_reads_are_not_tried_for_ever(
    provider: GcpProvider, cloud: GcpCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuctl.providers.gcp.client.READ_LIMIT", 0.5)
    cloud.fault("instances.aggregatedList", status=503, count=None)
    with pytest.raises(Busy):
        provider.machines()
    assert cloud.requests < 10


def test_what_is_denied_is_asked_once(provider: GcpProvider, cloud: GcpCloud) -> None:
    cloud.deny("instances.aggregatedList")
    with pytest.raises(Denied) as caught:
        provider.machines()
    assert "compute.instances.list" in caught.value.message
    assert cloud.requests == 1


def test_a_warning_anywhere_is_no_evidence(provider: GcpProvider, cloud: GcpCloud) -> None:
    cloud.unreachable("europe-west4-b")
    for ask in (provider.machines, provider.leftovers):
        with pytest.raises(ListingIncomplete) as caught:
            ask()
        assert caught.value.provider == "gcp"
        assert caught.value.region == "europe-west4"


def test_every_call_exists_in_the_library_and_takes_its_body() -> None:
    for call in Call:
        module = light.service(call.service)
        words = "".join(word.capitalize() for word in call.service.split("_"))
        method = getattr(getattr(module, f"{words}Client"), call.method)
        assert {"request", "retry", "timeout"} <= set(inspect.signature(method).parameters)
        if call.body is not None:
            field, message = call.body
            assert field in inspect.signature(method).parameters
            assert hasattr(light.messages(), message)


def test_no_call_polls_by_the_librarys_own_way() -> None:
    reads = {"get", "list", "aggregated_list", "wait", "get_guest_attributes"}
    reads |= {"get_iam_policy", "set_iam_policy"}  # at once, without an operation
    assert {call.method for call in Call if not call.method.endswith("_unary")} == reads


def test_the_role_is_what_the_calls_need() -> None:
    assert set(NEEDS) == set(Call)
    assert set(PERMISSIONS) == {need for needs in NEEDS.values() for need in needs}
    assert all(need.startswith("compute.") and need.count(".") == 2 for need in PERMISSIONS)
    assert "compute.instances.start" in PERMISSIONS
    assert not [need for need in PERMISSIONS if need.startswith("compute.instances.setService")]


def test_every_call_is_used() -> None:
    package = ROOT / "gpuctl/providers/gcp"
    code = "".join(p.read_text() for p in package.glob("*.py") if p.name != "role.py")
    assert [call.name for call in Call if f"Call.{call.name}" not in code] == []


def run(code: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_of_google() -> None:
    code = "import sys, gpuctl.providers.gcp; print([m for m in sys.modules if 'google' in m])"
    assert run(code) == "[]"


def test_only_the_services_in_use_are_imported_and_the_rest_still_works() -> None:
    code = """
import sys
from gpuctl.providers.gcp import light
one = light.service("instances")
prefix = "google.cloud.compute_v1.services."
loaded = [m.removeprefix(prefix) for m in sys.modules if m.startswith(prefix)]
print(sorted(m for m in loaded if "." not in m))
from google.cloud import compute_v1
print(compute_v1.InstancesClient is one.InstancesClient, hasattr(compute_v1, "Nope"))
print(compute_v1.RegionsClient.__name__, compute_v1.Instance.__name__)
from google.cloud.compute_v1 import DisksClient
print(light.service("disks").DisksClient is DisksClient)
"""
    services, *rest = run(code).splitlines()
    assert services == "['instances', 'zone_operations']"
    assert rest == ["True False", "RegionsClient Instance", "True"]


@pytest.mark.slow
def test_should_the_trick_fail_everything_is_imported() -> None:
    code = """
import sys
from gpuctl.providers.gcp import light
def broken():
    sys.modules[light.PACKAGE] = None
    raise RuntimeError("the library has changed")
light._put_unrun_package = broken
one = light.service("instances")
from google.cloud import compute_v1
print(one.InstancesClient is compute_v1.InstancesClient)
"""
    assert run(code) == "True"
