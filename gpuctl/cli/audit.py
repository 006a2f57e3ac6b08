"""`audit`."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.render import Column, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, project_text
from gpuctl.core.errors import ChecksFailed, GpuctlError, UsageProblem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpuctl.app.notify import Notice


@click.command()
@click.option("--fix", is_flag=True, help="End what is ours of it.")
@click.option("--notify", is_flag=True, help="Tell those of [notify] what is new.")
@click.option("--install-timer", is_flag=True, help="Have this computer do so by itself.")
@click.option("--every", default="1h", show_default=True, metavar="D", help="How often it does.")
@click.option("--uninstall", is_flag=True, help="Take the timer away again.")
@asks
@command
def audit(
    session: Session, fix: bool, notify: bool, install_timer: bool, every: str, uninstall: bool
) -> int:
    """What still costs money and is not in use, in every region and cloud; exit 8 on findings.

    --install-timer has systemd (or cron; launchd on macOS) run `audit --notify`, for you alone
    and without root. It ends something only where --fix is given with it.
    """
    if install_timer and uninstall:
        raise UsageProblem("--install-timer and --uninstall: name one")
    if install_timer or uninstall:
        from gpuctl.cli import timer
        from gpuctl.wiring.timers import AUDIT

        return timer.uninstall(session, AUDIT) if uninstall else _by_itself(session, every, fix=fix)
    if click.get_current_context().get_parameter_source("every") is ParameterSource.COMMANDLINE:
        raise UsageProblem(
            "--every goes with --install-timer: nothing looks again by itself without it",
            hint=f"gpuctl audit --install-timer --every {every}",
        )
    return _audit(session, fix=fix, notify=notify)


def _by_itself(session: Session, every: str, *, fix: bool) -> int:
    """It ends nothing unless `--fix` is given now."""
    from gpuctl.cli import timer
    from gpuctl.wiring.messenger import unreachable
    from gpuctl.wiring.timers import AUDIT

    words = ("--fix", "--yes") if fix else ()
    task = timer.task_for(session, AUDIT, ("audit", "--notify", *words), every)
    urls = session.settings.notify.urls
    if fix and not confirmed(session, "End what is ours without asking, each time?", destroys=True):
        return 1
    timer.install(session, task, fix=fix)
    if not urls:
        click.echo(
            "Nobody is told what it finds: gpuctl config set notify.urls "
            "'[\"ntfy://ntfy.sh/YOUR-TOPIC\"]'",
            err=True,
        )
    for name in unreachable(urls, task.environ):
        click.echo(f"notify.urls names env:{name}, which a timer does not have: use cmd:", err=True)
    return 0


def _audit(session: Session, *, fix: bool, notify: bool) -> int:
    from gpuctl.app import audit as verb
    from gpuctl.app.notify import notices, unseen
    from gpuctl.cli.shapes import finding_shape, incomplete

    if not session.app.clouds.accounts():
        raise UsageProblem(
            "no cloud account is in use, so there is nowhere to look", hint="gpuctl init"
        )
    try:
        found = verb.audit(session.app)
    except GpuctlError as error:
        if notify:
            _tell(session, [unseen("what may cost", error.message)])
        raise
    records = [finding_shape(finding) for finding in found.findings]
    emit(
        session,
        "audit",
        "findings",
        records,
        _COLUMNS,
        extra=incomplete(found.silent),
        empty="nothing is left over",
    )
    for item in found.silent:
        click.echo(f"{item.provider} could not be looked at: {item.reason}", err=True)
    if notify:
        _tell(session, notices(session.app, found))
    ours = [finding for finding in found.findings if finding.ours]
    if fix and ours:
        listed = ", ".join(dict.fromkeys(finding.resource for finding in ours))
        if confirmed(session, f"End {listed}?", destroys=True):
            verb.fix(session.app, ours)
            return 1 if found.silent else 0
    if found.silent:
        return 1
    return ChecksFailed.exit_code if records else 0


_COLUMNS = (
    Column("WHERE", lambda r: r["region"]),
    Column("WHAT", lambda r: f"{r['kind']} {r['resource']}"),
    Column("PROJECT", lambda r: project_text(r["project"])),
    Column("$/MONTH", lambda r: dollars(r["monthly"]), right=True),
    Column("WHY", lambda r: r["reason"]),
    Column("FIX", lambda r: r["fix"]),
)


def _tell(session: Session, found: "Sequence[Notice]") -> None:
    """Tell what is new; what reached nobody is told again next time."""
    from gpuctl.app import notify as verb
    from gpuctl.wiring.messenger import deliver
    from gpuctl.wiring.told import read_told, write_told

    wanted = session.settings.notify
    if not wanted.urls:
        click.echo("notify.urls is not set: nobody was told", err=True)
        return
    path = session.paths.data / "told.json"
    told, now = read_told(path), session.now()
    message = verb.message(found, wanted.events, told, now)
    if message is None:
        return
    arrived = 0
    for url in wanted.urls:
        try:
            deliver(url, message, session.environ)
            arrived += 1
        except GpuctlError as error:
            click.echo(f"not told: {error.message}", err=True)
    if arrived:
        write_told(path, verb.remember(told, message, now))
        click.echo(f"told of {len(message.notices)}", err=True)
