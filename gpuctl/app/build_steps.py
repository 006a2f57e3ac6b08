"""The steps of a recipe, one after the other, whatever becomes of the connection."""

from collections.abc import Callable
from typing import TypeVar

from gpuctl.app import App
from gpuctl.app.builder import Building
from gpuctl.app.job import Interrupted
from gpuctl.core.errors import GpuctlError, NotFound, RemoteFailed
from gpuctl.core.kinds import State
from gpuctl.core.model import Machine
from gpuctl.core.ports import CloudRef, StepEnd, Workbench

T = TypeVar("T")
Write = Callable[[bytes], None]

_RECONNECTS = 12
_RECONNECT_S = 5.0
_SHOWN = 12
"""Lines of a failed step that are shown."""


class StepFailed(GpuctlError):
    """A step ended with an error: `step`, and the lines it said last."""

    def __init__(self, step: str, end: StepEnd, tail: list[str]) -> None:
        where = end.where or f"{step}: exit {end.code}"
        said = "".join(f"\n  {line}" for line in tail)
        super().__init__(f"{where}{said}", hint="mend the step; gpuctl ami build starts anew")
        self.step = step
        self.where = where


class CutOff(GpuctlError):
    """The builder could not be reached any more; its step goes on, and so can the next build."""

    exit_code = 7


class Tail:
    """Passes on what is written, and keeps the last lines of it."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._kept = b""
        self.seen = 0

    def __call__(self, piece: bytes) -> None:
        """A piece of the log."""
        if piece:
            self._write(piece)
        self.seen += len(piece)
        self._kept = (self._kept + piece)[-8_192:]

    @property
    def lines(self) -> list[str]:
        """The last ones."""
        return self._kept.decode(errors="replace").splitlines()[-_SHOWN:]


def run_steps(
    app: App, asked: Building, ref: CloudRef, machine: Machine, log: Write, last: Callable[[], None]
) -> None:
    """All of them; what had ended well before is not done again. `last` is called before the last.

    StepFailed with file and line; CutOff (exit 7) when the builder cannot be reached any more;
    Interrupted (7) when the cloud took it back; OtherRecipe when it has another recipe.
    """
    bench = app.reach.workbench(machine, asked.key)
    line = _Line(app, asked, ref, machine)
    line.kept(lambda: bench.lay(asked.files, asked.pip))
    begun = line.kept(bench.begun)
    for number, step in enumerate(asked.steps, 1):
        if step == asked.steps[-1]:
            last()
        title = f"[{number}/{len(asked.steps)}] {step}"
        if begun.get(step) == 0:
            app.progress.note(f"{title}: done before")
            continue
        tail = Tail(log)
        with app.progress.step(title):
            tail(f"== {title}\n".encode())
            tail.seen = 0
            end = _one(asked, bench, step, tail, line)
            if end.code:
                raise StepFailed(step, end, tail.lines)


def _one(asked: Building, bench: Workbench, step: str, tail: Tail, line: "_Line") -> StepEnd:
    line.kept(lambda: bench.begin(step, asked.recipe.environment()))

    def follow() -> StepEnd | None:
        return bench.follow(step, tail.seen, tail)

    end = line.kept(follow)
    if end is None:
        raise CutOff(
            f"{step} was cut off: the builder was restarted",
            hint=f"gpuctl ami build {asked.recipe.directory.name}",
        )
    return end


class _Line:
    """The connection to a builder, made again when it breaks."""

    def __init__(self, app: App, asked: Building, ref: CloudRef, machine: Machine) -> None:
        self._app = app
        self._asked = asked
        self._ref = ref
        self._machine = machine

    def kept(self, ask: Callable[[], T]) -> T:
        """Ask until it is answered, for about a minute."""
        for _ in range(_RECONNECTS):
            try:
                return ask()
            except RemoteFailed as error:
                self._raise_if_gone()
                said = error.message
                self._app.progress.note(f"the connection broke ({said}); trying again")
                self._app.sleep(_RECONNECT_S)
        recipe = self._asked.recipe.directory.name
        raise CutOff(
            f"{self._machine.name} cannot be reached; its step goes on there",
            hint=f"gpuctl ami build {recipe}    (goes on; or gpuctl down {self._machine.name})",
        )

    def _raise_if_gone(self) -> None:
        try:
            now = self._app.clouds.connect(self._ref).get(self._machine.id)
        except NotFound:
            pass
        else:
            if now.state in (State.RUNNING, State.STARTING):
                return
        raise Interrupted(
            f"{self._machine.name} ended while it was building; nothing of it costs any more",
            hint=f"gpuctl ami build {self._asked.recipe.directory.name}",
        )
