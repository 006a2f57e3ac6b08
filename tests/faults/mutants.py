"""The protocol, broken on purpose: a sweep that does not notice is worth nothing.

`apply` breaks the program inside one command's own process; `cases` are the few cases of the
sweeps that must then fail, and do not without it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

Cases = Callable[..., Iterator[object]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to break a promise."""

    title: str
    apply: Callable[[], None]
    cases: Cases


def _at(cloud: str, story: str, phase: str, action: str, lag: int = 0, again: str = "ps") -> Cases:
    """A kill (or cut) at the first call of that name."""

    def cases(world, mutant):
        from tests.faults.cases import stories  # noqa: PLC0415 - a child needs none of it
        from tests.faults.kills import killed_at_call  # noqa: PLC0415
        from tests.faults.proxy import Call  # noqa: PLC0415

        told = next(one for one in stories(cloud) if one.name == story)
        typed = told.argv if again == "again" else (again,)
        call = Call(cloud, action, 0)
        yield killed_at_call(world, told, call, phase, lag, again=typed, mutant=mutant)

    return cases


def _cut_always(world, mutant):
    """Every answer to a launch is lost, and what was launched is not shown at once."""
    from tests.faults.cases import Stage, recover  # noqa: PLC0415
    from tests.faults.kills import ended  # noqa: PLC0415
    from tests.faults.proxy import Plan  # noqa: PLC0415

    stage = Stage(world, "aws", mutant)
    stage.well("ps")
    world.aws.control("lag", n=9)
    plan = Plan(judge=lambda call, body: "drop" if call.action == "RunInstances" else None)
    up = ("up", "-p", stage.project, "-y")
    stage.run(*up, plan=plan)
    recover(stage, up)
    yield stage.result("aws up, every answer to a launch lost", ended(stage, 1))


def _hidden_twice(world, mutant):
    """Two looks, more than a minute apart, at what EC2 does not show yet."""
    from tests.faults.cases import Stage, recover  # noqa: PLC0415
    from tests.faults.kills import ended  # noqa: PLC0415

    stage = Stage(world, "aws", mutant)
    stage.well("ps")
    world.aws.control("lag", n=99)
    stage.run("up", "-p", stage.project, "-y", "--detach")
    for _ in range(2):
        world.pass_time(seconds=65)
        stage.run("ps")
    recover(stage, ("ps",))
    yield stage.result("aws up, hidden for two looks", ended(stage, 1))


def _on_demand(world, mutant):
    """On demand, where the launch's own word decides what a power-off does; and no more."""
    from tests.faults.cases import Stage  # noqa: PLC0415
    from tests.faults.judge import over  # noqa: PLC0415

    stage = Stage(world, "aws", mutant)
    stage.well("up", "-p", stage.project, "-y", "--detach", "--on-demand")
    yield stage.result("aws up on demand, to the lease's end", over(world, stage.home))


def _crowd(world, mutant):
    import random  # noqa: PLC0415

    from tests.faults.crowd import one_round  # noqa: PLC0415

    yield one_round(world, "aws", 3, "name", random.Random(1), mutant)


def _damaged(world, mutant):
    from tests.faults.cases import stories  # noqa: PLC0415
    from tests.faults.disks import damaged  # noqa: PLC0415

    down = next(one for one in stories("gcp") if one.name == "down")
    yield damaged(world, down, "cut in half", mutant)


# --- how they break it


def _no_intent() -> None:
    from gpuctl.app import launch  # noqa: PLC0415
    from gpuctl.core.events import Intent  # noqa: PLC0415
    from gpuctl.ledger.store import SqliteLedger  # noqa: PLC0415

    append = SqliteLedger.append
    SqliteLedger.append = lambda self, events: append(
        self, [e for e in events if not (isinstance(e, Intent) and e.verb == "start")]
    )
    launch._is_second = lambda *_, **__: False


