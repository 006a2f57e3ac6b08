"""What AWS says no with: code, HTTP status and text, as recorded from the real service.

moto answers every EC2 error with HTTP 400. The SDK retries by status, so a refusal with the wrong
one exercises the wrong path. Sources: AWS's list of EC2 error codes; texts quoted in public issues.
"""

_STATUS = {
    "AuthFailure": 401,
    "DryRunOperation": 412,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "OptInRequired": 403,
    "PendingVerification": 403,
    "RequestExpired": 400,
    "RequestLimitExceeded": 503,
    "ServerInternal": 500,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
    "AccessDenied": 403,
    "SignatureDoesNotMatch": 403,
    "InvalidClientTokenId": 403,
}

_TEXT = {
    "AuthFailure": "AWS was not able to validate the provided access credentials",
    "DryRunOperation": "Request would have succeeded, but DryRun flag is set.",
    "IdempotentInstanceTerminated": (
        "The client token you have provided is associated with a terminated instance. "
        "Please use a different client token."
    ),
    "IdempotentParameterMismatch": (
        "Arguments on this idempotent request are inconsistent with arguments used in previous "
        "request(s)."
    ),
    "InsufficientInstanceCapacity": "Insufficient capacity.",
    "InternalError": "An internal error has occurred",
    "InvalidClientTokenId": "The security token included in the request is invalid.",
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded",
    "RequestLimitExceeded": "Request limit exceeded.",
    "ServiceUnavailable": "The service is unavailable. Please try again shortly.",
    "Throttling": "Rate exceeded",
    "ThrottlingException": "Rate exceeded",
    "Unavailable": "The server is overloaded and can't handle the request.",
}


class Refusal(Exception):
    """AWS refuses: `code` and `message` as on the wire, `status` of the HTTP answer."""

    def __init__(self, code: str, message: str | None = None, status: int | None = None) -> None:
        self.code = code
        self.message = message if message is not None else _TEXT.get(code, code)
        self.status = status if status is not None else status_of(code)
        super().__init__(f"{self.code}: {self.message}")


def status_of(code: str) -> int:
    """The HTTP status AWS sends with a code; 400 unless known better."""
    return _STATUS.get(code, 400)


def bad_value(value: object, parameter: str, why: str = "") -> Refusal:
    """AWS's usual words for a parameter it cannot take."""
    tail = f". {why}" if why else ""
    return Refusal(
        "InvalidParameterValue", f"Value ({value}) for parameter {parameter} is invalid{tail}"
    )


def not_authorized(action: str, account: str, region: str) -> Refusal:
    """EC2's refusal of an action that no policy allows, with its encoded message."""
    user = f"arn:aws:iam::{account}:user/sandbox"
    return Refusal(
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. "
        f"User: {user} is not authorized to perform: ec2:{action} on resource: "
        f"arn:aws:ec2:{region}:{account}:* because no identity-based policy allows the "
        f"ec2:{action} action. Encoded authorization failure message: "
        "T-kSWIRFn32_sandbox_cannot_be_decoded",
    )


def no_access(service: str, action: str, account: str) -> Refusal:
    """The same from the services that speak JSON or STS's query form."""
    message = (
        f"User: arn:aws:iam::{account}:user/sandbox is not authorized to perform: "
        f"{service}:{action} because no identity-based policy allows the {service}:{action} action"
    )
    if service == "sts":
        return Refusal("AccessDenied", message)
    return Refusal("AccessDeniedException", message)
