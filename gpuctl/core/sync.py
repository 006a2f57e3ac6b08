"""Ledger + what the clouds list -> the facts that are new. Pure: gather, decide here, append.

Absence is not evidence: a machine that a listing lacks is first noted as missed; its runs end
only when the cloud says so, or when it was missed twice, apart, and nothing can be learnt.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gpuctl.core.books import Books, Lease
from gpuctl.core.events import Ended, Event, Missed, Seen, Switch, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, State, Unit
from gpuctl.core.model import Billable, Ending, Leftover, Machine
from gpuctl.core.rules import rule_for
from gpuctl.core.snapshot import read_machine, write_machine
from gpuctl.core.span import format_time

PATIENCE = timedelta(seconds=60)
"""Two looks at least so far apart count as two (EC2 developer guide, "Eventual consistency")."""
YOUNG = timedelta(minutes=5)
"""So long EC2 may fail to show what it has launched (the same page); others take seconds."""
_STARTING = timedelta(minutes=5)
"""A disk may be made so long before the run for which it was made begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What was gathered: complete listings only. `accounts` are those listed (provider, id)."""

    at: datetime
    accounts: frozenset[tuple[str, str]]
    machines: Sequence[Machine] = ()
    leftovers: Sequence[Leftover] | None = None
    """None = not asked for."""
    endings: Mapping[str, Ending | None] = field(default_factory=dict)
    """By machine id: what the cloud still knows of machines that were not listed."""
    payers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(provider, account) -> the client that owns and pays that account."""
    unsure: frozenset[str] = frozenset()
    """Machines that were not listed and could not be asked for either: nothing is concluded."""


def plan(books: Books, sighting: Sighting) -> Sequence[Event]:
    """The events to append. Nothing when nothing changed; the same again adds nothing."""
    events: list[Event] = []
    listed = {str(machine.id) for machine in sighting.machines}
    for machine in sighting.machines:
        events.extend(_seen(books, machine, sighting.at))
        events.extend(_of_machine(books, machine, sighting))
    for leftover in sighting.leftovers or ():
        if leftover.ours and leftover.what != "image":  # those are images.costs' own
            events.extend(_of_leftover(books, leftover, sighting))
    if sighting.leftovers is not None:
        events.extend(_of_lost_storage(books, sighting))
    for machine_id in unlisted(books, sighting.accounts, listed | sighting.unsure):
        events.extend(_of_unlisted(books, machine_id, sighting))
    return events


def unlisted(books: Books, accounts: frozenset[tuple[str, str]], listed: set[str]) -> Sequence[str]:
    """Machines with open runs, or seen alive, that complete listings of their account lack."""
    open_machines = {
        usage.machine
        for usage in books.open
        if usage.machine and (usage.provider, usage.account or "") in accounts
    }
    alive = {
        machine_id
        for machine_id, seen in books.seen.items()
        if seen.snapshot.get("state") != State.GONE
        and (seen.snapshot.get("provider"), seen.snapshot.get("account")) in accounts
    }
    return sorted((open_machines | alive) - listed)


def _seen(books: Books, machine: Machine, at: datetime) -> Iterator[Event]:
    snapshot = write_machine(machine)
    machine_id = str(machine.id)
    last = books.seen.get(machine_id)
    # Shown again after it was missed: what was missed before counts no more.
    if last is None or dict(last.snapshot) != snapshot or machine_id in books.missed:
        digest = hashlib.sha256(json.dumps(snapshot, sort_keys=True).encode()).hexdigest()[:12]
        yield Seen(
            id=f"seen/{machine_id}/{format_time(at)}/{digest}",
            machine=machine_id,
            at=at,
            snapshot=snapshot,
        )


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
    if machine.ending is not None and _end_of(usage, machine.ending) >= usage.start:
        yield ended(usage, _end_of(usage, machine.ending), machine.ending)
    elif machine.state is State.GONE:
        # Shut down from within: EC2 then tells no time, and an audit log has no event.
        end = _uncertain(books, usage, at)
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
    lasting = left or _is_storage(provider, billable.kind)
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
    lasting = _is_storage(machine.id.provider, billable.kind)
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


def _is_storage(provider: str, kind: Kind) -> bool:
    return rule_for(provider, kind).unit is Unit.MONTH


def _changed_storage(books: Books, provider: str, billed: Sequence[Billable]) -> Sequence[Usage]:
    """Open runs of storage that is still there and is something else by now.

    It grew, is of another type, has other IOPS. The cloud does not tell since when, so it is what
    it was until it was seen changed. What is paid by the hour starts anew, and tells when.
    """
    there = {billable.resource for billable in billed if _is_storage(provider, billable.kind)}
    return [
        usage
        for usage in books.open
        if usage.provider == provider
        and usage.resource in there
        and _is_storage(provider, usage.kind)
        and not any(_alike(usage, provider, billable) for billable in billed)
    ]


