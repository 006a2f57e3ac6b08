"""The SDK's exceptions -> our errors, with the vendor's words and request id kept as detail."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from gpuctl.core.errors import (
    Busy,
    CannotFill,
    Denied,
    GpuctlError,
    InvalidRequest,
    NotFound,
    NoZoneCapacity,
    PriceTooLow,
    QuotaReached,
    TypeNotOffered,
    UnknownOutcome,
)
from gpuctl.providers.aws.codes import Next, bare, classify, zones_with_capacity

log = logging.getLogger(__name__)

_ENCODED = re.compile(r"\s*Encoded authorization failure message: \S+")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a call came back with, in plain values."""

    step: Next
    code: str
    message: str
    status: int | None = None
    request_id: str | None = None

    @property
    def detail(self) -> str:
        """The vendor's own words, for --debug and the log."""
        parts = [self.code, f"HTTP {self.status}" if self.status else "", self.message]
        if self.request_id:
            parts.append(f"request id {self.request_id}")
        return ": ".join(part for part in parts if part)


def refusal_of(error: Exception) -> Refusal:
    """Any exception of the SDK as a value. TypeError for one that is not the SDK's."""
    from botocore import exceptions as sdk
    from botocore.parsers import ResponseParserError

    if isinstance(error, sdk.ClientError):
        body = error.response.get("Error", {})
        meta = error.response.get("ResponseMetadata", {})
        code, message = str(body.get("Code", "Unknown")), str(body.get("Message", ""))
        status = meta.get("HTTPStatusCode")
        return Refusal(
            classify(code, message, status), bare(code), message, status, meta.get("RequestId")
        )
    name, text = type(error).__name__, str(error)
    if isinstance(error, ResponseParserError):
        return Refusal(Next.SAME_AGAIN, name, text)
    if not isinstance(error, sdk.BotoCoreError):
        raise TypeError(f"{name} is not an error of the AWS SDK") from error
    return Refusal(_step_of_sdk_error(error), name, text)


def _step_of_sdk_error(error: Exception) -> Next:
    from botocore import exceptions as sdk

    never_sent = (sdk.EndpointConnectionError, sdk.ConnectTimeoutError, sdk.ProxyConnectionError)
    credentials = (
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.CredentialRetrievalError,
        sdk.ProfileNotFound,
        sdk.InvalidConfigError,
        sdk.NoAuthTokenError,
        sdk.SSOError,
        sdk.TokenRetrievalError,
        sdk.MetadataRetrievalError,
    )
    if isinstance(error, never_sent):
        return Next.UNREACHED
    if isinstance(error, credentials):
        return Next.CREDENTIALS
    if isinstance(error, sdk.ParamValidationError | sdk.ValidationError | sdk.UnknownServiceError):
        return Next.REQUEST
    return Next.SAME_AGAIN


def sdk_errors() -> tuple[type[Exception], ...]:
    """What a call of the SDK may raise."""
    from botocore import exceptions as sdk
    from botocore.parsers import ResponseParserError

    return (sdk.ClientError, sdk.BotoCoreError, ResponseParserError)


@contextmanager
def translated(doing: str, *, effect: bool = False) -> Iterator[None]:
    """Turns an error of the SDK into one of ours; `doing` is told to the user.

    `effect`: the call changes something, so a lost answer is an `UnknownOutcome`, not `Busy`.
    """
    try:
        yield
    except sdk_errors() as error:
        refusal = refusal_of(error)
        log.info("%s: %s", doing, refusal.detail)
        raise as_error(refusal, doing, effect=effect) from error


_CLASSES: Mapping[Next, type[Busy | Denied | InvalidRequest | NotFound]] = {
    Next.CREDENTIALS: Denied,
    Next.LOCKED: Denied,
    Next.REQUEST: InvalidRequest,
    Next.MISSING: NotFound,
}
_CANNOT_FILL: Mapping[Next, type[CannotFill]] = {
    Next.OTHER_ZONE: NoZoneCapacity,
    Next.OTHER_TYPE: TypeNotOffered,
    Next.PRICE: PriceTooLow,
    Next.QUOTA: QuotaReached,
}
_HINTS: Mapping[Next, str] = {
    Next.PRICE: "raise --max-price, or leave it out",
    Next.LOCKED: "remove its termination protection first",
    Next.UNREACHED: "check the network, a proxy or AWS_ENDPOINT_URL",
    Next.SAME_AGAIN: "try again in a minute; a proxy or captive portal may stand in between",
    Next.SLOW_DOWN: "try again in a minute",
    Next.SETTLE: "try again in a minute",
}


def as_error(refusal: Refusal, doing: str, *, effect: bool = False) -> GpuctlError:
    """Our error for a refusal; `Busy` where waiting is all that can be done."""
    said, step = f"{doing}: {_told(refusal)}", refusal.step
    hint = _credentials_hint(refusal) if step is Next.CREDENTIALS else _HINTS.get(step)
    if effect and step in (Next.SAME_AGAIN, Next.TOKEN):
        return UnknownOutcome(
            f"{doing}: AWS did not say whether it happened",
            hint="run the command again; it finds out first",
            detail=refusal.detail,
        )
    if step in _CANNOT_FILL:
        return _CANNOT_FILL[step](
            said,
            code=refusal.code,
            hint=hint,
            detail=refusal.detail,
            zones=zones_with_capacity(refusal.message),
        )
    return _CLASSES.get(step, Busy)(said, hint=hint, detail=refusal.detail)


def _told(refusal: Refusal) -> str:
    message = _ENCODED.sub("", refusal.message).strip() or refusal.code
    return message if refusal.code in message else f"{message} ({refusal.code})"


def _credentials_hint(refusal: Refusal) -> str:
    match refusal.code:
        case "RequestExpired":
            return "this computer's clock is more than 15 minutes off, or the session has expired"
        case "ExpiredToken" | "ExpiredTokenException":
            return "the session has expired: `aws sso login`, or fetch new keys"
        case "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException":
            return "grant what is named here; docs/providers.md has the whole policy"
        case "OptInRequired":
            return "enable this region or service for the account first"
        case "AuthFailure.ServiceLinkedRoleCreationNotPermitted":
            return "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com"
        case _:
            return "check the credentials with `aws sts get-caller-identity`"
