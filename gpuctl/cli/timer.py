"""`audit --install-timer` and `--uninstall`: this computer looks by itself from then on."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from gpuctl.cli.command import confirmed
from gpuctl.cli.render import emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, UsageProblem

if TYPE_CHECKING:
    from gpuctl.core.model import Check
    from gpuctl.wiring.timers import Place, Task

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def install(session: Session, every: str, *, fix: bool) -> int:
    """Write the timer, and show what was written. It ends nothing unless `--fix` is given now."""
    from gpuctl.wiring import timers
    from gpuctl.wiring.messenger import unreachable

    if session.in_sandbox:
        raise UsageProblem("the sandbox is not there when a timer runs", hint="gpuctl sandbox stop")
    task = _task(session, every, fix=fix)
    urls = session.settings.notify.urls
    if fix and not confirmed(session, "End what is ours without asking, each time?", destroys=True):
        return 1
    timer = timers.install(task, place_of(session))
    if session.output == "json":
        emit_json(
            "audit.timer",
            {
                "kind": timer.kind,
                "where": list(timer.where),
                "every": every,
                "fix": fix,
                "changed": timer.changed,
            },
        )
    else:
        click.echo(timer.text.rstrip())
    said = "wrote" if timer.changed else "is there already:"
    click.echo(f"{timer.kind} {said} {', '.join(timer.where)}", err=True)
    if timer.kind == "systemd":
        click.echo("It runs while you are logged in; always: loginctl enable-linger", err=True)
    if not urls:
        click.echo(
            "Nobody is told what it finds: gpuctl config set notify.urls "
            "'[\"ntfy://ntfy.sh/YOUR-TOPIC\"]'",
            err=True,
        )
    for name in unreachable(urls, task.environ):
        click.echo(f"notify.urls names env:{name}, which a timer does not have: use cmd:", err=True)
    if any(session.environ.get(key) for key in _KEYS):
        click.echo(
            "The AWS keys of this shell are not written down: the timer needs a profile", err=True
        )
    return 0


def uninstall(session: Session) -> int:
    """Take it away again; nothing there is no error."""
    from gpuctl.wiring import timers

    gone = timers.remove(place_of(session))
    if session.output == "json":
        emit_json("audit.timer", {"removed": list(gone)})
    for where in gone:
        click.echo(f"removed {where}", err=True)
    if not gone:
        click.echo("there is no timer", err=True)
    return 0


def check(session: Session) -> "Check":
    """A line for `doctor`."""
    from gpuctl.core.model import Check
    from gpuctl.wiring import timers

    try:
        timer = timers.status(place_of(session))
    except GpuctlError as error:
        return Check(name="timer", ok=None, says=error.message)
    if timer is not None:
        return Check(name="timer", ok=True, says=f"{timer.kind}: {', '.join(timer.where)}")
    return Check(
        name="timer",
        ok=None,
        says="nothing looks for forgotten machines by itself",
        fix="gpuctl audit --install-timer",
    )


def place_of(session: Session) -> "Place":
    """This computer, by the session's environment."""
    from gpuctl.cli.ssh_config import home_of
    from gpuctl.wiring.timers import Place

    return Place(platform=sys.platform, home=home_of(session), environ=session.environ)


def _task(session: Session, every: str, *, fix: bool) -> "Task":
    from gpuctl.core.span import parse_duration
    from gpuctl.wiring.timers import CARRIED, Task

    try:
        pause = parse_duration(every)
    except ValueError as error:
        raise UsageProblem(f"--every: {error}") from None
    words = ("--fix", "--yes") if fix else ()
    # -P: a directory named gpuctl where the timer happens to run is not this program.
    argv = (sys.executable, "-P", "-m", "gpuctl", "audit", "--notify", *words)
    environ = {name: session.environ[name] for name in CARRIED if session.environ.get(name)}
    _refuse_secrets(environ)
    return Task(argv=argv, every=pause, environ=environ)


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
