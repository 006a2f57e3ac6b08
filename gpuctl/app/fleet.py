"""Machines as people ask for them: by name, prefix, id, or because there is only one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from fractions import Fraction

from gpuctl.core.bill import Bill, bill, fixed
from gpuctl.core.books import Books, Lease
from gpuctl.core.errors import NotFound, UsageProblem
from gpuctl.core.events import Ended, Event, Price, Settle, Split, Switch, Usage
from gpuctl.core.kinds import State, Unit
from gpuctl.core.meter import hourly
from gpuctl.core.model import Machine
from gpuctl.core.orders import Used, image_used
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.snapshot import read_machine
from gpuctl.core.span import Span

MINIMUM = timedelta(minutes=1)
"""Runs are billed at least so long: figures look that far ahead, and show what will be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A machine with its money: what it costs an hour now, and since its lease began."""

    machine: Machine
    project: str | None
    hourly: Fraction | None
    cost: Fraction
    currency: str = "USD"
    image: Used | None = None
    """What it was made from, where the ledger knows."""


def cached(books: Books) -> Sequence[Machine]:
    """Machines as last seen, those that are gone left out."""
    machines = [read_machine(seen.snapshot) for seen in books.seen.values()]
    return [machine for machine in machines if machine.state is not State.GONE]


def show(
    events: Sequence[Event], books: Books, machines: Iterable[Machine], now: datetime
) -> Sequence[Shown]:
    """Put the money beside the machines, by name."""
    machines = sorted(machines, key=lambda machine: (machine.name, machine.id))
    # Of ten years little is about the machines that are there.
    events = _about(events, {str(machine.id) for machine in machines})
    book = PriceBook(event for event in events if isinstance(event, Price))
    shown = []
    for machine in machines:
        machine_id = str(machine.id)
        runs = [usage for usage in books.open if usage.machine == machine_id]
        shown.append(
            Shown(
                machine=machine,
                project=owner(books, machine, now),
                hourly=hourly(runs, book, now),
                cost=lease_bill(events, books, machine, now).total,
                image=image_used(books, machine_id),
            )
        )
    return shown


def began(books: Books, machine: Machine) -> datetime:
    """When its present (or last) lease began; its launch where no lease is known."""
    lease = books.leases.get(machine.lease or "")
    if lease is not None:
        return lease.at
    return machine.launched_at or _BEGINNING


def owner(books: Books, machine: Machine, now: datetime) -> str | None:
    """Whom a machine runs for now: the ledger knows of switches that the tags do not."""
    machine_id = str(machine.id)
    for usage in books.usages:
        if usage.machine == machine_id and usage.session == machine.lease:
            return books.owner(usage, now)
    lease = books.leases.get(machine.lease or "")
    return lease.project if lease is not None else machine.project


def pick(machines: Sequence[Machine], name: str | None) -> Machine:
    """The one that is meant. NotFound names the nearest; UsageProblem when several fit."""
    alive = [machine for machine in machines if machine.state is not State.GONE]
    if name is None:
        if len(alive) == 1:
            return alive[0]
        if not alive:
            raise NotFound("there is no machine", hint="gpuctl up -p CLIENT/PROJECT")
        names = ", ".join(sorted(machine.name for machine in alive))
        raise UsageProblem(f"which machine? There are {names}", hint="name one of them")
    # Each name begins with "": a script whose variable is empty would mean any machine.
    found = (_named(alive, name) or _named(machines, name)) if name else ()
    if not found:
        known = sorted({machine.name for machine in alive})
        near = get_close_matches(name, known, n=1)
        listed = ", ".join(known) or "none"
        hint = f"did you mean {near[0]}?" if near else "gpuctl ps"
        raise NotFound(f'there is no machine "{name}"; running or stopped: {listed}', hint=hint)
    if len(found) > 1:
        ids = ", ".join(f"{machine.name} ({machine.id.native})" for machine in found)
        raise UsageProblem(f'"{name}" fits several machines: {ids}', hint="use the cloud id")
    return found[0]


def _named(machines: Sequence[Machine], name: str) -> Sequence[Machine]:
    exact = [m for m in machines if name in (m.name, m.id.native, str(m.id))]
    if len(exact) > 1:
        # A name is used again after its machine is gone: the youngest is meant.
        alive = [m for m in exact if m.state is not State.GONE]
        exact = alive or [max(exact, key=lambda m: (m.launched_at or _BEGINNING, m.id))]
    return exact or [m for m in machines if m.name.startswith(name)]


def lease_bill(events: Iterable[Event], books: Books, machine: Machine, now: datetime) -> Bill:
    """What a machine's present or last lease cost until now.

    Storage goes on from lease to lease, and its stretch is cut where this one began; a run
    belongs to its own lease, though the minute it is billed at least may reach into the next.
    """
    machine_id = str(machine.id)
    since = min(began(books, machine), now)
    whole = bill(_about(events, {machine_id}), fixed(Span(since, now + MINIMUM)), now)
    charges = [
        charge._replace(payer=None)
        for charge in whole.charges
        if charge.machine == machine_id
        and (charge.unit is Unit.MONTH or machine.lease in (None, charge.session))
    ]
    return Bill(charges=tuple(charges), problems=whole.problems)


def _about(events: Iterable[Event], machines: set[str]) -> Sequence[Event]:
    """The runs of some machines, and all that their charges can depend on."""
    events = list(events)
    mine = [event for event in events if isinstance(event, Usage) and event.machine in machines]
    runs = {usage.id for usage in mine}
    resources = {usage.resource for usage in mine}
    things = {(usage.provider, usage.kind, usage.sku) for usage in mine}
    found: list[Event] = [*mine]
    for event in events:
        match event:
            case Ended():
                wanted = event.usage in runs
            case Price():
                wanted = (event.provider, event.kind, event.sku) in things
            case Switch() | Split() | Settle():
                wanted = event.resource in resources
            case _:
                wanted = False
        if wanted:
            found.append(event)
    return found


def lease_of(books: Books, machine: Machine) -> Lease | None:
    """The lease a machine exists under, None when the ledger knows of none."""
    return books.leases.get(machine.lease or "")


_BEGINNING = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
