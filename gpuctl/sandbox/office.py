"""The control service of a running sandbox: loopback HTTP, a bearer token, JSON both ways."""

import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Any

from gpuctl.sandbox.metal.web import Reply, Request
from gpuctl.sandbox.running import Sandbox

_LOG = logging.getLogger(__name__)


class Office:
    """Answers the verbs of `gpuctl.sandbox.control.Control`."""

    def __init__(self, sandbox: Sandbox, token: str) -> None:
        self._sandbox = sandbox
        self._token = token
        self._verbs: Mapping[str, Callable[..., Mapping[str, Any]]] = {
            "advance": self._advance,
            "gpu": self._gpu,
            "interrupt": self._interrupt,
            "knob": self._knob,
            "reset": self._reset,
            "status": self._status,
            "truth": self._truth,
        }

    def answer(self, request: Request) -> Reply:
        """One request: `POST /v1/VERB` with a JSON object of arguments."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            return _reply({"error": "the token is not this sandbox's"}, 401)
        verb = self._verbs.get(request.path.removeprefix("/v1/"))
        if request.method != "POST" or verb is None:
            return _reply({"error": f"no such verb: {request.method} {request.path}"}, 400)
        try:
            return _reply(verb(**json.loads(request.body or b"{}")))
        except LookupError as error:
            return _reply({"error": str(error.args[0]) if error.args else "not found"}, 404)
        except (ValueError, TypeError, DecimalException) as error:
            return _reply({"error": str(error)}, 400)
        except Exception as error:  # noqa: BLE001 - whoever asked must hear of it
            _LOG.exception("control")
            return _reply({"error": repr(error)}, 500)

    def _advance(self, *, seconds: float) -> Mapping[str, Any]:
        self._sandbox.use()
        self._sandbox.metal.settle()
        self._sandbox.clock.advance(timedelta(seconds=float(seconds)))
        return {"now": self._sandbox.clock.glance()}

    def _gpu(self, *, name: str, busy: bool) -> Mapping[str, Any]:
        self._sandbox.use()
        self._sandbox.metal.set_gpu(self._sandbox.machine(name).id, busy=bool(busy))
        return {}

    def _interrupt(self, *, name: str, notice_seconds: float | None) -> Mapping[str, Any]:
        self._sandbox.use()
        self._sandbox.interrupt(name, notice_seconds)
        return {}

    def _knob(self, *, cloud: str, name: str, arguments: dict[str, Any]) -> Mapping[str, Any]:
        self._sandbox.use()
        self._sandbox.cloud(cloud).control(name, **arguments)
        return {}

    def _reset(self) -> Mapping[str, Any]:
        self._sandbox.use()
        self._sandbox.reset()
        return {}

    def _status(self) -> Mapping[str, Any]:
        return self._sandbox.status()

    def _truth(self) -> Mapping[str, Any]:
        return self._sandbox.truth()


def _reply(told: Mapping[str, Any], status: int = 200) -> Reply:
    body = json.dumps(told, default=_plain).encode()
    return Reply(status, body, "application/json")


def _plain(value: object) -> object:
    """What JSON has no word for: times in RFC 3339, money as strings, values as objects."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
