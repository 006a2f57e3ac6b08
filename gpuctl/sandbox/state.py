"""What a running sandbox writes down, and what a shell needs to use it. Standard library only."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from gpuctl.sandbox.safety import DUMMY_KEY

REGION = "us-east-1"
GCP_PROJECT = "sandbox-project"
ACCOUNT = "123456789012"

_UNSET = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_CA_BUNDLE",
    "AWS_DATA_PATH",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "GCLOUD_PROJECT",
    "CLOUDSDK_CORE_PROJECT",
    "GPUCTL_CONFIG",
    "GPUCTL_LEDGER",
    "GPUCTL_PROJECT",
    "GPUCTL_TEMPLATE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Variables to set, and variables to unset because they would lead to something real."""

    set: Mapping[str, str]
    unset: tuple[str, ...]

    def over(self, environ: Mapping[str, str]) -> dict[str, str]:
        """`environ` as a command in the sandbox must see it."""
        kept = {name: value for name, value in environ.items() if name not in self.unset}
        return kept | dict(self.set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a bare machine's SSH server listens, and for whom."""

    host: str
    port: int
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxState:
    """A running sandbox: the content of `sandbox.json` (0600, for it holds the token)."""

    directory: Path
    pid: int
    aws_endpoint: str
    gcp_endpoint: str
    control_endpoint: str
    token: str
    account: str
    gcp_project: str
    seed: int

    @property
    def metal_directory(self) -> Path:
        """One directory a machine, named by its cloud id."""
        return metal_directory(self.directory)


def state_file(directory: Path) -> Path:
    """Where the state is written."""
    return directory / "sandbox.json"


def clock_file(directory: Path) -> Path:
    """`{"offset_seconds": n}`: how far the sandbox's clock is ahead."""
    return directory / "clock.json"


def log_file(directory: Path) -> Path:
    """What the sandbox's process prints."""
    return directory / "sandbox.log"


def metal_directory(directory: Path) -> Path:
    """One directory a machine, named by its cloud id."""
    return directory / "metal"


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)


def write_state(state: SandboxState) -> None:
    """Publish it: from now on `read_state` finds it."""
    told = asdict(state) | {"directory": str(state.directory)}
    write_private(state_file(state.directory), json.dumps(told, indent=1) + "\n")


def read_state(directory: Path) -> SandboxState | None:
    """What was last published there, running or not; None when nothing readable is."""
    try:
        told = json.loads(state_file(directory).read_text(encoding="utf-8"))
        known = {field.name for field in fields(SandboxState)}
        values = {name: value for name, value in told.items() if name in known}
        return SandboxState(**(values | {"directory": Path(directory)}))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def endpoint(directory: Path, machine: str) -> Endpoint | None:
    """Where to ssh to for a cloud id (Google: the numeric id); None while it is off."""
    try:
        path = metal_directory(directory) / machine / "endpoint.json"
        return Endpoint(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def environment(state: SandboxState) -> Environment:
    """What a shell must set and unset so that gpuctl, and any AWS SDK, talk to this sandbox only.

    The SDKs' own files are replaced by empty ones, so that no real credential can be found.
    """
    directory = state.directory
    loopback = "127.0.0.1,localhost,::1"
    return Environment(
        set={
            "GPUCTL_SANDBOX": str(directory),
            "GPUCTL_HOME": str(directory / "home"),
            "AWS_ENDPOINT_URL": state.aws_endpoint,
            "AWS_ACCESS_KEY_ID": DUMMY_KEY,
            "AWS_SECRET_ACCESS_KEY": DUMMY_KEY,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": str(directory / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(directory / "aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "GPUCTL_GCP_ENDPOINT": state.gcp_endpoint,
            "GOOGLE_CLOUD_PROJECT": state.gcp_project,
            "CLOUDSDK_CONFIG": str(directory / "gcloud"),
            "NO_GCE_CHECK": "true",
            "NO_PROXY": loopback,
            "no_proxy": loopback,
        },
        unset=_UNSET + _service_endpoints(),
    )


def _service_endpoints() -> tuple[str, ...]:
    """A service's own endpoint wins over AWS_ENDPOINT_URL: those that gpuctl asks."""
    services = ("EC2", "STS", "SSM", "S3", "PRICING", "CLOUDTRAIL", "SERVICE_QUOTAS")
    return tuple(f"AWS_ENDPOINT_URL_{service}" for service in services)
