"""`watch`: see open jobs through, from any computer that has the ledger."""

from datetime import timedelta

import click

from gpuctl.cli.command import command
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, NotFound


@click.command()
@click.argument("job", required=False)
@click.option("--once", is_flag=True, help="Do what is due now and return: for cron.")
@click.option("--stay", is_flag=True, help="Wait for new jobs when none is open.")
@click.option("--every", default="30s", metavar="D", help="Between two looks: 30s.")
@command
def watch(session: Session, job: str | None, *, once: bool, stay: bool, every: str) -> int:
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
    me = actor(session.environ)
    one_job = None if job is None else chosen(session, job)
    said: dict[str, str] = {}
    while True:
        again = False
        pending = [one.id for one in pursue.open_jobs(session.app)]
        for one in [one_job] if one_job is not None else pending:
            try:
                done = pursue.step(session.app, one, me)
            except GpuctlError as error:
                done = pursue.failed(error)
            if said.get(one) != done.says:
                click.echo(f"{one}  {done.says}", err=True)
            said[one] = done.says
            again = again or done.state is State.AGAIN
            if one_job is not None and done.state is State.OVER:
                return done.code or 0
        if again:
            continue
        if once:
            return 0
        if not pending and not stay:
            click.echo("no job is open", err=True)
            return 0
        session.app.sleep(max(pause, timedelta(seconds=1)).total_seconds())


def chosen(session: Session, named: str) -> str:
    """By its id, a prefix of it, or the name of the youngest."""
    from gpuctl.core.jobs import jobs

    known = jobs(session.ledger.events())
    found = [one for one in known.values() if one.id.startswith(named) or one.wanted.name == named]
    if not found:
        raise NotFound(f"there is no job {named}", hint="gpuctl jobs")
    return max(found, key=lambda one: (one.open, one.at)).id
