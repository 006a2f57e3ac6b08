"""Which accounts this computer knows, from names alone: no credential is read, no cloud asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SECTION = re.compile(r"\s*\[\s*(?:profile\s+)?([^\]]+?)\s*\]")
_SETTING = re.compile(r"\s*(region|project)\s*=\s*(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """The profile that the AWS SDK would use, its region, and the other names.

    `profile` None = none was found; `keys` tells of credentials in the environment.
    """

    profile: str | None
    region: str | None
    profiles: tuple[str, ...]
    keys: bool

    @property
    def found(self) -> bool:
        """Whether there is anything to sign in with."""
        return self.keys or self.profile is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gcp:
    """The Google project, and whether application default credentials are there."""

    project: str | None
    credentials: bool

    @property
    def found(self) -> bool:
        """Whether there is anything of Google's."""
        return self.credentials or self.project is not None


def aws(environ: Mapping[str, str], home: Path) -> Aws:
    """Names of profiles and their regions; lines with keys are passed over."""
    config = _named(environ, "AWS_CONFIG_FILE", home / ".aws/config")
    secret = _named(environ, "AWS_SHARED_CREDENTIALS_FILE", home / ".aws/credentials")
    regions = _sections(config)
    profiles = tuple(dict.fromkeys([*regions, *_sections(secret)]))
    wanted = environ.get("AWS_PROFILE") or "default"
    keys = bool(environ.get("AWS_ACCESS_KEY_ID"))
    named = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    return Aws(
        profile=wanted if wanted in profiles else None,
        region=named or regions.get(wanted),
        profiles=profiles,
        keys=keys,
    )


def gcp(environ: Mapping[str, str], home: Path) -> Gcp:
    """The project of the environment or of gcloud's active configuration."""
    directory = _named(environ, "CLOUDSDK_CONFIG", home / ".config/gcloud")
    active = environ.get("CLOUDSDK_ACTIVE_CONFIG_NAME") or _text(directory / "active_config")
    chosen = _sections(directory / f"configurations/config_{active.strip() or 'default'}")
    credentials = _named(
        environ,
        "GOOGLE_APPLICATION_CREDENTIALS",
        directory / "application_default_credentials.json",
    )
    named = environ.get("GOOGLE_CLOUD_PROJECT") or environ.get("CLOUDSDK_CORE_PROJECT")
    return Gcp(project=named or chosen.get("core"), credentials=credentials.is_file())


def _named(environ: Mapping[str, str], variable: str, default: Path) -> Path:
    named = environ.get(variable)
    return Path(named).expanduser() if named else default


def _sections(file: Path) -> dict[str, str | None]:
    """Section -> its region or project, where it has one. All else in the file is passed over."""
    found: dict[str, str | None] = {}
    section = ""
    for line in _text(file).splitlines():
        if head := _SECTION.match(line):
            section = head.group(1)
            found.setdefault(section, None)
        elif section and (setting := _SETTING.match(line)):
            found[section] = setting.group(2)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""
