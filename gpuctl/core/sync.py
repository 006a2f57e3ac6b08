"""Ledger + what the clouds list -> the facts that are new. Pure: gather, decide here, append.

What was listed is decided here; what that lacks, which is no evidence, in absence.py.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from gpuctl.core.absence import of_lost_storage, of_unlisted, unlisted
from gpuctl.core.books import Books, Lease
from gpuctl.core.endings import end_of, ended, is_storage, uncertain
from gpuctl.core.events import Event, Switch, Usage
from gpuctl.core.kinds import State
from gpuctl.core.model import Billable, Leftover, Machine
from gpuctl.core.sighting import Sighting, seen
from gpuctl.core.span import format_time

__all__ = [
    "Sighting",
    "leftover_run",
    "plan",
    "removed",
    "switches",
    "unlisted",
    "usage_id",
]

_STARTING = timedelta(minutes=5)
"""A disk may be made so long before the run for which it was made begins."""


def plan(books: Books, sighting: Sighting) -> Sequence[Event]:
    """The events to append. Nothing when nothing changed; the same again adds nothing."""
    events: list[Event] = []
    listed = {str(machine.id) for machine in sighting.machines}
    for machine in sighting.machines:
        events.extend(seen(books, machine, sighting.at))
        events.extend(_of_machine(books, machine, sighting))
    for leftover in sighting.leftovers or ():
        if leftover.ours and leftover.what != "image":  # those are images.costs' own
            events.extend(_of_leftover(books, leftover, sighting))
    if sighting.leftovers is not None:
        events.extend(of_lost_storage(books, sighting))
    for machine_id in unlisted(books, sighting.accounts, listed | sighting.unsure):
        events.extend(of_unlisted(books, machine_id, sighting))
    return events


def _of_machine(books: Books, machine: Machine, sighting: Sighting) -> Iterator[Event]:
    standing: set[str] = set()
    for changed in _changed_storage(books, machine.id.provider, machine.billed):
        standing.add(changed.id)
        yield ended(changed, sighting.at, None)
    for billable in machine.billed:
        usage = _same_run(books, machine.id.provider, billable)
        if usage is None:
            new = not _came_by_change(books, machine.id.provider, billable)
            yield _opened(books, machine, billable, sighting, new=new)
        else:
            standing.add(usage.id)
            if billable.until is not None and usage.end is None:
                yield ended(usage, billable.until, machine.ending)
    for billable in machine.ran:
        if not _known(books, machine.id.provider, billable):
            yield _opened(books, machine, billable, sighting, new=True)
    machine_id = str(machine.id)
    for usage in books.open:
        if usage.machine == machine_id and usage.id not in standing:
            yield from _not_billed_any_more(books, machine, usage, sighting.at)


def _not_billed_any_more(
    books: Books, machine: Machine, usage: Usage, at: datetime
) -> Iterator[Event]:
    """The end of a run that its machine no longer has on the clock, where it can be told."""
    if machine.ending is not None and end_of(usage, machine.ending) >= usage.start:
        yield ended(usage, end_of(usage, machine.ending), machine.ending)
    elif machine.state is State.GONE:
        # Shut down from within: EC2 then tells no time, and an audit log has no event.
        end = uncertain(books, usage, at)
        yield ended(usage, end.at, end)
    elif change := _replaced(usage, machine.billed):
        yield ended(usage, change, None)


def _known(books: Books, provider: str, billable: Billable) -> bool:
    """Whether the ledger saw that run, open or closed, while it went on or afterwards."""
    return any(
        _alike(usage, provider, billable) and usage.start == billable.since
        for usage in books.usages
    )


def _same_run(
    books: Books, provider: str, billable: Billable, *, left: bool = False
) -> Usage | None:
    """The ledger's run of this billable. Storage is one run for as long as it exists, and so is
    what is left over: a cloud may not tell since when.

    A run that was closed on a guess and is still there is none: it goes on as another.
    """
    lasting = left or is_storage(provider, billable.kind)
    alike = [usage for usage in books.usages if _alike(usage, provider, billable)]
    for usage in alike:
        if usage.end is None and (lasting or usage.start >= billable.since):
            return usage
    return next((u for u in alike if u.start == billable.since and not _guessed(u, billable)), None)


def _alike(usage: Usage, provider: str, billable: Billable) -> bool:
    return (usage.provider, usage.resource, usage.kind, usage.sku, usage.quantity) == (
        provider,
        billable.resource,
        billable.kind,
        billable.sku,
        billable.quantity,
    )


def _guessed(usage: Usage, billable: Billable) -> bool:
    uncertain = usage.evidence is not None and not usage.evidence.certain
    return uncertain and billable.until is None


def _replaced(usage: Usage, billed: Sequence[Billable]) -> datetime | None:
    """When something else took its place on the same resource (idle address in use, disk grown)."""
    for billable in billed:
        if (billable.resource, billable.kind) == (usage.resource, usage.kind):
            return billable.since
    return None


def _opened(
    books: Books, machine: Machine, billable: Billable, sighting: Sighting, *, new: bool
) -> Usage:
    lease = books.leases.get(machine.lease or "")
    start = billable.since
    lasting = is_storage(machine.id.provider, billable.kind)
    if lease is not None and lasting and not _made_with(machine, billable):
        # A disk older than the first lease of an adopted VM was not ours to account for.
        start = max(start, lease.at)
    elif lease is None and billable.foreign and not _made_with(machine, billable):
        start = max(start, machine.launched_at or start)
    start = _not_before(books, machine.id.provider, billable, start) if new else sighting.at
    return Usage(
        id=usage_id(machine.id.provider, billable, start),
        provider=machine.id.provider,
        account=machine.id.account,
        region=machine.id.region,
        zone=machine.id.zone,
        resource=billable.resource,
        kind=billable.kind,
        sku=billable.sku,
        market=billable.market,
        quantity=billable.quantity,
        start=start,
        end=None if billable.until is None else max(billable.until, start),
        ended_by=machine.ending.by if billable.until and machine.ending else None,
        project=lease.project if lease is not None else machine.project,
        session=machine.lease,
        machine=None if billable.keeps else str(machine.id),
        payer=_payer(lease, sighting, machine.id.provider, machine.id.account),
        evidence=machine.ending.evidence if billable.until and machine.ending else None,
    )


def _payer(lease: Lease | None, sighting: Sighting, provider: str, account: str) -> str | None:
    """Whose account it was started through: two names may lead to one account."""
    named = lease.payer if lease is not None else None
    return named or sighting.payers.get((provider, account))


def _made_with(machine: Machine, billable: Billable) -> bool:
    """Whether a disk was made for this run, by the cloud's clock (a lease's is a laptop's)."""
    launched = machine.launched_at
    return launched is not None and billable.since >= launched - _STARTING


