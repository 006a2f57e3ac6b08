"""What `up` is about to do, with its price, before anything that costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.attempts import Attempt
from gpuctl.app.budget import Budget, budget_of, left_in_month, refuse_over_budget
from gpuctl.app.choose import Fit, with_the_image
from gpuctl.app.pricing import fetch_prices
from gpuctl.app.sync import Synced
from gpuctl.config.template import Template
from gpuctl.core.errors import BudgetExceeded, CannotFill, TypeNotOffered, UsageProblem
from gpuctl.core.events import Price
from gpuctl.core.images.stored import StoredImage
from gpuctl.core.kinds import Kind, Market, Priced, State, Unit
from gpuctl.core.meter import per_hour
from gpuctl.core.model import Machine, Offer, PricePoint, Want
from gpuctl.core.offers import matches, rank
from gpuctl.core.ports import CloudRef
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.rules import address_sku
from gpuctl.core.span import Span, format_duration

__all__ = ["Attempt", "Plan", "affordable", "make_plan", "nothing_to_try"]

_SHORTEST = timedelta(minutes=5)
"""A machine that a budget ends sooner is not worth its start."""
_REASONS = 3
"""Lines at most of why one type is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The offers to try in order, what is left out and why, and the money."""

    project: str
    name: str
    template: Template
    ref: CloudRef
    offers: tuple[Offer, ...]
    skipped: tuple[Attempt, ...]
    want: Want
    adopted: Machine | None
    deadline: datetime
    ceiling: datetime
    machine_hourly: Decimal | None
    disk_hourly: Fraction | None
    address_hourly: Fraction | None
    budget: Budget
    made_at: datetime
    images: Mapping[str, StoredImage] = field(default_factory=dict)
    """Region -> the image of one's own that is started there."""
    filling: PricePoint | None = None
    """USD per GB of the image that `disk.init_rate` costs at most, once; None = not known."""

    @property
    def hourly(self) -> Fraction | None:
        """USD an hour with disk and address; None when a price is missing."""
        parts = (self.machine_hourly, self.disk_hourly, self.address_hourly)
        if any(part is None for part in parts):
            return None
        return sum((Fraction(part) for part in parts if part is not None), Fraction(0))

    @property
    def worst(self) -> Fraction | None:
        """USD if it runs until its deadline at this price."""
        return self.worst_of(self.offers[0])

    def hourly_of(self, offer: Offer) -> Fraction | None:
        """USD an hour of another offer, with disk and address."""
        return replace(self, machine_hourly=offer.hourly).hourly

    def worst_of(self, offer: Offer) -> Fraction | None:
        """USD if that offer is taken and runs until its deadline."""
        hourly = self.hourly_of(offer)
        lifetime = self.deadline_of(offer) - self.made_at
        return None if hourly is None else hourly * Fraction(int(lifetime.total_seconds()), 3_600)

    def deadline_of(self, offer: Offer) -> datetime:
        """A budget in dollars is a deadline too: the moment at which it is used up.

        So is what a hard budget of the project leaves, though never one that is no use at all.
        """
        budget, hourly = self.template.budget, self.hourly_of(offer)
        deadline = self.deadline
        if hourly is not None and self.budget.hard and self.budget.room is not None:
            lasts = max(affordable(max(self.budget.room, Fraction(0)), hourly), _SHORTEST)
            deadline = min(deadline, self.made_at + lasts)
        if budget is None or hourly is None:
            return deadline
        return min(deadline, self.made_at + affordable(budget, hourly))