def _fresh_token() -> None:
    import uuid  # noqa: PLC0415

    from gpuctl.providers.aws.client import Clients  # noqa: PLC0415

    launcher = Clients.launcher

    class Fresh:
        def __init__(self, real):
            self._real = real

        def run_instances(self, **request):
            return self._real.run_instances(**{**request, "ClientToken": uuid.uuid4().hex})

    Clients.launcher = lambda self, region: Fresh(launcher(self, region))


def _impatient() -> None:
    from gpuctl.app import settle  # noqa: PLC0415

    settle.GIVE_UP = timedelta()


def _untagged() -> None:
    from gpuctl.providers.aws import launch  # noqa: PLC0415

    build = launch.request_for

    def request_for(order, ground):
        request = build(order, ground)
        request["TagSpecifications"] = []
        return request

    launch.request_for = request_for


def _outcome_first() -> None:
    from gpuctl.core.events import Intent, Outcome  # noqa: PLC0415
    from gpuctl.ledger.store import SqliteLedger  # noqa: PLC0415

    append = SqliteLedger.append

    def hasty(self, events):
        events = list(events)
        for event in list(events):
            if isinstance(event, Intent) and event.verb == "stop":
                done = Outcome(f"{event.id}/outcome", event.id, event.at, "done", event.machine)
                events.append(done)
        return append(self, events)

    SqliteLedger.append = hasty


def _timeout_is_failure() -> None:
    from gpuctl.core.errors import Busy, UnknownOutcome  # noqa: PLC0415
    from gpuctl.providers.aws.provider import AwsProvider  # noqa: PLC0415

    start = AwsProvider.start

    def sure(self, order):
        try:
            return start(self, order)
        except UnknownOutcome as error:
            raise Busy(error.message) from error

    AwsProvider.start = sure


def _no_doubt() -> None:
    from gpuctl.app import up  # noqa: PLC0415

    up._in_doubt = lambda synced, asked: False


def _no_line() -> None:
    from gpuctl.app import launch  # noqa: PLC0415

    launch._is_second = lambda *_, **__: False


def _absent_is_gone() -> None:
    from gpuctl.core import absence  # noqa: PLC0415

    absence.PATIENCE = timedelta()
    absence.is_young = lambda *_: False


def _stop_not_finished() -> None:
    from gpuctl.app import settle  # noqa: PLC0415

    settle._settle_stop = lambda app, known, intent, machines, ref: settle.outcome_of(
        app, intent, "done", machine=intent.machine
    )


def _no_switch() -> None:
    from gpuctl import wiring  # noqa: PLC0415

    wiring._boot = lambda lease, user, gpus: b"#!/bin/sh\n"


def _stops_only() -> None:
    from gpuctl.providers.aws import launch  # noqa: PLC0415

    build = launch.request_for
    changed = {"InstanceInitiatedShutdownBehavior": "stop"}
    launch.request_for = lambda order, ground: build(order, ground) | changed


def _machine_first() -> None:
    from gpuctl.app import extend  # noqa: PLC0415
    from gpuctl.core.events import Extended  # noqa: PLC0415

    later = extend.extend

    def hasty(app, synced, machine, deadline):
        app.reach.extend(machine, deadline)
        return later(app, synced, machine, deadline)

    def skip(app):
        append = app.ledger.append
        app.ledger.append = lambda events: append(
            [e for e in events if not isinstance(e, Extended)]
        )

    def mutated(app, synced, machine, deadline):
        skip(app)
        return hasty(app, synced, machine, deadline)

    extend.extend = mutated


def _laptop_clock() -> None:
    from dataclasses import replace  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from gpuctl.providers.aws import translate  # noqa: PLC0415

    told = translate.ending_of

    def ending_of(instance):
        ending = told(instance)
        now = datetime.now(UTC).replace(microsecond=0)
        return None if ending is None else replace(ending, at=now)

    translate.ending_of = ending_of


def _found_is_forgotten() -> None:
    """Both of what sees it: the search by token, and the look at outcomes."""
    _no_doubt()
    from gpuctl.app import sync  # noqa: PLC0415

    settle = sync.settle
    sync.settle = lambda *args: (settle(*args)[0], ())


