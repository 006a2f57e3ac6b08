"""Compute Engine's REST API for one project: JSON in, JSON out, refusals read.

The library's own way of waiting for an operation asks Google's real address whatever endpoint
is set, and raises for a stock-out what looks like a passing 503. So only `*_unary` methods are
used here, and operations are waited for with our own client (see `operations`).
"""

import ipaddress
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from gpuctl.core import endpoints as core
from gpuctl.core.errors import (
    Denied,
    ListingIncomplete,
    NotFound,
    TypeNotOffered,
    UsageProblem,
)
from gpuctl.core.ports import Sleep
from gpuctl.providers.gcp import light
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.errors import LOGIN, Json, Refusal, Refused, error_of, refusal_from

READ_TIMEOUT = 30.0
"""Seconds for one attempt to read."""
READ_LIMIT = 45.0
"""Seconds for all attempts to read together."""
WRITE_TIMEOUT = 60.0
"""Seconds for one attempt to write: shorter would only make outcomes unknown."""
WAIT_TIMEOUT = 150.0
"""Seconds for one `wait`, which Google answers after two minutes at the latest."""
PAUSES = (1.0, 2.0, 4.0)
"""Seconds before a write is sent again, with the same request id."""
SCOPES = ("https://www.googleapis.com/auth/compute",)
ENDPOINT = "GPUCTL_GCP_ENDPOINT"
"""The variable that names another root address."""
QUIET = ("NO_RESULTS_ON_PAGE",)
"""Warnings of a listing that say nothing is missing from it."""


def loopback(endpoint: str, variable: str = ENDPOINT) -> bool:
    """Whether an address is on this machine.

    UsageProblem naming `variable`: it is no address, or plain HTTP that leaves this machine.
    """
    url = urlsplit(core.endpoint(variable, endpoint))
    host = url.hostname or ""
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if url.scheme == "http" and not here:
        raise UsageProblem(
            f"{variable} is http://{host}: only https, or http on this machine",
            hint=f"unset {variable}",
        )
    return here


def credentials(
    endpoint: str | None, scopes: tuple[str, ...] = SCOPES, *, variable: str = ENDPOINT
) -> tuple[Any, str | None]:
    """Google credentials and their project: anonymous on loopback, else the application default.

    Raises `Denied` with the command to type when there are none. `variable` gave the endpoint.
    """
    import google.auth
    from google.auth import exceptions
    from google.auth.credentials import AnonymousCredentials

    if endpoint is not None and loopback(endpoint, variable):
        return AnonymousCredentials(), None  # type: ignore[no-untyped-call]
    try:
        found, project = google.auth.default(scopes=scopes)
    except exceptions.GoogleAuthError as error:
        words = "There are no Google credentials on this machine."
        raise Denied(words, hint=LOGIN, detail=str(error)) from error
    return found, project


