"""EC2's error codes, each with what the caller does next. Unknown ones go by HTTP status.

Sources: the EC2 API's overview of error codes, and what launch tools have learnt of them.
"""

import logging
import re
from enum import Enum

log = logging.getLogger(__name__)


class Next(Enum):
    """What to do about a refusal."""

    SAME_AGAIN = "ambiguous: the same call with the same token"
    UNREACHED = "the request never arrived: the same call again"
    SLOW_DOWN = "throttled: the same call later"
    SETTLE = "not consistent yet: the follow-up call later"
    OTHER_ZONE = "another zone, then another type"
    OTHER_TYPE = "another type"
    PRICE = "a higher maximum price, or another zone"
    QUOTA = "more quota, another family or another region"
    CREDENTIALS = "other credentials or permissions"
    REQUEST = "another template"
    MISSING = "another id"
    TOKEN = "look up what the token made"  # noqa: S105 - not a secret
    LOCKED = "remove the protection"


_TABLE: dict[Next, tuple[str, ...]] = {
    Next.SAME_AGAIN: (
        "InternalError",
        "InternalFailure",
        "InternalServiceError",
        "ServerInternal",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
        "RequestTimeout",
        "RequestTimeoutException",
    ),
    Next.SLOW_DOWN: (
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "EC2ThrottledException",
        "ConcurrentTagAccess",
        "SnapshotCreationPerVolumeRateExceeded",
    ),
    Next.SETTLE: (
        "InvalidGroup.NotFound",
        "InvalidSpotInstanceRequestID.NotFound",
        "IncorrectInstanceState",
        "IncorrectState",
        "DependencyViolation",
        "VolumeInUse",
        "InvalidAddress.Locked",
    ),
    Next.OTHER_ZONE: (
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientCapacity",
        "UnfulfillableCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientVolumeCapacity",
        "VolumeTypeNotAvailableInZone",
        "capacity-not-available",
        "capacity-oversubscribed",
        "launchSpecUnusable",
        "spotFleetRequestConfigurationInvalid",
        "az-group-constraint",
        "placement-group-constraint",
        "launch-group-constraint",
    ),
    Next.OTHER_TYPE: (
        "InvalidInstanceType",
        "Unsupported",
        "UnsupportedOperation",
        "UnsupportedInstanceTypeOnHost",
    ),
    Next.PRICE: ("SpotMaxPriceTooLow", "price-too-low"),
    Next.QUOTA: (
        "MaxSpotInstanceCountExceeded",
        "MaxFleetCountExceeded",
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "ResourceLimitExceeded",
        "ResourceCountLimitExceeded",
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "SecurityGroupLimitExceeded",
        "RulesPerSecurityGroupLimitExceeded",
        "AddressLimitExceeded",
        "SnapshotLimitExceeded",
        "limit-exceeded",
    ),
    Next.CREDENTIALS: (
        "UnauthorizedOperation",
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "RequestExpired",
        "ExpiredToken",
        "ExpiredTokenException",
        "OptInRequired",
        "PendingVerification",
        "Blocked",
        "AccountDisabled",
        "CustomerKeyHasBeenRevoked",
    ),
    Next.REQUEST: (
        "InvalidParameter",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "InvalidParameterDependency",
        "InvalidBlockDeviceMapping",
        "InvalidUserData.Malformed",
        "InvalidSubnet.Conflict",
        "InvalidSubnet.Range",
        "InvalidFleetConfiguration",
        "InvalidAMIID.Unavailable",
        "EncryptedVolumesNotSupported",
        "TagPolicyViolation",
        "TagLimitExceeded",
        "VPCIdNotSpecified",
        "MissingParameter",
        "MissingInput",
        "UnknownParameter",
        "ValidationError",
        "ValidationException",
        "ConflictException",
        "EntityAlreadyExists",
        "InvalidClientToken",
        "InvalidPermission.Malformed",
        "InvalidKey.Format",
        "bad-parameters",
        "constraint-not-fulfillable",
        "DefaultVpcDoesNotExist",
    ),
    Next.MISSING: (
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Malformed",
        "InvalidInstanceID.NotFound",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceID",
        "InvalidKeyPair.NotFound",
        "InvalidSubnetID.NotFound",
        "InvalidSubnetID.Malformed",
        "InvalidVpcID.NotFound",
        "NoSuchBucket",
        "NoSuchKey",
        "InvalidVolume.NotFound",
        "InvalidSnapshot.NotFound",
        "InvalidAllocationID.NotFound",
        "InvalidAddressID.NotFound",
        "InvalidAddress.NotFound",
        "InvalidPermission.NotFound",
        "InvalidSecurityGroupRuleId.NotFound",
        "ParameterNotFound",
        "NoSuchResourceException",
        "NoSuchEntity",
        "ResourceNotFoundException",
    ),
    Next.TOKEN: ("IdempotentParameterMismatch", "IdempotentInstanceTerminated"),
    Next.LOCKED: ("OperationNotPermitted",),
}

