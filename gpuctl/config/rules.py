"""Mistakes that show only when everything is put together: dangling names, odd combinations."""

import re
from collections.abc import Iterator
from datetime import timedelta

from gpuctl.config.entries import Entry, KeyPath, OriginKind, members
from gpuctl.config.keys import dotted
from gpuctl.config.shapes import near
from gpuctl.core.errors import Problem
from gpuctl.core.span import format_duration

Entries = dict[KeyPath, Entry]

_FILES = (OriginKind.USER_FILE, OriginKind.PROJECT_FILE)
_ONLY = {
    ("gpu",): "gcp",
    ("vm",): "gcp",
    ("instance_profile",): "aws",
    ("service_account",): "gcp",
    ("disk", "init_rate"): "aws",
}
_TUNNELS = {"eice": "aws", "ssm": "aws", "iap": "gcp"}
_FORMS = {
    ("aws", "regions"): r".*-\d+",
    ("aws", "zones"): r".*-\d+(?:[a-z]|-[a-z0-9-]+[a-z])",
    ("gcp", "regions"): r".*[a-z]\d+",
    ("gcp", "zones"): r".*[a-z]\d+-[a-z]",
}
_BUCKETS = {"aws": "s3://", "gcp": "gs://"}
_BOUGHT_APART = {"iops": ("gp3", "io1", "io2"), "throughput": ("gp3",)}
_CLOUDS = {"aws": "AWS", "gcp": "Google"}


def dangling(entries: Entries) -> Iterator[Problem]:
    """Templates and projects that files name and no file has."""
    templates = tuple(members(entries, ("template",)))
    projects = tuple(project_names(entries))
    for path, entry in entries.items():
        if entry.kind not in _FILES or entry.table:
            continue
        if path == ("defaults", "project") and entry.value not in projects:
            hint = f'there is no project "{entry.value}": gpuctl project add {entry.value}'
            yield problem(entry, path, hint, near(entry.value, projects))
        if path[-1] == "template" and len(path) > 1 and entry.value not in templates:
            known = ", ".join(templates)
            reason = f'there is no template "{entry.value}"; known: {known}'
            yield problem(entry, path, reason, near(entry.value, templates))


def odd(entries: Entries) -> Iterator[Problem]:
    """Keys of a template that do not go together, where the user wrote one of them."""
    ceiling = entries.get(("limits", "max_lifetime"))
    for name in members(entries, ("template",)):
        base = ("template", name)
        provider = entries.get((*base, "provider"))
        if provider is not None:
            yield from _foreign(entries, base, provider.value)
        ttl = entries.get((*base, "ttl"))
        if ttl is not None and ceiling is not None and ttl.value > ceiling.value:
            limit = _say(ceiling.value)
            yield from _if_written(
                ttl, (*base, "ttl"), f"is more than limits.max_lifetime = {limit}", limit
            )


def project_names(entries: Entries) -> Iterator[str]:
    """`client/project` for every project that is written."""
    for client in members(entries, ("client",)):
        for project in members(entries, ("client", client, "project")):
            yield f"{client}/{project}"


def problem(entry: Entry, path: KeyPath, reason: str, suggestion: str | None = None) -> Problem:
    """A mistake at the place where the entry was written."""
    if entry.document is None:
        return Problem("built-in", None, dotted(path), reason, suggestion)
    line = entry.document.line(entry.place)
    return Problem(entry.document.file, line, dotted(entry.place), reason, suggestion)


def _foreign(entries: Entries, base: KeyPath, provider: str) -> Iterator[Problem]:
    for tail, owner in _ONLY.items():
        entry = entries.get((*base, *tail))
        if entry is not None and owner != provider:
            yield from _if_written(entry, (*base, *tail), f"is for {_CLOUDS[owner]} only")
    tunnel = entries.get((*base, "tunnel"))
    if tunnel is not None and _TUNNELS.get(tunnel.value, provider) != provider:
        owner = _CLOUDS[_TUNNELS[tunnel.value]]
        yield from _if_written(tunnel, (*base, "tunnel"), f"{tunnel.value!r} is for {owner} only")
    for what in ("regions", "zones"):
        entry = entries.get((*base, what))
        for place in entry.value if entry is not None else ():
            if entry is not None and not re.fullmatch(_FORMS[provider, what], place):
                reason = f"{place!r} is no {what[:-1]} of {_CLOUDS[provider]}"
                yield from _if_written(entry, (*base, what), reason)
    bucket = entries.get((*base, "checkpoint", "bucket"))
    if bucket is not None and not bucket.value.startswith(_BUCKETS[provider]):
        reason = f"machines of {_CLOUDS[provider]} have keys for {_BUCKETS[provider]} buckets only"
        yield from _if_written(bucket, (*base, "checkpoint", "bucket"), reason)
    yield from _disk(entries, (*base, "disk"), provider)


def _disk(entries: Entries, base: KeyPath, provider: str) -> Iterator[Problem]:
    kind = entries.get((*base, "type"))
    for name, types in _BOUGHT_APART.items():
        entry = entries.get((*base, name))
        if provider != "aws" or entry is None or kind is None or kind.value in types:
            continue
        reason = f"cannot be bought for a {kind.value} disk, only for {', '.join(types)}"
        yield from _if_written(entry, (*base, name), reason)


def _if_written(
    entry: Entry, path: KeyPath, reason: str, suggestion: str | None = None
) -> Iterator[Problem]:
    if entry.kind in _FILES:
        yield problem(entry, path, reason, suggestion)


def _say(duration: timedelta) -> str:
    return f'"{format_duration(duration)}"'