def _not_before(books: Books, provider: str, billable: Billable, start: datetime) -> datetime:
    """What goes on after it was taken for ended is billed from that end on, not twice."""
    ends = [usage.end for usage in books.usages if _alike(usage, provider, billable)]
    return max([start, *(end for end in ends if end is not None and billable.until is None)])


def _changed_storage(books: Books, provider: str, billed: Sequence[Billable]) -> Sequence[Usage]:
    """Open runs of storage that is still there and is something else by now.

    It grew, is of another type, has other IOPS. The cloud does not tell since when, so it is what
    it was until it was seen changed. What is paid by the hour starts anew, and tells when.
    """
    there = {billable.resource for billable in billed if is_storage(provider, billable.kind)}
    return [
        usage
        for usage in books.open
        if usage.provider == provider
        and usage.resource in there
        and is_storage(provider, usage.kind)
        and not any(_alike(usage, provider, billable) for billable in billed)
    ]


def _came_by_change(books: Books, provider: str, billable: Billable) -> bool:
    """Whether this is storage of something that the ledger already knew as storage."""
    return is_storage(provider, billable.kind) and any(
        usage.provider == provider
        and usage.resource == billable.resource
        and is_storage(provider, usage.kind)
        for usage in books.open
    )


def usage_id(provider: str, billable: Billable, start: datetime) -> str:
    """Derived from content: two laptops that see the same run write the same record."""
    what = f"{billable.kind}/{billable.sku}/{billable.quantity.normalize():f}"
    return f"{provider}/{billable.resource}/{what}/{format_time(start)}"


def _of_leftover(books: Books, leftover: Leftover, sighting: Sighting) -> Iterator[Event]:
    for changed in _changed_storage(books, leftover.provider, leftover.billed):
        yield ended(changed, sighting.at, None)
    for billable in leftover.billed:
        usage = _same_run(books, leftover.provider, billable, left=True)
        # It is there: whatever its machine's end was taken to mean for it, it goes on costing.
        if usage is None or (usage.end is not None and billable.until is None):
            lease = books.leases.get(leftover.lease or "")
            start = _not_before(books, leftover.provider, billable, billable.since)
            if _came_by_change(books, leftover.provider, billable):
                start = sighting.at
            yield leftover_run(leftover, billable)._replace(
                id=usage_id(leftover.provider, billable, start),
                start=start,
                project=lease.project if lease is not None else leftover.project,
                payer=_payer(lease, sighting, leftover.provider, leftover.account),
            )


def leftover_run(leftover: Leftover, billable: Billable) -> Usage:
    """The run that a leftover's billable is, by its own account of itself.

    Of no machine: it outlives its machine, whose end says nothing about it.
    """
    return Usage(
        id=usage_id(leftover.provider, billable, billable.since),
        provider=leftover.provider,
        account=leftover.account,
        region=leftover.region,
        zone=leftover.zone,
        resource=billable.resource,
        kind=billable.kind,
        sku=billable.sku,
        market=billable.market,
        quantity=billable.quantity,
        start=billable.since,
        end=billable.until,
        ended_by=None,
        project=leftover.project,
        session=leftover.lease,
    )


def removed(books: Books, leftover: Leftover, at: datetime) -> Sequence[Event]:
    """What a leftover was billed for has ended: it was removed at `at`."""
    billed = {(billable.resource, billable.kind) for billable in leftover.billed}
    return [
        ended(usage, at, None)
        for usage in books.open
        if usage.provider == leftover.provider and (usage.resource, usage.kind) in billed
    ]


def switches(
    books: Books, machine: str, project: str, at: datetime, resources: Sequence[str] = ()
) -> Sequence[Event]:
    """One switch for each resource of a machine that runs for somebody else at `at`."""
    found: dict[str, Switch] = {}
    for usage in books.usages:
        mine = usage.machine == machine or usage.resource in resources
        runs = usage.start <= at and (usage.end is None or at < usage.end)
        if mine and runs and books.owner(usage, at) != project:
            found[usage.resource] = Switch(
                id=f"switch/{usage.resource}/{format_time(at)}/{project}",
                resource=usage.resource,
                project=project,
                at=at,
            )
    return list(found.values())
