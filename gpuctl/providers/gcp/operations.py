"""Waiting for operations: accepted is not done, and a stock-out comes back as a success."""

from datetime import timedelta
from typing import Any

from gpuctl.core.ports import Clock, Sleep
from gpuctl.providers.gcp.calls import Call
from gpuctl.providers.gcp.client import WAIT_TIMEOUT, Compute
from gpuctl.providers.gcp.errors import Json, Refused, Step, error_of, refusals_in

LIMIT = timedelta(minutes=10)
"""How long anything is waited for: a GPU VM that takes longer is reported as it is."""
PAUSE = 1.0
"""Seconds between two `wait` calls that Google answered early."""


class Operations:
    """Waits, within a bound, for what was accepted."""

    def __init__(self, compute: Compute, clock: Clock, sleep: Sleep) -> None:
        self._compute = compute
        self._clock = clock
        self._sleep = sleep

    def finish(self, operation: Json, *, limit: timedelta = LIMIT) -> Json:
        """The operation as it is when done, or when `limit` has passed (`status` tells).

        Raises `Refused` with what it failed of.
        """
        until = self._clock() + limit
        while operation.get("status") != "DONE":
            operation = self._wait(operation)
            if operation.get("status") == "DONE" or self._clock() >= until:
                break
            self._sleep(PAUSE)
        for refusal in refusals_in(operation):
            raise Refused(refusal)
        return operation

    def change(
        self, call: Call, request_id: str, *, doing: str, body: Json | None = None, **fields: Any
    ) -> Json:
        """Ask and wait, for what costs nothing by itself. Errors are those of `core.errors`.

        `Refused` passes when the caller can do something about it: a stale fingerprint.
        """
        try:
            return self.finish(self._compute.write(call, request_id, body, **fields))
        except Refused as refused:
            if refused.refusal.step in (Step.STALE, Step.EXISTS):
                raise
            raise error_of(refused.refusal, doing=doing) from refused

    def _wait(self, operation: Json) -> Json:
        name = operation["name"]
        if zone := operation.get("zone"):
            where = {"zone": _last(zone)}
            return self._ask(Call.WAIT_ZONE_OPERATION, name, where)
        if region := operation.get("region"):
            return self._ask(Call.WAIT_REGION_OPERATION, name, {"region": _last(region)})
        return self._ask(Call.WAIT_GLOBAL_OPERATION, name, {})

    def _ask(self, call: Call, name: str, where: dict[str, str]) -> Json:
        try:
            return self._compute.ask(call, timeout=WAIT_TIMEOUT, operation=name, **where)
        except Refused as refused:
            if refused.refusal.step is Step.MISSING:
                return {"name": name, "status": "DONE"}  # forgotten: the VM itself must tell
            raise


def _last(link: str) -> str:
    return link.rpartition("/")[2]
