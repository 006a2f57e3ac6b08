"""Have a machine's cloud end it, should its guest hang: beside the waiting, or after a crash."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

from gpuctl.app import App
from gpuctl.core.books import Books
from gpuctl.core.errors import GpuctlError
from gpuctl.core.events import Insured
from gpuctl.core.kinds import State
from gpuctl.core.model import Machine
from gpuctl.core.ports import CloudRef
from gpuctl.core.span import format_time


@contextmanager
def insured(app: App, ref: CloudRef, machine: Machine, deadline: datetime | None) -> Iterator[None]:
    """While the body waits for the machine, its end is arranged; why not is said, once.

    It costs no round trip before the machine was accepted, and its failure fails nothing: the
    machine has its own timer, which the body waits for.
    """
    if deadline is None:
        yield
        return
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(_insure, app, ref, machine, deadline)
        try:
            yield
        finally:
            _tell(app, machine, asked.result())


def insure_the_rest(
    app: App,
    known: Books,
    machines: Sequence[Machine],
    refs: Mapping[tuple[str, str], CloudRef],
) -> None:
    """Do so for machines of ours whose `up` was killed before it had; each is asked for once."""
    for machine in machines:
        lease = known.leases.get(machine.lease or "")
        runs = machine.state in (State.STARTING, State.RUNNING)
        if not runs or lease is None or lease.insured or machine.deadline is None:
            continue
        ref = refs.get((machine.id.provider, machine.id.account))
        if ref is not None and machine.install == app.ledger.install:
            _tell(app, machine, _insure(app, ref, machine, machine.deadline))


def _insure(app: App, ref: CloudRef, machine: Machine, deadline: datetime) -> Insured | str:
    """What the cloud answered, or why it could not be asked: then the next sync asks again."""
    try:
        why = app.clouds.connect(ref).insure(machine.id, deadline)
    except GpuctlError as error:
        return f"its end could not be arranged with the cloud: {error.message}"
    now = app.clock()
    lease = machine.lease or ""
    return Insured(id=f"insured/{lease}/{format_time(now)}", lease=lease, at=now, why=why)


def _tell(app: App, machine: Machine, answer: Insured | str) -> None:
    why = answer if isinstance(answer, str) else answer.why
    if why is not None:
        app.progress.note(f"{machine.name}: {why}")
    if isinstance(answer, Insured) and answer.lease:
        try:
            app.ledger.append([answer])
        except GpuctlError as error:
            app.progress.note(f"{machine.name}: that its end is arranged is not noted: {error}")
