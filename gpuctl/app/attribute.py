"""`switch`, `assign`, `split`, `adjust`: whose a cost is. New facts, never edits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from gpuctl.app import App
from gpuctl.app.fleet import pick
from gpuctl.core.bill import runs
from gpuctl.core.books import Books, books
from gpuctl.core.errors import NotFound, UsageProblem
from gpuctl.core.events import Adjust, Event, Split, Switch
from gpuctl.core.merge import Contradiction, merge
from gpuctl.core.snapshot import read_machine
from gpuctl.core.span import format_time
from gpuctl.core.sync import switches


def switch(app: App, name: str, project: str, at: datetime) -> Sequence[Event]:
    """From `at` on, a machine with all its resources runs for another project."""
    app.settings.project(project)
    known = books(app.ledger.events())
    machines = [read_machine(seen.snapshot) for seen in known.seen.values()]
    machine = pick(machines, name)
    machine_id = str(machine.id)
    events = switches(known, machine_id, project, at)
    if not events and not _runs_at(known, machine_id, at):
        raise UsageProblem(
            f"{machine.name} did not run at {format_time(at)}", hint=f"gpuctl spend -p {project}"
        )
    app.ledger.append(events)
    return events


def _runs_at(known: Books, machine: str, at: datetime) -> bool:
    return any(
        usage.machine == machine and usage.start <= at and (usage.end is None or at < usage.end)
        for usage in known.usages
    )


def assign(
    app: App, resource: str, project: str, start: datetime | None, end: datetime | None
) -> Sequence[Event]:
    """A resource's cost belongs to a project, wholly, from its first run or `start` to `end`.

    After `end` it goes back to whom it was before.
    """
    app.settings.project(project)
    events = app.ledger.events()
    found = [usage for usage in runs(events) if usage.resource == resource]
    if not found:
        known = sorted({usage.resource for usage in runs(events)})
        raise NotFound(
            f"the ledger knows no resource {resource}",
            hint=f"known: {', '.join(known[-5:])}" if known else "gpuctl audit",
        )
    now_books = books(events)
    facts: list[Event] = []
    for usage in found:
        begin = max(usage.start, start or usage.start)
        over = usage.end is not None and usage.end <= begin and usage.start < begin
        if over or (end is not None and end <= usage.start):
            continue
        facts.append(_switch(resource, project, begin))
        if end is not None and end > begin and (usage.end is None or end < usage.end):
            facts.append(_switch(resource, now_books.owner(usage, end), end))
    if not facts:
        raise UsageProblem(f"{resource} did not run in that time")
    # Several kinds may run on one resource (cores, memory): they move by one fact.
    facts = list({fact.id: fact for fact in facts}.values())
    app.ledger.append(facts)
    return facts


def _switch(resource: str, project: str | None, at: datetime) -> Switch:
    return Switch(
        id=f"switch/{resource}/{format_time(at)}/{project or 'nobody'}",
        resource=resource,
        project=project,
        at=at,
    )


def split(
    app: App,
    target: str,
    shares: Mapping[str, Decimal],
    *,
    idle: Decimal,
    idle_absorbed: bool,
    start: datetime,
    end: datetime,
) -> Sequence[Event]:
    """Share a machine's (or one resource's) cost over [start, end)."""
    for project in shares:
        app.settings.project(project)
    events = app.ledger.events()
    facts: list[Event] = [
        Split(
            id=f"split/{resource}/{format_time(start)}/{format_time(end)}",
            resource=resource,
            since=start,
            until=end,
            shares=dict(shares),
            idle=idle,
            idle_absorbed=idle_absorbed,
        )
        for resource in _resources(events, target, start, end)
    ]
    try:
        app.ledger.append(merge(events, facts))
    except Contradiction as error:
        raise UsageProblem(str(error), hint="choose a time that is not shared already") from None
    return facts


def _resources(
    events: Sequence[Event], target: str, start: datetime, end: datetime
) -> Sequence[str]:
    known = books(events)
    usages = [
        usage
        for usage in known.usages
        if usage.start < end and (usage.end is None or usage.end > start)
    ]
    if any(usage.resource == target for usage in known.usages):
        names = {usage.resource for usage in usages if usage.resource == target}
    else:
        machines = [read_machine(seen.snapshot) for seen in known.seen.values()]
        machine_id = str(pick(machines, target).id)
        names = {usage.resource for usage in usages if usage.machine == machine_id}
    if not names:
        raise UsageProblem(
            f"{target} did not run between {format_time(start)} and {format_time(end)}"
        )
    return sorted(names)


def adjust(app: App, project: str, usd: Decimal, note: str, at: datetime) -> Adjust:
    """A correction by hand, with its reason; negative is a credit."""
    app.settings.project(project)
    fact = Adjust(id=f"adjust/{app.new_id()}", project=project, at=at, usd=usd, note=note)
    app.ledger.append([fact])
    return fact
