"""The WSGI front before moto: who is asking, scripted trouble, our answers, else moto's."""

import logging
import os
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.model import OperationNotFoundError

from gpuctl.sandbox.aws.faults import Fault, Faults
from gpuctl.sandbox.aws.refusals import Refusal, no_access, not_authorized
from gpuctl.sandbox.aws.schedules import Schedules, action_of
from gpuctl.sandbox.aws.wire import (
    Answer,
    Call,
    Handler,
    Moto,
    Shape,
    Signed,
    check_filters,
    read,
    signed_by,
    write,
    write_refusal,
)
from gpuctl.sandbox.world import SandboxClock

KEYS = frozenset({"sandbox", "testing"})
"""Access key ids that are let in: fixed dummies, so that real ones never reach an emulator."""

READ = frozenset({"ec2", "sts", "ssm", "pricing", "servicequotas", "cloudtrail"})
"""Services whose requests are read here; all others go to moto as they are."""

_log = logging.getLogger(__name__)
_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}


class ConnectionCut(ConnectionError):
    """The client's connection was cut on purpose."""


class Front:
    """A WSGI application. `prepare(region)` is called before each answer of a region's EC2."""

    def __init__(
        self,
        *,
        clock: SandboxClock,
        moto: Moto,
        faults: Faults,
        handlers: Mapping[str, Handler],
        prepare: Callable[[str], None],
        schedules: Schedules,
        account: str,
    ) -> None:
        self._clock, self._moto, self._faults = clock, moto, faults
        self._schedules = schedules
        self._handlers, self._prepare, self._account = handlers, prepare, account
        self._conditional = threading.Lock()
        self.requests = 0
        """How many have come."""

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        self.requests += 1
        answer = self._answer(environ)
        status = f"{answer.status} {_PHRASES.get(answer.status, 'Answer')}"
        headers = {
            key: value for key, value in answer.headers.items() if key.lower() != "content-length"
        }
        headers["Content-Length"] = str(len(answer.body))
        start_response(status, list(headers.items()))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _answer(self, environ: dict[str, Any]) -> Answer:
        request_id = str(uuid.uuid4())
        signed = signed_by(environ)
        if signed is None:
            return write_refusal("ec2", Refusal("AuthFailure"), request_id)
        if self._faults.latency:
            time.sleep(self._faults.latency)
        if signed.service not in READ:
            if signed.key not in KEYS:
                return write_refusal("iam", Refusal("InvalidClientTokenId"), request_id)
            if signed.service == "scheduler":
                return self._scheduled(environ, request_id)
            return self._pass_on(environ)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            action, params = read(signed.service, environ, body)
        except OperationNotFoundError:
            refusal = Refusal("InvalidAction", "The action is not valid for this web service.")
            return write_refusal(signed.service, refusal, request_id)
        fault = self._faults.take(action)
        if fault is not None:
            scripted = _meet(fault, environ, signed.service, request_id)
            if scripted is not None:
                return scripted
        answer = self._tried(signed, action, params, environ, body, request_id)
        if fault is not None and fault.drop == "after":
            _cut(environ)
        return answer

    def _scheduled(self, environ: dict[str, Any], request_id: str) -> Answer:
        """Moto keeps the schedules; they are run by the sandbox's clock."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        action = action_of(environ)
        with self._clock.lock:
            self._clock.run_due()
            try:
                if action in self._faults.denied:
                    raise no_access("scheduler", action, self._account)
                self._schedules.check(action, body)
            except Refusal as refusal:
                return write_refusal("scheduler", refusal, request_id)
            answer = self._moto.pass_on(environ, body)
            self._schedules.follow()
        return answer

    def _pass_on(self, environ: dict[str, Any]) -> Answer:
        """Moto looks and then writes: of two conditional writes at once it would let both win."""
        if "HTTP_IF_NONE_MATCH" not in environ:
            return self._moto.pass_on(environ)
        with self._conditional:
            return self._moto.pass_on(environ)

    def _tried(
        self,
        signed: Signed,
        action: str,
        params: Shape,
        environ: dict[str, Any],
        body: bytes,
        request_id: str,
    ) -> Answer:
        try:
            return self._work(signed, action, params, environ, body, request_id)
        except Refusal as refusal:
            return write_refusal(signed.service, refusal, request_id)
        except Exception:  # noqa: BLE001 - a server answers, whatever broke
            _log.exception("%s %s failed in the sandbox", signed.service, action)
            broken = Refusal("InternalError", f"A mistake in the sandbox's {action}: see its log")
            return write_refusal(signed.service, broken, request_id)

    def _work(
        self,
        signed: Signed,
        action: str,
        params: Shape,
        environ: dict[str, Any],
        body: bytes,
        request_id: str,
    ) -> Answer:
        self._admit(signed, action)
        with self._clock.lock:
            self._clock.run_due()
            if signed.service == "ec2":
                self._prepare(signed.region)
                check_filters(action, params)
            handler = self._handlers.get(f"{signed.service}.{action}")
            if handler is None:
                return self._from_moto(environ, body, signed.service, action)
            if params.get("DryRun") and action != "RunInstances":
                raise Refusal("DryRunOperation")

            def forward(changed: Shape) -> Shape:
                return self._moto.call(signed.region, action, changed, signed.service)

            result = handler(Call(signed.service, signed.region, action, params, forward))
        return write(signed.service, action, result, request_id)

    def _admit(self, signed: Signed, action: str) -> None:
        if signed.key not in KEYS:
            if signed.service == "ec2":
                raise Refusal("AuthFailure")
            if signed.service == "sts":
                raise Refusal("InvalidClientTokenId")
            raise Refusal(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        if action in self._faults.denied:
            if signed.service == "ec2":
                raise not_authorized(action, self._account, signed.region)
            raise no_access(signed.service, action, self._account)

    def _from_moto(self, environ: dict[str, Any], body: bytes, service: str, action: str) -> Answer:
        try:
            return self._moto.pass_on(environ, body)
        except NotImplementedError as error:
            if "filter" in str(error):
                raise Refusal("InvalidParameterValue", str(error)) from error
            raise Refusal(
                "InvalidAction", f"The sandbox does not emulate {service} {action}."
            ) from error


def _meet(fault: Fault, environ: dict[str, Any], service: str, request_id: str) -> Answer | None:
    """What a fault answers; None when the work is done all the same."""
    if fault.delay:
        time.sleep(fault.delay)
    if fault.drop == "before":
        _cut(environ)
    if fault.html:
        page = b"<html><body>Please log in to this network</body></html>"
        return Answer(200, {"Content-Type": "text/html"}, page)
    refusal = fault.refusal()
    if refusal is not None and fault.drop is None:
        return write_refusal(service, refusal, request_id)
    return None


def _cut(environ: dict[str, Any]) -> None:
    """Reset the connection (RST), as a lost network does.

    The server keeps its descriptor, now of a line that has ended, and so finishes quietly.
    """
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ended, other = socket.socketpair()
    other.close()
    os.dup2(ended.fileno(), connection.fileno())
    ended.close()
    raise ConnectionCut
