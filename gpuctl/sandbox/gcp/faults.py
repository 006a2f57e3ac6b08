"""What can be made to go wrong: refusals, lost replies, stock-outs, dead zones."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from gpuctl.sandbox.gcp.catalogue import ALL_ZONES, GPUS, MACHINE_TYPES
from gpuctl.sandbox.gcp.wire import Refusal

Drop = Literal["before", "after"]

_REASONS: dict[str, tuple[int, str, str]] = {
    "rateLimitExceeded": (403, "usageLimits", "Rate Limit Exceeded"),
    "userRateLimitExceeded": (403, "usageLimits", "User Rate Limit Exceeded"),
    "quotaExceeded": (403, "usageLimits", "Quota exceeded."),
    "forbidden": (403, "global", "Required permission is missing"),
    "accessNotConfigured": (
        403,
        "usageLimits",
        "Compute Engine API has not been used in this project before or it is disabled.",
    ),
    "authError": (401, "global", "Invalid Credentials"),
    "notFound": (404, "global", "The resource was not found"),
    "resourceNotReady": (400, "global", "The resource is not ready"),
    "conditionNotMet": (412, "global", "Precondition Failed"),
    "backendError": (503, "global", "Backend Error"),
    "internalError": (500, "global", "Internal Error"),
}
_REASON_OF_STATUS = {
    400: "badRequest",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    409: "alreadyExists",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "internalError",
    502: "backendError",
    503: "backendError",
    504: "backendError",
}


@dataclass
class Fault:
    """A rule: the next `left` calls of `method` (None = every one) go wrong this way."""

    method: str
    status: int | None
    reason: str | None
    op_code: str | None
    left: int | None
    delay: float | None
    drop: Drop | None

    def refusal(self) -> Refusal | None:
        """The refusal this rule asks for; None when it only delays, drops or fails later."""
        if self.op_code is not None or (self.status is None and self.reason is None):
            return None
        reason = self.reason or _REASON_OF_STATUS.get(self.status or 0, "backendError")
        status, domain, message = _REASONS.get(reason, (400, "global", reason))
        return Refusal(self.status or status, reason, message, domain)


class Weather:
    """All that is wrong at present."""

    def __init__(self) -> None:
        self.latency = 0.0
        """Seconds added to every reply."""
        self.lag = 0
        """How many listings a new VM is missing from."""
        self.denied: set[str] = set()
        self.unreachable: set[str] = set()
        self._faults: list[Fault] = []
        self._exhausted: set[tuple[str, str, bool]] = set()

    def add(self, fault: Fault) -> None:
        """Put a rule behind those there are."""
        self._faults.append(fault)

    def take(self, method: str) -> Fault | None:
        """The first rule for this call, used up by one."""
        for fault in self._faults:
            if fault.left != 0 and fnmatchcase(method, fault.method):
                if fault.left is not None:
                    fault.left -= 1
                return fault
        return None

    def clear(self) -> None:
        """Fair again: every rule and stock-out is forgotten."""
        self.__init__()  # type: ignore[misc]  # forgetting everything is being new

    def exhaust(self, kind: str, zone: str | None, market: str | None) -> None:
        """No more of a machine or accelerator type there."""
        self._exhausted |= _places(kind, zone, market)

    def restock(self, kind: str, zone: str | None, market: str | None) -> None:
        """The reverse."""
        self._exhausted -= _places(kind, zone, market)

    def exhausted(self, zone: str, kinds: tuple[str, ...], *, spot: bool) -> bool:
        """Whether one of these types has run out there."""
        return any((kind, zone, spot) in self._exhausted for kind in kinds)


def _places(kind: str, zone: str | None, market: str | None) -> set[tuple[str, str, bool]]:
    """Every (type, zone, spot) meant. ValueError for a type, zone or market that is unknown."""
    if kind not in MACHINE_TYPES and kind not in GPUS:
        raise ValueError(f"no machine or accelerator type {kind!r} in the sandbox")
    if zone is not None and zone not in ALL_ZONES:
        raise ValueError(f"no zone {zone!r} in the sandbox")
    if market not in (None, "spot", "on-demand"):
        raise ValueError(f"{market!r} is neither spot nor on-demand")
    zones = ALL_ZONES if zone is None else (zone,)
    markets = (True, False) if market is None else (market == "spot",)
    return {(kind, place, spot) for place in zones for spot in markets}
