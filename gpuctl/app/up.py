"""`up`: give a project a machine. Intent before effect, one token an attempt, armed or ended."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from gpuctl.app import App
from gpuctl.app.door import access_of
from gpuctl.app.fleet import Shown, show
from gpuctl.app.plan import Attempt, Plan, make_plan
from gpuctl.app.pricing import price_event
from gpuctl.app.ready import wait_until_ready
from gpuctl.app.settle import outcome_of
from gpuctl.app.sync import Synced, note_machine, sync
from gpuctl.config.model import Template
from gpuctl.core.errors import CannotFill, GpuctlError, NoZoneCapacity, UnknownOutcome, UsageProblem
from gpuctl.core.events import Event, Intent, Leased
from gpuctl.core.model import (
    Kind,
    Machine,
    Market,
    Offer,
    Order,
    Priced,
    PricePoint,
    State,
    Unit,
    Want,
)
from gpuctl.core.names import client_of
from gpuctl.core.offers import after
from gpuctl.core.orders import write_order
from gpuctl.core.ports import CloudRef
from gpuctl.core.sync import switches

_RETRY_S = 30.0
"""Between two rounds of `--wait`: spot capacity moves in minutes, not seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for; `template` has the flags applied already."""

    project: str
    template: Template
    name: str | None = None
    wait: timedelta | None = None
    detach: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """The machine (None after --dry-run or a refusal) and every offer that was gone through."""

    machine: Shown | None
    attempts: tuple[Attempt, ...]
    plan: Plan | None = None
    existed: bool = False


class NothingStarted(GpuctlError):
    """All offers were refused: carries what was tried, for `attempts` in the output."""

    exit_code = 5

    def __init__(self, error: CannotFill, attempts: Sequence[Attempt]) -> None:
        super().__init__(error.message, hint=error.hint, detail=error.detail)
        self.attempts = tuple(attempts)


def up(app: App, asked: Asked, confirm: Callable[[Plan], bool]) -> Up:
    """Start a machine, or find the one that runs already.

    Raises NothingStarted (5), BudgetExceeded (6), Denied (4), UnknownOutcome (75).
    """
    ref = app.clouds.of(asked.template.provider, asked.project)
    until = None if asked.wait is None else app.clock() + asked.wait
    while True:
        synced, offers, want = _look(app, asked, ref)
        running = _running(synced, asked)
        if running is not None:
            return _already(app, asked, running, ref)
        try:
            return _try_offers(app, asked, confirm, (synced, offers, want, ref))
        except NothingStarted as error:
            if until is None or app.clock() >= until:
                raise
            app.progress.note(f"{error.message.splitlines()[0]} Trying again until {until:%H:%MZ}.")
            app.sleep(_RETRY_S)


def _look(app: App, asked: Asked, ref: CloudRef) -> tuple[Synced, Sequence[Offer], Want]:
    """Sync and ask the market at the same time: neither needs the other's answer."""
    refs = list(dict.fromkeys([*app.clouds.accounts(), ref]))
    want = asked.template.want()
    if want.name is None and asked.name is not None:
        want = replace(want, name=asked.name)
    with app.progress.step("asking the clouds"), ThreadPoolExecutor(2) as pool:
        offers = pool.submit(lambda: app.clouds.connect(ref).offers(want))
        synced = sync(app, refs=refs)
        return synced, offers.result(), want


def _running(synced: Synced, asked: Asked) -> Machine | None:
    for machine in synced.machines:
        if machine.state not in (State.STARTING, State.RUNNING):
            continue
        if asked.name is not None:
            if machine.name == asked.name:
                return machine
        elif machine.project == asked.project:
            lease = synced.books.leases.get(machine.lease or "")
            if lease is not None and lease.template == asked.template.name:
                return machine
    return None


def _already(app: App, asked: Asked, machine: Machine, ref: CloudRef) -> Up:
    if machine.project != asked.project:
        raise UsageProblem(
            f"{machine.name} is running for {machine.project}",
            hint=f"gpuctl switch {machine.name} {asked.project}, or give another name",
        )
    app.progress.note(f"{machine.name} is up already")
    if not asked.detach:
        machine = wait_until_ready(app, app.clouds.connect(ref), machine)
    return Up(machine=_shown(app, machine, ref.payer), attempts=(), existed=True)


def _try_offers(
    app: App,
    asked: Asked,
    confirm: Callable[[Plan], bool],
    market: tuple[Synced, Sequence[Offer], Want, CloudRef],
) -> Up:
    synced, offers, want, ref = market
    try:
        plan = make_plan(
            app,
            synced,
            offers,
            project=asked.project,
            name=asked.name or next_name(synced, asked),
            template=asked.template,
            want=want,
            ref=ref,
        )
    except CannotFill as error:
        skipped = [attempt_of(offer, error) for offer in offers]
        raise NothingStarted(error, skipped) from error
    if not confirm(plan) or asked.dry_run:
        return Up(machine=None, attempts=plan.skipped, plan=plan)
    machine, attempts = _launch(app, plan)
    if not asked.detach:
        machine = wait_until_ready(app, app.clouds.connect(ref), machine)
    return Up(machine=_shown(app, machine, ref.payer), attempts=tuple(attempts), plan=plan)


