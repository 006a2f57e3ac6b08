"""`reconcile`: the ledger against the real bill; what the bill asks is written, or only shown."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.bill import bill
from gpuctl.core.billed import Bill
from gpuctl.core.errors import NotFound, UsageProblem
from gpuctl.core.events import Close, Event
from gpuctl.core.kinds import Market
from gpuctl.core.names import client_of
from gpuctl.core.ports import Ledger
from gpuctl.core.reconcile import Asking, reconcile
from gpuctl.core.reconciliation import Reconciliation
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span

SPOT_FEED = "EC2 Spot data feed"
"""How a bill that has spot machines alone calls itself."""


class Change(NamedTuple):
    """What a project (None = nobody's) comes to in the days compared, before and after. USD."""

    project: str | None
    before: Fraction
    after: Fraction


class Settled(NamedTuple):
    """What was found, what it changes, and how much of it is in the ledger now."""

    found: Reconciliation
    changes: tuple[Change, ...]
    """Projects whose cost is another one afterwards."""
    before: Fraction
    after: Fraction
    """`ledger_total` before and after."""
    settled: int
    """Facts that were written, or would be."""
    problems: tuple[str, ...]
    closed: tuple[tuple[str, str], ...]
    """(client, month) that are closed and would come to another sum: what was sent stays."""


def settle(
    ledger: Ledger, opened: Bill, now: datetime, asking: Asking, *, dry_run: bool = False
) -> Settled:
    """Compare, and write one fact for each day of a resource that the bill settles: all or none.

    What is known already is not written again. UsageProblem when the bill has nothing of the
    month that was asked for, or is in a currency without a rate.
    """
    events = ledger.events()
    if opened.source.startswith(SPOT_FEED):
        asking = asking._replace(only=Market.SPOT)
    found = reconcile(opened.days(), events, now, asking._replace(source=opened.source))
    if not found.spans:
        when = "" if asking.month is None else f" of {asking.month}"
        raise UsageProblem(
            f"{opened.source}: there is no usage{when} in it",
            hint="leave out --month" if asking.month else "export a month with usage",
        )
    if asking.client is not None and not _has_client(events, asking.client):
        raise NotFound(
            f"the ledger has nothing of a client {asking.client}", hint="gpuctl client list"
        )
    facts: Sequence[Event] = found.settles
    changes = _changes(events, facts, found.spans, now)
    moved = sum((m.difference for m in found.matched if m.settle is not None), Fraction(0))
    if not dry_run:
        ledger.append(facts)
    return Settled(
        found=found,
        changes=changes,
        before=found.ledger_total,
        after=found.ledger_total + moved,
        settled=len(facts),
        problems=tuple(opened.problems),
        closed=_closed(events, changes, found.spans),
    )


def _closed(
    events: Sequence[Event], changes: Iterable[Change], spans: Mapping[str, Span]
) -> tuple[tuple[str, str], ...]:
    clients = {client_of(change.project) for change in changes if change.project}
    closings = {
        (event.client, event.month)
        for event in events
        if isinstance(event, Close) and event.client in clients
    }
    touched = {
        pair
        for pair in closings
        for provider, span in spans.items()
        if Month.parse(pair[1]).span(billing_zone(provider)).meet(span) is not None
    }
    return tuple(sorted(touched))


def _has_client(events: Sequence[Event], client: str) -> bool:
    projects = {getattr(event, "project", None) for event in events}
    return any(project and client_of(project) == client for project in projects)


def _changes(
    events: Sequence[Event], facts: Sequence[Event], spans: Mapping[str, Span], now: datetime
) -> tuple[Change, ...]:
    """By project, from the very function that every report comes from."""
    if not facts:
        return ()
    before = _by_project(events, spans, now)
    after = _by_project([*events, *facts], spans, now)
    nothing = Fraction(0)
    changes = (
        Change(project, before.get(project, nothing), after.get(project, nothing))
        for project in sorted({*before, *after}, key=lambda name: (name is None, name or ""))
    )
    return tuple(change for change in changes if change.before != change.after)


def _by_project(
    events: Sequence[Event], spans: Mapping[str, Span], now: datetime
) -> Mapping[str | None, Fraction]:
    none = Span(now, now)
    found: dict[str | None, Fraction] = {}
    for charge in bill(events, lambda provider: spans.get(provider or "", none), now).charges:
        found[charge.project] = found.get(charge.project, Fraction(0)) + (charge.cost or 0)
    return found


def days_to_ask(month: Month | None, now: datetime, provider: str = "aws") -> Span:
    """Whole days of the provider's month, this one where none is named, as far as they have begun.

    UsageProblem for a month that has not.
    """
    zone = billing_zone(provider)
    whole = (month or Month.of(now, zone)).span(zone)
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if whole.start > now:
        raise UsageProblem(f"{month} has not begun", hint="--month last")
    return Span(whole.start, min(whole.end, today + timedelta(days=1)))


def month_named(text: str | None, now: datetime) -> Month | None:
    """`2025-03`, `this` or `last`. ValueError otherwise."""
    if text is None:
        return None
    this = Month.of(now, billing_zone(None))
    return {"this": this, "last": this.previous()}.get(text) or Month.parse(text)
