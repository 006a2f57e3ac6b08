"""Intents whose outcome nobody knows: a crash, a lost answer, a closed laptop."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from gpuctl.app import App
from gpuctl.core.books import Books, books
from gpuctl.core.errors import GpuctlError
from gpuctl.core.events import Intent, Outcome
from gpuctl.core.model import Down, Machine
from gpuctl.core.orders import read_order
from gpuctl.core.ports import CloudRef
from gpuctl.core.snapshot import read_machine

GIVE_UP = timedelta(minutes=15)
"""An order of which no trace is found so long after it was sent never arrived."""


def settle(
    app: App,
    known: Books,
    machines: Sequence[Machine],
    refs: Mapping[tuple[str, str], CloudRef],
) -> Books:
    """Find out what became of each open intent; what cannot be told stays open."""
    outcomes = []
    for intent in known.unsettled:
        lease = known.leases.get(intent.lease)
        ref = refs.get((lease.provider, lease.account)) if lease is not None else None
        if ref is None:
            continue
        try:
            if intent.verb == "start":
                outcome = _settle_start(app, intent, machines, ref)
            else:
                outcome = _settle_stop(app, known, intent, ref)
        except GpuctlError as error:
            app.progress.note(f"an open {intent.verb} could not be settled: {error.message}")
            continue
        if outcome is not None:
            outcomes.append(outcome)
    if not outcomes:
        return known
    app.ledger.append(outcomes)
    return books(app.ledger.events())


def _settle_start(
    app: App, intent: Intent, machines: Sequence[Machine], ref: CloudRef
) -> Outcome | None:
    listed = next((machine for machine in machines if machine.lease == intent.lease), None)
    machine = listed or app.clouds.connect(ref).find(read_order(intent.order))
    if machine is not None:
        app.progress.note(f"found {machine.name} ({machine.id.native}) of an interrupted up")
        return outcome_of(app, intent, "done", machine=str(machine.id))
    if app.clock() - intent.at < GIVE_UP:
        return None
    return outcome_of(app, intent, "failed", code="never-launched")


def _settle_stop(app: App, known: Books, intent: Intent, ref: CloudRef) -> Outcome | None:
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
