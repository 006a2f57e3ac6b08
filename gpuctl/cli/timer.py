"""`--install-timer` and `--uninstall` of `audit` and `watch`: this computer does it by itself."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.render import emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, UsageProblem

if TYPE_CHECKING:
    from gpuctl.core.model import Check
    from gpuctl.wiring.timers import Chore, Place, Task

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def task_for(session: Session, chore: "Chore", words: Sequence[str], every: str) -> "Task":
    """To run `gpuctl WORDS`. UsageProblem in the sandbox, and for what no timer takes."""
    from gpuctl.core.span import parse_duration
    from gpuctl.wiring.timers import CARRIED, Task

    if session.in_sandbox:
        raise UsageProblem("the sandbox is not there when a timer runs", hint="gpuctl sandbox stop")
    try:
        pause = parse_duration(every)
    except ValueError as error:
        raise UsageProblem(f"--every: {error}") from None
    # -P: a directory named gpuctl where the timer happens to run is not this program.
    argv = (sys.executable, "-P", "-m", "gpuctl", *words)
    environ = {name: session.environ[name] for name in CARRIED if session.environ.get(name)}
    _refuse_secrets(environ)
    return Task(argv=argv, every=pause, environ=environ, chore=chore)


def install(session: Session, task: "Task", **told: Any) -> None:
    """Have this computer run it, and show what was written; `told` goes into the JSON, too."""
    from gpuctl.core.span import format_duration
    from gpuctl.wiring import timers

    timer = timers.install(task, place_of(session))
    if session.output == "json":
        emit_json(
            f"{task.chore.name}.timer",
            {
                "kind": timer.kind,
                "where": list(timer.where),
                "every": format_duration(task.every),
                **told,
                "changed": timer.changed,
            },
        )
    else:
        click.echo(timer.text.rstrip())
    said = "wrote" if timer.changed else "is there already:"
    click.echo(f"{timer.kind} {said} {', '.join(timer.where)}", err=True)
    if timer.kind == "systemd":
        click.echo("It runs while you are logged in; always: loginctl enable-linger", err=True)
    if any(session.environ.get(key) for key in _KEYS):
        click.echo(
            "The AWS keys of this shell are not written down: the timer needs a profile", err=True
        )


def uninstall(session: Session, chore: "Chore") -> int:
    """Take it away again; nothing there is no error."""
    from gpuctl.wiring import timers

    gone = timers.remove(place_of(session), chore)
    if session.output == "json":
        emit_json(f"{chore.name}.timer", {"removed": list(gone)})
    for where in gone:
        click.echo(f"removed {where}", err=True)
    if not gone:
        click.echo("there is no timer", err=True)
    return 0


def checks(session: Session) -> "Sequence[Check]":
    """Lines for `doctor`: what this computer does by itself, and what it had better do."""
    from gpuctl.app.pursue import open_jobs
    from gpuctl.wiring.timers import AUDIT, WATCH

    forgotten = "nothing looks for forgotten machines by itself"
    try:
        count = len(open_jobs(session.app))
    except GpuctlError:  # The ledger has a line of its own.
        count = 0
    alone = f"{count} open {'job' if count == 1 else 'jobs'}: resumed only while a gpuctl is open"
    return (
        _check(session, "timer", AUDIT, forgotten),
        _check(session, "watch", WATCH, alone if count else None),
    )


def _check(session: Session, name: str, chore: "Chore", lacking: str | None) -> "Check":
    """Whether the timer is there; without one, what is `lacking` is a warning."""
    from gpuctl.core.model import Check
    from gpuctl.wiring import timers

    try:
        timer = timers.status(place_of(session), chore)
    except GpuctlError as error:
        return Check(name=name, ok=None, says=error.message)
    if timer is not None:
        return Check(name=name, ok=True, says=f"{timer.kind}: {', '.join(timer.where)}")
    if lacking is None:
        return Check(name=name, ok=True, says="no job is open, and none would be resumed by itself")
    return Check(name=name, ok=None, says=lacking, fix=f"gpuctl {chore.name} --install-timer")


def place_of(session: Session) -> "Place":
    """This computer, by the session's environment."""
    from gpuctl.cli.ssh_config import home_of
    from gpuctl.wiring.timers import Place

    return Place(platform=sys.platform, home=home_of(session), environ=session.environ)


def _refuse_secrets(environ: Mapping[str, str]) -> None:
    """A timer's files are read by programs that show them: no password goes there."""
    from urllib.parse import urlsplit

    for name in ("GPUCTL_LEDGER", "HTTPS_PROXY"):
        text = environ.get(name, "")
        if urlsplit(text).password or "password=" in text:
            raise UsageProblem(
                f"{name} has a password in it, which would be written into the timer",
                hint="~/.pgpass for a ledger's; then the same with the address alone",
            )
    for name, value in environ.items():
        if "\n" in value:
            raise UsageProblem(f"{name} is longer than a line, which no timer can take")
