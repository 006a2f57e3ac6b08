"""From accepted to usable: running, reachable over SSH, its dead-man's switch armed."""

from datetime import datetime, timedelta

from gpuctl.app import App
from gpuctl.app.settle import note_outcome, outcome_of
from gpuctl.app.sync import note_machine
from gpuctl.config.template import Template
from gpuctl.core.books import books
from gpuctl.core.errors import GpuctlError, LedgerError, NotFound
from gpuctl.core.events import Armed, Intent
from gpuctl.core.kinds import State
from gpuctl.core.model import Down, Machine, MachineId
from gpuctl.core.ports import CloudRef, Provider
from gpuctl.core.span import format_time

RUNNING_WITHIN = timedelta(minutes=10)
ARMED_WITHIN = timedelta(minutes=10)
"""A machine that has not armed its own switch by then is ended: it could outlive its lease."""

_POLL_S = 1.0
_TOLD = 10
"""Lines of a failed setup that are shown."""


class NotReady(GpuctlError):
    """The machine died or never answered; it was ended, so that it cannot cost any more."""


def wait_until_ready(app: App, ref: CloudRef, machine: Machine) -> Machine:
    """Wait, then return the machine as it is. NotReady after it was ended for not being so."""
    provider = app.clouds.connect(ref)
    with app.progress.step(f"{machine.name} is starting"):
        machine = _until_running(app, provider, machine, ref.payer)
    app.reach.introduce(machine, provider.host_keys(machine.id))
    with app.progress.step("waiting for SSH and the dead-man's switch"):
        deadline = _until_armed(app, machine)
    if deadline is None:
        _end(app, provider, machine)
        raise NotReady(
            f"{machine.name} did not report its dead-man's switch armed within "
            f"{ARMED_WITHIN.seconds // 60} minutes, and was ended",
            hint="an image without cloud-init cannot run the first script: gpuctl doctor",
        )
    _note_armed(app, machine, deadline)
    return machine


def set_up(app: App, template: Template, machine: Machine) -> None:
    """Run the template's `setup` on a new machine. GpuctlError when it fails: the machine stays."""
    if template.setup is None:
        return
    with app.progress.step(f"setting up {machine.name}"):
        code, said = app.reach.run(machine, ["sh", "-c", template.setup])
    if code:
        last = "\n".join(said.strip().splitlines()[-_TOLD:])
        raise GpuctlError(
            f"the setup of {machine.name} ended with {code}; the machine runs, and costs\n{last}",
            hint=f"gpuctl ssh {machine.name}, or gpuctl down {machine.name}",
        )


def _until_running(app: App, provider: Provider, machine: Machine, payer: str | None) -> Machine:
    until = app.clock() + RUNNING_WITHIN
    while True:
        fresh = _get(provider, machine.id)
        if fresh is not None:
            if fresh.state is State.RUNNING and fresh.address is not None:
                return fresh
            if fresh.state in (State.GONE, State.STOPPED, State.STOPPING):
                note_machine(app, fresh, payer)
                reason = fresh.ending.reason if fresh.ending else fresh.state.value
                raise NotReady(
                    f"{machine.name} ended before it was ready: {reason}",
                    hint=f"gpuctl up {machine.name}",
                )
        if app.clock() >= until:
            _end(app, provider, machine)
            raise NotReady(f"{machine.name} was not running after 10 minutes, and was ended")
        app.sleep(_POLL_S)


def _get(provider: Provider, machine: MachineId) -> Machine | None:
    try:
        return provider.get(machine)
    except NotFound:
        # Right after a launch this does not mean that it does not exist (EC2 developer guide,
        # "Eventual consistency").
        return None


def _until_armed(app: App, machine: Machine) -> datetime | None:
    until = app.clock() + ARMED_WITHIN
    while app.clock() < until:
        deadline = app.reach.armed(machine)
        if deadline is not None:
            return deadline
        app.sleep(_POLL_S)
    return None


def _note_armed(app: App, machine: Machine, deadline: datetime) -> None:
    if machine.lease is None:
        return
    known = books(app.ledger.events()).leases.get(machine.lease)
    if known is not None and known.armed == deadline:
        return
    now = app.clock()
    app.ledger.append(
        [
            Armed(
                id=f"armed/{machine.lease}/{format_time(now)}",
                lease=machine.lease,
                at=now,
                deadline=deadline,
            )
        ]
    )


def _end(app: App, provider: Provider, machine: Machine) -> None:
    intent = Intent(
        id=app.new_id(),
        lease=machine.lease or "",
        verb="stop",
        at=app.clock(),
        machine=str(machine.id),
    )
    try:
        app.ledger.append([intent])
    except LedgerError:
        # An unarmed machine is ended whatever the ledger says: nothing else would end it.
        provider.stop(machine.id, Down.END)
        raise
    provider.stop(machine.id, Down.END)
    note_outcome(app, outcome_of(app, intent, "done", machine=str(machine.id)))
