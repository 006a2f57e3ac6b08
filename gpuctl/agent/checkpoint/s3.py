"""S3 with nothing but the standard library: signature version 4, the instance profile's own keys.

Sources: "Authenticating Requests (AWS Signature Version 4)" and "PutObject" in the S3 API
Reference (If-None-Match: * answers 412 where the key exists, 409 where two meet), and "Retrieve
security credentials from instance metadata" in the EC2 User Guide.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from gpuctl.agent.checkpoint.shelf import Open
from gpuctl.agent.checkpoint.web import Answer, Request, Send, ask, fail, fine, once, stubborn, wait
from gpuctl.core.checkpoints import Stored

EMPTY = hashlib.sha256(b"").hexdigest()
_PAGE = re.compile(r"\{[^}]*\}")
_EARLY_S = 300


class Keys(NamedTuple):
    """Credentials and the moment (seconds since 1970) from which they are not used any more."""

    id: str
    secret: str
    token: str
    until: float


class Profile:
    """The instance profile's keys, by IMDSv2; renewed five minutes before they end."""

    def __init__(self, metadata: str, now: Callable[[], float] = time.time) -> None:
        self.metadata = metadata.rstrip("/")
        self.now = now
        self.held: Keys | None = None

    def keys(self) -> Keys:
        """Those in force. PermissionError where the machine has no instance profile."""
        if self.held is None or self.now() >= self.held.until:
            self.held = self.fetch()
        return self.held

    def get(self, path: str) -> Answer:
        """One question under a token of its own: hours lie between two of them."""
        header = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = ask(Request("PUT", self.metadata + "/latest/api/token", header)).text()
        header = {"X-aws-ec2-metadata-token": token.strip()}
        return ask(Request("GET", "%s/latest/meta-data/%s" % (self.metadata, path), header))

    def region(self) -> str:
        """Where this machine is."""
        return self.get("placement/region").text().strip()

    def fetch(self) -> Keys:
        """Ask for them."""
        base = "iam/security-credentials/"
        answer = self.get(base)
        role = answer.text().strip().splitlines()
        if not fine(answer) or not role:
            raise PermissionError(
                "this machine has no instance profile, so it may not write to the bucket"
            )
        try:
            told = json.loads(self.get(base + role[0]).text())
            until = _seconds(told["Expiration"]) - _EARLY_S
            # A clock that is wrong must not make us ask at every request.
            until = max(until, self.now() + 60)
            return Keys(told["AccessKeyId"], told["SecretAccessKey"], told["Token"], until)
        except (ValueError, KeyError, TypeError) as error:
            raise OSError("the instance profile's keys cannot be read: %r" % error) from None


