"""A job that is seen to its end, on a terminal: `run --resume auto`, `run --deadline`."""

import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.app import pursue
from gpuctl.app.leg import Actor, find
from gpuctl.app.pursue import State, Step
from gpuctl.cli.session import Session
from gpuctl.cli.words import words_of
from gpuctl.core.errors import Busy, GpuctlError, RemoteFailed, UsageProblem
from gpuctl.core.jobs import ATTEMPTS, Wanted

if TYPE_CHECKING:
    from gpuctl.app import App
    from gpuctl.app.sync import Synced
    from gpuctl.app.up import Asked
    from gpuctl.core.jobs import Claim
    from gpuctl.core.model import Machine

_DETACHED = 130
_TICK_S = 0.5


def run_to_the_end(
    session: Session, name: str | None, argv: tuple[str, ...], flags: dict[str, Any]
) -> int:
    """Ask for the job, then take every step that is due until it is over."""
    from gpuctl.app.sync import sync
    from gpuctl.wiring.here import actor

    if flags["resume"] == "never":
        raise UsageProblem("--deadline resumes by itself", hint="leave out --resume never")
    if flags["deadline"] is not None:
        from gpuctl.cli.moment import moment

        # A mistake is told before any cloud is asked.
        flags["deadline"] = moment(flags["deadline"], session.now())
    app = session.app
    if flags["bring"]:
        words = words_of(name, argv)
        asked, machine = _machine_for(session, flags)
        ask = _confirm(session, asked)
    else:
        from gpuctl.cli.remote import machine_and_argv

        synced = sync(app)
        machine, words = machine_and_argv(synced.machines, name, argv)  # type: ignore[assignment]
        asked, ask = _asked_by(session, synced, machine), None
    if not words:
        raise UsageProblem("run what?", hint="gpuctl run -- python train.py")
    me = actor(session.environ, ask)
    if flags["explain"]:
        me = me._replace(explain=lambda text: click.echo(text, err=True))
    wanted = _wanted(session, asked, words, flags, me)
    job = app.new_id()[:12]
    pursue.ask(app, job, wanted, _claim(session, machine, wanted, me))
    code = see_through(session, me, job, detach=flags["detach"])
    if flags["pull"] is not None and not flags["detach"] and code != _DETACHED:
        _pull(session, job, wanted, flags)
    return code


def _machine_for(session: Session, flags: dict[str, Any]) -> "tuple[Asked, Machine | None]":
    """What `--up` asks for, and such a machine that runs and that no job has."""
    from gpuctl.app.fleet import lease_of, owner
    from gpuctl.app.sync import sync
    from gpuctl.cli.up import ask_for
    from gpuctl.core.kinds import State as MachineState

    asked = ask_for(session, flags["project"], flags["template"])
    synced = sync(session.app)
    busy = {job.leg.claim.machine for job in pursue.open_jobs(session.app) if job.leg is not None}
    for machine in synced.machines:
        lease = lease_of(synced.books, machine)
        if (
            machine.state is MachineState.RUNNING
            and machine.name not in busy
            and lease is not None
            and lease.template == asked.template.name
            and owner(synced.books, machine, synced.at) == asked.project
        ):
            return asked, machine
    return asked, None


def _asked_by(session: Session, synced: "Synced", machine: "Machine") -> "Asked":
    """The project and template that a running machine is for."""
    from gpuctl.app.fleet import lease_of, owner
    from gpuctl.app.up import Asked

    lease = lease_of(synced.books, machine)
    project = owner(synced.books, machine, synced.at)
    if lease is None or project is None:
        raise UsageProblem(
            f"{machine.name} is no machine of gpuctl's: the next one would be another",
            hint="gpuctl run --up -p CLIENT/PROJECT --resume auto -- …",
        )
    return Asked(project=project, template=session.settings.template(lease.template))


