"""`up`: give a project a machine, or find the one that it has."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.fleet import Shown, owner, show
from gpuctl.app.insure import insured
from gpuctl.app.launch import NothingStarted, Overtaken, attempt_of, launch
from gpuctl.app.plan import Attempt, Plan, make_plan
from gpuctl.app.pricing import record_prices
from gpuctl.app.ready import set_up, wait_until_ready
from gpuctl.app.sync import Synced, note_machine, sync
from gpuctl.config.template import Template
from gpuctl.core.absence import PATIENCE, YOUNG
from gpuctl.core.errors import CannotFill, ListingIncomplete, NameTaken, UsageProblem
from gpuctl.core.events import Intent
from gpuctl.core.kinds import State
from gpuctl.core.model import Machine, Offer, Want
from gpuctl.core.names import client_of
from gpuctl.core.ports import CloudRef

__all__ = ["Asked", "NothingStarted", "Up", "apply_flags", "next_name", "up"]

_RETRY_S = 30.0
"""Between two rounds of `--wait`: spot capacity moves in minutes, not seconds."""
_DOUBT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for; `template` has the flags applied already."""

    project: str
    template: Template
    name: str | None = None
    wait: timedelta | None = None
    avoid: tuple[str, ...] = ()
    """Zones to try after all others: they have just taken a machine back."""
    detach: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The machine (None after --dry-run or a refusal) and every offer that was gone through."""

    machine: Shown | None
    attempts: tuple[Attempt, ...]
    plan: Plan | None = None
    existed: bool = False


def up(app: App, asked: Asked, confirm: Callable[[Plan], bool]) -> Up:
    """Start a machine, or find the one that runs already.

    Raises NothingStarted (5), BudgetExceeded (6), Denied (4), UnknownOutcome (75).
    """
    ref = app.clouds.of(asked.template.provider, asked.project)
    until = None if asked.wait is None else app.clock() + asked.wait
    confirm = _asked_once(confirm)
    taken = False
    while True:
        synced, offers, want = _look(app, asked, ref)
        running = _running(synced, asked)
        if running is not None:
            return _already(app, asked, synced, running)
        if _in_doubt(synced, asked):
            app.progress.note("whether an earlier up was heard is not known yet; looking again")
            app.sleep(_DOUBT_S)
            continue
        try:
            return _try_offers(app, asked, confirm, (synced, offers, want, ref))
        except Overtaken as other:
            app.progress.note(f"{other.message}; looking again")
        except NameTaken as error:
            if taken:
                raise  # it is not one of ours, or it would have been found
            taken = True
            app.progress.note(f"{error.message}; looking again")
        except NothingStarted as error:
            if until is None or app.clock() >= until:
                raise
            app.progress.note(f"{error.message.splitlines()[0]} Trying again until {until:%H:%MZ}.")
            app.sleep(_RETRY_S)


def _asked_once(confirm: Callable[[Plan], bool]) -> Callable[[Plan], bool]:
    """Whoever waits for capacity agrees once, and again only to what costs more."""
    agreed: list[Fraction | None] = []

    def ask(plan: Plan) -> bool:
        price = plan.hourly
        if any(most is None or (price is not None and price <= most) for most in agreed):
            return True
        if not confirm(plan):
            return False
        agreed.append(price)
        return True

    return ask


def _look(app: App, asked: Asked, ref: CloudRef) -> tuple[Synced, Sequence[Offer], Want]:
    """Sync and ask the market at the same time: neither needs the other's answer."""
    refs = list(dict.fromkeys([*app.clouds.accounts(), ref]))
    want = replace(asked.template.want(), avoid=asked.avoid)
    if want.name is None and asked.name is not None:
        want = replace(want, name=asked.name)
    with app.progress.step("asking the clouds"), ThreadPoolExecutor(2) as pool:
        offers = pool.submit(lambda: app.clouds.connect(ref).offers(want))
        synced = sync(app, refs=refs)
        found = offers.result()
    for silent in synced.silent:
        if silent.provider == str(ref):
            # The project's machine may well run there: a second one would be started beside it.
            raise ListingIncomplete(
                f"{ref} could not be listed, so nothing is started there: {silent.reason}",
                provider=ref.provider,
                region=silent.region,
                hint="gpuctl doctor",
            )
    return synced, found, want


def _running(synced: Synced, asked: Asked) -> Machine | None:
    for machine in synced.machines:
        if machine.state not in (State.STARTING, State.RUNNING):
            continue
        if asked.name is not None:
            if machine.name == asked.name:
                return machine
        elif _fits(synced, asked, machine):
            return machine
    return None


def _fits(synced: Synced, asked: Asked, machine: Machine) -> bool:
    """Whether it is the project's own, of that template."""
    lease = synced.books.leases.get(machine.lease or "")
    same = lease is not None and lease.template == asked.template.name
    return same and owner(synced.books, machine, synced.at) == asked.project


