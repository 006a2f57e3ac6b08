"""What the laptop tells the keeper, as one argument: no secret is in it."""

from __future__ import annotations

import json
import os
from typing import NamedTuple
from urllib.parse import urlsplit

from gpuctl.agent.checkpoint.gcs import Gcs, Token
from gpuctl.agent.checkpoint.s3 import S3, Profile
from gpuctl.agent.checkpoint.shelf import Folder, Shelf
from gpuctl.core.checkpoints import job_name


class Settings(NamedTuple):
    """How one job's checkpoints are kept. Times are seconds."""

    job: str
    """The name they are kept under."""
    root: str
    """Where in the bucket: `path/client/project/job`."""
    dir: str
    """As the job sees it: relative to where it runs, or absolute."""
    cloud: str
    lease: str
    bucket: str | None = None
    """`s3://NAME/…`, `gs://NAME/…`; None = a directory of this machine."""
    endpoint: str | None = None
    """Another address than the cloud's own, for whatever answers like it."""
    command: str | None = None
    signal: str = "SIGTERM"
    interval_s: float = 900.0
    restore: bool = True
    """Whether to begin with the newest checkpoint where the directory is empty."""
    tree: str | None = None
    """The name of the tree that is kept beside the checkpoints; None = none is."""
    fetch: bool = False
    """Whether to have it from there before anything else."""
    part: int = 64 << 20
    workers: int = 4
    tick_s: float = 0.5


def read(text: str) -> Settings:
    """From JSON. ValueError for what is none or lacks something."""
    told = json.loads(text)
    if not isinstance(told, dict):
        raise ValueError("the settings are no object")  # noqa: TRY004 - as for bad JSON
    known = {name: told[name] for name in Settings._fields if name in told}
    try:
        settings = Settings(**known)
    except TypeError as error:
        raise ValueError("the settings lack something: %s" % error) from None
    job_name(settings.job)
    return settings


def home() -> str:
    """Where the keeper keeps what is its own."""
    return os.path.join(os.path.expanduser("~"), ".gpuctl", "checkpoints")


def shelf_of(settings: Settings) -> Shelf:
    """The store that is meant. ValueError for an address of no kind that is known."""
    if settings.bucket is None:
        return Folder(os.path.join(home(), "store"))
    url = urlsplit(settings.bucket)
    if url.scheme == "s3":
        metadata = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or "http://169.254.169.254"
        profile = Profile(metadata)
        return S3(url.netloc, profile.region(), profile.keys, endpoint=settings.endpoint)
    if url.scheme == "gs":
        token = Token(os.environ.get("GCE_METADATA_HOST") or "169.254.169.254")
        return Gcs(url.netloc, token.token, endpoint=settings.endpoint)
    raise ValueError("%r is no bucket" % settings.bucket)
