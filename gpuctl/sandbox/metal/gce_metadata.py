"""Google's metadata server: `Metadata-Flavor` required, directories, waiting for a change."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gpuctl.sandbox.metal.metadata import Facts
from gpuctl.sandbox.metal.web import Reply, Request

_V1 = "/computeMetadata/v1"
_GUEST = f"{_V1}/instance/guest-attributes/"
_FLAVOR = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
_LONGEST_WAIT_S = 3600.0
_NUMERIC_PROJECT = 123456789012

Tree = Mapping[str, Any]


class GceMetadata:
    """Answers as metadata.google.internal does."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._guest: dict[str, str] = {}

    def answer(self, request: Request) -> Reply:
        """One request; with `wait_for_change=true` it returns when the value differs."""
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if path == "/":
            return _reply("computeMetadata/\n")
        if request.headers.get("metadata-flavor") != "Google":
            return _reply("Missing required header: Metadata-Flavor\n", 403)
        if "x-forwarded-for" in request.headers:
            return _reply("Forbidden\n", 403)
        if request.method == "PUT" and path.startswith(_GUEST):
            return self._put_guest(path[len(_GUEST) :], request.body)
        if request.method not in ("GET", "HEAD"):
            return _reply("Method Not Allowed\n", 405)
        if path != _V1 and not path.startswith(f"{_V1}/"):
            return _reply("Not Found\n", 404)
        return self._read(path[len(_V1) :], query)

    def _put_guest(self, key: str, body: bytes) -> Reply:
        if key.count("/") != 1:
            return _reply("Bad Request\n", 400)
        with self._facts.changed:
            self._guest[key] = body.decode(errors="replace")
            self._facts.changed.notify_all()
        return _reply("")

    def _read(self, path: str, query: Mapping[str, str]) -> Reply:
        with self._facts.changed:
            reply = self._show(path, query)
            if query.get("wait_for_change") != "true":
                return reply
            known = query.get("last_etag") or reply.headers["ETag"]
            end = time.monotonic() + float(query.get("timeout_sec") or _LONGEST_WAIT_S)
            while reply.headers.get("ETag") == known and reply.status == 200:  # noqa: PLR2004
                left = end - time.monotonic()
                if left <= 0:
                    break
                self._facts.changed.wait(left)
                reply = self._show(path, query)
            return reply

    def _show(self, path: str, query: Mapping[str, str]) -> Reply:
        node: Any = self._tree()
        for name in path.strip("/").split("/") if path.strip("/") else ():
            if not isinstance(node, Mapping) or name not in node:
                return _reply("Not Found\n", 404)
            node = node[name]
        if not isinstance(node, Mapping):
            return _reply(_text(node))
        if query.get("recursive") == "true":
            if query.get("alt") == "text":
                return _reply("".join(f"{name} {_text(value)}\n" for name, value in _flat(node)))
            return _reply(json.dumps(_camel(node)), kind="application/json")
        if not path.endswith("/"):
            return _reply("", 301, {"Location": f"{_V1}{path}/"})
        names = (f"{n}/" if isinstance(v, Mapping) else n for n, v in sorted(node.items()))
        return _reply("".join(f"{name}\n" for name in names))

    def _tree(self) -> Tree:
        boot = self._facts.boot
        project = f"projects/{_NUMERIC_PROJECT}"
        guest: dict[str, dict[str, str]] = {}
        for key, value in self._guest.items():
            namespace, _, name = key.partition("/")
            guest.setdefault(namespace, {})[name] = value
        spot = boot.market == "spot"
        maintenance = self._facts.notice("maintenance")
        return {
            "instance": {
                "attributes": dict(self._facts.tags),
                "guest-attributes": guest,
                "hostname": f"{boot.name}.{boot.zone}.c.{boot.project}.internal",
                "id": boot.id,
                "machine-type": f"{project}/machineTypes/{boot.type}",
                "maintenance-event": "TERMINATE_ON_HOST_MAINTENANCE" if maintenance else "NONE",
                "name": boot.name,
                "preempted": "TRUE" if self._facts.notice("preempted") else "FALSE",
                "scheduling": {
                    "automatic-restart": "FALSE" if spot else "TRUE",
                    "on-host-maintenance": "TERMINATE",
                    "preemptible": "TRUE" if spot else "FALSE",
                },
                "service-accounts": {},
                "zone": f"{project}/zones/{boot.zone}",
            },
            "project": {
                "attributes": {},
                "numeric-project-id": str(_NUMERIC_PROJECT),
                "project-id": boot.project,
            },
        }


def _text(value: object) -> str:
    return str(value)


def _flat(node: Tree, prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in node.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}/")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _camel(node: Tree, *, keys: bool = True) -> dict[str, Any]:
    """JSON has camelCase names; the names of attributes are the user's own."""
    told: dict[str, Any] = {}
    for name, value in node.items():
        first, *rest = name.split("-")
        shown = first + "".join(word.capitalize() for word in rest) if keys else name
        own = name in ("attributes", "guest-attributes")
        told[shown] = _camel(value, keys=keys and not own) if isinstance(value, Mapping) else value
    return told


def _reply(
    text: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    kind: str = "application/text",
) -> Reply:
    body = text.encode()
    etag = hashlib.sha256(body).hexdigest()[:16]
    return Reply(status, body, kind, {**_FLAVOR, "ETag": etag, **(headers or {})})