NEXT: dict[str, Next] = {code: step for step, codes in _TABLE.items() for code in codes}

_BESIDE: dict[Next, str] = {
    Next.SAME_AGAIN: """InternalErrorException InternalServerError InternalServerException
        KMSInternalException ServiceFailure ServiceException DependencyTimeoutException""",
    Next.SLOW_DOWN: "TooManyUpdates ConcurrentModification LimitExceededException",
    Next.SETTLE: """DeleteConflict RequestChangedException ExpiredNextTokenException
        BillingViewHealthStatusException""",
    Next.QUOTA: """ServiceQuotaExceededException LimitExceeded ParameterLimitExceeded
        ParameterMaxVersionLimitExceeded PoliciesLimitExceededException""",
    Next.CREDENTIALS: "OperationNotPermittedException",
    Next.REQUEST: """BillExpirationException DataUnavailableException
        HierarchyLevelLimitExceededException
        HierarchyTypeMismatchException IllegalArgumentException IncompatiblePolicyException
        InvalidAllowedPatternException InvalidArnException InvalidEventCategoryException
        InvalidFilterKey InvalidFilterOption InvalidFilterValue InvalidInput InvalidKeyId
        InvalidLookupAttributesException InvalidMaxResultsException InvalidNextToken
        InvalidNextTokenException InvalidPolicyAttributeException InvalidPolicyTypeException
        InvalidTimeRangeException MalformedPolicyDocument ParameterAlreadyExists
        ParameterPatternMismatchException UnmodifiableEntity UnsupportedOperationException
        UnsupportedParameterType""",
    Next.MISSING: "NotFoundException ParameterVersionNotFound",
}
BESIDE: dict[str, Next] = {code: step for step, codes in _BESIDE.items() for code in codes.split()}
"""Codes of the services beside EC2 (SSM, IAM, KMS, prices, logs, schedules), by the SDK's models.

Cost Explorer's LimitExceededException is a rate, not a quota.
"""

# whole families of codes, where a new member means the same
_FAMILIES = (
    ("AuthFailure.", Next.CREDENTIALS),
    ("InvalidSubnetID.", Next.MISSING),
    ("InvalidParameter", Next.REQUEST),
)

_ZONE = r"[a-z]{2}(?:-[a-z]+)+-\d+(?:-[a-z]+-\d+)?[a-z]"
_CHOOSING = re.compile(rf"choosing ((?:{_ZONE}(?:,\s*)?)+)")
_NOT_IN_ZONE = re.compile(r"not supported in (?:your|the) requested Availability Zone")
_NO_SUCH_TYPE = re.compile(r"Invalid value '[^']*' for InstanceType")
_FAIL = 500
_FORBIDDEN = (401, 403)


def bare(code: str) -> str:
    """CloudTrail and state reasons say `Client.X` and `Server.X`; replies say `X`."""
    return code.removeprefix("Client.").removeprefix("Server.")


def classify(code: str, message: str = "", status: int | None = None) -> Next:
    """The next step for a code; an unknown one by its HTTP status (5xx: ambiguous), logged."""
    code = bare(code)
    if _NOT_IN_ZONE.search(message):
        return Next.OTHER_ZONE
    if _NO_SUCH_TYPE.search(message):
        return Next.OTHER_TYPE
    if (known := NEXT.get(code) or BESIDE.get(code)) is not None:
        return known
    for prefix, step in _FAMILIES:
        if code.startswith(prefix):
            return step
    if code.endswith(".NotFound"):
        return Next.MISSING
    log.warning("AWS error code %s (HTTP %s) is not in the table: %s", code, status, message)
    if status in _FORBIDDEN:
        return Next.CREDENTIALS
    return Next.SAME_AGAIN if status is None or status >= _FAIL else Next.REQUEST


def zones_with_capacity(message: str) -> tuple[str, ...]:
    """Zones that a capacity refusal recommends, in its order; () when it names none."""
    match = _CHOOSING.search(message)
    return tuple(re.findall(_ZONE, match.group(1))) if match else ()