def _came_by_change(books: Books, provider: str, billable: Billable) -> bool:
    """Whether this is storage of something that the ledger already knew as storage."""
    return _is_storage(provider, billable.kind) and any(
        usage.provider == provider
        and usage.resource == billable.resource
        and _is_storage(provider, usage.kind)
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


def _of_lost_storage(books: Books, sighting: Sighting) -> Iterator[Event]:
    """Storage that belongs to no machine, and that two complete listings, apart, did not show."""
    billed = [b for machine in sighting.machines for b in machine.billed]
    billed += [b for leftover in sighting.leftovers or () for b in leftover.billed]
    standing = {billable.resource for billable in billed}
    for resource in sorted(standing & books.missed.keys()):
        yield Missed(
            id=f"found/{resource}/{format_time(sighting.at)}",
            machine=resource,
            at=sighting.at,
            found=True,
        )
    for usage in books.open:
        ours = usage.machine is None and usage.session is not None
        listed = (usage.provider, usage.account or "") in sighting.accounts
        if not ours or not listed or usage.resource in standing:
            continue
        first = books.missed.get(usage.resource)
        yield Missed(
            id=f"missed/{usage.resource}/{format_time(sighting.at)}",
            machine=usage.resource,
            at=sighting.at,
        )
        if first is not None and sighting.at - first >= PATIENCE:
            yield ended(usage, first, _uncertain(books, usage, first))


def _of_unlisted(books: Books, machine_id: str, sighting: Sighting) -> Iterator[Event]:
    first_missed = books.missed.get(machine_id)
    yield Missed(
        id=f"missed/{machine_id}/{format_time(sighting.at)}", machine=machine_id, at=sighting.at
    )
    ending = sighting.endings.get(machine_id)
    twice = (
        first_missed is not None
        and sighting.at - first_missed >= PATIENCE
        and not is_young(books, machine_id, sighting.at)
    )
    if ending is None and not twice and not _overdue(books, machine_id, sighting.at):
        return
    last = books.seen.get(machine_id)
    stopped = last is not None and last.snapshot.get("state") == State.STOPPED
    for usage in books.open:
        if usage.machine == machine_id:
            known = ending
            if stopped and last and ending and ending.gone_at is None and ending.at <= last.at:
                # What still ran on a stopped machine did not end with the machine's last run.
                known = None
            end = known or _uncertain(books, usage, first_missed or sighting.at, stopped=stopped)
            yield ended(usage, _end_of(usage, end), end)
    if last is not None:
        gone = replace(read_machine(last.snapshot), state=State.GONE, address=None)
        yield from _seen(books, gone, sighting.at)


def is_young(books: Books, machine_id: str, at: datetime) -> bool:
    """Whether it was launched so lately that not being listed says nothing about it."""
    return any(usage.machine == machine_id and at - usage.start < YOUNG for usage in books.open)


def _overdue(books: Books, machine_id: str, at: datetime) -> bool:
    """Whether its own switch must have ended it: then one complete listing is enough."""
    deadlines = [
        lease.deadline
        for usage in books.open
        if usage.machine == machine_id and (lease := books.leases.get(usage.session or ""))
    ]
    return bool(deadlines) and max(deadlines) + PATIENCE * 5 < at


def _end_of(usage: Usage, ending: Ending) -> datetime:
    """Storage ends with the machine, which may be long after the machine's last run."""
    lasting = _is_storage(usage.provider, usage.kind)
    return ending.gone_at if lasting and ending.gone_at is not None else ending.at


def _uncertain(books: Books, usage: Usage, missed: datetime, *, stopped: bool = False) -> Ending:
    """No evidence is left: the lease's deadline, or the first look that missed it if sooner.

    The disk of a stopped machine outlives the lease. A machine that was heard of after that
    moment (another laptop had extended it) ran until then at least.
    """
    lease = books.leases.get(usage.session or "")
    at = missed if lease is None or stopped else min(lease.deadline, missed)
    if lease is not None and lease.heard is not None and at < lease.heard:
        by, beat = EndedBy.USER, Evidence.HEARTBEAT
        return Ending(at=lease.heard, by=by, evidence=beat, reason="last heard of then")
    return Ending(at=at, by=EndedBy.USER, evidence=Evidence.DEADLINE, reason="not listed any more")


def ended(usage: Usage, at: datetime, ending: Ending | None) -> Ended:
    """That a run ended at `at`, not before it began. No `ending` = gpuctl did it or saw it."""
    by = ending.by if ending else EndedBy.USER
    evidence = ending.evidence if ending else Evidence.STATE_REASON
    end = max(at, usage.start)
    return Ended(
        id=f"{usage.id}/ended/{evidence}/{format_time(end)}",
        usage=usage.id,
        end=end,
        ended_by=by,
        evidence=evidence,
        reason=ending.reason if ending else None,
    )


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
