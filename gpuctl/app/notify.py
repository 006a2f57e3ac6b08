"""What somebody who is away should be told, each thing once, and of which kind it is.

Pure: the facts come from an audit and the ledger; how a message leaves is wiring/messenger.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app.audit import Audit, Finding
from gpuctl.app.budget import Budget, budgets_in
from gpuctl.core.books import Books, books
from gpuctl.core.errors import GpuctlError
from gpuctl.core.kinds import EndedBy, Kind, State
from gpuctl.core.rounding import round_half_up
from gpuctl.core.snapshot import read_machine
from gpuctl.core.span import format_duration, format_time

SOON = timedelta(hours=1)
"""A lease that ends within it is told of: as long as the timer usually waits."""
AGAIN = timedelta(hours=24)
"""What still costs is told again after that; all else once."""
_LATELY = timedelta(hours=24)
"""An interruption longer ago is no news."""
_KEPT = timedelta(days=60)

LEFTOVER, TTL, INTERRUPTED, BUDGET = "leftover", "ttl", "interrupted", "budget"
"""Names of events in the settings."""

_COMPUTING = (Kind.COMPUTE, Kind.VCPU)


class Notice(NamedTuple):
    """One thing to tell. `key` is the same when it is the same thing again."""

    key: str
    event: str
    text: str


class Message(NamedTuple):
    """Notices on their way together: a phone rings once."""

    title: str
    text: str
    notices: tuple[Notice, ...]
    at: datetime


def notices(app: App, found: Audit) -> Sequence[Notice]:
    """All that could be told now, whether it was before or not."""
    events, now = app.ledger.events(), app.clock()
    known = books(events)
    limits = budgets_in(app.settings, events, list(app.settings.projects), now)
    return [
        *(_of_finding(finding) for finding in found.findings if _costs(finding)),
        *(unseen(silence.provider, silence.reason) for silence in found.silent),
        *_ending_soon(known, now),
        *_interrupted(known, now),
        *_budgets(limits, now),
    ]


def unseen(what: str, reason: str) -> Notice:
    """Nobody looked: silence must not be taken for nothing being there."""
    text = f"{what} could not be looked at: {reason}. gpuctl audit"
    return Notice(key=f"{LEFTOVER}/unseen/{what}", event=LEFTOVER, text=text)


def message(
    found: Sequence[Notice],
    wanted: Sequence[str],
    told: Mapping[str, datetime],
    now: datetime,
) -> Message | None:
    """What is wanted (() = everything) and not told yet, as one; None = nothing."""
    news = tuple(
        notice
        for notice in found
        if (not wanted or notice.event in wanted) and not _is_known(notice, told, now)
    )
    if not news:
        return None
    title = news[0].text if len(news) == 1 else f"{len(news)} things to look at"
    text = "\n".join(notice.text for notice in news)
    return Message(title=f"gpuctl: {title}", text=text, notices=news, at=now)


def remember(told: Mapping[str, datetime], sent: Message, now: datetime) -> Mapping[str, datetime]:
    """What was told by now; what is older than two months is forgotten."""
    kept = {key: at for key, at in told.items() if now - at < _KEPT}
    return kept | {notice.key: now for notice in sent.notices}


def _is_known(notice: Notice, told: Mapping[str, datetime], now: datetime) -> bool:
    at = told.get(notice.key)
    return at is not None and (notice.event != LEFTOVER or now - at < AGAIN)


def _costs(finding: Finding) -> bool:
    """A price that is not known counts: it is never taken for nothing."""
    return finding.monthly is None or finding.monthly > 0 or finding.kind == "machine"


def _of_finding(finding: Finding) -> Notice:
    what = f"{finding.kind} {finding.resource}"
    price = f" (${round_half_up(finding.monthly, 2)} a month)" if finding.monthly else ""
    return Notice(
        key=f"{LEFTOVER}/{finding.provider}/{finding.region}/{what}/{finding.reason}",
        event=LEFTOVER,
        text=f"{what} in {finding.region}{price}: {finding.reason}. {finding.fix}",
    )


def _ending_soon(known: Books, now: datetime) -> Iterator[Notice]:
    for seen in known.seen.values():
        machine = read_machine(seen.snapshot)
        lease = known.leases.get(machine.lease or "")
        if lease is None or machine.state not in (State.STARTING, State.RUNNING):
            continue
        if now < lease.deadline <= now + SOON:
            left = format_duration(lease.deadline - now)
            yield Notice(
                key=f"{TTL}/{lease.id}/{format_time(lease.deadline)}",
                event=TTL,
                text=f"{machine.name} ({lease.project}) ends itself in {left}. "
                f"gpuctl extend {machine.name}",
            )


def _interrupted(known: Books, now: datetime) -> Iterator[Notice]:
    for usage in known.usages:
        taken = usage.ended_by is EndedBy.PROVIDER and usage.kind in _COMPUTING
        if not taken or usage.end is None or now - usage.end > _LATELY:
            continue
        lease = known.leases.get(usage.session or "")
        name = lease.name if lease is not None else usage.resource
        yield Notice(
            key=f"{INTERRUPTED}/{usage.id}",
            event=INTERRUPTED,
            text=f"{name} ({usage.project or 'unattributed'}) was taken back by the cloud at "
            f"{format_time(usage.end)}. gpuctl up {name}",
        )


def _budgets(limits: Sequence[Budget], now: datetime) -> Iterator[Notice]:
    for one in limits:
        marks = (
            (f"{now:%Y-%m}", "this month's", one.month_passed, one.limit, one.spent),
            ("total", "its whole", one.total_passed, one.total_limit, one.total_spent),
        )
        for period, whose, mark, limit, spent in marks:
            if mark is None or limit is None or spent is None:
                continue
            yield Notice(
                key=f"{BUDGET}/{one.project}/{period}/{mark}",
                event=BUDGET,
                text=f"{one.project} has used {mark} % of {whose} budget: "
                f"${round_half_up(spent, 2)} of ${limit:f}. gpuctl budget",
            )


class Undelivered(GpuctlError):
    """A message did not arrive; what it told stays untold. The text holds no secret."""
