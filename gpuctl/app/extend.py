"""`extend`: move a lease's end. The ledger, the cloud's tag, then the machine itself."""

from datetime import datetime

from gpuctl.app import App
from gpuctl.app.fleet import lease_of
from gpuctl.app.sync import Synced
from gpuctl.core.errors import NotFound, UsageProblem
from gpuctl.core.events import Extended
from gpuctl.core.model import Machine
from gpuctl.core.span import format_time


def extend(app: App, synced: Synced, machine: Machine, deadline: datetime) -> datetime:
    """The deadline the machine itself has now. UsageProblem past the ceiling or in the past."""
    lease = lease_of(synced.books, machine)
    if lease is None:
        raise NotFound(f"{machine.name} has no lease in this ledger", hint="gpuctl audit")
    now = app.clock()
    if deadline <= now:
        raise UsageProblem(f"{format_time(deadline)} has passed", hint=f"gpuctl down {lease.name}")
    if deadline > lease.ceiling:
        raise UsageProblem(
            f"{machine.name} may live until {format_time(lease.ceiling)} at most "
            "(limits.max_lifetime when it was started)",
            hint=f"gpuctl extend {machine.name} --until {format_time(lease.ceiling)}",
        )
    app.ledger.append(
        [
            Extended(
                id=f"extended/{lease.id}/{format_time(now)}/{format_time(deadline)}",
                lease=lease.id,
                at=now,
                deadline=deadline,
            )
        ]
    )
    with app.progress.step(f"extending {machine.name}"):
        app.clouds.connect(synced.ref_of(machine)).move_deadline(machine.id, deadline)
        return app.reach.extend(machine, deadline)
