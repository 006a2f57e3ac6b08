"""Which machine and which command, for `ssh`, `run` and what copies files."""

from collections.abc import Sequence

from gpuctl.app.fleet import pick
from gpuctl.cli.words import surely_named
from gpuctl.core.errors import NotFound
from gpuctl.core.kinds import State
from gpuctl.core.model import Machine


def machine_and_argv(
    machines: Sequence[Machine], name: str | None, argv: Sequence[str]
) -> tuple[Machine, Sequence[str]]:
    """The machine meant by a name (or by there being only one), and what to run there.

    `gpuctl ssh -- ls` gives no name: click hands `ls` over as one, so a name that is no
    machine, with exactly one machine running, is taken as the command's first word, unless it
    stood before the `--`.
    """
    running = [m for m in machines if m.state is State.RUNNING]
    try:
        return pick(running, name), argv
    except NotFound:
        if not name or len(running) != 1 or surely_named() or _looks_like_a_name(name, running):
            raise
        return running[0], [name, *argv]


def _looks_like_a_name(name: str, running: Sequence[Machine]) -> bool:
    stems = {machine.name.rstrip("0123456789").rstrip("-") for machine in running}
    return name.rstrip("0123456789").rstrip("-") in stems
