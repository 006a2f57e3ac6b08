"""`up`: the plan, the question, the machine."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import asks, command, confirmed
from gpuctl.cli.completions import machines, projects, templates
from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.up import Asked, Up
    from gpuctl.config.template import Template


@click.command()
@click.argument("name", required=False, shell_complete=machines)
@click.option("-p", "--project", shell_complete=projects, help="Whom it is for: CLIENT/PROJECT.")
@click.option(
    "-t", "--template", shell_complete=templates, help="The recipe: gpuctl template list."
)
@click.option("--spot/--on-demand", "spot", default=None, help="Instead of the template's market.")
@click.option("--max-price", metavar="USD", help="The most to pay an hour.")
@click.option("--ttl", metavar="D", help="It ends itself after this: 8h.")
@click.option("--idle-stop", metavar="D", help="It ends itself when idle for this: 30m, off.")
@click.option("--budget", metavar="USD", help="It ends itself when this is used up.")
@click.option("--region", metavar="R", help="Only there.")
@click.option("--zone", metavar="Z", help="Only there.")
@click.option("--wait", metavar="D", help="Keep trying for capacity: 2h.")
@click.option("--detach", is_flag=True, help="Return once the cloud has accepted.")
@click.option("--dry-run", is_flag=True, help="Show the plan, start nothing.")
@asks
@command
def up(session: Session, name: str | None, project: str | None, **flags: Any) -> int:
    """Give a project a machine.

    Starts a spot instance on AWS, or the project's VM on Google. A machine that runs already is
    shown, and nothing is started. NAME is its name; without one, the project's.
    """
    from gpuctl.app.launch import NothingStarted
    from gpuctl.app.up import up as start
    from gpuctl.cli.command import explain
    from gpuctl.cli.shapes import attempt_shape

    asked = _asked(session, name, project, flags)
    try:
        done = start(session.app, asked, lambda plan: confirm_plan(session, plan, asked))
    except NothingStarted as error:
        if session.output == "json":
            from gpuctl.cli.render import emit_json

            attempts = [attempt_shape(attempt) for attempt in error.attempts]
            emit_json("up", {"machine": None, "attempts": attempts})
        explain(error, debug=session.debug)
        return error.exit_code
    return _print(session, done, asked)


def _asked(
    session: Session, name: str | None, project: str | None, flags: dict[str, Any]
) -> "Asked":
    from gpuctl.app.up import Asked
    from gpuctl.core.names import machine_name

    session.flag(project=project, template=flags["template"])
    for_project = session.project(project)
    if session.settings.project(for_project).archived:
        undo = f"gpuctl project archive {for_project} --undo"
        raise UsageProblem(f"{for_project} is archived", hint=undo)
    try:
        if name is not None:
            machine_name(name)
        wait = _duration("--wait", flags["wait"])
        template = _template(session, for_project, flags)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    return Asked(
        project=for_project,
        template=template,
        name=name,
        wait=wait,
        detach=flags["detach"],
        dry_run=flags["dry_run"],
    )


def ask_for(session: Session, project: str | None, template: str | None) -> "Asked":
    """What `up -p PROJECT -t TEMPLATE` asks for, without any other flag."""
    names = ("max_price", "ttl", "idle_stop", "budget", "region", "zone", "wait", "spot")
    flags: dict[str, Any] = dict.fromkeys(names)
    flags |= {"template": template, "detach": False, "dry_run": False}
    return _asked(session, None, project, flags)


def _template(session: Session, project: str, flags: dict[str, Any]) -> "Template":
    from dataclasses import replace

    from gpuctl.app.up import apply_flags
    from gpuctl.core.kinds import MarketPolicy

    template = session.settings.template(session.config.template_name(project))
    idle = flags["idle_stop"]
    template = apply_flags(
        template,
        max_price=amount("--max-price", flags["max_price"]),
        ttl=_duration("--ttl", flags["ttl"]),
        idle_stop=None if idle in (None, "off") else _duration("--idle-stop", idle),
        budget=amount("--budget", flags["budget"]) or _session_budget(session, project),
        region=flags["region"] or session.settings.defaults.region,
        zone=flags["zone"],
    )
    if idle == "off":
        template = replace(template, idle_stop=None)
    if flags["spot"] is not None:
        market = MarketPolicy.SPOT if flags["spot"] else MarketPolicy.ON_DEMAND
        template = replace(template, market=market)
    return template


def _session_budget(session: Session, project: str) -> Decimal | None:
    """What the project allows a session, where neither flag nor template says."""
    policy = session.settings.project(project).budget
    template = session.settings.template(session.config.template_name(project))
    return None if policy is None or template.budget is not None else policy.session


def _duration(flag: str, text: str | None) -> timedelta | None:
    """More than no time. ValueError names the flag."""
    from gpuctl.core.span import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{flag} {error}") from None


def amount(flag: str, text: str | None) -> Decimal | None:
    """USD above zero. ValueError for anything else."""
    if text is None:
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"{flag} {text!r} is not an amount such as 0.40") from None
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{flag} {text!r} is not more than nothing")
    return amount


def confirm_plan(session: Session, plan: Any, asked: "Asked") -> bool:
    """Show what will be done and for how much; whether to do it."""
    from gpuctl.cli.plans import print_plan

    print_plan(session, plan)
    return asked.dry_run or confirmed(session, "Start it?")


def _print(session: Session, done: "Up", asked: "Asked") -> int:
    from gpuctl.cli.render import emit_json
    from gpuctl.cli.shapes import attempt_shape, machine_shape

    shown = done.machine
    if session.output == "json":
        emit_json(
            "up",
            {
                "machine": None if shown is None else machine_shape(shown),
                "attempts": [attempt_shape(attempt) for attempt in done.attempts],
            },
        )
    elif session.output == "csv" and shown is not None:
        from gpuctl.cli.render import as_csv

        click.echo(as_csv([machine_shape(shown)]), nl=False)
    elif shown is not None:
        from gpuctl.cli.render import say

        machine = shown.machine
        where = f"{machine.type} {machine.market} in {machine.id.zone}"
        say(session, f"{machine.name}  {where}  {machine.state}  {machine.address or ''}".rstrip())
        if not asked.detach:
            click.echo(f"Next: gpuctl ssh {machine.name}", err=True)
    if shown is None and not asked.dry_run:
        click.echo("Nothing was started.", err=True)
        return 1
    return 0
