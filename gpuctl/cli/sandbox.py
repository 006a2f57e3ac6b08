"""`sandbox`: two embedded clouds on this computer."""

import shlex
from typing import Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.embedded import CLOUDS, Knob, directory_of, launch, running
from gpuctl.cli.render import emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem


@click.group()
def sandbox() -> None:
    """Embedded clouds: real SDKs, real SSH, no account, no cost."""


@sandbox.command()
@click.option("--seed", type=int, default=0, show_default=True, help="Of prices and chance.")
@click.option("--no-capacity", multiple=True, metavar="TYPE[@ZONE]", help="Sold out.")
@click.option("--quota", multiple=True, metavar="CODE=N", help="A quota: L-3819A6DF=0.")
@click.option("--offer", multiple=True, metavar="TYPE=ZONE,ZONE", help="Sell a type: p3.2xlarge.")
@click.option("--latency", type=int, metavar="MS", help="Every answer takes so long.")
@command
def start(
    session: Session,
    seed: int,
    no_capacity: tuple[str, ...],
    quota: tuple[str, ...],
    offer: tuple[str, ...],
    latency: int | None,
) -> int:
    """Start the sandbox (or find the one that runs) and turn its knobs."""
    knobs = [
        *(knob for text in no_capacity for knob in _sold_out(text)),
        *(_quota(text) for text in quota),
        *(_offered(text) for text in offer),
        *(Knob(cloud, "latency", {"ms": latency}) for cloud in CLOUDS if latency is not None),
    ]
    state = launch(directory_of(session), seed, knobs)
    click.echo(f"[sandbox] running in {state.directory}", err=True)
    click.echo('[sandbox] to use it: eval "$(gpuctl sandbox env)"', err=True)
    return 0


def _sold_out(text: str) -> list[Knob]:
    kind, _, zone = text.partition("@")
    arguments = {"type": kind, "zone": zone or None}
    return [Knob(cloud, "no_capacity", arguments) for cloud in _clouds_selling(kind)]


def _quota(text: str) -> Knob:
    code, _, number = text.partition("=")
    if not number.isdigit():
        raise UsageProblem(f"{text!r} is not CODE=N", hint="--quota L-3819A6DF=0")
    if code.startswith("L-"):
        return Knob("aws", "quota", {"code": code, "vcpus": int(number)})
    return Knob("gcp", "quota", {"metric": code, "limit": int(number)})


def _offered(text: str) -> Knob:
    kind, _, zones = text.partition("=")
    if not zones:
        hint = "--offer p3.2xlarge=us-east-1a,us-east-1c"
        raise UsageProblem(f"{text!r} is not TYPE=ZONE,ZONE", hint=hint)
    return Knob("aws", "offer", {"type": kind, "zones": zones.split(",")})


def _clouds_selling(kind: str) -> tuple[str, ...]:
    return ("aws",) if "." in kind else ("gcp",)


@sandbox.command()
@command
def stop(session: Session) -> int:
    """End the sandbox and all its machines; its files stay."""
    from gpuctl.sandbox.process import stop as end

    was = end(directory_of(session))
    click.echo("[sandbox] stopped" if was else "[sandbox] none was running", err=True)
    return 0


@sandbox.command()
@command
def reset(session: Session) -> int:
    """Empty both clouds and set fair weather again; the clock and the ledger stay."""
    from gpuctl.sandbox.control import Control

    Control(running(session)).reset()
    click.echo("[sandbox] both clouds are empty", err=True)
    return 0


@sandbox.command()
@command
def status(session: Session) -> int:
    """Whether it runs, its time, its machines."""
    from gpuctl.core.span import format_duration, format_time
    from gpuctl.sandbox.control import Control

    state = running(session)
    told = Control(state).status()
    if session.output == "json":
        emit_json(
            "sandbox.status",
            {
                "directory": str(state.directory),
                "pid": told.pid,
                "now": format_time(told.now),
                "aws": state.aws_endpoint,
                "gcp": state.gcp_endpoint,
                "machines": [{"name": m.name, "id": m.id, "zone": m.zone} for m in told.machines],
            },
        )
        return 0
    click.echo(f"[sandbox] pid {told.pid}, {state.directory}")
    ahead = format_duration(told.offset)
    click.echo(f"[sandbox] its time is {format_time(told.now)} ({ahead} ahead)")
    for machine in told.machines:
        click.echo(f"[sandbox] {machine.name}  {machine.type}  {machine.zone}  {machine.id}")
    return 0


@sandbox.command()
@command
def env(session: Session) -> int:
    """Shell commands that enter the sandbox: eval "$(gpuctl sandbox env)"."""
    from gpuctl.sandbox.state import environment

    found = environment(running(session))
    for name in found.unset:
        click.echo(f"unset {name}")
    for name, value in found.set.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return 0


@sandbox.command()
@click.argument("name")
@click.option("--notice", type=float, metavar="S", help="Seconds between the notice and the end.")
@command
def interrupt(session: Session, name: str, notice: float | None) -> int:
    """The cloud takes a machine back, as it does with spot machines."""
    from gpuctl.sandbox.control import Control

    Control(running(session)).interrupt(name, notice_seconds=notice)
    click.echo(f"[sandbox] {name} is being taken back", err=True)
    return 0


@sandbox.command()
@click.argument("duration")
@command
def advance(session: Session, duration: str) -> int:
    """Move the sandbox's clock: 90s, 3h, 20d. What falls due on the way happens on the way."""
    from gpuctl.core.span import format_time, parse_duration
    from gpuctl.sandbox.control import Control

    try:
        by = parse_duration(duration)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    now = Control(running(session)).advance(by)
    click.echo(f"[sandbox] it is {format_time(now)}", err=True)
    return 0


@sandbox.command()
@click.argument("name")
@click.argument("load", type=click.Choice(["busy", "idle"]))
@command
def gpu(session: Session, name: str, load: str) -> int:
    """What nvidia-smi says on a machine from now on."""
    from gpuctl.sandbox.control import Control

    Control(running(session)).gpu(name, busy=load == "busy")
    return 0


@sandbox.command()
@click.argument("cloud", type=click.Choice(CLOUDS))
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@command
def knob(session: Session, cloud: str, name: str, arguments: tuple[str, ...]) -> int:
    """Turn any knob of a cloud: gpuctl sandbox knob aws fault action=RunInstances code=…"""
    from gpuctl.sandbox.control import Control

    values: dict[str, Any] = {}
    for text in arguments:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageProblem(f"{text!r} is not KEY=VALUE")
        values[key] = int(value) if value.isdigit() else value
    Control(running(session)).knob(cloud, name, **values)
    return 0


@sandbox.command()
@click.option("--keep", is_flag=True, help="Leave it running at the end, to look around.")
@click.option("--seed", type=int, default=7, show_default=True, help="Of prices and chance.")
@command
def demo(session: Session, keep: bool, seed: int) -> int:
    """A working day on both clouds: up, run, an interruption survived, down, report."""
    from gpuctl.cli.demo import play

    return play(session, seed=seed, keep=keep)
