"""AWS, as the registry knows it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.config.model import ClientPolicy, Settings
from gpuctl.core.billed import Bill, KindOf
from gpuctl.core.checkpoints import Store
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.ports import Provider
from gpuctl.core.span import Span
from gpuctl.providers import Cloud, Context

if TYPE_CHECKING:
    from gpuctl.providers.aws import AwsSettings

_NEAREST = "us-east-1"
_SERVICES = (
    "CLOUDTRAIL", "COST_EXPLORER", "EC2", "IAM", "KMS", "PRICING", "S3", "SCHEDULER",
    "SERVICE_QUOTAS", "SSM", "STS",
)  # fmt: skip


def _connect(context: Context) -> Provider:
    from gpuctl.providers.aws import connect  # noqa: PLC0415 - see providers/__init__

    return connect(_settings(context), clock=context.clock, sleep=context.sleep, environ=None)


def _settings(context: Context) -> "AwsSettings":
    from gpuctl.providers.aws import AwsSettings  # noqa: PLC0415 - see providers/__init__

    settings, payer = context.settings, context.payer
    _check_endpoints(context.environ)
    return AwsSettings(
        account_alias=payer.name if payer else "default",
        install=context.install,
        regions=regions(settings, context.environ),
        profile=payer.aws_profile if payer else settings.aws.profile,
        role_arn=payer.aws_role if payer else settings.aws.role,
        subnets=settings.aws.subnet if payer is None else {},
    )


def _check_endpoints(environ: Mapping[str, str]) -> None:
    """UsageProblem where a variable of the SDK's names what is no address."""
    from gpuctl.core.endpoints import endpoint  # noqa: PLC0415 - only where a cloud is asked

    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return
    for variable in ("AWS_ENDPOINT_URL", *(f"AWS_ENDPOINT_URL_{name}" for name in _SERVICES)):
        if value := environ.get(variable):
            endpoint(variable, value)


def _costs(context: Context, span: Span, kind_of: KindOf) -> Bill:
    """By Cost Explorer: 0.01 USD a request, three or more."""
    from gpuctl.providers.aws import connect  # noqa: PLC0415 - see providers/__init__
    from gpuctl.providers.aws.client import Clients, make_with_boto3  # noqa: PLC0415
    from gpuctl.providers.aws.cost_explorer import costs  # noqa: PLC0415

    account = connect(_settings(context), clock=context.clock, sleep=context.sleep).account
    client = Clients(make_with_boto3(_settings(context), None)).cost_explorer()
    return costs(client, account, span, context.clock(), kind_of)


def _image(context: Context, region: str | None, named: str) -> ImageFacts:
    """By DescribeImages, in one region."""
    from gpuctl.providers.aws.client import Clients, make_with_boto3  # noqa: PLC0415
    from gpuctl.providers.aws.image_facts import facts_of  # noqa: PLC0415
    from gpuctl.providers.aws.images import describe  # noqa: PLC0415

    settings = _settings(context)
    clients = Clients(make_with_boto3(settings, None))
    return facts_of(describe(clients, region or settings.regions[0], named))


def _bucket(context: Context, name: str) -> Store:
    from gpuctl.providers.aws.bucket import S3Bucket  # noqa: PLC0415 - see providers/__init__
    from gpuctl.providers.aws.client import make_with_boto3  # noqa: PLC0415

    return S3Bucket(make_with_boto3(_settings(context), None), name)


def regions(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where to look: as configured, else wherever a template may start something."""
    if settings.aws.regions:
        return settings.aws.regions
    named = [
        region
        for template in settings.templates.values()
        if template.provider == "aws"
        for region in template.regions
    ]
    own = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    return tuple(dict.fromkeys([*([own] if own else []), *named])) or (_NEAREST,)


def _in_use(settings: Settings, environ: Mapping[str, str]) -> bool:
    named = settings.aws.profile or settings.aws.role or settings.aws.regions
    keys = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL", "AWS_ROLE_ARN")
    return bool(named) or any(environ.get(key) for key in keys) or _has_files(environ)


def _has_files(environ: Mapping[str, str]) -> bool:
    """Whether the AWS CLI was ever set up here; nothing in its files is read."""
    home = Path(environ.get("HOME") or "~").expanduser() / ".aws"
    files = (
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials",
        environ.get("AWS_CONFIG_FILE") or home / "config",
    )
    return any(Path(file).is_file() and Path(file).stat().st_size for file in files)


def _has_own_account(client: ClientPolicy) -> bool:
    return bool(client.aws_profile or client.aws_role)


CLOUD = Cloud(
    name="aws",
    connect=_connect,
    in_use=_in_use,
    has_own_account=_has_own_account,
    compressed_boot=True,
    scheme="s3",
    bucket=_bucket,
    image=_image,
    costs=_costs,
)
