"""What a single `run` leaves in the ledger: the command, the commit, the machine, the end."""

from collections.abc import Sequence
from typing import NamedTuple

from gpuctl.app import App, fates
from gpuctl.app import leg as legs
from gpuctl.app.fleet import owner
from gpuctl.app.job import Job
from gpuctl.app.sync import Synced
from gpuctl.core.jobs import CLAIMED, Claim, Ended, Over, Wanted
from gpuctl.core.jobs import note as fact
from gpuctl.core.model import Machine


class Noted(NamedTuple):
    """A job that the ledger knows of; who follows it to its end says so."""

    app: App
    job: str

    def ended(self, code: int) -> None:
        """It ended by itself."""
        now = self.app.clock()
        end = Ended(1, now, "exit", code=code, lost_s=0)
        legs.put(self.app, self.job, end, Over(now, code, f"it ended with {code}"))

    def interrupted(self, why: str) -> None:
        """The cloud took its machine back, and nobody goes on."""
        known = legs.find(self.app, self.job)
        begun = known.legs[0].begun
        if begun is not None:
            run = fates.run_of(self.app, begun)
            at = self.app.clock() if run is None or run.end is None else run.end
            end = fates.ended(self.app, known, begun, at, "interrupted")
            legs.put(self.app, self.job, end, Over(self.app.clock(), 7, why))


def record(
    app: App,
    synced: Synced,
    machine: Machine,
    job: Job,
    words: Sequence[str],
    *,
    commit: str | None,
    dirty: bool,
) -> Noted:
    """Put a job that was just started into the ledger; names of variables, never values."""
    now = app.clock()
    lease = synced.books.leases.get(machine.lease or "")
    wanted = Wanted(
        name=job.name,
        project=owner(synced.books, machine, synced.at) or "nobody/nothing",
        template=lease.template if lease is not None else "none",
        argv=tuple(words),
        directory=job.directory,
        host="",
        tree=None if job.source is None else str(job.source),
        environ=tuple(sorted(job.environ or {})),
        commit=commit,
        dirty=dirty,
        keep=None if job.keep is None else job.keep.job,
    )
    made = app.new_id()[:12]
    held = Claim(1, 1, "run", now, now + CLAIMED, machine.name, existing=True)
    begun = legs.begun_on(machine, 1, job.name, now)
    facts = [fact(made, wanted, now), fact(made, held, now), fact(made, begun, now)]
    app.ledger.append(facts)
    return Noted(app, made)
