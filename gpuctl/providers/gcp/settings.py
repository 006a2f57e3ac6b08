"""What a connection to Compute Engine needs to know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GcpSettings:
    """One Google project. `zones` are looked in for offers; () = name them in the template.

    `install` is this installation's id, as its labels carry it. `endpoint` is another root
    address of the REST API; None = `GPUCTL_GCP_ENDPOINT`, else Google's own. `project` None =
    `GOOGLE_CLOUD_PROJECT`, else the project of the credentials. `account_alias` None = the
    project's id, which is what Google's bills name.
    """

    install: str
    project: str | None = None
    zones: tuple[str, ...] = ()
    endpoint: str | None = None
    account_alias: str | None = None
