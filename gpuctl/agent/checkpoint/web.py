"""HTTP for a store: one request at a time, and the one place that tries again."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple, Protocol
from urllib.parse import urlsplit

from gpuctl.agent.checkpoint.shelf import BLOCK, Open

TIMEOUT_S = 60.0
TRIES = 5
PASSING = (408, 429, 500, 502, 503, 504)
_OK = range(200, 300)
_LARGEST = 64 << 20


class Request(NamedTuple):
    """What is asked. `url` without its query's `?` is as it goes over the wire, quoted."""

    method: str
    url: str
    headers: dict[str, str]
    body: Open | None = None
    size: int = 0


class Answer:
    """What came back; `body` can be read once."""

    def __init__(self, status: int, headers: dict[str, str], body: Iterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def text(self) -> str:
        """All of a short body."""
        data = b""
        for block in self.body:
            data += block
            if len(data) > _LARGEST:
                raise OSError("the answer has no end")
        return data.decode("utf-8", "replace")


class Send(Protocol):
    """Sends a request and gives what came back."""

    def __call__(self, request: Request) -> Answer:
        """OSError when no answer comes."""


def once(request: Request, timeout: float = TIMEOUT_S) -> Answer:
    """Send it. OSError when no answer comes."""
    url = urlsplit(request.url)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    link = kind(url.hostname or "", url.port, timeout=timeout)
    target = url.path + ("?" + url.query if url.query else "")
    try:
        link.putrequest(request.method, target, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() != "host":  # http.client writes that one itself
                link.putheader(name, value)
        if request.body is not None or request.method in ("PUT", "POST"):
            link.putheader("Content-Length", str(request.size))
        link.endheaders()
        if request.body is not None:
            with request.body() as file:
                _pour(link, file, request.size)
        answer = link.getresponse()
    except http.client.HTTPException as error:
        link.close()
        raise OSError("%s does not speak HTTP: %r" % (url.hostname, error)) from None
    except OSError:
        link.close()
        raise
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, headers, _blocks(link, answer))


def _pour(link: http.client.HTTPConnection, file: BinaryIO, size: int) -> None:
    left = size
    while left:
        block = file.read(min(BLOCK, left))
        if not block:
            raise OSError("the file is shorter than it was")
        link.send(block)
        left -= len(block)


def _blocks(link: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while True:
            block = answer.read(BLOCK)
            if not block:
                return
            yield block
    except http.client.HTTPException as error:
        raise OSError("the answer broke off: %r" % error) from None
    finally:
        link.close()


def stubborn(prepare: Callable[[], Request], send: Send, sleep: Callable[[float], None]) -> Answer:
    """Send until something lasting is answered; each try is prepared (signed) anew.

    Only for what may happen twice. OSError when nothing lasting came in all tries.
    """
    for number in range(TRIES):
        last = number == TRIES - 1
        try:
            answer = send(prepare())
        except PermissionError:
            raise  # no credentials: waiting brings none
        except OSError:
            if last:
                raise
        else:
            if answer.status not in PASSING or last:
                return answer
            answer.text()
        sleep(0.5 * 2**number)
    raise AssertionError("the last try returns or raises")


def ask(request: Request, timeout: float = 2.0) -> Answer:
    """A question to a metadata service: short, and never through anything in between."""
    return once(request, timeout)


def fail(answer: Answer, what: str) -> OSError:
    """The error that a refusal is."""
    said = " ".join(answer.text().split())[:300]
    text = "%s: HTTP %d %s" % (what, answer.status, said)
    if answer.status in (401, 403):
        return PermissionError(text)
    return FileNotFoundError(text) if answer.status == 404 else OSError(text)  # noqa: PLR2004


def fine(answer: Answer) -> bool:
    """Whether it is one of the 2xx."""
    return answer.status in _OK


def wait(seconds: float) -> None:
    """Between two tries."""
    time.sleep(seconds)