def make_plan(
    app: App,
    synced: Synced,
    offers: Sequence[Offer],
    *,
    project: str,
    name: str,
    template: Template,
    want: Want,
    ref: CloudRef,
) -> Plan:
    """Rank what the market offers and price it. Raises what makes `up` pointless.

    `CannotFill` (exit 5) when nothing can be had, `BudgetExceeded` (6), `UsageProblem` (2).
    """
    now = app.clock()
    place = (ref.provider, app.clouds.connect(ref).account)
    named = (m for m in synced.machines if m.name == name and _stopped(m))
    adopted = next((m for m in named if (m.id.provider, m.id.account) == place), None)
    ranked = rank(offers, want)
    # What is started again keeps the image that it was made from.
    fit = with_the_image(app, ref, template, ranked) if adopted is None else Fit(tuple(ranked), {})
    candidates: Sequence[Offer] = fit.offers
    skipped = (*_skipped(offers, want), *fit.skipped)
    if not candidates:
        raise nothing_to_try(template, skipped)
    _refuse_over_machines(app, synced)
    candidates, dear = _within_hourly_limit(app, candidates)
    disk, address = _extras(app, ref, candidates[0], template, now)
    budget = budget_of(app, project, now)
    plan = Plan(
        project=project,
        name=name,
        template=template,
        ref=ref,
        offers=tuple(candidates),
        skipped=(*skipped, *dear),
        want=want,
        adopted=adopted,
        deadline=now + app.settings.lifetime(template),
        ceiling=now + app.settings.limits.max_lifetime,
        machine_hourly=candidates[0].hourly,
        disk_hourly=disk,
        address_hourly=address,
        budget=budget,
        made_at=now,
        images=fit.images,
        filling=_filling(app, ref, candidates[0], template),
    )
    _refuse_small_budgets(plan)
    plan = replace(plan, deadline=plan.deadline_of(plan.offers[0]))
    refuse_over_budget(app, budget, plan.worst or Fraction(0), now)
    return _without_dearer(app, plan)


def nothing_to_try(template: Template, skipped: Sequence[Attempt]) -> CannotFill:
    """The error for a template of which nothing is offered, with each reason."""
    lines = [f"  {type_}: {why}" for type_, why in told_of(skipped)]
    reasons = "\n".join(lines) or "  no offer came back"
    return TypeNotOffered(
        f"nothing that template {template.name} asks for is offered:\n{reasons}",
        code="not-offered",
        hint="gpuctl offers    (what can be had)",
    )


def told_of(skipped: Sequence[Attempt]) -> Sequence[tuple[str, str]]:
    """Types and why each is left out, for people: a type that is too dear everywhere is so once."""
    by_type: dict[str, list[str]] = {}
    for skip in skipped:
        by_type.setdefault(skip.type, []).append(skip.reason or "")
    told = []
    for type_, whys in by_type.items():
        shown = whys if len(whys) <= _REASONS else whys[: _REASONS - 1]
        told += [(type_, why) for why in shown]
        if len(whys) > len(shown):
            told.append((type_, f"and {len(whys) - len(shown)} more: gpuctl offers"))
    return told


def _stopped(machine: Machine) -> bool:
    """Whether it can be started again: what is still billed while it stops will remain."""
    return machine.state is State.STOPPED or (
        machine.state is State.STOPPING and bool(machine.billed)
    )


def _skipped(offers: Sequence[Offer], want: Want) -> Sequence[Attempt]:
    seen: dict[tuple[str, str | None], Attempt] = {}
    order = list(dict.fromkeys(offer.type for offer in offers))
    # The cheapest first: of what is too dear, that is what a maximum would have to be.
    nearest = sorted(offers, key=lambda o: (order.index(o.type), o.hourly is None, o.hourly or 0))
    for offer in nearest:
        if not offer.available and matches(offer, replace(want, zones=(), regions=())):
            attempt = Attempt(
                type=offer.type,
                zone=offer.zone or None,
                market=offer.market,
                outcome="skipped",
                code="not-offered",
                reason=offer.reason,
            )
            seen.setdefault((offer.type, offer.reason), attempt)
    return list(seen.values())


def _refuse_over_machines(app: App, synced: Synced) -> None:
    most = app.settings.limits.max_machines
    running = [m for m in synced.machines if m.state in (State.STARTING, State.RUNNING)]
    if most is not None and len(running) >= most:
        names = ", ".join(sorted(machine.name for machine in running))
        raise BudgetExceeded(
            f"{len(running)} machines run already ({names}) and limits.max_machines is {most}",
            hint="gpuctl down NAME",
        )


