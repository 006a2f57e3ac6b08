"""Finding and starting the embedded clouds, for `sandbox` and its demonstration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gpuctl.cli.session import Session
from gpuctl.core.errors import NotFound

if TYPE_CHECKING:
    from gpuctl.sandbox.state import SandboxState

HOME = """\
# The sandbox's own configuration: three clients, nobody real.
[client.acme]
name = "ACME Robotics"
markup = "15%"

[client.acme.project.vision]
title = "Bin-picking vision"
template = "v100-spot"
budget = { month = "120.00" }

[client.borealis]
name = "Borealis Labs"

[client.borealis.project.nlp]
template = "gcp-t4"

[client.me]
absorbed = true

[client.me.project.learning]
template = "l4-spot"
"""
"""Client `acme` is billed with markup, `borealis` at cost, `me` bears its own."""


CLOUDS = ("aws", "gcp")


class Knob(NamedTuple):
    """Something to set on one of the clouds, known to be well formed before any is started."""

    cloud: str
    name: str
    arguments: Mapping[str, Any]


def directory_of(session: Session) -> Path:
    """Where the sandbox lives: the one this shell is in, else below the data directory."""
    named = session.environ.get("GPUCTL_SANDBOX")
    return Path(named) if named else session.paths.data / "sandbox"


def running(session: Session) -> "SandboxState":
    """The running sandbox; NotFound with the command that starts one."""
    from gpuctl.sandbox.process import status as find

    state = find(directory_of(session))
    if state is None:
        raise NotFound("no sandbox is running", hint="gpuctl sandbox start")
    return state


def launch(directory: Path, seed: int, knobs: Sequence[Knob] = ()) -> "SandboxState":
    """Start one (or find it), give its home a configuration, turn its knobs."""
    from gpuctl.sandbox.control import Control
    from gpuctl.sandbox.process import start as begin

    state = begin(directory, seed=seed)
    config = directory / "home" / "config" / "config.toml"
    if not config.exists():
        config.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        config.write_text(HOME, encoding="utf-8")
        config.chmod(0o600)
    control = Control(state)
    for knob in knobs:
        control.knob(knob.cloud, knob.name, **knob.arguments)
    return state
