"""Google Compute Engine, as the registry knows it."""

from collections.abc import Iterator, Mapping

from gpuctl.config.model import ClientPolicy, Settings
from gpuctl.core.checkpoints import Store
from gpuctl.core.ports import Provider
from gpuctl.core.span import Span
from gpuctl.providers import Cloud, Context


def _connect(context: Context) -> Provider:
    from gpuctl.providers.gcp import GcpSettings, connect  # noqa: PLC0415 - see providers/__init__

    settings, payer = context.settings, context.payer
    return connect(
        GcpSettings(
            install=context.install,
            project=payer.gcp_project if payer else settings.gcp.project,
            zones=zones(settings),
        ),
        clock=context.clock,
        sleep=context.sleep,
        new_id=context.new_id,
        environ=context.environ,
        cache=context.cache,
    )


def _bucket(context: Context, name: str) -> Store:
    from gpuctl.providers.gcp.bucket import connect_bucket  # noqa: PLC0415 - see providers/__init__

    return connect_bucket(name, context.environ)


def zones(settings: Settings) -> tuple[str, ...]:
    """Where to look: as configured, else wherever a template may create a VM."""
    if settings.gcp.zones:
        return settings.gcp.zones
    named = [
        zone
        for template in settings.templates.values()
        if template.provider == "gcp"
        for zone in template.zones
    ]
    return tuple(dict.fromkeys(named))


def _in_use(settings: Settings, environ: Mapping[str, str]) -> bool:
    keys = ("GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS", "GPUCTL_GCP_ENDPOINT")
    return bool(settings.gcp.project) or any(environ.get(key) for key in keys)


def _has_own_account(client: ClientPolicy) -> bool:
    return bool(client.gcp_project)


def _export(context: Context, table: str, span: Span) -> Iterator[str]:
    """By one query to BigQuery, which bills what it reads."""
    from gpuctl.providers.gcp.billing_export import SCOPE, rows  # noqa: PLC0415
    from gpuctl.providers.gcp.client import credentials  # noqa: PLC0415

    endpoint = context.environ.get("GPUCTL_GCP_ENDPOINT") or None
    return rows(credentials(endpoint, (SCOPE,))[0], endpoint, table, span)


CLOUD = Cloud(
    name="gcp",
    export=_export,
    connect=_connect,
    in_use=_in_use,
    has_own_account=_has_own_account,
    compressed_boot=False,
    scheme="gs",
    bucket=_bucket,
)
