"""An image as a cloud keeps it: one version in one region, with what it costs to keep."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gpuctl.core.errors import InvalidRequest
from gpuctl.core.images.facts import ImageFacts
from gpuctl.core.model import Billable

CHANNEL = "stable"
"""The channel that a bare name means."""

_CHANNEL = re.compile(r"[a-z][a-z0-9-]{0,29}\Z")
_NAMED = re.compile(r"([a-z0-9][a-z0-9-]*)(?:@([A-Za-z0-9][A-Za-z0-9.-]*))?\Z")
_VERSION = re.compile(r"v?\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """One version of an image of one's own, in one region of one account.

    `id` is what launches it (`ami-…`, `projects/P/global/images/N`). `billed` is what is on the
    clock for it, complete. `ours` tells whether this installation made it. `channels` are those
    that lead to it in this region.
    """

    provider: str
    account: str
    region: str
    """`global` where one image serves every region."""
    id: str
    name: str
    version: str
    made_at: datetime
    ready: bool
    """False while the cloud still writes it: it cannot be started from yet."""
    facts: ImageFacts
    ours: bool
    recipe_sha256: str | None = None
    """In hex; of Google's labels its first 63 digits."""
    billed: tuple[Billable, ...] = ()
    channels: tuple[str, ...] = ()
    encrypted: bool = False
    project: str | None = None
    """Whose image it is; None = everybody's (overhead)."""

    @property
    def key(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Named:
    """What a template calls an image of one's own: a version, or a channel."""

    name: str
    version: str | None
    channel: str | None

    def __str__(self) -> str:
        return f"{self.name}@{self.version or self.channel}"


def named(text: str) -> Named | None:
    """`NAME@VERSION`, `NAME@CHANNEL`, or `NAME` (its `stable`); None = no name of one's own.

    What begins with a digit, or with `v` and a digit, is a version.
    """
    match = None if text.startswith("ami-") else _NAMED.match(text)
    if match is None:
        return None
    name, at = match[1], match[2] or CHANNEL
    if _VERSION.match(at):
        return Named(name, at, None)
    return Named(name, None, at)


def channel_name(text: str) -> str:
    """A channel, or InvalidRequest: what looks like a version would be read as one."""
    if not _CHANNEL.match(text) or _VERSION.match(text):
        raise InvalidRequest(
            f"{text!r} is not a channel: 1 to 30 of a-z, 0-9 and -, starting with a letter, "
            "and not like a version (v1)"
        )
    return text


def oldest_first(images: Iterable[StoredImage]) -> list[StoredImage]:
    """By name, then by version, then by region."""
    return sorted(images, key=lambda one: (one.name, version_order(one.version), one.region))


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """What to sort by: `10` is after `9`, and `2026.11.1` after `2026.2.1`."""
    parts = re.findall(r"\d+|\D+", version)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)
