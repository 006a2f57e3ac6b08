"""What a row of the table is made of: cases, each a story with one trouble in it, and results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.faults import judge
from tests.faults.proxy import LAUNCHES, Call, Plan
from tests.faults.world import PROJECT, Done, World


@dataclass(frozen=True, slots=True)
class Result:
    """One case: its name, what was wrong (nothing, where the promise was kept), its commands."""

    case: str
    wrong: tuple[str, ...]
    said: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `run(world, full, mutant)` yields a result a case."""

    name: str
    title: str
    passes: str
    least: int
    """Fewer cases than this in a full sweep are a failure themselves."""
    run: Callable[[World, bool, int], Iterator[Result]]


@dataclass(frozen=True, slots=True)
class Story:
    """A command on a cloud, what was there before, and what is typed after it was cut off."""

    name: str
    cloud: str
    argv: tuple[str, ...]
    before: Callable[["Stage"], None]
    most: int = 1
    """How many machines may ever have existed at the end."""
    alone: bool = False
    """Only the same command again makes good what it did not come to do."""


@dataclass
class Stage:
    """One case on its way."""

    world: World
    cloud: str
    mutant: str | None = None
    done: list[Done] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.reset()
        self.home = self.world.home((self.cloud,))

    @property
    def project(self) -> str:
        return PROJECT[self.cloud]

    def run(self, *argv: str, plan: Plan | None = None, **hooks: object) -> Done:
        """A command; what it said is kept."""
        if self.mutant is not None:
            hooks["mutant"] = self.mutant
        done = self.world.run(self.home, *argv, clouds=(self.cloud,), plan=plan, **hooks)
        self.done.append(done)
        return done

    def well(self, *argv: str) -> Done:
        """A command that must succeed."""
        done = self.run(*argv)
        if done.code:
            raise Unfit(str(done))
        return done

    def crashes(self) -> list[str]:
        return [f"traceback: {done}" for done in self.done if "Traceback (most" in done.err]

    def result(self, case: str, wrong: Sequence[str]) -> Result:
        """What it came to."""
        found = [*wrong, *self.crashes()]
        return Result(case, tuple(found), tuple(map(str, self.done)) if found else ())


class Unfit(RuntimeError):
    """A story that does not even go well without trouble."""


def _nothing(stage: Stage) -> None:
    stage.well("ps")


def _machine(stage: Stage) -> None:
    stage.well("up", "-p", stage.project, "-y", "--detach")
    stage.world.pass_time(minutes=7)


def _stopped(stage: Stage) -> None:
    _machine(stage)
    stage.well("down")
    stage.world.pass_time(minutes=90)


def _forgotten(stage: Stage) -> None:
    """A machine of ours that the ledger, an old copy, knows nothing of."""
    stage.well("ps")
    ledger = judge.ledger_file(stage.home)
    old = ledger.read_bytes()
    _machine(stage)
    ledger.write_bytes(old)


def stories(cloud: str) -> Sequence[Story]:
    """The verbs that cost or end cost."""
    up = ("up", "-p", PROJECT[cloud], "-y")
    again = [Story("up-again", cloud, up, _stopped)] if cloud == "gcp" else []
    return [
        Story("up", cloud, up, _nothing),
        *again,
        Story("down", cloud, ("down",), _machine),
        *([Story("delete", cloud, ("down", "--delete", "-y"), _machine)] if cloud == "gcp" else []),
        Story("extend", cloud, ("extend", "--by", "1h"), _machine),
        Story("audit", cloud, ("audit", "--fix", "-y"), _forgotten, alone=True),
    ]


@dataclass(frozen=True, slots=True)
class Clean:
    """A story without trouble: the calls it makes and the local steps it takes."""

    calls: Sequence[Call]
    steps: Sequence[str]
    late: frozenset[Call]
    """Those from the launch on: before it there is nothing to be hidden."""


def clean(world: World, story: Story) -> Clean:
    """Tell it twice, well, and keep what both tellings have. Unfit when it does not go well."""
    told: list[set[Call]] = []
    steps: list[str] = []
    trace = world.folder / "trace"
    for _ in range(2):
        trace.unlink(missing_ok=True)
        stage = Stage(world, story.cloud)
        story.before(stage)
        done = stage.run(*story.argv, trace=str(trace))
        wrong = [*judge.faults(world, stage.home, most=story.most), *stage.crashes()]
        if done.code not in (0, 8) or wrong:
            raise Unfit(f"{story.name}: {done}\n{wrong}")
        told.append(set(world.traffic.seen))
        steps = trace.read_text().splitlines()
    return Clean(
        sorted(set.intersection(*told)), steps, frozenset(_from_launch(world.traffic.seen))
    )


def _from_launch(seen: Sequence[Call]) -> Sequence[Call]:
    launches = [at for at, call in enumerate(seen) if call.action in LAUNCHES]
    return seen[launches[0] :] if launches else ()


def recover(stage: Stage, again: Sequence[str], plan: Plan | None = None, at: int = 0) -> None:
    """At most two later commands, with the time between them that somebody takes."""
    hooks = {"at": at} if at else {}
    stage.world.pass_time(seconds=20)
    stage.run(*again, plan=plan, **hooks)
    stage.world.pass_time(minutes=16)
    stage.run("ps")
