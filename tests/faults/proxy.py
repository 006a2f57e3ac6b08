"""Between gpuctl and a cloud: every request is named, counted, and may meet with trouble.

The client can be killed before the request goes on (`pre`), after its effect (`post`), in the
middle of the answer (`mid`); the connection can be cut after the effect (`drop`) or before it
(`lost`); answers can be scripted, held back or never given.
"""

import http.client
import os
import re
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from gpuctl.sandbox.aws.refusals import Refusal as AwsRefusal
from gpuctl.sandbox.aws.wire import signed_by, write_refusal
from gpuctl.sandbox.gcp.routes import find_route

LAUNCHES = ("RunInstances", "instances.insert", "instances.start")
PHASES = ("pre", "post", "mid", "drop")
_REGIONS = ("us-east-1", "us-east-2")
"""What DescribeRegions tells: the other fifteen are asked the same."""


class Call(NamedTuple):
    """One kind of request, and which of its kind since the command began (0 = the first)."""

    cloud: str
    action: str
    number: int

    def __str__(self) -> str:
        return f"{self.cloud}.{self.action}#{self.number}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Instead of the cloud's own."""

    status: int
    kind: str
    body: bytes


@dataclass(slots=True)
class Plan:
    """What is to happen, and what did."""

    at: Call | None = None
    phase: str = ""
    judge: Callable[[Call, str], "Answer | str | None"] | None = None
    """Asked at every request: an answer, `lost`, `drop`, `hole`, `slow:SECONDS`, or nothing."""
    rewrite: Callable[[Call, bytes], bytes] | None = None
    """What the cloud says instead of what it said."""
    fired: int = 0


@dataclass
class Traffic:
    """What the proxies of one world share. `kill` ends the client, whoever it is."""

    kill: Callable[[], None]
    on_request: Callable[[Call], None] = lambda call: None
    plan: Plan = field(default_factory=Plan)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: list[Call] = field(default_factory=list)
    bodies: list[tuple[Call, bytes]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    """The idempotency tokens of launches, as sent."""
    busy: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, plan: Plan | None = None) -> Plan:
        """A new command: count from nought."""
        with self.lock:
            self.plan = plan or Plan()
            self.counts.clear()
            self.seen, self.bodies, self.tokens = [], [], []
        return self.plan

    def name(
        self, cloud: str, action: str, body: bytes, token: str = ""
    ) -> tuple[Call, str | Answer | None]:
        """Count a request and say what it meets."""
        with self.lock:
            call = Call(cloud, action, self.counts[cloud, action])
            self.counts[cloud, action] += 1
            self.seen.append(call)
            if action in LAUNCHES:
                self.bodies.append((call, body))
                self.tokens.append(token)
            plan = self.plan
            meets: str | Answer | None = plan.phase if call == plan.at else None
            if meets is None and plan.judge is not None:
                meets = plan.judge(call, body.decode(errors="replace"))
            if meets is not None:
                plan.fired += 1
        self.on_request(call)
        return call, meets

    def quiet(self, limit: float = 10.0) -> None:
        """Wait until every request that was sent has arrived, as a network would bring it."""
        end = time.monotonic() + limit
        while self.busy and time.monotonic() < end:
            time.sleep(0.002)


