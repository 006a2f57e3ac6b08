"""The sandbox's Google: one project behind one loopback address, with knobs to turn."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gpuctl.sandbox.gcp import library, pricelist
from gpuctl.sandbox.gcp.catalogue import ALL_ZONES, IMAGE_PROJECTS
from gpuctl.sandbox.gcp.checks import read_call
from gpuctl.sandbox.gcp.faults import Drop, Fault
from gpuctl.sandbox.gcp.handlers import Handler, Rooms, handlers_of
from gpuctl.sandbox.gcp.lifecycle import PREEMPTION_SECONDS
from gpuctl.sandbox.gcp.project import Project
from gpuctl.sandbox.gcp.routes import METHODS, find_route
from gpuctl.sandbox.gcp.server import Reply, Server
from gpuctl.sandbox.gcp.truth import Truth, tell
from gpuctl.sandbox.gcp.wire import Json, Refusal, malformed, not_found
from gpuctl.sandbox.world import Metal, SandboxClock

_KNOBS = frozenset(
    {
        "no_capacity",
        "capacity",
        "quota",
        "fault",
        "clear_faults",
        "lag",
        "latency",
        "deny",
        "allow",
        "preempt",
        "host_error",
        "guest_poweroff",
        "unreachable",
        "reachable",
        "pace",
        "reset",
    }
)
_CREATE = {"insert": "create", "aggregatedList": "list", "patch": "update", "wait": "get"}


class GcpCloud:
    """A strict, stateful Compute Engine (REST v1) on 127.0.0.1.

    `start` gives the address for the client's `api_endpoint`. Same seed, same ids.
    """

    def __init__(
        self,
        clock: SandboxClock,
        metal: Metal,
        *,
        seed: int = 0,
        project: str = "sandbox-project",
    ) -> None:
        self._clock = clock
        self._metal = metal
        self._seed = seed
        self._name = project
        self._server: Server | None = None
        self._requests = 0
        self._build()

    def _build(self) -> None:
        self._project = Project(self._name, self._clock, self._metal, self._seed)
        self._rooms = Rooms(self._project)
        self._handlers: dict[str, Handler] = handlers_of(self._rooms)

    # Life

    def start(self) -> str:
        """Serve from a thread of its own; the root address, `http://127.0.0.1:PORT`."""
        library.message("Instance")  # here, not under the clock's lock in the first call
        if self._server is None:
            self._server = Server(self._answer)
            threading.Thread(
                target=self._server.serve_forever, args=(0.05,), name="gcp", daemon=True
            ).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Stop serving; what exists goes on existing. Idempotent."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def reset(self) -> None:
        """An empty project, fair weather, and no bare machines."""
        with self._clock.lock:
            self._project.close()
            self._build()

    # Knobs

    def control(self, name: str, /, **kwargs: Any) -> None:
        """Turn a knob by its name. ValueError for an unknown one or wrong arguments."""
        if name not in _KNOBS:
            raise ValueError(f"no knob {name!r}: {', '.join(sorted(_KNOBS))}")
        knob: Callable[..., None] = getattr(self, name)
        try:
            knob(**kwargs)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None

    def no_capacity(self, type: str, zone: str | None = None, market: str | None = None) -> None:  # noqa: A002 - the field's own word
        """No more of a machine or accelerator type (everywhere; on both markets)."""
        with self._clock.lock:
            self._project.weather.exhaust(type, zone, market)

    def capacity(self, type: str, zone: str | None = None, market: str | None = None) -> None:  # noqa: A002
        """It can be had again."""
        with self._clock.lock:
            self._project.weather.restock(type, zone, market)

    def quota(self, metric: str, limit: float, region: str | None = None) -> None:
        """Set a quota's limit; a regional one without a region in every region."""
        with self._clock.lock:
            self._rooms.quotas.set(metric, limit, region)

    def fault(
        self,
        method: str,
        status: int | None = None,
        reason: str | None = None,
        op_code: str | None = None,
        count: int | None = 1,
        delay: float | None = None,
        drop: Drop | None = None,
    ) -> None:
        """The next `count` calls of `method` (None = all; `*` as wildcard) go wrong.

        With `status` or `reason` they are refused; with `op_code` their operation fails (`status`
        then is its HTTP code, 0 = none); `drop` hangs up before or after the work; `delay` holds
        the reply back for real seconds, the work being done at once.
        """
        self._check_method(method)
        if drop not in (None, "before", "after"):
            raise ValueError(f"drop is before or after, not {drop!r}")
        with self._clock.lock:
            self._project.weather.add(Fault(method, status, reason, op_code, count, delay, drop))

    def clear_faults(self) -> None:
        """Fair weather: no faults, stock-outs, denials, lag, latency or dead zones."""
        with self._clock.lock:
            self._project.weather.clear()

    def lag(self, n: int) -> None:
        """New VMs are missing from the next `n` listings (get shows them at once)."""
        with self._clock.lock:
            self._project.weather.lag = n

    def latency(self, ms: float) -> None:
        """Every reply takes that many real milliseconds more."""
        with self._clock.lock:
            self._project.weather.latency = ms / 1000

    def deny(self, method: str) -> None:
        """A call without permission: 403 forbidden until `allow`."""
        self._check_method(method)
        with self._clock.lock:
            self._project.weather.denied.add(method)

    def allow(self, method: str) -> None:
        """The permission is back."""
        with self._clock.lock:
            self._project.weather.denied.discard(method)

    def preempt(
        self, name: str, zone: str | None = None, seconds: float = PREEMPTION_SECONDS
    ) -> None:
        """Google takes a spot VM back, `seconds` after its guest is told."""
        with self._clock.lock:
            self._rooms.life.preempt(self._project.named(name, zone), seconds)

    def host_error(self, name: str, zone: str | None = None) -> None:
        """The VM's host fails."""
        with self._clock.lock:
            self._rooms.life.host_error(self._project.named(name, zone))

    def guest_poweroff(self, name: str, zone: str | None = None) -> None:
        """The guest powers itself off (for sandboxes without bare machines)."""
        with self._clock.lock:
            self._rooms.life.guest_off(self._project.named(name, zone))

    def unreachable(self, zone: str) -> None:
        """Aggregated lists cannot see the zone, and say so."""
        if zone not in ALL_ZONES:
            raise ValueError(f"no zone {zone!r} in the sandbox")
        with self._clock.lock:
            self._project.weather.unreachable.add(zone)

    def reachable(self, zone: str) -> None:
        """They can again."""
        with self._clock.lock:
            self._project.weather.unreachable.discard(zone)

    def pace(self, factor: float) -> None:
        """How long operations take, in multiples of the usual; 0 = done at once."""
        with self._clock.lock:
            self._project.pace = factor

    # What tests ask

    def truth(self) -> Truth:
        """What really was, whatever the API said."""
        with self._clock.lock:
            self._clock.run_due()
            return tell(self._project)

    @property
    def violations(self) -> tuple[str, ...]:
        """What a careful client never does: port 22 open to the world, calls not emulated."""
        with self._clock.lock:
            return tuple(self._project.violations)

    @property
    def requests(self) -> int:
        """How many HTTP requests came in."""
        return self._requests

    def _check_method(self, method: str) -> None:
        if "*" not in method and method not in METHODS | {pricelist.METHOD}:
            raise ValueError(f"no call {method!r} in the sandbox")

    # One request

    def _answer(self, verb: str, path: str, query: dict[str, str], raw: bytes) -> Reply:
        with self._clock.lock:
            self._requests += 1
            self._clock.run_due()
            delay = self._project.weather.latency
            try:
                return self._act(verb, path, query, raw, delay)
            except Refusal as refusal:
                return Reply(refusal.status, refusal.body(), delay)

    def _act(self, verb: str, path: str, query: dict[str, str], raw: bytes, delay: float) -> Reply:
        if (verb, path) == ("GET", pricelist.PATH):
            return self._price_list(query)
        found = find_route(verb, path)
        if found is None:
            self._project.violations.append(f"not emulated: {verb} {path}")
            raise Refusal(
                404, "notFound", f"The requested URL {path} was not found on this server."
            )
        route, names = found
        fault = self._project.weather.take(route.method)
        if fault is not None:
            delay += fault.delay or 0.0
            if fault.drop == "before":
                return Reply(None, {}, delay)
            refusal = fault.refusal()
            if refusal is not None:
                return Reply(refusal.status, refusal.body(), delay)
        self._check_access(route.method, names)
        call = read_call(route, names, query, _json(raw))
        if fault is not None:
            call = replace(call, op_code=fault.op_code, op_status=fault.status)
        body = self._rooms.operations.repeated(call) or self._handlers[route.method](call)
        if fault is not None and fault.drop == "after":
            return Reply(None, {}, delay)
        return Reply(200, json.loads(json.dumps(body)), delay)

    def _price_list(self, query: dict[str, str]) -> Reply:
        """Another API at the same address: in the sandbox both are here."""
        fault = self._project.weather.take(pricelist.METHOD)
        refusal = fault.refusal() if fault is not None else None
        if refusal is not None:
            return Reply(refusal.status, refusal.body())
        try:
            return Reply(200, pricelist.page(query))
        except ValueError as error:
            raise Refusal(400, "badRequest", f"Request contains an invalid {error}.") from None

    def _check_access(self, method: str, names: dict[str, str]) -> None:
        """The project is the sandbox's, or one of public images; the call is permitted."""
        project = names["project"]
        if project != self._name and not (
            project in IMAGE_PROJECTS and method.startswith("images.")
        ):
            raise not_found(f"projects/{project}")
        if method in self._project.weather.denied:
            raise Refusal(403, "forbidden", _denied(method, names))


def _denied(method: str, names: dict[str, str]) -> str:
    noun, _, verb = method.partition(".")
    tail = [f"{key}s/{value}" for key, value in names.items() if key in ("zone", "region")]
    last = list(names.values())[-1] if list(names)[-1] not in ("project", "zone", "region") else ""
    resource = "/".join([f"projects/{names['project']}", *tail, noun, last]).rstrip("/")
    return f"Required 'compute.{noun}.{_CREATE.get(verb, verb)}' permission for '{resource}'"


def _json(raw: bytes) -> Json | None:
    if not raw.strip():
        return None
    try:
        body = json.loads(raw)
    except ValueError:
        raise malformed("Invalid JSON payload received. Parse error.") from None
    if not isinstance(body, dict):
        raise malformed("Invalid JSON payload received. The body is not an object.")
    return body