def _confirm(session: Session, asked: "Asked") -> Any:
    """The first machine is asked for; whoever agrees agrees to those that take its place."""
    from gpuctl.cli.up import confirm_plan

    agreed: list[bool] = []

    def ask(plan: Any) -> bool:
        if not agreed:
            agreed.append(confirm_plan(session, plan, asked))
        return agreed[0]

    return ask


def _wanted(
    session: Session, asked: "Asked", words: Sequence[str], flags: dict[str, Any], me: Actor
) -> Wanted:
    from gpuctl.cli.run import after_setup, tree_of
    from gpuctl.cli.up import amount
    from gpuctl.core.checkpoints import job_name
    from gpuctl.core.keeping import name_of
    from gpuctl.wiring.here import commit

    tree = None if flags["no_push"] else tree_of(session)
    stands = commit(tree) if tree is not None else None
    table = asked.template.checkpoint
    try:
        keep = job_name(flags["job"] or name_of(words)) if table is not None else None
        budget = amount("--budget", flags["budget"])
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    if keep is None:
        session.app.progress.note(
            f"template {asked.template.name} has no checkpoint table: after an interruption the "
            "job begins anew"
        )
    missing = [name for name in session.settings.run.env if name not in session.environ]
    if missing:
        raise UsageProblem(
            f"[run] env names {', '.join(missing)}, which this shell does not have",
            hint=f"export {missing[0]}=…",
        )
    wanted = Wanted(
        name=flags["job"] or f"job-{session.app.new_id()[:6]}",
        project=asked.project,
        template=asked.template.name,
        argv=after_setup(session, words),
        directory="work/" + asked.project.partition("/")[2],
        host=me.host,
        tree=None if tree is None else str(tree.resolve()),
        exclude=tuple(session.settings.sync.exclude),
        environ=tuple(session.settings.run.env),
        commit=None if stands is None else stands.id,
        dirty=stands is not None and stands.dirty,
        resume=True,
        attempts=flags["attempts"] or ATTEMPTS,
        budget=budget,
        keep=keep,
        restore=not flags["no_restore"],
        down=flags["down"] and flags["pull"] is None,
    )
    if flags["deadline"] is None:
        return wanted
    from gpuctl.cli.deadline import with_deadline

    return with_deadline(session, wanted, asked.template, flags)


def _claim(
    session: Session, machine: "Machine | None", wanted: Wanted, me: Actor
) -> "Claim | None":
    """The first leg's, where its machine runs already."""
    from gpuctl.app.door import open_door
    from gpuctl.app.leg import claim
    from gpuctl.app.sync import sync

    if machine is None:
        return None
    open_door(session.app, sync(session.app), machine)
    if wanted.name in session.app.reach.jobs(machine):
        raise RemoteFailed(f"there is a job {wanted.name} on {machine.name} already")
    return claim(session.app, me, 1, 1, machine.name)._replace(existing=True)


def see_through(session: Session, me: Actor, job: str, *, detach: bool = False) -> int:
    """Every step that is due, and the job's log between them; what `run` ends with."""
    terminal = Terminal(session, me, job)
    try:
        return terminal.run(detach=detach)
    except KeyboardInterrupt:
        click.echo(
            f"\nDetached: job {job} goes on. After an interruption it is resumed by: "
            f"gpuctl watch {job}",
            err=True,
        )
        return _DETACHED


