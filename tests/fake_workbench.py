"""A builder's steps in memory: each may fail, break the connection, or be cut off by a crash."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gpuctl.core.errors import RemoteFailed
from gpuctl.core.images.making import OtherRecipe
from gpuctl.core.ports import StepEnd


@dataclass
class Builders:
    """What lies on each builder, by its name; a test sets what is to happen."""

    laid: dict[str, str] = field(default_factory=dict)
    """Builder -> the recipe's key."""
    codes: dict[tuple[str, str], int | None] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    """Each beginning of a step, in order."""
    ends: dict[str, StepEnd] = field(default_factory=dict)
    """Step -> how it ends, where not well."""
    breaks: dict[str, int] = field(default_factory=dict)
    """Step -> how many more times the connection breaks while it is followed."""
    crashes: dict[str, BaseException] = field(default_factory=dict)
    """Step -> what befalls whoever follows it; the step itself goes on."""
    lost: set[str] = field(default_factory=set)
    """Steps that are cut off with the builder."""
    closed: set[str] = field(default_factory=set)
    """Builders that let nobody in any more: their last step is done."""
    pip: bytes | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakeWorkbench:
    """One builder with one recipe."""

    builders: Builders
    name: str
    key: str

    def lay(self, recipe: Mapping[str, bytes], pip: bytes | None) -> None:
        self._reached()
        if self.builders.laid.setdefault(self.name, self.key) != self.key:
            raise OtherRecipe("another recipe lies there")
        assert "image.toml" in recipe
        self.builders.pip = pip

    def begun(self) -> Mapping[str, int | None]:
        self._reached()
        return {
            step: code for (name, step), code in self.builders.codes.items() if name == self.name
        }

    def begin(self, step: str, environ: Mapping[str, str]) -> None:
        self._reached()
        if self.builders.codes.get((self.name, step), 1) not in (0, None):
            self.builders.ran.append(step)
            self.builders.environ = environ
            self.builders.codes[self.name, step] = None

    def follow(self, step: str, offset: int, write: Callable[[bytes], None]) -> StepEnd | None:
        self._reached()
        if self.builders.breaks.get(step, 0):
            self.builders.breaks[step] -= 1
            write(b"half of it\n"[offset:])
            raise RemoteFailed("the connection was lost")
        end = self.builders.ends.get(step, StepEnd(0))
        self.builders.codes[self.name, step] = end.code
        if step in self.builders.crashes:
            raise self.builders.crashes[step]
        if step in self.builders.lost:
            del self.builders.codes[self.name, step]
            return None
        write(f"half of it\nall of {step}\n".encode()[offset:])
        if step.endswith("90-clean.sh") and end.code == 0:
            self.builders.closed.add(self.name)
        return end

    def _reached(self) -> None:
        if self.name in self.builders.closed:
            raise RemoteFailed("nobody is let in")
