"""Every code of the error taxonomy at the call that costs, and one of each class at every other.

What each class must lead to is written here by hand (after EC2's and Compute Engine's own pages),
not taken from the tables under test.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuctl.providers.aws.codes import NEXT, Next
from gpuctl.providers.gcp.errors import CODES, Step
from gpuctl.sandbox.gcp.faults import _REASON_OF_STATUS, _REASONS
from gpuctl.sandbox.gcp.wire import Refusal
from tests.faults.cases import Result, Row, Stage, Story, clean, stories
from tests.faults.kills import ended
from tests.faults.proxy import Answer, Call, Plan, aws_error
from tests.faults.world import PROJECT, World

ALWAYS = 10_000
TIMES = (1, 3, ALWAYS)
BOUND = {"aws": 5, "gcp": 24}
"""The most requests that one try of a call may send: AWS's are counted, Google's end after 45 s."""

AMBIGUOUS = (
    "InternalError InternalFailure ServerInternal ServiceUnavailable Unavailable RequestTimeout"
)
THROTTLED = (
    "RequestLimitExceeded Throttling ThrottlingException EC2ThrottledException ConcurrentTagAccess "
    "SnapshotCreationPerVolumeRateExceeded"
)
SETTLING = (
    "InvalidGroup.NotFound InvalidKeyPair.NotFound InvalidSpotInstanceRequestID.NotFound "
    "IncorrectInstanceState IncorrectState"
)
OTHER_ZONE = (
    "InsufficientInstanceCapacity UnfulfillableCapacity InsufficientFreeAddressesInSubnet "
    "InsufficientVolumeCapacity VolumeTypeNotAvailableInZone IdempotentInstanceTerminated "
    "SpotMaxPriceTooLow"
)
OTHER_TYPE = "InvalidInstanceType Unsupported UnsupportedOperation"
QUOTA = (
    "MaxSpotInstanceCountExceeded VcpuLimitExceeded InstanceLimitExceeded ResourceLimitExceeded "
    "VolumeLimitExceeded MaxIOPSLimitExceeded SecurityGroupLimitExceeded"
)
DENIED = (
    "UnauthorizedOperation AuthFailure InvalidClientTokenId SignatureDoesNotMatch RequestExpired "
    "OptInRequired PendingVerification Blocked AccountDisabled OperationNotPermitted "
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted CustomerKeyHasBeenRevoked"
)
WRONG = (
    "InvalidAMIID.Unavailable InvalidParameterValue InvalidParameterCombination "
    "InvalidBlockDeviceMapping InvalidUserData.Malformed EncryptedVolumesNotSupported "
    "TagPolicyViolation TagLimitExceeded VPCIdNotSpecified InvalidClientToken"
)
MISSING = "InvalidAMIID.NotFound InvalidAMIID.Malformed InvalidSubnetID.NotFound"
TOKEN = "IdempotentParameterMismatch"

BY_HAND = {
    code: name
    for name, codes in (
        ("ambiguous", AMBIGUOUS),
        ("throttled", f"{THROTTLED} {SETTLING}"),
        ("zone", OTHER_ZONE),
        ("type", OTHER_TYPE),
        ("quota", QUOTA),
        ("denied", DENIED),
        ("wrong", WRONG),
        ("missing", MISSING),
        ("token", TOKEN),
    )
    for code in codes.split()
}
_BY_TABLE = {
    Next.SAME_AGAIN: "ambiguous",
    Next.SLOW_DOWN: "throttled",
    Next.SETTLE: "throttled",
    Next.OTHER_ZONE: "zone",
    Next.PRICE: "zone",
    Next.OTHER_TYPE: "type",
    Next.QUOTA: "quota",
    Next.CREDENTIALS: "denied",
    Next.LOCKED: "denied",
    Next.REQUEST: "wrong",
    Next.MISSING: "missing",
    Next.TOKEN: "token",
}
_GCP_CLASS = {
    Step.AMBIGUOUS: "ambiguous",
    Step.LATER: "throttled",
    Step.ZONE: "zone",
    Step.TYPE: "type",
    Step.QUOTA: "quota",
    Step.ACCESS: "denied",
    Step.FIX: "wrong",
    Step.MISSING: "missing",
    Step.STALE: "stale",
    Step.EXISTS: "exists",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """The exit code of `up`, and how many launch requests and tokens it may have used."""

    code: int
    requests: int | None
    tokens: int | None


def expected(kind: str, times: int, zones: int, tries: int) -> Expected:
    """`zones`: offers that there are. `tries`: requests of one attempt that is repeated."""
    forever = times == ALWAYS
    if kind == "ambiguous":
        return Expected(75, tries, 1) if forever else Expected(0, times + 1, 1)
    if kind == "throttled":
        return Expected(1, tries, 1) if forever else Expected(0, times + 1, 1)
    if kind == "zone":
        # One zone after another, each attempt under its own token.
        tried = min(times, zones)
        return Expected(5, tried, tried) if times >= zones else Expected(0, times + 1, times + 1)
    if kind in ("type", "quota"):
        return Expected(5, 1, 1)
    code = {"denied": 4, "wrong": 2, "missing": 3, "token": 75, "stale": 1, "exists": 2}[kind]
    return Expected(code, 1, 1)


def _launch(world: World, cloud: str, code: str, kind: str, times: int, zones: int) -> Result:
    """One code at the call that costs."""
    action = {"aws": "RunInstances", "gcp": "instances.insert"}[cloud]
    how = "always" if times == ALWAYS else f"{times}x"
    stage = Stage(world, cloud)
    stage.well("ps")
    if cloud == "gcp" and code.isupper():
        world.gcp.control("fault", method=action, op_code=code, count=min(times, 50))
        plan = Plan()
    else:
        plan = Plan(judge=_at(action, _answer(cloud, action, code), times))
    done = stage.run("up", "-p", PROJECT[cloud], "-y", plan=plan)
    sent = [body for call, body in world.traffic.bodies if call.action == action]
    tokens = len(set(world.traffic.tokens))
    tries = 5 if cloud == "aws" else 4
    want = expected(kind, times, zones, tries)
    if cloud == "gcp" and code.isupper():
        want = _operation(kind, times, zones)
    wrong = []
    if done.code != want.code:
        wrong.append(f"exit {done.code}, not {want.code}")
    if want.requests is not None and len(sent) != want.requests:
        wrong.append(f"{len(sent)} requests, not {want.requests}")
    if want.tokens is not None and tokens != want.tokens:
        wrong.append(f"{tokens} tokens, not {want.tokens}")
    return stage.result(f"{cloud} {action} {code} {how}", [*wrong, *_after(stage)])


def _operation(kind: str, times: int, zones: int) -> Expected:
    """Google accepted the request, and its operation failed: nothing is sent again."""
    if kind == "zone":
        return expected(kind, times, zones, 1)
    code = {"ambiguous": 75, "throttled": 1}.get(kind)
    return Expected(expected(kind, 1, zones, 1).code if code is None else code, 1, 1)


def _after(stage: Stage) -> list[str]:
    """Fair weather again: the next two commands settle what is open."""
    stage.world.traffic.begin()
    stage.world.gcp.control("clear_faults")
    stage.world.pass_time(seconds=61)
    stage.run("ps")
    stage.world.pass_time(minutes=16)
    stage.run("ps")
    return ended(stage, 1)


def _at(action: str, answer: Answer, times: int):
    left = [times]

    def meet(call: Call, body: str) -> Answer | None:
        if call.action != action or left[0] <= 0:
            return None
        left[0] -= 1
        return answer

    return meet


def _answer(cloud: str, action: str, code: str) -> Answer:
    if cloud == "aws":
        return aws_error(action, code)
    by_status = {reason: status for status, reason in _REASON_OF_STATUS.items()}
    status, domain, words = _REASONS.get(code, (by_status.get(code, _status(code)), "global", code))
    body = Refusal(status, code, words, domain).body()
    return Answer(status, "application/json; charset=UTF-8", json.dumps(body).encode())


def _status(code: str) -> int:
    return {
        Step.AMBIGUOUS: 503,
        Step.LATER: 403,
        Step.ZONE: 503,
        Step.QUOTA: 403,
        Step.ACCESS: 403,
        Step.MISSING: 404,
        Step.STALE: 412,
        Step.EXISTS: 409,
    }.get(CODES[code], 400)


def launches(world: World, full: bool, chance: random.Random) -> Iterator[Result]:
    """The calls that cost, every code."""
    aws = [(code, BY_HAND.get(code) or _BY_TABLE[step]) for code, step in NEXT.items()]
    aws += [(code, kind) for code, kind in BY_HAND.items() if code not in NEXT]
    gcp = [(code, _GCP_CLASS[step]) for code, step in CODES.items()]
    for cloud, codes, zones in (("aws", aws, 5), ("gcp", gcp, 2)):
        cases = [(code, kind, times) for code, kind in codes for times in TIMES]
        for code, kind, times in cases if full else chance.sample(cases, 6):
            yield _launch(world, cloud, code, kind, times, zones)


OTHERS = {
    "aws": [
        "InternalError",
        "RequestLimitExceeded",
        "UnauthorizedOperation",
        "InvalidParameterValue",
        "IncorrectInstanceState",
        "OperationNotPermitted",
    ],
    "gcp": ["backendError", "rateLimitExceeded", "forbidden", "invalid", "resourceNotReady"],
}


def elsewhere(world: World, full: bool, chance: random.Random) -> Iterator[Result]:
    """All other calls of `up`, `down` and `extend`, a code of each class."""
    for cloud in ("aws", "gcp"):
        told = [story for story in stories(cloud) if story.name in ("up", "down", "extend")]
        told = told if full else [told[1]]
        for story in told:
            plan = clean(world, story)
            actions = sorted({call.action for call in plan.calls})
            cases = [(a, code, times) for a in actions for code in OTHERS[cloud] for times in TIMES]
            for action, code, times in chance.sample(cases, 30 if full else 2):
                yield _one(world, story, action, code, times, _count(plan.calls, action))


def _count(calls: Sequence[Call], action: str) -> int:
    return sum(call.action == action for call in calls)


def _one(world: World, story: Story, action: str, code: str, times: int, usual: int) -> Result:
    how = "always" if times == ALWAYS else f"{times}x"
    stage = Stage(world, story.cloud)
    story.before(stage)
    plan = Plan(judge=_at(action, _answer(story.cloud, action, code), times))
    done = stage.run(*story.argv, plan=plan)
    sent = _count(world.traffic.seen, action)
    wrong = []
    if not done.fired:
        wrong.append("the fault did not happen")
    if code in PASSING and times <= 3 and done.code != 0:
        wrong.append(f"exit {done.code} after a refusal that passes")
    # What is waited for is asked for again by the command itself, and so is what ends a machine.
    tries = usual + (AGAIN if action in ENDS else 3)
    if sent > BOUND[story.cloud] * tries and action not in POLLED:
        wrong.append(f"{sent} requests, {usual} without trouble")
    return stage.result(
        f"{story.cloud} {story.name} {action} {code} {how}", [*wrong, *_after(stage)]
    )


PASSING = ("InternalError", "RequestLimitExceeded", "backendError", "rateLimitExceeded")
ENDS = ("TerminateInstances", "StopInstances", "instances.stop", "instances.delete")
AGAIN = 24
"""`down` goes on for two minutes, and waits five seconds in between."""
POLLED = (
    "DescribeInstances",
    "DescribeVolumes",
    "instances.get",
    "zoneOperations.wait",
    "disks.get",
)


def every_error(world: World, full: bool, seed: int) -> Iterator[Result]:
    chance = random.Random(seed + 2)
    yield from launches(world, full, chance)
    yield from elsewhere(world, full, chance)


ROWS = (
    Row(
        "errors",
        "every code of the error taxonomy at the call that costs, one of each class at every other "
        "call, x {once, 3 times, always}",
        "the right class and next step, requests within bounds, no second token while ambiguous",
        300,
        every_error,
    ),
)
