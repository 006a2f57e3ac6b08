"""kill -9 at every call and every local step, once and again during recovery."""

import random
from collections.abc import Iterator

from tests.faults import judge
from tests.faults.cases import Clean, Result, Row, Stage, Story, clean, recover, stories
from tests.faults.proxy import PHASES, Call, Plan
from tests.faults.world import Done, World

LAGS = (0, 1, 5)
_PS = ("ps",)


def killed_at_call(
    world: World,
    story: Story,
    call: Call,
    phase: str,
    lag: int,
    *,
    again: tuple[str, ...] = _PS,
    over: bool = True,
    mutant: str | None = None,
) -> Result:
    """One kill (or one lost connection) at one call."""
    case = f"{story.cloud} {story.name} {phase} {call} lag {lag}, then {again[0]}"
    stage, done = _struck(world, story, Plan(call, phase), lag, mutant)
    if not done.fired:
        return stage.result(case, ["the fault did not happen"])
    if phase != "drop" and done.code != -9:
        return stage.result(case, [f"not killed: {done.code}"])
    recover(stage, again)
    return stage.result(case, ended(stage, story.most, over=over))


def _struck(
    world: World, story: Story, plan: Plan, lag: int, mutant: str | None = None
) -> tuple[Stage, Done]:
    """The story, struck as planned. A run may ask a question less often than the clean one did."""
    for _ in range(3):
        stage = Stage(world, story.cloud, mutant)
        story.before(stage)
        _lag(world, story.cloud, lag)
        done = stage.run(*story.argv, plan=plan)
        if done.fired:
            break
    return stage, done


def killed_at_step(
    world: World,
    story: Story,
    at: int,
    what: str,
    *,
    again: tuple[str, ...] = _PS,
    over: bool = True,
    mutant: str | None = None,
) -> Result:
    """One kill before one statement of SQL, or before one file is touched."""
    case = f"{story.cloud} {story.name} step {at} ({what}), then {again[0]}"
    trace = world.folder / "trace"
    for fewer in range(4):
        trace.unlink(missing_ok=True)
        stage = Stage(world, story.cloud, mutant)
        story.before(stage)
        done = stage.run(*story.argv, at=at, trace=str(trace))
        if done.code == -9:
            break
        # It took fewer steps than the clean one: clouds are asked side by side, hours turn.
        at = max(1, min(at, len(trace.read_text().splitlines()) - fewer))
    else:
        return stage.result(case, [f"not killed: {done.code}"])
    recover(stage, again)
    return stage.result(case, ended(stage, story.most, over=over))


def ended(stage: Stage, most: int, *, over: bool = True) -> list[str]:
    """The judgement now, and again when every lease is over."""
    wrong = judge.faults(stage.world, stage.home, most=most)
    if wrong or not over:
        return wrong
    wrong = judge.over(stage.world, stage.home)
    stage.run("ps")
    return wrong or [
        f"after the lease: {w}" for w in judge.faults(stage.world, stage.home, most=most)
    ]


def _again(story: Story, chance: random.Random) -> tuple[str, ...]:
    return story.argv if story.alone or chance.random() < 0.5 else _PS


def _lag(world: World, cloud: str, lag: int) -> None:
    if lag:
        (world.aws if cloud == "aws" else world.gcp).control("lag", n=lag)


def every_kill(world: World, full: bool, seed: int) -> Iterator[Result]:
    """All calls x phases x lags, then all local steps; a sample of them when not full."""
    chance = random.Random(seed)
    for cloud in ("aws", "gcp"):
        for story in stories(cloud):
            plan = clean(world, story)
            yield from _calls(world, story, plan, chance, full)
            yield from _steps(world, story, plan, chance, full)


def _calls(
    world: World, story: Story, plan: Clean, chance: random.Random, full: bool
) -> Iterator[Result]:
    cases = [
        (call, phase, lag)
        for call in plan.calls
        for phase in PHASES
        for lag in (LAGS if call in plan.late else (0,))
    ]
    if not full:
        effects = [case for case in cases if effect(case[0]) and case[1] in ("pre", "post")]
        others = [case for case in cases if case not in effects]
        some, more = (4, 2) if story.cloud == "aws" else (9, 5)
        cases = chance.sample(effects, min(some, len(effects))) + chance.sample(others, more)
    for call, phase, lag in cases:
        again = _again(story, chance)
        yield killed_at_call(
            world, story, call, phase, lag, again=again, over=chance.random() < 0.3
        )


def _steps(
    world: World, story: Story, plan: Clean, chance: random.Random, full: bool
) -> Iterator[Result]:
    numbers = range(1, len(plan.steps) + 1)
    if not full:
        numbers = sorted(chance.sample(numbers, 3 if story.cloud == "aws" else 8))
    for at in numbers:
        again = _again(story, chance)
        yield killed_at_step(world, story, at, plan.steps[at - 1], again=again, over=False)


def effect(call: Call) -> bool:
    """Whether a call changes something in the cloud."""
    verb = call.action.partition(".")[2] if call.cloud == "gcp" else call.action
    return not verb.startswith(("Describe", "Get", "Lookup", "get", "list", "aggregated", "wait"))


def double(world: World, full: bool, seed: int) -> Iterator[Result]:
    """Killed, and killed again in the command that comes to recover."""
    chance = random.Random(seed + 1)
    for cloud in ("aws", "gcp"):
        for story in stories(cloud):
            plan = clean(world, story)
            for _ in range(24 if full else 1):
                yield _twice(world, story, plan, chance)


def _twice(world: World, story: Story, plan: Clean, chance: random.Random) -> Result:
    lag = chance.choice(LAGS)
    call, phase = _point(plan, chance)
    stage, done = _struck(world, story, Plan(call, phase), lag)
    case = f"{story.cloud} {story.name} {phase} {call}, then"
    if not done.fired:
        return stage.result(case, ["the first fault did not happen"])
    world.pass_time(seconds=20)
    again = _again(story, chance)
    if chance.random() < 0.4:
        at = chance.randrange(1, 40)
        done = stage.run(*again, at=at)
        case += f" {again[0]} step {at}"
        fired = done.code == -9
    else:
        second = Plan(judge=_nth(chance.randrange(0, 8), chance.choice(("pre", "post", "mid"))))
        done = stage.run(*again, plan=second)
        case += f" {again[0]} again"
        fired = bool(second.fired)
    recover(stage, _again(story, chance))
    most = story.most + (again is story.argv and story.argv[0] == "up")
    return stage.result(case + ("" if fired else " (over before)"), ended(stage, most))


def _point(plan: Clean, chance: random.Random) -> tuple[Call, str]:
    effects = [call for call in plan.calls if effect(call)]
    calls = effects if effects and chance.random() < 0.7 else list(plan.calls)
    return chance.choice(calls), chance.choice(PHASES)


def _nth(number: int, phase: str):
    left = [number]

    def judge_(call: Call, body: str) -> str | None:
        left[0] -= 1
        return phase if left[0] == -1 else None

    return judge_


ROWS = (
    Row(
        "kills",
        "kill -9 at every API call x {pre, post, mid, drop} x lag {0, 1, 5} (from the launch on), "
        "and at every ledger statement and file; up, down, extend, audit --fix; AWS and GCP",
        "after at most 2 later commands: nothing leaked, nothing double, one span for each run",
        1_000,
        every_kill,
    ),
    Row(
        "double",
        "double faults: killed again during recovery",
        "the same",
        200,
        double,
    ),
)
