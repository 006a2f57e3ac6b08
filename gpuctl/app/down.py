"""`down`: end what costs, see it ended, and say what it cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.fleet import Shown, owner, pick, show
from gpuctl.app.receipt import Receipt, receipt
from gpuctl.app.settle import note_outcome, outcome_of
from gpuctl.app.sync import Synced, note_machine, sync
from gpuctl.core.errors import Busy, GpuctlError, LedgerError, NotFound, UnknownOutcome
from gpuctl.core.events import Intent
from gpuctl.core.kinds import State
from gpuctl.core.model import Down, Machine
from gpuctl.core.ports import CloudRef, Provider

ENDED_WITHIN = timedelta(minutes=10)
SENT_WITHIN = timedelta(minutes=2)
"""So long a cloud that is too busy to be told is told again."""
_POLL_S = 1.0
_RETRY_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One machine after `down`, and its receipt."""

    shown: Shown
    receipt: Receipt
    was_down: bool
    """It had ended (or was stopped) before."""


def chosen(
    synced: Synced, names: Sequence[str], project: str | None, *, everything: bool, how: Down
) -> Sequence[Machine]:
    """The machines that are meant by names, --all, -p, or because there is only one."""
    costing = [m for m in synced.machines if _costs(m, how)]
    if names:
        found = [pick(synced.machines, name) for name in names]
        return list({machine.id: machine for machine in found}.values())
    if project is not None:
        costing = [
            machine for machine in costing if owner(synced.books, machine, synced.at) == project
        ]
        if not costing:
            raise NotFound(f"no machine runs for {project}", hint="gpuctl ps")
    if everything or (project is not None and len(costing) == 1):
        return costing
    return [pick(costing, None)]


def _costs(machine: Machine, how: Down) -> bool:
    if how is Down.DELETE:
        return machine.state is not State.GONE
    return machine.state in (State.STARTING, State.RUNNING, State.STOPPING)


def down(app: App, synced: Synced, machines: Sequence[Machine], how: Down) -> Sequence[Ended]:
    """End them, wait until the cloud says so, and account for each.

    A ledger that cannot be written stops nothing: the machines are ended first, and the error
    is raised after. Raises the first error of a machine that could not be ended, last.
    """
    ended: list[Ended] = []
    errors: list[GpuctlError] = []
    for machine in machines:
        ref = synced.ref_of(machine)
        try:
            ended.append(_end(app, ref, machine, how, errors))
        except GpuctlError as error:
            app.progress.note(f"{machine.name} was NOT ended and may still cost: {error.message}")
            errors.append(error)
    if errors:
        raise errors[0]
    return ended


def _end(app: App, ref: CloudRef, machine: Machine, how: Down, errors: list[GpuctlError]) -> Ended:
    provider = app.clouds.connect(ref)
    was_down = not _costs(machine, how)
    if not was_down:
        intent = Intent(
            id=app.new_id(),
            lease=machine.lease or "",
            verb="stop" if how is Down.END else "delete",
            at=app.clock(),
            machine=str(machine.id),
        )
        _tolerant(app, lambda: app.ledger.append([intent]), errors)
        with app.progress.step(f"ending {machine.name}"):
            _stop(app, provider, machine, how)
            outcome = outcome_of(app, intent, "done", machine=str(machine.id))
            _tolerant(app, lambda: note_outcome(app, outcome), errors)
            machine = _until_ended(app, provider, machine, how)
        app.reach.forget(machine.id, machine.name)
    return Ended(
        shown=_account(app, ref, machine, errors),
        receipt=receipt(app, machine),
        was_down=was_down,
    )


def _stop(app: App, provider: Provider, machine: Machine, how: Down) -> None:
    """What ends cost is worth more tries than what asks: a cloud that throttles is waited for."""
    until = app.clock() + SENT_WITHIN
    while True:
        try:
            return provider.stop(machine.id, how)
        except (Busy, UnknownOutcome) as error:
            if app.clock() >= until:
                raise
            app.progress.note(f"{machine.name}: {error.message}; trying again")
        app.sleep(_RETRY_S)


def _tolerant(app: App, write: Callable[[], object], errors: list[GpuctlError]) -> None:
    try:
        write()
    except LedgerError as error:
        app.progress.note(f"the ledger cannot be written, ending the machine all the same: {error}")
        errors.append(error)


def _until_ended(app: App, provider: Provider, machine: Machine, how: Down) -> Machine:
    until = app.clock() + ENDED_WITHIN
    wanted = (State.GONE,) if how is Down.DELETE else (State.GONE, State.STOPPED)
    while True:
        try:
            fresh = provider.get(machine.id)
        except NotFound:
            return _vanished(provider, machine)
        if fresh.state in wanted:
            return fresh
        if app.clock() >= until:
            raise Busy(
                f"{machine.name} is still {fresh.state} after {ENDED_WITHIN.seconds // 60} minutes",
                hint=f"gpuctl down {machine.name}",
            )
        app.sleep(_POLL_S)


def _vanished(provider: Provider, machine: Machine) -> Machine:
    ending = provider.ending(machine.id)
    return replace(machine, state=State.GONE, billed=(), ending=ending, address=None)


def _account(app: App, ref: CloudRef, machine: Machine, errors: list[GpuctlError]) -> Shown:
    try:
        # First the listing, which also fetches the prices of what ended; then this very machine.
        _list_again(app, ref, machine)
        known = note_machine(app, machine, ref.payer)
    except LedgerError as error:
        errors.append(error)
        return Shown(machine=machine, project=machine.project, hourly=None, cost=Fraction(0))
    return show(app.ledger.events(), known, [machine], app.clock())[0]


def _list_again(app: App, ref: CloudRef, machine: Machine) -> None:
    try:
        sync(app, refs=[ref])
    except LedgerError:
        raise
    except GpuctlError as error:
        app.progress.note(f"{machine.name} has ended; its last prices come later: {error.message}")
