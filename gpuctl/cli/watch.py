"""`watch`: see open jobs through, from any computer that has the ledger."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, NotFound, UsageProblem
from gpuctl.core.span import parse_duration

if TYPE_CHECKING:
    from gpuctl.app.leg import Actor
    from gpuctl.app.pursue import Step

_EVERY, _BY_ITSELF = "30s", "5m"


@click.command()
@click.argument("job", required=False)
@click.option("--once", is_flag=True, help="Do what is due now and return: for cron.")
@click.option("--stay", is_flag=True, help="Wait for new jobs when none is open.")
@click.option("--explain", is_flag=True, help="Say why, where a deadline decides.")
@click.option("--every", metavar="D", help="Between two looks: 30s; a timer's: 5m.")
@click.option("--install-timer", is_flag=True, help="Have this computer do so by itself.")
@click.option("--uninstall", is_flag=True, help="Take the timer away again.")
@command
def watch(session: Session, *, job: str | None, once: bool, **flags: Any) -> int:
    """Resume jobs of `run --resume auto` and `--deadline` when the cloud takes their machines.

    Takes every open job of the ledger, or JOB alone (its id or name; its exit code is passed on).
    Several may run, and beside an open `run`: the ledger decides who acts. Needs what `run` had:
    the credentials, the variables that [run] env names, and, on another computer, a checkpoint
    bucket to have the tree from.

    --install-timer has systemd (or cron; launchd on macOS) run `watch --once` every five minutes,
    for you alone and without root.
    """
    if flags["install_timer"] or flags["uninstall"]:
        if job is not None or (flags["install_timer"] and flags["uninstall"]):
            raise UsageProblem("--install-timer and --uninstall: one of them, and no job")
        return _timer(session, flags)
    try:
        pause = parse_duration(flags["every"] or _EVERY)
    except ValueError as error:
        raise UsageProblem(f"--every: {error}") from None
    return _watch(session, job, pause, once=once, stay=flags["stay"], explain=flags["explain"])


def _timer(session: Session, flags: dict[str, Any]) -> int:
    from gpuctl.cli import timer
    from gpuctl.wiring.timers import WATCH

    if flags["uninstall"]:
        return timer.uninstall(session, WATCH)
    task = timer.task_for(session, WATCH, ("watch", "--once"), flags["every"] or _BY_ITSELF)
    timer.install(session, task)
    lacks = [name for name in session.settings.run.env if name not in task.environ]
    if lacks:
        click.echo(
            f"[run] env names {', '.join(lacks)}, which a timer does not have: jobs with "
            "such variables are left to a gpuctl watch of your own",
            err=True,
        )
    return 0


def _watch(
    session: Session, job: str | None, pause: timedelta, *, once: bool, stay: bool, explain: bool
) -> int:
    from gpuctl.app import pursue
    from gpuctl.app.pursue import State
    from gpuctl.wiring.here import actor

    chosen_one = None if job is None else chosen(session, job)
    looking = Watching(session, actor(session.environ), explain=explain)
    while True:
        pending = [one.id for one in pursue.open_jobs(session.app)]
        steps = [looking.look(one) for one in ([chosen_one] if chosen_one else pending)]
        if chosen_one and steps[0].state is State.OVER:
            return steps[0].code or 0
        if any(step.state is State.AGAIN for step in steps):
            continue
        if once:
            return 0
        if not pending and not stay:
            click.echo("no job is open", err=True)
            return 0
        soonest = min((step.again_s for step in steps), default=pause.total_seconds())
        session.app.sleep(max(1.0, min(soonest, pause.total_seconds())))


class Watching:
    """What was said of each job already: only news is worth a line."""

    def __init__(self, session: Session, me: "Actor", *, explain: bool) -> None:
        self._app = session.app
        self._me = me
        self._explain = explain
        self._said: dict[str, str] = {}

    def look(self, job: str) -> "Step":
        """Do what is due for one job."""
        from gpuctl.app import pursue

        try:
            done = pursue.step(self._app, job, self._me._replace(explain=self._told(job)))
        except GpuctlError as error:
            done = pursue.failed(error)
        if self._said.get(job) != done.says:
            click.echo(f"{job}  {done.says}", err=True)
        self._said[job] = done.says
        return done

    def _told(self, job: str) -> Callable[[str], None]:
        def tell(text: str) -> None:
            if self._explain:
                click.echo(f"{job}  {text}", err=True)

        return tell


def chosen(session: Session, named: str) -> str:
    """By its id, a prefix of it, or the name of the youngest."""
    from gpuctl.core.jobs import jobs

    known = jobs(session.ledger.events())
    found = [one for one in known.values() if one.id.startswith(named) or one.wanted.name == named]
    if not found:
        raise NotFound(f"there is no job {named}", hint="gpuctl jobs")
    return max(found, key=lambda one: (one.open, one.at)).id