class Terminal:
    """One job's steps and log."""

    def __init__(self, session: Session, me: Actor, job: str) -> None:
        self._app: App = session.app
        self._job = job
        self._me = me
        self._look = timedelta(seconds=2 if session.in_sandbox else 60)
        self._said = ""
        self._follower: Follower | None = None

    def run(self, *, detach: bool) -> int:
        """Until it is over, or (`detach`) until it runs."""
        while True:
            done = self._step()
            self._say(done)
            if done.state is State.OVER:
                self._drain()
                self._summary()
                return done.code or 0
            if done.state is State.RUNNING:
                if detach:
                    return 0
                self._follow(done)
            elif done.state is State.WAITING:
                self._app.sleep(done.again_s)

    def _step(self) -> Step:
        try:
            return pursue.step(self._app, self._job, self._me)
        except (Busy, RemoteFailed) as error:
            return pursue.failed(error)
        except GpuctlError as error:
            job = find(self._app, self._job)
            if job.attempts == 0 and job.over is None:
                pursue.give_up(self._app, job, error.exit_code, error.message)
            if job.attempts == 0:
                raise
            return pursue.failed(error)

    def _say(self, done: Step) -> None:
        if done.says != self._said:
            hint = "; Ctrl-C detaches" if done.state is State.RUNNING and not self._said else ""
            click.echo(f"{done.says}{hint}", err=True)
        self._said = done.says

    def _follow(self, done: Step) -> None:
        """The log until it ends, the line breaks, or it is time to look again."""
        assert done.machine is not None  # noqa: S101 - it runs
        key = (str(done.machine.id), done.remote or "")
        follower = self._follower
        if follower is None or follower.key != key:
            follower = self._follower = Follower(self._app, done.machine, key, 0)
            follower.start()
        elif follower.over.is_set():
            # The line broke: again from where it did, but not at once.
            self._app.sleep(2.0)
            follower = self._follower = Follower(self._app, done.machine, key, follower.seen)
            follower.start()
        until = self._due(done)
        while not follower.over.wait(_TICK_S) and self._app.clock() < until:
            continue

    def _due(self, done: Step) -> datetime:
        soon = timedelta(seconds=done.again_s) if done.again_s > pursue.LOOK_S else self._look
        return self._app.clock() + min(soon, self._look)

    def _drain(self) -> None:
        """What is left of the log of a job that has ended."""
        if self._follower is not None:
            self._follower.join(10.0)

    def _summary(self) -> None:
        from gpuctl.app.leg_costs import leg_costs
        from gpuctl.cli.text import rate

        job = find(self._app, self._job)
        if len(job.legs) < 2:  # noqa: PLR2004 - nothing was resumed
            return
        costs = leg_costs(self._app, job)
        lost = [leg.ended.lost_s for leg in job.legs if leg.ended is not None]
        known = sum(seconds or 0 for seconds in lost)
        free = sum((one.waived for one in costs), Fraction(0))
        cost = sum((one.cost for one in costs), Fraction(0))
        tail = f"; {rate(free)} were not charged (first hour)" if free else ""
        click.echo(
            f"{len(job.legs)} legs, {known} s of work lost, {rate(cost)}{tail}",
            err=True,
        )


class Follower(threading.Thread):
    """Writes a job's log as it grows. `over` is set at its end, or when the line breaks."""

    def __init__(self, app: "App", machine: "Machine", key: tuple[str, str], seen: int) -> None:
        super().__init__(daemon=True)
        self._app = app
        self._machine = machine
        self.key = key
        self.seen = seen
        self.over = threading.Event()

    def run(self) -> None:
        """Byte by byte onto standard output."""
        try:
            for piece in self._app.reach.follow_job(self._machine, self.key[1], self.seen):
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
                self.seen += len(piece)
        except (GpuctlError, OSError, ValueError):
            pass  # the next step finds out what became of it
        finally:
            self.over.set()


def _pull(session: Session, job: str, wanted: Wanted, flags: dict[str, Any]) -> None:
    from gpuctl.app.down import down
    from gpuctl.app.fates import machine_of
    from gpuctl.app.sync import sync
    from gpuctl.core.model import Down

    leg = find(session.app, job).leg
    synced = sync(session.app)
    machine = None if leg is None or leg.begun is None else machine_of(synced, leg.begun)
    if machine is None:
        raise RemoteFailed("the machine is gone: nothing was pulled", hint="gpuctl checkpoint pull")
    path = f"{wanted.directory}/{flags['pull']}"
    session.app.reach.pull(machine, path, Path(session.cwd, flags["pull"]), ())
    if flags["down"]:
        down(session.app, synced, [machine], Down.END)