class S3:
    """A bucket. `endpoint` None = AWS's own; keys are the machine's."""

    def __init__(
        self,
        bucket: str,
        region: str,
        keys: Callable[[], Keys],
        *,
        endpoint: str | None = None,
        send: Send = once,
        sleep: Callable[[float], None] = wait,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.bucket = bucket
        self.region = region
        self.keys = keys
        self.endpoint = endpoint
        self.send = send
        self.sleep = sleep
        self.now = now

    def entries(self, prefix: str) -> Iterator[Stored]:
        """All pages."""
        query = {"list-type": "2", "prefix": prefix}
        while True:
            answer = self.call("GET", "", query)
            if not fine(answer):
                raise fail(answer, "listing s3://%s/%s" % (self.bucket, prefix))
            page = _page(answer.text())
            for one in page.iter("Contents"):
                yield Stored(
                    _text(one, "Key"), int(_text(one, "Size")), _seconds(_text(one, "LastModified"))
                )
            if _text(page, "IsTruncated") != "true":
                return
            query["continuation-token"] = _text(page, "NextContinuationToken")

    def read(self, key: str) -> Iterator[bytes]:
        """By blocks; an answer that breaks off is an OSError, and whoever reads begins anew."""
        answer = self.call("GET", key)
        if not fine(answer):
            raise fail(answer, "reading %s" % key)
        return answer.body

    def put(self, key: str, source: Open, size: int, sha256: str) -> None:
        """S3 itself compares the bytes with the hash that is signed."""
        answer = self.call("PUT", key, body=source, size=size, sha256=sha256)
        if not fine(answer):
            raise fail(answer, "storing %s" % key)
        answer.text()

    def create(self, key: str, data: bytes) -> bool:
        """If-None-Match: *. A lost answer is told apart by what lies there then."""
        answer = self.call(
            "PUT",
            key,
            body=lambda: io.BytesIO(data),
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            more={"if-none-match": "*"},
        )
        if fine(answer):
            answer.text()
            return True
        if answer.status == 412:  # noqa: PLR2004 - Precondition Failed
            answer.text()
            return b"".join(self.read(key)) == data
        raise fail(answer, "creating %s" % key)

    def delete(self, key: str) -> None:
        """A key that is gone is answered with 204, too."""
        answer = self.call("DELETE", key)
        if not fine(answer):
            raise fail(answer, "deleting %s" % key)
        answer.text()

    def call(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        body: Open | None = None,
        size: int = 0,
        sha256: str = EMPTY,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """A signed request; a bucket of another region is asked there from then on."""

        def prepare() -> Request:
            return self.signed(method, key, query or {}, body, size, sha256, more or {})

        answer = stubborn(prepare, self.kind, self.sleep)
        other = answer.headers.get("x-amz-bucket-region")
        if answer.status in (301, 307, 400) and other and other != self.region:
            self.region = other
            answer = stubborn(prepare, self.kind, self.sleep)
        return answer

    def kind(self, request: Request) -> Answer:
        """Two that meet at one key are answered 409, "try again": one more passing trouble."""
        answer = self.send(request)
        if answer.status == 409:  # noqa: PLR2004 - Conflict
            answer.status = 503
        return answer

    def signed(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        body: Open | None,
        size: int,
        sha256: str,
        more: Mapping[str, str],
    ) -> Request:
        """The request with its signature, valid for fifteen minutes."""
        base, path = self.place()
        path += "/".join(quote(part, safe="-_.~") for part in key.split("/"))
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.now()))
        keys = self.keys()
        headers = {
            "host": urlsplit(base).netloc,
            "x-amz-content-sha256": sha256,
            "x-amz-date": stamp,
            **more,
        }
        if keys.token:
            headers["x-amz-security-token"] = keys.token
        asked = urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
        headers["authorization"] = authorization(
            method, path, asked, headers, sha256, keys, self.region, stamp
        )
        url = base + path + ("?" + asked if asked else "")
        return Request(method, url, headers, body, size)

    def place(self) -> tuple[str, str]:
        """The host and the beginning of the path: a name with dots fits no certificate."""
        if self.endpoint is not None:
            return self.endpoint.rstrip("/"), "/%s/" % self.bucket
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        if "." in self.bucket:
            return "https://s3.%s.%s" % (self.region, domain), "/%s/" % self.bucket
        return "https://%s.s3.%s.%s" % (self.bucket, self.region, domain), "/"


def authorization(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    sha256: str,
    keys: Keys,
    region: str,
    stamp: str,
) -> str:
    """The Authorization header over all headers given (their names in lower case)."""
    names = ";".join(sorted(headers))
    lines = "".join("%s:%s\n" % (name, headers[name].strip()) for name in sorted(headers))
    asked = "\n".join((method, path, query, lines, names, sha256))
    scope = "%s/%s/s3/aws4_request" % (stamp[:8], region)
    digest = hashlib.sha256(asked.encode()).hexdigest()
    told = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, digest))
    key = ("AWS4" + keys.secret).encode()
    for word in (stamp[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, told.encode(), hashlib.sha256).hexdigest()
    return "AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s" % (
        keys.id,
        scope,
        names,
        signature,
    )


def _page(text: str) -> ET.Element:
    try:
        page = ET.fromstring(text)  # noqa: S314 - S3 wrote it, over TLS
    except ET.ParseError:
        raise OSError("the listing is not S3's") from None
    for element in page.iter():
        element.tag = _PAGE.sub("", element.tag)
    if page.tag != "ListBucketResult":
        raise OSError("the listing is not S3's")
    return page


def _text(element: ET.Element, name: str) -> str:
    text = element.findtext(name)
    if text is None:
        raise OSError("the listing is not S3's: no %s" % name)
    return text


def _seconds(text: str) -> float:
    import calendar  # noqa: PLC0415 - only here

    return float(calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")))