def _in_doubt(synced: Synced, asked: Asked) -> bool:
    """Whether such a machine was just ordered, and may exist though nobody shows it yet."""

    def same(lease_id: str) -> bool:
        lease = synced.books.leases.get(lease_id)
        if lease is None:
            return False
        if asked.name is not None:
            return lease.name == asked.name
        return (lease.project, lease.template) == (asked.project, asked.template.name)

    listed = {str(machine.id) for machine in synced.machines}

    def doubtful(intent: Intent) -> bool:
        outcome = synced.books.outcomes.get(intent.id)
        if outcome is None:
            return synced.at - intent.at < PATIENCE
        if outcome.result != "done" or outcome.machine in listed:
            return False
        # The clouds were listed before the ledger was read, and may show what is new late.
        seen = synced.books.seen.get(outcome.machine or "")
        alive = seen is None or seen.snapshot.get("state") in (State.STARTING, State.RUNNING)
        return alive and synced.at - intent.at < YOUNG

    return any(
        intent.verb == "start" and same(intent.lease) and doubtful(intent)
        for intent in synced.books.intents.values()
    )


def _already(app: App, asked: Asked, synced: Synced, machine: Machine) -> Up:
    project = owner(synced.books, machine, synced.at)
    if project != asked.project:
        raise UsageProblem(
            f"{machine.name} is running for {project or 'nobody that gpuctl knows'}",
            hint=f"gpuctl switch {machine.name} {asked.project}, or give another name",
        )
    app.progress.note(f"{machine.name} is up already")
    ref = synced.ref_of(machine)
    # Again: whoever started it may have been killed before this.
    ours = machine.install == app.ledger.install
    with insured(app, ref, machine, machine.deadline if ours else None):
        if not asked.detach:
            machine = wait_until_ready(app, ref, machine)
    return Up(machine=_shown(app, machine, ref), attempts=(), existed=True)


def _try_offers(
    app: App,
    asked: Asked,
    confirm: Callable[[Plan], bool],
    market: tuple[Synced, Sequence[Offer], Want, CloudRef],
) -> Up:
    synced, offers, want, ref = market
    name = asked.name or next_name(synced, asked)
    if want.name is None and any(machine.name == name for machine in synced.machines):
        # A stopped machine starts again where it stands, not where it would be cheapest.
        want = replace(want, name=name)
        offers = app.clouds.connect(ref).offers(want)
    try:
        plan = make_plan(
            app,
            synced,
            offers,
            project=asked.project,
            name=name,
            template=asked.template,
            want=want,
            ref=ref,
        )
    except CannotFill as error:
        skipped = [attempt_of(offer, error) for offer in offers]
        raise NothingStarted(error, skipped) from error
    if not confirm(plan) or asked.dry_run:
        return Up(machine=None, attempts=plan.skipped, plan=plan)
    machine, attempts = launch(app, plan, synced.books.intents, unnamed=asked.name is None)
    with insured(app, ref, machine, machine.deadline):
        if not asked.detach:
            machine = wait_until_ready(app, ref, machine)
    if not asked.detach and plan.adopted is None:
        set_up(app, asked.template, machine)
    return Up(machine=_shown(app, machine, ref), attempts=tuple(attempts), plan=plan)


def next_name(synced: Synced, asked: Asked) -> str:
    """The template's VM, a stopped machine of the project to start again, or `vision-N`."""
    if asked.template.vm is not None:
        return asked.template.vm
    for machine in synced.machines:
        if machine.state is State.STOPPED and _fits(synced, asked, machine):
            return machine.name
    stem = asked.project.partition("/")[2]
    if not stem[0].isalpha():
        stem = f"{client_of(asked.project)}-{stem}" if asked.project[0].isalpha() else f"m-{stem}"
    taken = {lease.name for lease in synced.books.leases.values()}
    taken |= {machine.name for machine in synced.machines}
    return next(name for n in range(1, 10_000) if (name := f"{stem}-{n}") not in taken)


def _shown(app: App, machine: Machine, ref: CloudRef) -> Shown:
    known = note_machine(app, machine, ref.payer)
    record_prices(app, known, {(machine.id.provider, machine.id.account): ref})
    return show(app.ledger.events(), known, [machine], app.clock())[0]


def apply_flags(
    template: Template,
    *,
    max_price: Decimal | None = None,
    ttl: timedelta | None = None,
    idle_stop: timedelta | None = None,
    budget: Decimal | None = None,
    region: str | None = None,
    zone: str | None = None,
) -> Template:
    """The template with what the command line says instead."""
    return replace(
        template,
        max_price=template.max_price if max_price is None else max_price,
        ttl=ttl or template.ttl,
        idle_stop=idle_stop or template.idle_stop,
        budget=template.budget if budget is None else budget,
        regions=(region,) if region else template.regions,
        zones=(zone,) if zone else template.zones,
    )
