"""No command in the sandbox's environment may reach anything real."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest

from gpuctl.core.errors import UsageProblem
from gpuctl.sandbox.safety import check_environment, keep_awake, sandbox_clock_offset
from gpuctl.sandbox.state import SandboxState, environment, read_state, state_file, write_state


@pytest.fixture
def state(tmp_path) -> SandboxState:
    return SandboxState(
        directory=tmp_path,
        pid=1,
        aws_endpoint="http://127.0.0.1:1",
        gcp_endpoint="http://127.0.0.1:2",
        control_endpoint="http://127.0.0.1:3",
        token="secret",
        account="123456789012",
        gcp_project="sandbox-project",
        seed=7,
    )


@pytest.fixture
def environ(state) -> dict[str, str]:
    return environment(state).over({"PATH": "/bin"})


def test_the_sandboxs_own_environment_is_safe(environ):
    check_environment(environ)


def test_it_is_safe_whatever_the_shell_had_before(state):
    before = {
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "x",
        "AWS_ENDPOINT_URL_EC2": "https://ec2.example",
        "GOOGLE_APPLICATION_CREDENTIALS": "/home/me/key.json",
        "GPUCTL_LEDGER": "postgresql://books",
        "GPUCTL_CONFIG": "/home/me/config.toml",
    }
    with pytest.raises(UsageProblem):
        check_environment({**environment(state).set, **before})
    check_environment(environment(state).over(before))


def test_outside_a_sandbox_nothing_is_checked():
    check_environment({"AWS_PROFILE": "work", "AWS_ENDPOINT_URL": "https://example.com"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", None),
        ("AWS_ENDPOINT_URL", "https://ec2.us-east-1.amazonaws.com"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1.example.com:80"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1@example.com"),
        ("AWS_ENDPOINT_URL_EC2", "https://ec2.us-east-1.amazonaws.com"),
        ("AWS_ENDPOINT_URL_SAVINGSPLANS", "http://10.0.0.1"),
        ("GPUCTL_GCP_ENDPOINT", None),
        ("GPUCTL_GCP_ENDPOINT", "https://compute.googleapis.com"),
        ("AWS_PROFILE", "work"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "real"),
        ("AWS_SESSION_TOKEN", "real"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/key.json"),
        ("GPUCTL_HOME", None),
        ("GPUCTL_HOME", "/home/me/.gpuctl"),
        ("GPUCTL_LEDGER", "postgresql://localhost/books"),
        ("GPUCTL_LEDGER", "sqlite:////home/me/ledger.db"),
    ],
)
def test_a_way_out_is_refused_with_the_command_to_type_next(environ, name, value):
    environ.pop(name, None)
    if value is not None:
        environ[name] = value
    with pytest.raises(UsageProblem) as refused:
        check_environment(environ)
    assert name in refused.value.message
    assert "gpuctl sandbox env" in str(refused.value.hint)


def test_a_home_that_only_looks_as_if_inside_is_refused(environ, tmp_path):
    environ["GPUCTL_HOME"] = f"{tmp_path}/../elsewhere"
    with pytest.raises(UsageProblem):
        check_environment(environ)


def test_a_ledger_inside_is_allowed(environ, tmp_path):
    environ["GPUCTL_LEDGER"] = f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    check_environment(environ)


def test_the_clocks_offset(environ, tmp_path):
    assert sandbox_clock_offset({}) == timedelta()
    assert sandbox_clock_offset(environ) == timedelta()
    (tmp_path / "clock.json").write_text('{"offset_seconds": 90.5}')
    assert sandbox_clock_offset(environ) == timedelta(seconds=90.5)
    (tmp_path / "clock.json").write_text("[]")
    assert sandbox_clock_offset(environ) == timedelta()


def test_the_state_is_private_and_comes_back(state):
    write_state(state)
    assert read_state(state.directory) == state
    assert state_file(state.directory).stat().st_mode & 0o777 == 0o600
    state_file(state.directory).write_text('{"pid": 1}')
    assert read_state(state.directory) is None


def test_keeping_awake_touches_the_state_and_never_fails(state, environ):
    keep_awake(environ)
    write_state(state)
    os.utime(state_file(state.directory), (0, 0))
    keep_awake(environ)
    assert state_file(state.directory).stat().st_mtime > 0
    keep_awake({})


def test_what_every_command_imports_of_it_is_light():
    code = (
        "import sys, gpuctl.sandbox.safety, gpuctl.sandbox.state, gpuctl.sandbox.process;"
        "bad = {'asyncssh', 'moto', 'google', 'flask', 'boto3', 'cryptography'} & set(sys.modules);"
        "sys.exit(', '.join(bad) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
