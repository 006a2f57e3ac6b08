"""The emulators' own truth against the ledger: what leaked, what is double, what is unbilled."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gpuctl.core.books import Books, books
from gpuctl.core.events import Usage
from gpuctl.core.kinds import Kind
from gpuctl.ledger.store import SqliteLedger
from tests.faults.world import World

_UNDONE = timedelta(seconds=10)
"""What is gone so soon nobody can have looked at."""


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """One thing on the clock: the cloud's word, or the ledger's."""

    kind: str
    resource: str
    start: datetime
    end: datetime | None

    def __str__(self) -> str:
        end = "…" if self.end is None else f"{self.end:%d %H:%M:%S}"
        return f"{self.kind} {self.resource} {self.start:%d %H:%M:%S}-{end}"


def ledger_file(home: Path) -> Path:
    return home / "data" / "ledger.db"


def read(home: Path) -> tuple[Books, Sequence[str]]:
    """The ledger's present, and what is wrong with its chain."""
    ledger = SqliteLedger(ledger_file(home), install="0" * 32)
    try:
        verdict = ledger.verify()
        return books(ledger.events()), verdict.problems
    finally:
        ledger.close()


def true_stretches(world: World) -> Iterator[Stretch]:
    """All that was ever on the clock, by the clouds themselves. Whole seconds."""
    yield from _on_aws(world)
    yield from _on_google(world)


def _on_aws(world: World) -> Iterator[Stretch]:
    for one in world.aws.truth():
        for run in one.runs:
            yield Stretch("compute", one.id, run.started, run.ended)
        for disk in one.volumes:
            end = None if one.ended is None else one.ended
            yield Stretch("disk", disk.id, disk.created, end)
    of_machines = {disk.id for one in world.aws.truth() for disk in one.volumes}
    for disk in world.aws.volumes():
        if disk.id not in of_machines:
            yield Stretch("disk", disk.id, _cut(disk.created), _cut(disk.deleted))


def _on_google(world: World) -> Iterator[Stretch]:
    truth = world.gcp.truth()
    for vm in truth.vms:
        for run in vm.runs:
            for kind in ("vcpu", "ram", *(("gpu",) if vm.gpu else ())):
                yield Stretch(kind, vm.id, _cut(run.start), _cut(run.stop))
    for disk in truth.disks:
        if disk.deleted and disk.deleted - disk.created < _UNDONE:
            continue  # of a creation that failed: Google takes it back, and bills nothing
        yield Stretch("disk", disk.id, _cut(disk.created), _cut(disk.deleted))


