"""How clients are built: who is asked, how often, and with whose credentials."""

import subprocess
import sys
from pathlib import Path

import pytest

from gpuctl.core import errors
from gpuctl.providers.aws import AwsSettings, connect
from gpuctl.providers.aws.client import Clients, make_with_boto3
from tests.providers.aws.rig import INSTALL, Rig


def test_importing_the_package_imports_no_sdk() -> None:
    code = (
        "import sys, gpuctl.providers.aws\n"
        "sys.exit(any(name.split('.')[0] in ('boto3', 'botocore') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_connecting_makes_no_call(rig: Rig) -> None:
    provider = connect(rig.settings(), clock=rig.now, sleep=rig.sleep, environ=rig._environ())
    assert provider.name == "aws"
    assert provider.account == "123456789012"


def test_the_account_is_asked_for_once(rig: Rig) -> None:
    provider = rig.provider()
    assert provider.account == provider.account
    assert rig.sent["GetCallerIdentity"] == 1


def test_a_profile_that_is_not_there_is_denied(rig: Rig) -> None:
    with pytest.raises(errors.Denied, match="nobody"):
        connect(rig.settings(profile="nobody"), clock=rig.now, sleep=rig.sleep, environ={})


def test_keys_that_are_not_ours_are_denied(rig: Rig) -> None:
    environ = {**rig._environ(), "AWS_ACCESS_KEY_ID": "AKIASTRANGER"}
    provider = connect(rig.settings(), clock=rig.now, sleep=rig.sleep, environ=environ)
    with pytest.raises(errors.Denied):
        provider.machines()


def test_no_keys_at_all_are_denied(rig: Rig) -> None:
    provider = connect(
        rig.settings(), clock=rig.now, sleep=rig.sleep, environ={"AWS_ENDPOINT_URL": rig.url}
    )
    with pytest.raises(errors.Denied) as caught:
        assert provider.account
    assert caught.value.exit_code == 4


def test_an_assumed_role_acts_with_its_own_keys(rig: Rig) -> None:
    role = "arn:aws:iam::123456789012:role/gpuctl"
    make = make_with_boto3(rig.settings(role_arn=role), rig._environ())
    keys = Clients(make).ec2("us-east-1")._request_signer._credentials  # type: ignore[attr-defined]
    assert keys.get_frozen_credentials().access_key.startswith("ASIA")


def test_nobody_answers_at_all(rig: Rig) -> None:
    environ = {**rig._environ(), "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    provider = connect(
        rig.settings(regions=("us-east-1",)), clock=rig.now, sleep=rig.sleep, environ=environ
    )
    with pytest.raises(errors.Busy, match="who we are"):
        assert provider.account


@pytest.mark.parametrize("changes", [{"regions": ()}, {"install": ""}])
def test_settings_that_mean_nothing_are_refused(changes: dict[str, object]) -> None:
    given = {"account_alias": "a", "install": INSTALL, "regions": ("us-east-1",), **changes}
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        AwsSettings(**given)  # type: ignore[arg-type]


def test_an_address_from_the_sdks_own_file_is_a_mistake_with_a_next_step(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text("[profile broken]\nregion = us-east-1\nendpoint_url = http://a b/\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    make = make_with_boto3(rig.settings(profile="broken"), None)
    with pytest.raises(errors.UsageProblem, match="http://a b/") as caught:
        Clients(make).ec2("us-east-1")
    assert "endpoint_url" in (caught.value.hint or "")