def next_name(synced: Synced, asked: Asked) -> str:
    """The template's VM, a stopped machine of the project to start again, or `vision-N`."""
    if asked.template.vm is not None:
        return asked.template.vm
    for machine in synced.machines:
        lease = synced.books.leases.get(machine.lease or "")
        same = lease is not None and lease.template == asked.template.name
        if machine.state is State.STOPPED and machine.project == asked.project and same:
            return machine.name
    stem = asked.project.partition("/")[2]
    if not stem[0].isalpha():
        stem = f"{client_of(asked.project)}-{stem}" if asked.project[0].isalpha() else f"m-{stem}"
    taken = {lease.name for lease in synced.books.leases.values()}
    taken |= {machine.name for machine in synced.machines}
    return next(name for n in range(1, 10_000) if (name := f"{stem}-{n}") not in taken)


def attempt_of(offer: Offer, error: CannotFill | None = None) -> Attempt:
    """An offer as an attempt: started, refused with the code, or skipped with the reason."""
    outcome = "started" if error is None else "refused" if offer.available else "skipped"
    return Attempt(
        type=offer.type,
        zone=offer.zone or None,
        market=offer.market,
        outcome=outcome,
        code=None if error is None else error.code,
        reason=offer.reason or (None if error is None else error.message),
    )


def _launch(app: App, plan: Plan) -> tuple[Machine, list[Attempt]]:
    """Offer after offer until one is accepted; each attempt is in the ledger before it is sent."""
    provider = app.clouds.connect(plan.ref)
    lease = _lease(app, plan)
    app.ledger.append([lease])
    attempts = list(plan.skipped)
    offers = list(plan.offers)
    last: CannotFill | None = None
    while offers:
        offer = offers.pop(0)
        order = _order(app, plan, lease, offer)
        intent = Intent(
            id=order.token, lease=lease.id, verb="start", at=app.clock(), order=write_order(order)
        )
        app.ledger.append([intent])
        try:
            with app.progress.step(f"asking for {offer.type} {offer.market} in {offer.zone}"):
                machine = provider.start(order)
        except CannotFill as error:
            app.ledger.append([outcome_of(app, intent, "failed", code=error.code)])
            app.progress.note(f"{offer.type} in {offer.zone}: {error.message}")
            attempts.append(attempt_of(offer, error))
            offers, last = list(after(offers, offer, error)), error
        except UnknownOutcome:
            raise
        except GpuctlError as error:
            # Refused for a reason no other offer can mend: the cloud did nothing.
            app.ledger.append([outcome_of(app, intent, "failed", code=type(error).__name__)])
            raise
        else:
            attempts.append(attempt_of(offer))
            _record(app, plan, intent, offer, machine)
            return machine, attempts
    raise NothingStarted(_all_refused(plan, attempts, last), attempts)


def _all_refused(plan: Plan, attempts: Sequence[Attempt], last: CannotFill | None) -> CannotFill:
    refused = [attempt for attempt in attempts if attempt.outcome == "refused"]
    lines = "\n".join(f"  {a.type} in {a.zone}: {a.reason}" for a in refused)
    code = last.code if last is not None else "none"
    return NoZoneCapacity(
        f"no machine could be had for {plan.project}; nothing was created, nothing is billed.\n"
        f"{lines}",
        code=code,
        hint=(last.hint if last is not None else None)
        or f"gpuctl up -p {plan.project} -t {plan.template.name} --wait 2h",
        detail=last.detail if last is not None else None,
    )


def _record(app: App, plan: Plan, intent: Intent, offer: Offer, machine: Machine) -> None:
    """The cloud has accepted: outcome, runs, owner and the prices that are known already."""
    facts: list[Event] = [outcome_of(app, intent, "done", machine=str(machine.id))]
    app.ledger.append([*facts, *_offer_prices(plan, offer)])
    known = note_machine(app, machine, plan.ref.payer)
    app.ledger.append(switches(known, str(machine.id), plan.project, app.clock()))


def _offer_prices(plan: Plan, offer: Offer) -> Sequence[Event]:
    """What the machine would cost on demand, for the saving that the receipt shows."""
    if offer.on_demand_hourly is None or offer.components:
        return ()
    thing = Priced(
        provider=offer.provider,
        region=offer.region,
        zone=None,
        kind=Kind.COMPUTE,
        sku=offer.type,
        market=Market.ON_DEMAND,
        unit=Unit.HOUR,
    )
    point = PricePoint(at=plan.made_at, usd=offer.on_demand_hourly, source=offer.source or "offer")
    return [price_event(thing, point)]


def _lease(app: App, plan: Plan) -> Leased:
    idle = plan.template.idle_stop
    return Leased(
        id=app.new_id(),
        name=plan.name,
        project=plan.project,
        provider=plan.ref.provider,
        account=app.clouds.connect(plan.ref).account,
        template=plan.template.name,
        at=app.clock(),
        deadline=plan.deadline,
        ceiling=plan.ceiling,
        idle_stop_s=None if idle is None else int(idle.total_seconds()),
        budget=plan.template.budget,
        payer=plan.ref.payer,
    )


def _order(app: App, plan: Plan, lease: Leased, offer: Offer) -> Order:
    template = plan.template
    settings = {} if template.vm is None else {"vm": template.vm}
    return Order(
        token=app.new_id(),
        lease=lease.id,
        install=app.ledger.install,
        name=plan.name,
        project=plan.project,
        offer=offer,
        image=template.image or "",
        disk=template.disk,
        data=template.data,
        access=access_of(app, template, lease.deadline),
        deadline=plan.deadline,
        max_run=plan.ceiling - plan.made_at,
        user_data=app.boot(lease, template.user, offer.gpus),
        subnet=template.subnet,
        instance_profile=template.instance_profile,
        max_hourly=template.max_price if offer.market is Market.SPOT else None,
        adopt=plan.adopted is not None,
        settings=settings,
    )


def _shown(app: App, machine: Machine, payer: str | None) -> Shown:
    known = note_machine(app, machine, payer)
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
