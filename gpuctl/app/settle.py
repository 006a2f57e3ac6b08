"""Intents whose outcome nobody knows: a crash, a lost answer, a closed laptop."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from gpuctl.app import App
from gpuctl.core.books import Books, books
from gpuctl.core.errors import GpuctlError, LedgerError
from gpuctl.core.events import Event, Intent, Outcome
from gpuctl.core.images.making import Making, read_image_order
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.model import Billable, Down, Machine, Order
from gpuctl.core.orders import read_order
from gpuctl.core.ports import CloudRef
from gpuctl.core.rules import address_sku
from gpuctl.core.snapshot import read_machine
from gpuctl.core.sync import switches

GIVE_UP = timedelta(minutes=15)
"""An order of which no trace is found so long after it was sent never arrived."""


BUILDER = "ami-build"
"""The template of every builder of images."""
TESTER = "ami-test"
"""The same of every machine that an image is tested on."""
IMAGE = "image"
"""The verb of an order for an image (app/build.py)."""


def settle(
    app: App,
    known: Books,
    machines: Sequence[Machine],
    refs: Mapping[tuple[str, str], CloudRef],
) -> tuple[Books, Sequence[Machine]]:
    """Find out what became of each open intent; what cannot be told stays open.

    The machines that were found come back too, though no listing may show them yet: whoever is
    about to start one must not take them for absent.
    """
    settled = False
    unlisted = list(_of_settled(known, machines))
    for intent in known.unsettled:
        lease = known.leases.get(intent.lease)
        ref = refs.get((lease.provider, lease.account)) if lease is not None else None
        if ref is None:
            continue
        try:
            if intent.verb == "start":
                order = read_order(intent.order)
                machine = _listed(intent, machines)
                if machine is None:
                    machine = app.clouds.connect(ref).find(order)
                if machine is not None:
                    machine = _whole(known, machine, order)
                    unlisted.append(machine)
                outcome, taken = _settle_start(app, known, intent, machine)
            elif intent.verb == IMAGE:
                outcome, taken = _settle_image(app, intent, known, ref), ()
            else:
                outcome, taken = _settle_stop(app, known, intent, machines, ref), ()
        except GpuctlError as error:
            app.progress.note(f"an open {intent.verb} could not be settled: {error.message}")
            continue
        if outcome is not None:
            note_outcome(app, outcome, taken)
            settled = True
    return (books(app.ledger.events()), unlisted) if settled else (known, unlisted)


def _of_settled(known: Books, machines: Sequence[Machine]) -> Iterator[Machine]:
    """Machines that ended unseen and whose order is settled: the command that wrote what came of
    it died before it wrote the machine.
    """
    open_ = {intent.lease for intent in known.unsettled if intent.verb == "start"}
    unseen = {m.lease: m for m in machines if m.ran and str(m.id) not in known.seen}
    for lease, machine in unseen.items():
        if lease is not None and lease not in open_ and lease in known.leases:
            sent = [i for i in known.intents.values() if i.lease == lease and i.verb == "start"]
            if sent:
                yield _whole(known, machine, read_order(sent[-1].order))


def note_outcome(app: App, outcome: Outcome, facts: Sequence[Event] = ()) -> None:
    """Write what came of an intent, with the facts that go with it.

    Another command at the same time may have found it out before: then its word stands.
    """
    try:
        app.ledger.append([outcome, *facts])
    except LedgerError:
        if any(outcome.intent == open_.id for open_ in books(app.ledger.events()).unsettled):
            raise
        app.ledger.append(facts)


def _listed(intent: Intent, machines: Sequence[Machine]) -> Machine | None:
    return next((machine for machine in machines if machine.lease == intent.lease), None)


def _whole(known: Books, machine: Machine, order: Order) -> Machine:
    """A machine whose run ended before any command saw it: what is gone with it ran as long.

    Its address, and its disk unless that is still on the clock, have no ids any more; the order
    tells what they were. (EC2 bills no disk of a machine that shuts down for good.)
    """
    run = next((part for part in machine.ran if part.kind in (Kind.COMPUTE, Kind.VCPU)), None)
    if run is None or order.adopt or _was_seen(known, machine, run):
        return machine
    lost = []
    if not any(part.kind is Kind.DISK for part in machine.billed):
        size, sku = Decimal(order.disk.gb), order.disk.type
        disk = replace(run, kind=Kind.DISK, sku=sku, quantity=size, market=Market.ON_DEMAND)
        lost.append(replace(disk, resource=f"{run.resource}/disk"))
    if order.access.tunnel is None:
        sku = address_sku(machine.id.provider, machine.market)
        address = replace(run, kind=Kind.IPV4, sku=sku, quantity=Decimal(1))
        lost.append(replace(address, resource=f"{run.resource}/address"))
    return replace(machine, ran=(*machine.ran, *lost))


def _was_seen(known: Books, machine: Machine, run: Billable) -> bool:
    return any(
        usage.machine == str(machine.id) and usage.start == run.since for usage in known.usages
    )


def _settle_start(
    app: App, known: Books, intent: Intent, machine: Machine | None
) -> tuple[Outcome | None, Sequence[Event]]:
    if machine is not None:
        app.progress.note(f"found {machine.name} ({machine.id.native}) of an interrupted up")
        project = known.leases[intent.lease].project
        # A VM that was started again: what stood before (its disk) goes over to the new lease.
        taken = switches(known, str(machine.id), project, intent.at)
        return outcome_of(app, intent, "done", machine=str(machine.id)), taken
    if app.clock() - intent.at < GIVE_UP:
        return None, ()
    return outcome_of(app, intent, "failed", code="never-launched"), ()


def _settle_image(app: App, intent: Intent, known: Books, ref: CloudRef) -> Outcome | None:
    """One that failed is taken away; one that never began is forgotten; else `ami build` goes on.

    It alone writes the lock file, so only it knows an image to be done.
    """
    provider, order = app.clouds.connect(ref), read_image_order(intent.order)
    taken = provider.taken_image(order)
    if taken is not None and taken.making is Making.FAILED:
        provider.unmake_image(order)
        return outcome_of(app, intent, "failed", code="image-failed")
    old = app.clock() - intent.at >= GIVE_UP
    if taken is None and old and not app.at_work(known.leases[intent.lease].name):
        return outcome_of(app, intent, "failed", code="never-taken")
    return None


def _settle_stop(
    app: App, known: Books, intent: Intent, machines: Sequence[Machine], ref: CloudRef
) -> Outcome:
    now = next((machine for machine in machines if str(machine.id) == intent.machine), None)
    if now is not None and now.lease != intent.lease:
        # Google's names are used again: what was to be ended has ended, and another began.
        return outcome_of(app, intent, "done", machine=intent.machine, code="other-lease")
    seen = known.seen.get(intent.machine or "")
    if seen is None:
        return outcome_of(app, intent, "failed", code="unknown-machine")
    how = Down.DELETE if intent.verb == "delete" else Down.END
    app.clouds.connect(ref).stop(read_machine(seen.snapshot).id, how)
    return outcome_of(app, intent, "done", machine=intent.machine)


def outcome_of(
    app: App, intent: Intent, result: str, *, machine: str | None = None, code: str | None = None
) -> Outcome:
    """What came of an intent; one for each, so that whoever settles it first settles it."""
    return Outcome(
        id=f"{intent.id}/outcome",
        intent=intent.id,
        at=app.clock(),
        result=result,
        machine=machine,
        code=code,
    )
