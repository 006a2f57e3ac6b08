"""Google's refusals, read once: one table of codes, named by what the caller can do next."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from gpuctl.core.errors import (
    Busy,
    Denied,
    GpuctlError,
    InvalidRequest,
    NotFound,
    NoZoneCapacity,
    QuotaReached,
    TypeNotOffered,
    UnknownOutcome,
)

Json = Mapping[str, Any]

_log = logging.getLogger(__name__)
_NO_CAPACITY = re.compile(r"does not have enough resources available|is currently unavailable in")
_QUOTA = re.compile(r"Quota '([A-Za-z0-9_]+)' exceeded")
_TYPE = re.compile(r"/(?:acceleratorTypes|machineTypes)/")
LOGIN = "gcloud auth application-default login"
TOO_MANY = 429
REFUSED = 400
FAILED = 500


class Step(StrEnum):
    """What can be done about a refusal."""

    ZONE = "zone"
    """Another zone has capacity, or this one later."""
    TYPE = "type"
    """Another type: this one is not sold here."""
    QUOTA = "quota"
    """Ask Google for more."""
    ACCESS = "access"
    """Credentials, permissions, API or billing switched off."""
    FIX = "fix"
    """The request itself is wrong."""
    MISSING = "missing"
    """No such thing."""
    LATER = "later"
    """Not done, and may be asked again."""
    AMBIGUOUS = "ambiguous"
    """Perhaps done: the same request id may be sent again."""
    STALE = "stale"
    """The fingerprint is old: read, merge, ask again."""
    EXISTS = "exists"
    """The name is taken: read it and compare the lease."""


CODES: Mapping[str, Step] = {
    # operations that were accepted and failed, and their older and lower-case names
    "ZONE_RESOURCE_POOL_EXHAUSTED": Step.ZONE,
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": Step.ZONE,
    "GCE_STOCKOUT": Step.ZONE,
    "insufficientCapacity": Step.ZONE,
    "stockout": Step.ZONE,
    "resource_availability": Step.ZONE,
    "UNSUPPORTED_OPERATION": Step.ZONE,  # seen when a spot VM is preempted while it is created
    "QUOTA_EXCEEDED": Step.QUOTA,
    "quotaExceeded": Step.QUOTA,
    "limitExceeded": Step.QUOTA,
    "LIMIT_EXCEEDED": Step.QUOTA,
    "RESOURCE_NOT_READY": Step.LATER,
    "resourceNotReady": Step.LATER,
    "RESOURCE_OPERATION_RATE_EXCEEDED": Step.LATER,
    "resourceOperationRateExceeded": Step.LATER,
    "RATE_LIMIT_EXCEEDED": Step.LATER,
    "rateLimitExceeded": Step.LATER,
    "userRateLimitExceeded": Step.LATER,
    "INTERNAL_ERROR": Step.AMBIGUOUS,
    "internalError": Step.AMBIGUOUS,
    "backendError": Step.AMBIGUOUS,
    "serviceUnavailable": Step.AMBIGUOUS,
    "timeout": Step.AMBIGUOUS,
    "conditionNotMet": Step.STALE,
    "CONDITION_NOT_MET": Step.STALE,
    "alreadyExists": Step.EXISTS,
    "RESOURCE_ALREADY_EXISTS": Step.EXISTS,
    "notFound": Step.MISSING,
    "RESOURCE_NOT_FOUND": Step.MISSING,
    "IAM_PERMISSION_DENIED": Step.ACCESS,
    "PERMISSIONS_ERROR": Step.ACCESS,
    "forbidden": Step.ACCESS,
    "insufficientPermissions": Step.ACCESS,
    "accessNotConfigured": Step.ACCESS,
    "SERVICE_DISABLED": Step.ACCESS,
    "BILLING_DISABLED": Step.ACCESS,
    "billingDisabled": Step.ACCESS,
    "billingNotEnabled": Step.ACCESS,
    "authError": Step.ACCESS,
    "UNAUTHENTICATED": Step.ACCESS,
    "CONSUMER_INVALID": Step.ACCESS,
    "VPC_NOT_FOUND": Step.FIX,
    "invalid": Step.FIX,
    "badRequest": Step.FIX,
    "invalidParameter": Step.FIX,
    "invalidUsage": Step.FIX,
    "invalidResourceUsage": Step.FIX,
    "INVALID_USAGE": Step.FIX,
    "INVALID_FIELD_VALUE": Step.FIX,
    "required": Step.FIX,
    "resourceInUseByAnotherResource": Step.FIX,
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": Step.FIX,
    "operationNotAllowed": Step.FIX,
}
"""The reason of an HTTP error, or the code of an operation's error -> what to do."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal in Google's own words. `status` None = it never reached Google, or came back."""

    code: str
    message: str
    status: int | None
    step: Step
    zones: tuple[str, ...] = ()
    quota: str | None = None

    @property
    def passing(self) -> bool:
        """Whether the same request may be sent again."""
        return self.step in (Step.LATER, Step.AMBIGUOUS)


class Refused(GpuctlError):
    """A refusal on its way to whoever knows what it means there; never leaves the package."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message, detail=f"{refusal.status} {refusal.code}")
        self.refusal = refusal