def _cut(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(microsecond=0)


def told_stretches(known: Books) -> Iterator[Stretch]:
    """The same, as the ledger has it. Addresses apart: their truth is their machine's."""
    for usage in known.usages:
        if usage.kind is not Kind.IPV4:
            yield Stretch(usage.kind.value, usage.resource, usage.start, usage.end)


@dataclass(frozen=True, slots=True)
class Live:
    """A machine that runs: its name and its lease, by its tags."""

    cloud: str
    id: str
    name: str
    lease: str


def live(world: World) -> Sequence[Live]:
    """Every machine that runs and costs, of whomever."""
    found = [
        Live("aws", one.id, one.tags.get("Name", ""), one.tags.get("gpuctl:lease", ""))
        for one in world.aws.truth()
        if one.ended is None and one.runs[-1].ended is None
    ]
    return found + [
        Live("gcp", vm.id, vm.name, dict(vm.labels).get("gpuctl-lease", ""))
        for vm in world.gcp.truth().vms
        if vm.deleted is None and vm.runs and vm.runs[-1].stop is None
    ]


def faults(world: World, home: Path, *, most: int | None = None) -> list[str]:
    """Everything that breaks the promise; [] when it is kept.

    `most` machines may ever have existed, where that can be said.
    """
    known, problems = read(home)
    wrong = [f"chain: {problem}" for problem in problems]
    wrong += _ledger_against_truth(world, known)
    running = live(world)
    for one in running:
        if one.lease not in known.leases:
            wrong.append(f"leaked: {one.id} runs without a lease in the ledger")
    for name, count in Counter(one.name for one in running).items():
        if count > 1:
            wrong.append(f"duplicate: {count} machines run as {name}")
    wrong += [f"unsettled: {intent.verb} of {intent.at:%H:%M:%S}" for intent in known.unsettled]
    wrong += _switches(world, known, running)
    to_end = {(i.lease, _last(i.machine)) for i in known.intents.values() if i.verb != "start"}
    wrong += [
        f"was to end, and runs: {one.id}"
        for one in running
        if to_end & {(one.lease, one.id), (one.lease, one.name)}
    ]
    ever = len(world.aws.truth()) + sum(bool(vm.runs) for vm in world.gcp.truth().vms)
    if most is not None and ever > most:
        wrong.append(f"duplicate: {ever} machines were started")
    wrong += [f"open to the world: {thing}" for thing in world.aws.violations]
    wrong += [f"violation: {thing}" for thing in world.gcp.violations]
    return wrong


def _ledger_against_truth(world: World, known: Books) -> Iterator[str]:
    true = Counter(true_stretches(world))
    machines = {disk.id: one.id for one in world.aws.truth() for disk in one.volumes}
    told = Counter(_rounded(told_stretches(known), list(true), machines))
    for stretch, count in (true - told).items():
        yield f"not in the ledger: {stretch}" + (f" ({count} times)" if count > 1 else "")
    for stretch, count in (told - true).items():
        more = "twice" if stretch in true else "never was"
        yield f"in the ledger, {more}: {stretch}" + (f" ({count} times)" if count > 1 else "")
    yield from _addresses(world, known)


def _rounded(
    told: Iterator[Stretch], true: Sequence[Stretch], machines: Mapping[str, str]
) -> Iterator[Stretch]:
    """A disk is made within the second in which its machine is, before or after the tick."""
    for stretch in told:
        disks = (one for one in true if stretch.kind == one.kind == "disk")
        same = (one for one in disks if _close(one, stretch, machines.get(one.resource)))
        yield next(same, stretch)


def _close(one: Stretch, other: Stretch, machine: str | None) -> bool:
    same = (one.kind, one.end) == (other.kind, other.end)
    # A disk that was gone before anybody looked is known by its machine's name.
    named = other.resource in (one.resource, f"{machine}/disk")
    return same and named and abs(one.start - other.start) <= timedelta(seconds=1)


def _addresses(world: World, known: Books) -> Iterator[str]:
    """Each run of a machine has one public address for as long as it lasts."""
    runs = Counter[tuple[str, datetime, datetime | None]]()
    for one in world.aws.truth():
        runs.update((one.id, run.started, run.ended) for run in one.runs)
    for vm in world.gcp.truth().vms:
        seen = (run for run in vm.runs if not run.stop or run.stop - run.start > _UNDONE)
        runs.update((vm.name, _cut(run.start), _cut(run.stop)) for run in seen)
    told = Counter(
        (_native(usage), usage.start, usage.end)
        for usage in known.usages
        if usage.kind is Kind.IPV4 and usage.sku != "idle"
    )
    if runs != told:
        yield f"addresses: {dict(told - runs)} in the ledger, {dict(runs - told)} not in it"


def _native(usage: Usage) -> str:
    return _last(usage.machine)


def _last(machine: str | None) -> str:
    return (machine or "").rpartition(":")[2]


def _switches(world: World, known: Books, running: Sequence[Live]) -> Iterator[str]:
    """No machine may live on past the lease that the ledger has of it."""
    for one in running:
        lease = known.leases.get(one.lease)
        told = world.metal.deadline(one.id)
        if told is None:
            yield f"no switch: {one.id} would run for ever"
        elif lease is not None and told > lease.deadline:
            yield f"outlives its lease: {one.id} ends at {told}, its lease at {lease.deadline}"


def over(world: World, home: Path) -> list[str]:
    """Let every lease end: what still runs then has outlived it."""
    known, _ = read(home)
    ends = [lease.deadline for lease in known.leases.values()]
    if ends:
        world.clock.advance(max(timedelta(), max(ends) + timedelta(minutes=10) - world.now()))
    stopped = [one.id for one in world.aws.truth() if one.ended is None and one.runs[-1].ended]
    return [
        *(f"outlived its lease: {one.id}" for one in live(world)),
        *(f"its disk outlived its lease: {name}" for name in stopped),
    ]
