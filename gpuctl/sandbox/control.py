"""Turning the sandbox's knobs from another process: the client of its control service."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from gpuctl.sandbox.state import SandboxState

_ADVANCE_LIMIT_S = 600.0
_HINT = "gpuctl sandbox start"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineOn:
    """A bare machine that is on. `id` is the cloud's own (Google: the numeric one)."""

    id: str
    name: str
    cloud: str
    zone: str
    type: str
    port: int
    """Where its SSH server listens on 127.0.0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxStatus:
    """What a running sandbox says of itself. `now` is its own time, aware UTC."""

    pid: int
    now: datetime
    offset: timedelta
    idle: timedelta
    """Since it was last used, in real time."""
    exit_after_idle: timedelta | None
    machines: tuple[MachineOn, ...]


class Control:
    """A running sandbox, asked over loopback with the token of its state file.

    Every method raises `GpuctlError` when it does not answer and `UsageProblem` when it refuses.
    """

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def interrupt(self, name: str, *, notice_seconds: float | None = None) -> None:
        """The cloud takes a spot machine back, by name or cloud id, after its own notice or
        that many sandbox seconds. `NotFound` when no machine that is on is called so.
        """
        self._ask("interrupt", name=name, notice_seconds=notice_seconds)

    def advance(self, by: timedelta) -> datetime:
        """Move the sandbox's clock forward; its new time. What falls due happens on the way."""
        told = self._ask("advance", _ADVANCE_LIMIT_S, seconds=by.total_seconds())
        return datetime.fromisoformat(told["now"])

    def knob(self, cloud: str, name: str, /, **kwargs: Any) -> None:
        """Turn a knob of `aws` or `gcp` by name (docs/sandbox-aws.md, docs/sandbox-gcp.md)."""
        self._ask("knob", cloud=cloud, name=name, arguments=kwargs)

    def gpu(self, name: str, *, busy: bool) -> None:
        """What nvidia-smi says on that machine from now on."""
        self._ask("gpu", name=name, busy=busy)

    def reset(self) -> None:
        """Both clouds empty, no machines, fair weather. The clock stays where it is."""
        self._ask("reset")

    def truth(self) -> Mapping[str, Any]:
        """What really was, by cloud, whatever its API said: for tests."""
        return self._ask("truth")

    def status(self, *, limit_s: float = 5.0) -> SandboxStatus:
        """How it is. Answered even while time is being advanced."""
        told = self._ask("status", limit_s)
        idle_limit = told["exit_after_idle"]
        return SandboxStatus(
            pid=told["pid"],
            now=datetime.fromisoformat(told["now"]),
            offset=timedelta(seconds=told["offset"]),
            idle=timedelta(seconds=told["idle"]),
            exit_after_idle=None if idle_limit is None else timedelta(seconds=idle_limit),
            machines=tuple(MachineOn(**machine) for machine in told["machines"]),
        )

    def _ask(self, verb: str, limit_s: float = 60.0, **arguments: Any) -> dict[str, Any]:
        where = urlsplit(self._state.control_endpoint)
        # Not urllib: a proxy of the environment must not see this.
        connection = http.client.HTTPConnection(
            where.hostname or "127.0.0.1", where.port, timeout=limit_s
        )
        try:
            connection.request(
                "POST",
                f"/v1/{verb}",
                json.dumps(arguments),
                {"Authorization": f"Bearer {self._state.token}"},
            )
            reply = connection.getresponse()
            told = json.loads(reply.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise GpuctlError(
                "the sandbox does not answer", hint=_HINT, detail=repr(error)
            ) from error
        finally:
            connection.close()
        if reply.status == http.client.OK and isinstance(told, dict):
            return told
        said = str(told.get("error", reply.status)) if isinstance(told, dict) else str(told)
        if reply.status == http.client.NOT_FOUND:
            raise NotFound(said, hint="gpuctl ps")
        if reply.status == http.client.BAD_REQUEST:
            raise UsageProblem(said)
        raise GpuctlError(f"the sandbox failed: {said}", hint="gpuctl sandbox status")
