"""How long machines took from the order until they could be used, by the ledger. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuctl.core.events import Armed, Event, Intent, Leased, Outcome

LONGEST = timedelta(minutes=20)
"""What took longer was not waited for: its switch was asked about by a later command."""


SMOKE = "smoke"
"""The verb of a smoke test in the ledger; it is written with its outcome, when it is over."""


class Boot(NamedTuple):
    """One start of a new machine: seconds from the order until SSH answered and it was armed."""

    template: str
    image: str | None
    """`NAME@VERSION` of an image of one's own."""
    seconds: int
    at: datetime
    smoke: int | None = None
    """Seconds from the order until its smoke test had passed, where it had one."""


class Times(NamedTuple):
    """Several starts together; `p50` is the middle one (of two, the shorter)."""

    starts: int
    p50: int


def smoke(test: str, lease: str, at: datetime, *, ok: bool) -> Sequence[Event]:
    """What is written of a smoke test that ended at `at`; `test` is a fresh id."""
    result = "done" if ok else "failed"
    return (
        Intent(id=test, lease=lease, verb=SMOKE, at=at),
        Outcome(id=f"{test}/outcome", intent=test, at=at, result=result),
    )


def boots(events: Iterable[Event]) -> Sequence[Boot]:
    """Every start of a new machine that was waited for, oldest first.

    A machine that is started again has its disk already, and tells nothing of its image.
    """
    leases: dict[str, Leased] = {}
    armed: dict[str, datetime] = {}
    ordered: list[Intent] = []
    done: set[str] = set()
    tests: dict[str, Intent] = {}
    for event in events:
        match event:
            case Leased():
                leases[event.id] = event
            case Armed():
                armed[event.lease] = min(armed.get(event.lease, event.at), event.at)
            case Intent(verb="start") if not event.order.get("adopt"):
                ordered.append(event)
            case Intent() if event.verb == SMOKE:
                tests[event.id] = event
            case Outcome(result="done"):
                done.add(event.intent)
            case _:
                pass
    passed = {test.lease: test.at for test in tests.values() if test.id in done}
    found = []
    for intent in ordered:
        ready, lease = armed.get(intent.lease), leases.get(intent.lease)
        if intent.id not in done or ready is None or lease is None:
            continue
        if timedelta(0) <= ready - intent.at <= LONGEST:
            name = intent.order.get("image_name")
            seconds = int((ready - intent.at).total_seconds())
            test = passed.get(intent.lease)
            smoked = None if test is None else int((test - intent.at).total_seconds())
            image = str(name) if name else None
            found.append(Boot(lease.template, image, seconds, intent.at, smoked))
    return sorted(found, key=lambda boot: (boot.at, boot.template))


def times(found: Iterable[int]) -> Times | None:
    """The middle of these seconds; None without any."""
    seconds = sorted(found)
    return Times(len(seconds), seconds[(len(seconds) - 1) // 2]) if seconds else None
