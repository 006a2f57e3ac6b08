"""AWS through boto3, for real accounts and for whatever answers like one."""

from collections.abc import Mapping

from gpuctl.core.ports import Clock, Sleep
from gpuctl.providers.aws.client import Clients, make_with_boto3
from gpuctl.providers.aws.provider import AwsProvider
from gpuctl.providers.aws.settings import AwsSettings

__all__ = ["AwsProvider", "AwsSettings", "connect"]


def connect(
    settings: AwsSettings, *, clock: Clock, sleep: Sleep, environ: Mapping[str, str] | None = None
) -> AwsProvider:
    """A provider for one account; makes no call yet. `Denied` when the profile is not there.

    `environ` stands for the process's own environment (endpoint and keys) when given.
    """
    return AwsProvider(
        settings, Clients(make_with_boto3(settings, environ)), clock=clock, sleep=sleep
    )