class Proxy:
    """A loopback port in front of one emulator."""

    def __init__(self, cloud: str, upstream: str, traffic: Traffic) -> None:
        self._cloud, self._traffic = cloud, traffic
        where = urlsplit(upstream)
        self._host, self._port = where.hostname or "", where.port or 0
        self._server = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._closing = False
        self._told: dict[tuple[object, ...], tuple[int, dict[str, str], bytes]] = {}
        threading.Thread(target=self._accept, daemon=True, name=f"proxy-{cloud}").start()

    def close(self) -> None:
        """Take no more."""
        self._closing = True
        self._server.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        reader = client.makefile("rb")
        try:
            while (request := _read(reader)) is not None:
                with self._traffic.lock:
                    self._traffic.busy += 1
                try:
                    keep = self._meet(client, request)
                finally:
                    with self._traffic.lock:
                        self._traffic.busy -= 1
                if not keep:
                    return
        except OSError:
            return  # the client is dead: that was the point
        finally:
            reader.close()
            client.close()

    def _meet(self, client: socket.socket, request: "Request") -> bool:
        call, meets = self._traffic.name(
            self._cloud, self._action(request), request.body, _token(request)
        )
        if isinstance(meets, Answer):
            client.sendall(_response(meets.status, {"Content-Type": meets.kind}, meets.body))
            return True
        if meets is None:
            status, headers, body = self._forward(call, request)
            rewrite = self._traffic.plan.rewrite
            client.sendall(_response(status, headers, rewrite(call, body) if rewrite else body))
            return True
        phase, _, seconds = meets.partition(":")
        if phase == "slow":
            time.sleep(float(seconds))
            client.sendall(_response(*self._forward(call, request)))
            return True
        if phase == "hole":
            time.sleep(float(seconds or 5))
            return False
        if phase == "pre":
            self._traffic.kill()
        if phase in ("pre", "lost"):
            _reset(client)
            return False
        answer = _response(*self._forward(call, request))
        if phase == "mid":
            client.sendall(answer[: len(answer) // 2])
        if phase in ("post", "mid"):
            self._traffic.kill()
        elif phase == "half":
            client.sendall(answer[: len(answer) // 2])
        _reset(client)
        return False

    def _action(self, request: "Request") -> str:
        if self._cloud == "gcp":
            found = find_route(request.verb, urlsplit(request.path).path)
            return found[0].method if found else f"{request.verb} {request.path}"
        target = request.headers.get("x-amz-target")
        if target:
            return target.rpartition(".")[2]
        if request.path.startswith("/schedules"):
            return _SCHEDULING.get(request.verb, "?")
        return parse_qs(request.body.decode(errors="replace")).get("Action", ["?"])[0]

    def _forward(self, call: Call, request: "Request") -> tuple[int, dict[str, str], bytes]:
        if call.action not in _STATIC:
            return self._ask(call, request)
        scope = request.headers.get("authorization", "").partition(",")[0].split("/")[2:]
        key = (call.action, *scope, request.path, request.body)
        if key not in self._told:
            self._told[key] = self._ask(call, request)
        return self._told[key]

    def _ask(self, call: Call, request: "Request") -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(self._host, self._port, timeout=60)
        try:
            upstream.request(request.verb, request.path, request.body or None, request.raw)
            reply = upstream.getresponse()
            body = reply.read()
        finally:
            upstream.close()
        if call.action == "DescribeRegions":
            body = _fewer_regions(body)
        kept = {k: v for k, v in reply.getheaders() if k.lower() not in _HOP}
        return reply.status, kept, body


_STATIC = ("DescribeInstanceTypes", "DescribeInstanceTypeOfferings", "GetProducts", "GetParameter")
"""Answers that are the same each time, and dear to make."""
_SCHEDULING = {
    "POST": "CreateSchedule",
    "PUT": "UpdateSchedule",
    "DELETE": "DeleteSchedule",
    "GET": "ListSchedules",
}
_HOP = ("content-length", "connection", "transfer-encoding", "date", "server")


class Request(NamedTuple):
    """As it came."""

    verb: str
    path: str
    headers: dict[str, str]
    raw: dict[str, str]
    body: bytes


def _read(reader: "socket.SocketIO | object") -> Request | None:
    line = reader.readline().decode()  # type: ignore[attr-defined]
    if not line.strip():
        return None
    verb, path, _ = line.split()
    raw: dict[str, str] = {}
    while (text := reader.readline().decode("latin-1")).strip():  # type: ignore[attr-defined]
        name, _, value = text.partition(":")
        raw[name] = value.strip()
    headers = {name.lower(): value for name, value in raw.items()}
    length = int(headers.get("content-length") or 0)
    body = reader.read(length)  # type: ignore[attr-defined]
    if len(body) < length:
        return None  # whoever sent it died in the middle: no server answers half a request
    return Request(verb, path, headers, raw, body)


def _token(request: Request) -> str:
    query = parse_qs(urlsplit(request.path).query).get("requestId")
    form = parse_qs(request.body.decode(errors="replace")).get("ClientToken")
    return (query or form or [""])[0]


def _response(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Answer", *(f"{k}: {v}" for k, v in headers.items())]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _fewer_regions(body: bytes) -> bytes:
    def keep(match: re.Match[str]) -> str:
        return match[0] if any(f">{name}<" in match[0] for name in _REGIONS) else ""

    return re.sub(r"<item>.*?</item>", keep, body.decode(), flags=re.DOTALL).encode()


def aws_error(action: str, code: str, message: str | None = None) -> Answer:
    """An error as AWS sends it: the service's own protocol, the code's own HTTP status."""
    service = {
        "GetCallerIdentity": "sts",
        "GetProducts": "pricing",
        "GetServiceQuota": "servicequotas",
        "LookupEvents": "cloudtrail",
        "GetParameter": "ssm",
    }.get(action, "ec2")
    made = write_refusal(service, AwsRefusal(code, message), "fault-0000")
    return Answer(made.status, made.headers["Content-Type"], made.body)


def end(pid: int) -> None:
    """kill -9; one that is gone already is no matter."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


__all__ = ["PHASES", "Answer", "Call", "Plan", "Proxy", "Traffic", "aws_error", "end", "signed_by"]