def _soft_down() -> None:
    from gpuctl.cli.session import Session  # noqa: PLC0415

    class Nothing:
        error = None

    Session.stubborn = lambda self: (self.app, Nothing())


def _unlabelled() -> None:
    from gpuctl.providers.gcp import request  # noqa: PLC0415
    from gpuctl.providers.gcp import vm as vms  # noqa: PLC0415

    build = request.new_vm

    def new_vm(order, **more):
        body = build(order, **more)
        body["labels"] = {}
        return body

    vms.new_vm = new_vm


MUTANTS = {
    "no-intent": Mutant(
        "nothing is written before a launch",
        _no_intent,
        _at("aws", "up", "post", "RunInstances", 5, "again"),
    ),
    "fresh-token": Mutant(
        "every try has a token of its own", _fresh_token, _at("aws", "up", "drop", "RunInstances")
    ),
    "impatient": Mutant(
        "an order without a trace is given up at once",
        _impatient,
        _at("aws", "up", "post", "RunInstances", 5, "again"),
    ),
    "untagged": Mutant(
        "the launch carries no tags", _untagged, _at("aws", "up", "post", "RunInstances")
    ),
    "unlabelled": Mutant(
        "the VM carries no labels", _unlabelled, _at("gcp", "up", "post", "instances.insert")
    ),
    "outcome-first": Mutant(
        "down is noted as done before it is sent",
        _outcome_first,
        _at("aws", "down", "pre", "TerminateInstances"),
    ),
    "timeout-is-failure": Mutant(
        "a lost answer counts as a refusal", _timeout_is_failure, _cut_always
    ),
    "no-doubt": Mutant(
        "up does not wait for what was just ordered",
        _no_doubt,
        _at("aws", "up", "post", "RunInstances", 5, "again"),
    ),
    "no-line": Mutant("two at once do not see each other's order", _no_line, _crowd),
    "absent-is-gone": Mutant(
        "what a listing lacks has ended",
        _absent_is_gone,
        _hidden_twice,
    ),
    "stop-not-finished": Mutant(
        "a stop that was cut off is not sent again",
        _stop_not_finished,
        _at("aws", "down", "pre", "TerminateInstances"),
    ),
    "no-switch": Mutant(
        "the first script sets no deadline", _no_switch, _at("aws", "up", "post", "RunInstances")
    ),
    "stops-only": Mutant(
        "a machine that powers itself off is stopped, and its disk stays",
        _stops_only,
        _on_demand,
    ),
    "machine-first": Mutant(
        "extend tells the machine before the ledger",
        _machine_first,
        _at("aws", "extend", "pre", "CreateTags"),
    ),
    "laptop-clock": Mutant(
        "the end of a run is when this computer saw it",
        _laptop_clock,
        _at("aws", "down", "post", "TerminateInstances"),
    ),
    "found-is-forgotten": Mutant(
        "what only its token finds does not count as running",
        _found_is_forgotten,
        _at("aws", "up", "post", "RunInstances", 1, "again"),
    ),
    "soft-down": Mutant("down gives in to a damaged ledger", _soft_down, _damaged),
}


def caught(world, full: bool, seed: int):
    """Each mutant's cases must fail with it and pass without it."""
    from tests.faults.cases import Result, Unfit  # noqa: PLC0415

    del seed
    for name, mutant in MUTANTS.items():
        try:
            found = [line for result in mutant.cases(world, name) for line in result.wrong]
        except Unfit as error:
            found = [str(error)]
        if full:
            control = [r for r in mutant.cases(world, None) if not r.ok]
            if control:
                yield Result(f"{name}: {mutant.title}", ("fails without it too",), control[0].wrong)
                continue
        wrong = () if found else ("not noticed",)
        yield Result(f"{name}: {mutant.title}", wrong, tuple(found[:1]))


def rows():
    from tests.faults.cases import Row  # noqa: PLC0415

    title = "the protocol broken on purpose, one promise at a time"
    return (Row("mutants", title, "each is noticed, and its cases pass without it", 10, caught),)
