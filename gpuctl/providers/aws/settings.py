"""What the composition root tells this provider; nothing here asks the cloud."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """One AWS account as gpuctl uses it.

    `install` is the id of this installation: it goes into the tag `gpuctl:install`, into the
    name of its security group, and tells its own things from those of other laptops.
    `subnets` names a subnet for a region; without one the default subnet of the zone is used.
    """

    account_alias: str
    install: str
    regions: tuple[str, ...]
    profile: str | None = None
    role_arn: str | None = None
    subnets: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.regions:
            raise ValueError("an AWS account needs at least one region")
        if not self.install:
            raise ValueError("an AWS account needs an installation id")

    @property
    def group_name(self) -> str:
        """Name of the security group, one per installation and VPC."""
        return f"gpuctl-{self.install[:8]}"
