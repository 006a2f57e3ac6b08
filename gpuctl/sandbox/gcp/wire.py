"""What Google's JSON looks like on the wire: errors, times, ids, fingerprints, links."""

import base64
import hashlib
import json
import random
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

ROOT = "https://www.googleapis.com/compute/v1/"
_PACIFIC = ZoneInfo("America/Los_Angeles")
_LINK = re.compile(r"(?:https?://[^/]+/compute/v1/)?((?:projects|zones|regions|global)/.+)\Z")
_EMPTY_FINGERPRINT = "42WmSpB8rSM="
"""What Google answers for no labels and for no tags."""


@dataclass(eq=False)
class Refusal(Exception):
    """A call refused at once, with an HTTP error status and Google's error object."""

    status: int
    reason: str
    message: str
    domain: str = "global"
    extra: Json = field(default_factory=dict)
    rpc_status: str | None = None

    def body(self) -> Json:
        """The error object as Compute Engine writes it."""
        item = {"message": self.message, "domain": self.domain, "reason": self.reason}
        error: Json = {
            "code": self.status,
            "message": self.message,
            "errors": [item | self.extra],
        }
        if self.rpc_status:
            error["status"] = self.rpc_status
        return {"error": error}


def invalid(name: str, value: object, why: str) -> Refusal:
    """400 invalid: a field or parameter whose value is wrong."""
    return Refusal(400, "invalid", f"Invalid value for field '{name}': '{value}'. {why}")


def required(name: str) -> Refusal:
    """400 required: a field that must be there."""
    return Refusal(400, "required", f"Required field '{name}' not specified")


def bad_request(message: str) -> Refusal:
    """400 badRequest: the combination cannot be had."""
    return Refusal(400, "badRequest", message)


def malformed(message: str) -> Refusal:
    """400 as the JSON front end gives it, before Compute Engine sees the call."""
    return Refusal(400, "badRequest", message, rpc_status="INVALID_ARGUMENT")


def not_found(path: str) -> Refusal:
    """404 notFound of a resource, by its path from `projects/`."""
    return Refusal(404, "notFound", f"The resource '{path}' was not found")


def already_exists(path: str) -> Refusal:
    """409 alreadyExists."""
    return Refusal(409, "alreadyExists", f"The resource '{path}' already exists")


def not_ready(path: str) -> Refusal:
    """400 resourceNotReady: something else is still being done to it."""
    return Refusal(400, "resourceNotReady", f"The resource '{path}' is not ready")


def stale(message: str) -> Refusal:
    """412 conditionNotMet: the fingerprint is not the present one."""
    extra = {"locationType": "header", "location": "If-Match"}
    return Refusal(412, "conditionNotMet", message, extra=extra)


def in_use(what: str, path: str, user: str) -> Refusal:
    """400 resourceInUseByAnotherResource."""
    message = f"The {what} resource '{path}' is already being used by '{user}'"
    return Refusal(400, "resourceInUseByAnotherResource", message)


def stamp(moment: datetime) -> str:
    """`2025-02-05T04:55:05.216-08:00`: Los Angeles, milliseconds."""
    return moment.astimezone(_PACIFIC).isoformat(timespec="milliseconds")


def fingerprint(value: object) -> str:
    """A short hash that changes with the value, as labels, metadata and tags carry."""
    if not value:
        return _EMPTY_FINGERPRINT
    text = json.dumps(value, sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def relative(link: str, project: str) -> str | None:
    """A full or partial URL -> its path from `projects/`; None when it is no resource URL."""
    match = _LINK.match(link)
    if match is None:
        return None
    path = match.group(1)
    return path if path.startswith("projects/") else f"projects/{project}/{path}"


def path_of(resource: Json) -> str:
    """The path from `projects/` of a resource that carries its `selfLink`."""
    link: str = resource["selfLink"]
    return link.removeprefix(ROOT)


class Ids:
    """Numbers and names that Google makes up; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def number(self) -> str:
        """A resource's id: 19 decimal digits, as a string, below 2^63."""
        return str(self._random.randrange(10**18, 9 * 10**18))

    def operation(self, at: datetime) -> str:
        """`operation-<ms>-<13 hex>-<8 hex>-<8 hex>`."""
        bits = self._random.getrandbits
        millis = int(at.timestamp() * 1000)
        return f"operation-{millis}-{bits(52):013x}-{bits(32):08x}-{bits(32):08x}"

    def system_event(self, at: datetime) -> str:
        """`systemevent-<ms>-…`: what Compute Engine did by itself."""
        return self.operation(at).replace("operation-", "systemevent-", 1)
