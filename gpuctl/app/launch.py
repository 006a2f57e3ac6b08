"""The launch itself: offer after offer, each attempt in the ledger before it is sent."""

from collections.abc import Collection, Sequence

from gpuctl.app import App
from gpuctl.app.door import access_of
from gpuctl.app.plan import Attempt, Plan
from gpuctl.app.pricing import price_event
from gpuctl.app.settle import note_outcome, outcome_of
from gpuctl.app.sync import note_machine
from gpuctl.core.errors import CannotFill, GpuctlError, NoZoneCapacity, UnknownOutcome
from gpuctl.core.events import Event, Intent, Leased, Outcome
from gpuctl.core.kinds import Kind, Market, Priced, Unit
from gpuctl.core.model import Machine, Offer, Order, PricePoint
from gpuctl.core.offers import after
from gpuctl.core.orders import write_order
from gpuctl.core.sync import switches


class NothingStarted(GpuctlError):
    """All offers were refused: carries what was tried, for `attempts` in the output."""

    exit_code = 5

    def __init__(self, error: CannotFill, attempts: Sequence[Attempt]) -> None:
        super().__init__(error.message, hint=error.hint, detail=error.detail)
        self.attempts = tuple(attempts)


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


class Overtaken(GpuctlError):
    """Another command is starting a machine of that name right now: look again."""


def launch(
    app: App, plan: Plan, known: Collection[str], *, unnamed: bool = False
) -> tuple[Machine, list[Attempt]]:
    """Offer after offer until one is accepted; each attempt is in the ledger before it is sent.

    `known` are the intents that were in the ledger when the plan was made. Overtaken when another
    command wrote one for a machine of that name since (`unnamed`: or any for the project and
    template): in the ledger one of them comes first.
    """
    provider = app.clouds.connect(plan.ref)
    mine: set[str] = set()
    lease = _lease(app, plan)
    app.ledger.append([lease])
    attempts = list(plan.skipped)
    offers = list(plan.offers)
    last: CannotFill | None = None
    while offers:
        offer = offers.pop(0)
        lease = _lease_for(app, plan, lease, offer)
        order = _order(app, plan, lease, offer)
        intent = Intent(
            id=order.token, lease=lease.id, verb="start", at=app.clock(), order=write_order(order)
        )
        app.ledger.append([intent])
        mine.add(intent.id)
        if _is_second(app, plan, intent, {*known, *mine}, unnamed=unnamed):
            note_outcome(app, outcome_of(app, intent, "failed", code="overtaken"))
            raise Overtaken(f"another command is starting {plan.name}")
        try:
            with app.progress.step(f"asking for {offer.type} {offer.market} in {offer.zone}"):
                machine = provider.start(order)
        except CannotFill as error:
            note_outcome(app, outcome_of(app, intent, "failed", code=error.code))
            app.progress.note(f"{offer.type} in {offer.zone}: {error.message}")
            attempts.append(attempt_of(offer, error))
            offers, last = list(after(offers, offer, error)), error
        except UnknownOutcome:
            raise
        except GpuctlError as error:
            # Refused for a reason no other offer can mend: the cloud did nothing.
            note_outcome(app, outcome_of(app, intent, "failed", code=type(error).__name__))
            raise
        else:
            attempts.append(attempt_of(offer))
            _record(app, plan, intent, offer, machine)
            return machine, attempts
    raise NothingStarted(_all_refused(plan, attempts, last), attempts)


def _is_second(
    app: App, plan: Plan, intent: Intent, known: Collection[str], *, unnamed: bool
) -> bool:
    """Whether the ledger has such an order before this one, of which nobody knew.

    The ledger has one order for all its writers: of any two, one sees the other's.
    """
    events = app.ledger.events()
    before = events[: events.index(intent)]
    wanted = (plan.project, plan.template.name)
    same = {
        lease.id
        for lease in before
        if isinstance(lease, Leased)
        and (lease.name == plan.name or (unnamed and (lease.project, lease.template) == wanted))
    }
    failed = {e.intent for e in events if isinstance(e, Outcome) and e.result == "failed"}
    return any(
        isinstance(event, Intent)
        and event.verb == "start"
        and event.lease in same
        and event.id not in known
        and event.id not in failed
        for event in before
    )


def _lease_for(app: App, plan: Plan, lease: Leased, offer: Offer) -> Leased:
    """The lease, or another where a dearer offer uses the budget up sooner."""
    deadline = plan.deadline_of(offer)
    if deadline == lease.deadline:
        return lease
    lease = lease._replace(id=app.new_id(), deadline=deadline)
    app.ledger.append([lease])
    return lease


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
    outcome = outcome_of(app, intent, "done", machine=str(machine.id))
    note_outcome(app, outcome, _offer_prices(plan, offer))
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
    given = {"vm": template.vm, "service_account": template.service_account}
    settings = {name: value for name, value in given.items() if value is not None}
    image = plan.images.get(offer.region)
    return Order(
        token=app.new_id(),
        lease=lease.id,
        install=app.ledger.install,
        name=plan.name,
        project=plan.project,
        offer=offer,
        image=image.id if image is not None else template.image or "",
        image_name=None if image is None else image.key,
        recipe_sha256=None if image is None else image.recipe_sha256,
        disk=template.disk,
        data=template.data,
        access=access_of(app, template, lease.deadline),
        deadline=lease.deadline,
        max_run=plan.ceiling - plan.made_at,
        user_data=app.boot(lease, template.user, offer.gpus),
        subnet=template.subnet,
        instance_profile=template.instance_profile,
        max_hourly=template.max_price if offer.market is Market.SPOT else None,
        adopt=plan.adopted is not None,
        settings=settings,
        template=template.name,
    )