class Compute:
    """The calls of `Call`, with a retry owner each: Google's for reads, ours for writes."""

    def __init__(self, project: str, granted: Any, endpoint: str | None, sleep: Sleep) -> None:
        self.project = project
        self._endpoint = endpoint
        self._credentials = granted
        self._sleep = sleep
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def read(self, call: Call, *, doing: str, timeout: float = READ_TIMEOUT, **fields: Any) -> Json:
        """One resource. Refusals become errors of `core.errors`."""
        try:
            return self.ask(call, timeout=timeout, **fields)
        except Refused as refused:
            raise error_of(refused.refusal, doing=doing) from refused

    def look(self, call: Call, *, doing: str, **fields: Any) -> Json | None:
        """One resource, or None when it does not exist."""
        try:
            return self.read(call, doing=doing, **fields)
        except (NotFound, TypeNotOffered):
            return None

    def ask(self, call: Call, *, timeout: float = READ_TIMEOUT, **fields: Any) -> Json:
        """Like `read`, but raises `Refused` for the caller to judge."""
        answer = self._send(call, self._request(fields), self._reading(), timeout)
        return _plain(answer)

    def pages(self, call: Call, *, doing: str, **fields: Any) -> Iterator[Json]:
        """The pages of a listing, as they come."""
        try:
            request = self._request(fields)
            pager = self._send(call, request, self._reading(), READ_TIMEOUT)
            pages = iter(pager.pages)
            while (page := self._translated(lambda: next(pages, None))) is not None:
                yield _plain(page)
        except Refused as refused:
            raise error_of(refused.refusal, doing=doing) from refused

    def everywhere(self, call: Call, key: str, *, doing: str, **fields: Any) -> Iterator[Json]:
        """The `key` of every scope of an aggregated listing: complete, or ListingIncomplete."""
        for page in self.pages(call, doing=doing, **fields):
            for scope, found in (page.get("items") or {}).items():
                _insist(found, scope.rpartition("/")[2])
                yield from found.get(key) or ()
            _insist(page, None)

    def listed(self, call: Call, *, doing: str, **fields: Any) -> Iterator[Json]:
        """The items of a plain listing: complete, or ListingIncomplete."""
        for page in self.pages(call, doing=doing, **fields):
            _insist(page, None)
            yield from page.get("items") or ()

    def write(
        self, call: Call, request_id: str | None, body: Json | None = None, **fields: Any
    ) -> Json:
        """Ask for a change: the operation, accepted but not done. Raises `Refused`.

        A passing refusal or a lost answer is followed by the same request under the same id.
        """
        if request_id is not None:
            fields["request_id"] = request_id
        if body is not None and call.body is not None:
            field, message = call.body
            fields[field] = getattr(light.messages(), message).from_json(json.dumps(body))
        request = self._request(fields)
        for pause in (*PAUSES, None):
            try:
                return _plain(self._send(call, request, None, WRITE_TIMEOUT))
            except Refused as refused:
                if pause is None or not refused.refusal.passing:
                    raise
                self._sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _request(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"project": self.project, **fields}

    def _reading(self) -> Any:
        from google.api_core.retry import Retry

        def passing(error: Exception) -> bool:
            said = refusal_from(error)
            return isinstance(said, Refusal) and said.passing

        return Retry(passing, initial=0.2, maximum=4.0, multiplier=2.0, timeout=READ_LIMIT)

    def _send(self, call: Call, request: dict[str, Any], retry: Any, timeout: float) -> Any:
        method = getattr(self._client(call.service), call.method)
        return self._translated(lambda: method(request=request, retry=retry, timeout=timeout))

    def _translated(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:
            said = refusal_from(error)
            if isinstance(said, Refusal):
                raise Refused(said) from error
            if said is not None:
                raise said from error
            raise

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._connected(service)
            return self._clients[service]

    def _connected(self, service: str) -> Any:
        module = light.service(service)
        words = service.split("_")
        kind = getattr(module, "".join(word.capitalize() for word in words) + "Client")
        options: Mapping[str, Any] = {}
        if self._endpoint is not None:
            options = {"client_options": {"api_endpoint": self._endpoint.rstrip("/")}}
        client = kind(credentials=self._credentials, transport="rest", **options)
        session = getattr(client.transport, "_session", None)
        if session is not None and self._endpoint is not None and loopback(self._endpoint):
            session.trust_env = False  # a proxy cannot reach this machine's loopback
        return client


def _plain(message: Any) -> Json:
    """A message as the API itself prints it: camel case, int64 as text."""
    from google.protobuf.json_format import MessageToDict

    found: Json = MessageToDict(type(message).pb(message))
    return found


def _insist(listing: Json, scope: str | None) -> None:
    code = (listing.get("warning") or {}).get("code")
    missing = listing.get("unreachables") or ()
    if (code and code not in QUIET) or missing:
        where = scope or ", ".join(name.rpartition("/")[2] for name in missing) or "a zone"
        raise ListingIncomplete(
            f"Compute Engine could not list {where}",
            provider="gcp",
            region=where.rpartition("-")[0] if scope else None,
            detail=f"warning {code}, unreachable {list(missing)}",
        )
