"""Google Compute Engine through google-cloud-compute: REST, imported late and in part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.core.errors import UsageProblem
from gpuctl.core.ports import Clock, NewId, Sleep
from gpuctl.providers.gcp.provider import GcpProvider
from gpuctl.providers.gcp.settings import GcpSettings

if TYPE_CHECKING:
    from gpuctl.providers.gcp.catalog import Catalog

__all__ = ["GcpProvider", "GcpSettings", "connect"]


def connect(
    settings: GcpSettings,
    *,
    clock: Clock,
    sleep: Sleep,
    new_id: NewId,
    environ: Mapping[str, str],
    cache: Path | None = None,
) -> GcpProvider:
    """Connect to one project; nothing is sent yet. `cache`: where the price list is kept.

    Raises `Denied` with the command to type when there are no Google credentials, and
    `UsageProblem` when no project is named or the endpoint is plain HTTP to another machine.
    """
    from gpuctl.providers.gcp.client import Compute, credentials  # noqa: PLC0415 - see above

    endpoint = settings.endpoint or environ.get("GPUCTL_GCP_ENDPOINT") or None
    granted, own = credentials(endpoint)
    project = settings.project or environ.get("GOOGLE_CLOUD_PROJECT") or own
    if not project:
        raise UsageProblem(
            "No Google project is named",
            hint="set project under [gcp] in the config, or GOOGLE_CLOUD_PROJECT",
        )
    return GcpProvider(
        Compute(project, granted, endpoint, sleep),
        account=settings.account_alias or project,
        install=settings.install,
        zones=settings.zones,
        clock=clock,
        sleep=sleep,
        new_id=new_id,
        catalog=_catalog(cache, endpoint, clock) if cache is not None else None,
    )


def _catalog(cache: Path, endpoint: str | None, clock: Clock) -> Catalog:
    from gpuctl.providers.gcp.catalog import SCOPE, Catalog  # noqa: PLC0415 - see above
    from gpuctl.providers.gcp.client import credentials  # noqa: PLC0415 - see above

    return Catalog(
        cache / "google-prices.json", lambda: credentials(endpoint, (SCOPE,))[0], endpoint, clock
    )
