"""What `init` makes in a cloud: the role by which AWS ends a machine that hangs."""

import click

from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, UsageProblem

_COMMAND = "gpuctl init --reaper"


def make(session: Session) -> int:
    """In each account in use that needs it. Raises the first error, after all were tried."""
    session.flag()  # the settings may have been written a moment ago
    app = session.app
    refs = app.clouds.accounts()
    if not refs:
        raise UsageProblem("no cloud account is in use", hint="aws configure, then " + _COMMAND)
    errors = []
    for ref in refs:
        try:
            with app.progress.step(f"preparing {ref}"):
                made = app.clouds.connect(ref).prepare()
        except GpuctlError as error:
            click.echo(f"{ref}: {error.message}", err=True)
            errors.append(error)
            continue
        for line in made:
            click.echo(f"{ref}: made {line}", err=True)
        if not made:
            click.echo(f"{ref}: nothing was missing", err=True)
    if errors:
        raise GpuctlError(
            "not everywhere could be made what ends a machine that hangs",
            hint=f"{_COMMAND}, with the rights of docs/aws-setup-policy.json",
        ) from errors[0]
    return 0


def offer(session: Session, *, ask: bool) -> None:
    """Ask, where there is somebody; a failure is said, since all else is done by now."""
    if not ask:
        click.echo(f"AWS can end a machine that hangs, after its deadline: {_COMMAND}", err=True)
        return
    question = (
        "Have AWS end a machine that hangs, after its deadline? "
        "It makes one IAM role, which may end machines of gpuctl and nothing else."
    )
    if not click.confirm(question, default=True, err=True):
        return
    try:
        make(session)
    except GpuctlError as error:
        click.echo(f"{error.message}; later: {error.hint}", err=True)
