"""Which accounts are asked: those that settings, environment or ledger name, each once."""

from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from gpuctl.config.model import AwsSettings, ClientPolicy, GcpSettings, Ports, Settings
from gpuctl.core.errors import UsageProblem
from gpuctl.core.ports import CloudRef
from gpuctl.core.span import Span
from gpuctl.providers import cloud, names
from gpuctl.wiring.clouds import Accounts
from tests.cli.program import Program
from tests.ledger.facts import ledger_of

NOTHING = {"HOME": "/nonexistent"}


def settings(**changes):
    empty = {"templates": {}, "clients": {}, "projects": {}, "ports": Ports(MappingProxyType({}))}
    return Settings(**empty | changes)


@pytest.fixture
def accounts(tmp_path):
    def make(chosen, environ=NOTHING):
        ledger = ledger_of(tmp_path / "ledger.db")
        now = lambda: None  # noqa: E731 - never asked here
        return Accounts(environ, chosen, ledger, clock=now, sleep=now, new_id=now)

    return make


def test_nobody_is_asked_where_nothing_is_named(accounts):
    assert accounts(settings()).accounts() == []


@pytest.mark.parametrize(
    ("chosen", "environ", "found"),
    [
        ({"aws": AwsSettings(profile="work")}, {}, [CloudRef("aws")]),
        ({}, {"AWS_PROFILE": "work"}, [CloudRef("aws")]),
        ({"gcp": GcpSettings(project="p")}, {}, [CloudRef("gcp")]),
        ({}, {"GOOGLE_CLOUD_PROJECT": "p"}, [CloudRef("gcp")]),
        ({}, {"AWS_ACCESS_KEY_ID": "k", "GPUCTL_GCP_ENDPOINT": "http://127.0.0.1:1"},
         [CloudRef("aws"), CloudRef("gcp")]),
    ],
)  # fmt: skip
def test_settings_and_environment_name_accounts(accounts, chosen, environ, found):
    assert accounts(settings(**chosen), NOTHING | environ).accounts() == found


def test_an_aws_command_line_that_was_set_up_counts(accounts, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[default]\n")
    assert accounts(settings(), {"HOME": str(tmp_path)}).accounts() == [CloudRef("aws")]


def test_a_clients_own_account_is_one_of_its_own(accounts):
    clients = {"acme": ClientPolicy(name="acme", aws_profile="acme")}
    made = accounts(settings(clients=clients))
    assert made.accounts() == [CloudRef("aws", "acme")]
    assert made.of("aws", "acme/vision") == CloudRef("aws", "acme")
    assert made.of("gcp", "acme/vision") == CloudRef("gcp")
    assert made.of("aws", "borealis/nlp") == CloudRef("aws")


def test_a_cloud_that_is_none_is_refused():
    assert list(names())[:2] == ["aws", "gcp"]
    with pytest.raises(UsageProblem, match="no provider 'azure'"):
        cloud("azure")


def test_a_cloud_that_does_not_tell_its_costs_is_read_from_files(accounts):
    day = Span(datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 3, 2, tzinfo=UTC))
    with pytest.raises(UsageProblem, match="gcp has no API") as refused:
        accounts(settings()).costs(CloudRef("gcp"), day)
    assert "--from FILE" in refused.value.hint


@pytest.mark.parametrize(
    ("provider", "variable"),
    [
        ("aws", "AWS_ENDPOINT_URL"),
        ("aws", "AWS_ENDPOINT_URL_EC2"),
        ("gcp", "GPUCTL_GCP_ENDPOINT"),
    ],
)
def test_a_cloud_at_no_address_is_refused_by_the_variables_name(accounts, provider, variable):
    for value in ("not a url", "localhost:1", "http://[::1", "https://127.0.0.1:99999"):
        made = accounts(settings(gcp=GcpSettings(project="p")), NOTHING | {variable: value})
        with pytest.raises(UsageProblem, match=f"^{variable} is no address: "):
            made.connect(CloudRef(provider))


def test_the_address_of_the_store_is_refused_by_its_own_name(accounts):
    made = accounts(settings(), NOTHING | {"STORAGE_EMULATOR_HOST": "[zz]:5"})
    with pytest.raises(UsageProblem, match=r"^STORAGE_EMULATOR_HOST is no address: .* IPv6"):
        made.bucket("gs://b", None)


def test_an_address_that_the_sdk_is_told_to_ignore_is_nobodys_mistake(accounts):
    ignored = {"AWS_ENDPOINT_URL": "not a url", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    made = accounts(settings(), NOTHING | ignored)
    assert made.connect(CloudRef("aws")) is not None


def test_the_program_says_it_with_the_exit_code_of_a_mistake(tmp_path):
    gpuctl = Program(tmp_path, {"AWS_ENDPOINT_URL": "http://[::1"})
    alone = gpuctl("ps", code=2)
    assert alone.err.startswith("Error: AWS_ENDPOINT_URL is no address: ")
    assert "unset AWS_ENDPOINT_URL" in alone.err