def refusal_of(code: str | None, message: str, status: int | None, details: object = ()) -> Refusal:
    """Class one refusal: by its code, else by its words, else by its HTTP status (and log it)."""
    zones = zones_available(details)
    quota = match.group(1) if (match := _QUOTA.search(message)) else _quota_info(details)
    step = CODES.get(code or "")
    if step in (None, Step.FIX) and _NO_CAPACITY.search(message):
        step = Step.ZONE
    elif step is None and quota:
        step = Step.QUOTA
    elif step is Step.MISSING and _TYPE.search(message):
        step = Step.TYPE
    if step is None:
        step = _by_status(status)
        _log.warning("unknown refusal %s (%s): %s", code, status, message)
    return Refusal(code or str(status or "unknown"), message, status, step, zones, quota)


def _by_status(status: int | None) -> Step:
    if status is None or status >= FAILED:
        return Step.AMBIGUOUS
    known = {401: Step.ACCESS, 403: Step.ACCESS, 404: Step.MISSING, 409: Step.EXISTS}
    known |= {408: Step.AMBIGUOUS, 412: Step.STALE, TOO_MANY: Step.LATER}
    return known.get(status, Step.FIX)


def zones_available(details: object) -> tuple[str, ...]:
    """The zones that Google says can take the request now, from `errorDetails`."""
    for metadata in (info.get("metadatas") or {} for info in _infos(details)):
        if zones := metadata.get("zonesAvailable"):
            return tuple(zone.strip() for zone in zones.split(",") if zone.strip())
    return ()


def _infos(details: object) -> list[Json]:
    found = []
    for detail in details if isinstance(details, Sequence) else ():
        if isinstance(detail, Mapping):
            info = detail.get("errorInfo", detail)
            if isinstance(info, Mapping):
                found.append(info)
    return found


def _quota_info(details: object) -> str | None:
    for detail in details if isinstance(details, Sequence) else ():
        if isinstance(detail, Mapping) and isinstance(detail.get("quotaInfo"), Mapping):
            limit = detail["quotaInfo"].get("limitName") or detail["quotaInfo"].get("metricName")
            return str(limit) if limit else None
    return None


def refusals_in(operation: Json) -> tuple[Refusal, ...]:
    """What an operation failed of; () = it did not fail.

    The errors are read, never the HTTP status: an operation may carry errors without one.
    """
    status = operation.get("httpErrorStatusCode")
    errors = (operation.get("error") or {}).get("errors") or ()
    if not errors and status:
        errors = ({"message": operation.get("httpErrorMessage") or ""},)
    return tuple(
        refusal_of(e.get("code"), e.get("message") or "", status, e.get("errorDetails") or ())
        for e in errors
    )


def refusal_from(error: Exception) -> Refusal | GpuctlError | None:
    """What an exception of Google's libraries says; None = it is none of theirs."""
    import requests.exceptions as wire  # noqa: PLC0415 - the SDK is imported late
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.protobuf.json_format import ParseError

    if isinstance(error, api.RetryError) and isinstance(error.cause, Exception):
        return refusal_from(error.cause)
    if isinstance(error, api.GoogleAPICallError):
        first: Json = error.errors[0] if error.errors else {}
        status = error.code if isinstance(error.code, int) else None
        reason = first.get("reason") or error.reason
        return refusal_of(reason, error.message or "", status, error.details)
    if isinstance(error, auth.TransportError):
        return Refusal("transport", f"Google's login cannot be reached: {error}", None, Step.LATER)
    if isinstance(error, auth.GoogleAuthError):
        return Denied("Google does not accept the credentials.", hint=LOGIN, detail=str(error))
    if isinstance(error, wire.RequestException | ConnectionError | TimeoutError):
        words = f"Compute Engine did not answer: {type(error).__name__}"
        return Refusal(type(error).__name__, words, None, Step.AMBIGUOUS)
    if isinstance(error, ParseError | ValueError) and "json" in type(error).__module__.lower():
        return Refusal("notJson", "Compute Engine answered what is no JSON", None, Step.AMBIGUOUS)
    return None


def error_of(refusal: Refusal, *, doing: str, effect: bool = False) -> GpuctlError:
    """The error to raise. `effect`: whether something that costs may have happened."""
    detail = f"{refusal.status or '-'} {refusal.code}: {refusal.message}"
    told = f"{doing}: {refusal.message or refusal.code}"
    match refusal.step:
        case Step.ZONE:
            return NoZoneCapacity(told, code=refusal.code, zones=refusal.zones, detail=detail)
        case Step.TYPE:
            return TypeNotOffered(told, code=refusal.code, detail=detail)
        case Step.QUOTA:
            hint = "ask for more at https://console.cloud.google.com/iam-admin/quotas"
            return QuotaReached(told, code=refusal.quota or refusal.code, hint=hint, detail=detail)
        case Step.ACCESS:
            hint = LOGIN if refusal.status == 401 else "gpuctl doctor"  # noqa: PLR2004
            return Denied(told, hint=hint, detail=detail)
        case Step.MISSING:
            return NotFound(told, detail=detail)
        case Step.AMBIGUOUS if effect:
            return UnknownOutcome(told, hint="gpuctl ps", detail=detail)
        case Step.LATER | Step.AMBIGUOUS | Step.STALE:
            return Busy(told, hint="try again in a minute", detail=detail)
        case _:
            return InvalidRequest(told, detail=detail)
