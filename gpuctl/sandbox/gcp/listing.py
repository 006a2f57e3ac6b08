"""Lists: filter, order, pages, and the aggregated form with every scope in it."""

import base64
from collections.abc import Mapping, Sequence
from typing import TypeVar

from gpuctl.sandbox.gcp import library
from gpuctl.sandbox.gcp.catalogue import ALL_ZONES, ZONES
from gpuctl.sandbox.gcp.filters import Test, compile_filter
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.routes import Call
from gpuctl.sandbox.gcp.wire import ROOT, Json, invalid

T = TypeVar("T")

_MOST = 500
_REGIONAL = frozenset({"addresses"})
_BOTH = frozenset({"operations"})


def page(call: Call, items: Sequence[Json], kind: str, path: str) -> Json:
    """One page of a list; `path` from `projects/`."""
    chosen, token = _slice(call, _order(call, list(filter(_test(call, kind), items))))
    reply: Json = {"kind": kind, "id": path, "selfLink": ROOT + path}
    if chosen:
        reply["items"] = chosen
    if token:
        reply["nextPageToken"] = token
    return reply


def aggregated(
    project: Project, call: Call, noun: str, kind: str, scoped: Mapping[str, Sequence[Json]]
) -> Json:
    """One page of an aggregated list. A scope with nothing on the page says so in a warning;
    one that cannot be reached says that, and is named in `unreachables`.
    """
    test = _test(call, kind)
    dead = {f"zones/{zone}" for zone in project.weather.unreachable}
    pairs = [
        (scope, item)
        for scope in sorted(scoped)
        if scope not in dead
        for item in scoped[scope]
        if test(item)
    ]
    chosen, token = _slice(call, pairs)
    items: Json = {scope: _empty(scope) for scope in _scopes(noun)}
    for scope, item in chosen:
        if noun not in items.setdefault(scope, {}):
            items[scope] = {noun: []}
        items[scope][noun].append(item)
    path = f"projects/{project.name}/aggregated/{noun}"
    reply: Json = {"kind": kind, "id": path, "selfLink": ROOT + path, "items": items}
    if token:
        reply["nextPageToken"] = token
    unreached = sorted(dead & set(items))
    if unreached:
        for scope in unreached:
            items[scope] = _warning("UNREACHABLE", f"The scope '{scope}' is unreachable.", scope)
        reply["unreachables"] = [f"projects/{project.name}/{scope}" for scope in unreached]
    return reply


def _scopes(noun: str) -> list[str]:
    zones = [f"zones/{zone}" for zone in ALL_ZONES]
    regions = [f"regions/{region}" for region in ZONES]
    if noun in _REGIONAL:
        return ["global", *regions]
    return ["global", *regions, *zones] if noun in _BOTH else zones


def _empty(scope: str) -> Json:
    words = f"There are no results for scope '{scope}' on this page."
    return _warning("NO_RESULTS_ON_PAGE", words, scope)


def _warning(code: str, message: str, scope: str) -> Json:
    data = [{"key": "scope", "value": scope}]
    return {"warning": {"code": code, "message": message, "data": data}}


def _test(call: Call, kind: str) -> Test:
    """What the filter of the call says of one resource."""
    text = call.query.get("filter", "")
    return compile_filter(text, _fields(kind)) if text.strip() else lambda _: True


def _fields(kind: str) -> frozenset[str]:
    """The field names of a resource, from the kind of its list."""
    name = kind.partition("#")[2].removesuffix("List").removesuffix("Aggregated")
    return library.fields(name[0].upper() + name[1:])


def _order(call: Call, items: list[Json]) -> list[Json]:
    order = call.query.get("orderBy") or "name"
    if order == "creationTimestamp desc":
        key = "creationTimestamp" if items and "creationTimestamp" in items[0] else "insertTime"
        return sorted(items, key=lambda item: str(item.get(key)), reverse=True)
    if order != "name":
        raise invalid("orderBy", order, "Only name and creationTimestamp desc are supported.")
    return sorted(items, key=lambda item: str(item["name"]))


def _slice(call: Call, items: Sequence[T]) -> tuple[Sequence[T], str | None]:
    """The page asked for, and the token of the next one."""
    size = int(call.query.get("maxResults") or _MOST)
    if size > _MOST:
        raise invalid("maxResults", size, f"Value must be less than or equal to {_MOST}.")
    size = size or _MOST
    start = _start(call.query.get("pageToken"))
    token = None
    if start + size < len(items):
        token = base64.urlsafe_b64encode(f"from:{start + size}".encode()).decode()
    return items[start : start + size], token


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
        if word == "from":
            return int(number)
    except ValueError:
        pass
    raise invalid("pageToken", token, "The page token is not valid.")
