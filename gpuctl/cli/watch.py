"""`watch`: see open jobs through, from any computer that has the ledger."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from gpuctl.cli.command import command
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, NotFound

if TYPE_CHECKING:
    from gpuctl.app.leg import Actor
    from gpuctl.app.pursue import Step


@click.command()
@click.argument("job", required=False)
@click.option("--once", is_flag=True, help="Do what is due now and return: for cron.")
@click.option("--stay", is_flag=True, help="Wait for new jobs when none is open.")
@click.option("--explain", is_flag=True, help="Say why, where a deadline decides.")
@click.option("--every", default="30s", metavar="D", help="Between two looks: 30s.")
@command
def watch(
    session: Session, job: str | None, *, once: bool, stay: bool, explain: bool, every: str
) -> int:
    """Resume jobs of `run --resume auto` and `--deadline` when the cloud takes their machines.

    Takes every open job of the ledger, or JOB alone (its id or name; its exit code is passed on).
    Several may run, and beside an open `run`: the ledger decides who acts. Needs what `run` had:
    the credentials, the variables that [run] env names, and, on another computer, a checkpoint
    bucket to have the tree from.
    """
    from gpuctl.app import pursue
    from gpuctl.app.pursue import State
    from gpuctl.core.span import parse_duration
    from gpuctl.wiring.here import actor

    try:
        pause = parse_duration(every)
    except ValueError as error:
        from gpuctl.core.errors import UsageProblem

        raise UsageProblem(f"--every: {error}") from None
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
