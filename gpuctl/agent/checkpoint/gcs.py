"""Google Cloud Storage by its JSON API, with the token of the VM's own service account.

Sources: "Objects: insert" (ifGenerationMatch=0 answers 412 where the object exists) and
"Objects: list" in the Cloud Storage JSON API reference; "Access tokens" of the metadata server.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from gpuctl.agent.checkpoint.shelf import BLOCK, Open
from gpuctl.agent.checkpoint.web import Answer, Request, Send, ask, fail, fine, once, stubborn, wait
from gpuctl.core.checkpoints import Stored

GOOGLE = "https://storage.googleapis.com"
_EARLY_S = 60


class Token:
    """The service account's access token; renewed a minute before it ends."""

    def __init__(self, metadata: str, now: Callable[[], float] = time.monotonic) -> None:
        self.url = (
            "http://%s/computeMetadata/v1/instance/service-accounts/default/token"
            % metadata.rpartition("//")[2].rstrip("/")
        )
        self.now = now
        self.held = ""
        self.until = 0.0

    def token(self) -> str:
        """The one in force. PermissionError where the VM has no service account."""
        if self.now() >= self.until:
            answer = ask(Request("GET", self.url, {"Metadata-Flavor": "Google"}))
            if not fine(answer):
                raise PermissionError(
                    "this machine has no service account, so it may not write to the bucket"
                )
            try:
                told = json.loads(answer.text())
                self.held = str(told["access_token"])
                self.until = self.now() + float(told["expires_in"]) - _EARLY_S
            except (ValueError, KeyError, TypeError) as error:
                raise OSError("the service account's token cannot be read: %r" % error) from None
        return self.held


class Gcs:
    """A bucket. `endpoint` None = Google's own."""

    def __init__(
        self,
        bucket: str,
        token: Callable[[], str],
        *,
        endpoint: str | None = None,
        send: Send = once,
        sleep: Callable[[float], None] = wait,
    ) -> None:
        self.bucket = bucket
        self.token = token
        self.base = (endpoint or GOOGLE).rstrip("/")
        self.send = send
        self.sleep = sleep

    def entries(self, prefix: str) -> Iterator[Stored]:
        """All pages."""
        query = {"prefix": prefix, "fields": "items(name,size,updated),nextPageToken"}
        while True:
            answer = self.call("GET", "/storage/v1/b/%s/o" % self.bucket, query)
            if not fine(answer):
                raise fail(answer, "listing gs://%s/%s" % (self.bucket, prefix))
            page = _json(answer)
            for one in page.get("items") or ():
                yield Stored(str(one["name"]), int(one["size"]), _seconds(str(one["updated"])))
            if not page.get("nextPageToken"):
                return
            query["pageToken"] = str(page["nextPageToken"])

    def read(self, key: str) -> Iterator[bytes]:
        """By blocks; an answer that breaks off is an OSError, and whoever reads begins anew."""
        answer = self.call("GET", self.path(key), {"alt": "media"})
        if not fine(answer):
            raise fail(answer, "reading %s" % key)
        return answer.body

    def put(self, key: str, source: Open, size: int, sha256: str) -> None:  # noqa: ARG002
        """Google answers with the MD5 of what it stored: that is what is compared."""
        told = _json(self.insert(key, source, size, {}))
        if told.get("md5Hash") != md5_of(source, size):
            raise OSError("%s arrived damaged" % key)

    def create(self, key: str, data: bytes) -> bool:
        """ifGenerationMatch=0. A lost answer is told apart by what lies there then."""
        answer = self.insert(key, lambda: io.BytesIO(data), len(data), {"ifGenerationMatch": "0"})
        if answer.status == 412:  # noqa: PLR2004 - Precondition Failed
            answer.text()
            return b"".join(self.read(key)) == data
        answer.text()
        return True

    def delete(self, key: str) -> None:
        """One that is gone is no error."""
        answer = self.call("DELETE", self.path(key), {})
        if not fine(answer) and answer.status != 404:  # noqa: PLR2004 - Not Found
            raise fail(answer, "deleting %s" % key)
        answer.text()

    def path(self, key: str) -> str:
        """An object's own address: its slashes are part of one name."""
        return "/storage/v1/b/%s/o/%s" % (self.bucket, quote(key, safe=""))

    def insert(self, key: str, source: Open, size: int, query: dict[str, str]) -> Answer:
        """A simple upload: one request, the bytes as they are."""
        asked = {"uploadType": "media", "name": key, **query}
        path = "/upload/storage/v1/b/%s/o" % self.bucket
        answer = self.call("POST", path, asked, source, size)
        if not fine(answer) and answer.status != 412:  # noqa: PLR2004 - Precondition Failed
            raise fail(answer, "storing %s" % key)
        return answer

    def call(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Open | None = None,
        size: int = 0,
    ) -> Answer:
        """One request with the token."""
        url = self.base + path + ("?" + urlencode(sorted(query.items())) if query else "")

        def prepare() -> Request:
            headers = {"Authorization": "Bearer " + self.token()}
            if body is not None:
                headers["Content-Type"] = "application/octet-stream"
            return Request(method, url, headers, body, size)

        return stubborn(prepare, self.send, self.sleep)


def md5_of(source: Open, size: int) -> str:
    """In base64, as Google writes it. It finds damage on the way; SHA-256 tells the rest."""
    digest = hashlib.md5(usedforsecurity=False) if _NAMED else hashlib.md5()  # noqa: S324
    left = size
    with source() as file:
        while left:
            block = file.read(min(BLOCK, left))
            if not block:
                break
            digest.update(block)
            left -= len(block)
    return base64.b64encode(digest.digest()).decode()


def _names_purpose() -> bool:
    try:
        hashlib.md5(usedforsecurity=False)
    except TypeError:  # Python 3.8
        return False
    return True


_NAMED = _names_purpose()


def _json(answer: Answer) -> dict[str, Any]:
    try:
        told = json.loads(answer.text())
    except ValueError:
        raise OSError("the answer is not Google's") from None
    if not isinstance(told, dict):
        raise OSError("the answer is not Google's")
    return told


def _seconds(text: str) -> float:
    import calendar  # noqa: PLC0415 - only here

    return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
