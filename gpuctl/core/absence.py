"""What it means that a listing lacks something. Pure.

Absence is not evidence: a machine that a listing lacks is first noted as missed; its runs end
only when the cloud says so, or when it was missed twice, apart, and nothing can be learnt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from gpuctl.core.books import Books
from gpuctl.core.endings import end_of, ended, uncertain
from gpuctl.core.events import Event, Missed
from gpuctl.core.kinds import State
from gpuctl.core.sighting import Sighting, seen
from gpuctl.core.snapshot import read_machine
from gpuctl.core.span import format_time

PATIENCE = timedelta(seconds=60)
"""Two looks at least so far apart count as two (EC2 developer guide, "Eventual consistency")."""
YOUNG = timedelta(minutes=5)
"""So long EC2 may fail to show what it has launched (the same page); others take seconds."""


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


def of_unlisted(books: Books, machine_id: str, sighting: Sighting) -> Iterator[Event]:
    """That a machine was missed, and the ends of its runs once that is enough."""
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
            end = known or uncertain(books, usage, first_missed or sighting.at, stopped=stopped)
            yield ended(usage, end_of(usage, end), end)
    if last is not None:
        gone = replace(read_machine(last.snapshot), state=State.GONE, address=None)
        yield from seen(books, gone, sighting.at)


def of_lost_storage(books: Books, sighting: Sighting) -> Iterator[Event]:
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
            yield ended(usage, first, uncertain(books, usage, first))


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