def _within_hourly_limit(
    app: App, offers: Sequence[Offer]
) -> tuple[Sequence[Offer], Sequence[Attempt]]:
    """The offers that `limits.max_hourly` allows, and those that it does not."""
    allowed = app.settings.limits.max_hourly
    if allowed is None:
        return offers, ()
    dear = [offer for offer in offers if offer.hourly is not None and offer.hourly > allowed]
    fit = [offer for offer in offers if offer not in dear]
    if not fit:
        first = dear[0]
        raise BudgetExceeded(
            f"{first.type} costs {first.hourly} USD an hour in {first.zone}, "
            f"and limits.max_hourly is {allowed}",
            hint="gpuctl config set limits.max_hourly AMOUNT",
        )
    return fit, [_left_out(offer, "limits.max_hourly", f"over {allowed} USD/h") for offer in dear]


def _left_out(offer: Offer, code: str, reason: str) -> Attempt:
    return Attempt(
        type=offer.type,
        zone=offer.zone,
        market=offer.market,
        outcome="skipped",
        code=code,
        reason=f"{offer.hourly} USD/h is {reason}",
    )


def _extras(
    app: App, ref: CloudRef, offer: Offer, template: Template, now: datetime
) -> tuple[Fraction | None, Fraction | None]:
    """USD an hour of disk and address; also puts their prices into the ledger."""
    disk = _thing(offer, Kind.DISK, template.disk.type, Unit.MONTH)
    address = _thing(offer, Kind.IPV4, address_sku(offer.provider, offer.market), Unit.HOUR)
    span = Span(now, now)
    fetch_prices(app, app.clouds.connect(ref), {disk: span, address: span})
    book = PriceBook(event for event in app.ledger.events() if isinstance(event, Price))
    disk_price, address_price = book.at(disk, now), book.at(address, now)
    size = Decimal(template.disk.gb)
    return (
        None if disk_price is None else per_hour(disk, size, disk_price.usd, now),
        None if address_price is None else per_hour(address, Decimal(1), address_price.usd, now),
    )


def _filling(app: App, ref: CloudRef, offer: Offer, template: Template) -> PricePoint | None:
    if template.disk.init_rate is None:
        return None
    return app.clouds.connect(ref).filling(offer.region)


def _thing(offer: Offer, kind: Kind, sku: str, unit: Unit) -> Priced:
    return Priced(
        provider=offer.provider,
        region=offer.region,
        zone=offer.zone,
        kind=kind,
        sku=sku,
        market=Market.ON_DEMAND,
        unit=unit,
    )


def affordable(budget: Decimal | Fraction, hourly: Fraction) -> timedelta:
    """How long a budget lasts at a price, in whole seconds."""
    return timedelta(seconds=int(Fraction(budget) * 3_600 / hourly))


def _refuse_small_budgets(plan: Plan) -> None:
    budget = plan.template.budget
    if budget is None:
        return
    if plan.hourly is None:
        raise UsageProblem(
            "a budget in dollars needs a price, and there is none for this machine",
            hint="gpuctl up --ttl 4h",
        )
    lasts = affordable(budget, plan.hourly)
    if lasts < _SHORTEST:
        raise BudgetExceeded(
            f"{budget} USD buy {format_duration(lasts)} of {plan.offers[0].type}",
            hint="gpuctl up --budget MORE",
        )


def _without_dearer(app: App, plan: Plan) -> Plan:
    """Fallbacks may cost more than the first offer: those that budget or ceiling forbid go."""
    room = left_in_month(app, plan.made_at)
    kept, dear = [], []
    for offer in plan.offers:
        worst = plan.worst_of(offer)
        short = plan.deadline_of(offer) - plan.made_at < min(
            _SHORTEST, plan.deadline - plan.made_at
        )
        if room is not None and worst is not None and worst > room:
            dear.append(_left_out(offer, "limits.month", "more than limits.month leaves"))
        elif short:
            dear.append(_left_out(offer, "budget", "more than the budget buys"))
        else:
            kept.append(offer)
    return replace(plan, offers=tuple(kept), skipped=(*plan.skipped, *dear))
