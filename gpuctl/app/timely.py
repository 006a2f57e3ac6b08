"""A job with a deadline: what its policy is shown of the world, and what it decides.

The policy is the one that `simulate` judges, `core.deadline.policy.decide`. It sees spot prices,
and of availability what was tried: machines had, lost and refused, all from the ledger. What it
had learnt is learnt again from the decisions that the ledger keeps, so that whoever goes on with
a job knows what the one before knew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from gpuctl.app import App, fates
from gpuctl.app import leg as legs
from gpuctl.config.template import Template
from gpuctl.core.deadline import view as core
from gpuctl.core.deadline.memory import learn
from gpuctl.core.deadline.policy import decide
from gpuctl.core.errors import RemoteFailed, TypeNotOffered, UsageProblem
from gpuctl.core.events import Armed, Event, Intent, Leased, Outcome
from gpuctl.core.jobs import Decided, Job, Wanted, jobs
from gpuctl.core.kinds import Market
from gpuctl.core.model import Machine, Offer
from gpuctl.core.rounding import decimal_text
from gpuctl.core.span import format_time

START_S = 600
"""From asking for a machine to the command's start, where the ledger has seen none."""
NOTICED_S = 120
"""Until an interruption is noticed, and the answer of a market that has nothing."""
_SAMPLES = 10
_AFTER_ARMED_S = 120
"""Pushing a tree and starting, where only machines without jobs were seen."""
_HELD = 6
"""While a machine is held, every so many intervals are enough: its loss is met at once."""
IDLE, ON_DEMAND = "idle", "on-demand"


class Prices(NamedTuple):
    """What the market asks now: USD an hour on demand, and in each spot zone, for one type."""

    type: str
    on_demand: Decimal
    spot: dict[str, Decimal]


class Choice(NamedTuple):
    """A decision as a fact, and in words."""

    decided: Decided
    explains: str


def prices_now(app: App, template: Template, project: str) -> Prices:
    """Of the first of the template's types that is sold on demand. TypeNotOffered."""
    ref = app.clouds.of(template.provider, project)
    want = replace(template.want(), markets=(Market.SPOT, Market.ON_DEMAND))
    offers = app.clouds.connect(ref).offers(want)
    for kind in template.types:
        mine = [offer for offer in offers if offer.type == kind and offer.hourly is not None]
        paid = [
            offer.hourly
            for offer in mine
            if offer.market is Market.ON_DEMAND and offer.hourly is not None
        ]
        paid += [o.on_demand_hourly for o in mine if o.on_demand_hourly is not None]
        if paid:
            return Prices(kind, min(paid), dict(_spot(template, mine)))
    raise TypeNotOffered(
        f"nothing that template {template.name} asks for is sold on demand: no deadline is sure",
        code="not-offered",
        hint="gpuctl offers",
    )


def _spot(template: Template, offers: Sequence[Offer]) -> Iterator[tuple[str, Decimal]]:
    if Market.SPOT not in template.market.markets:
        return
    for offer in offers:
        fits = not template.zones or offer.zone in template.zones
        fits = fits and (not template.regions or offer.region in template.regions)
        if offer.market is Market.SPOT and offer.available and fits and offer.hourly is not None:
            yield offer.zone, offer.hourly


# --- the job as the policy has it -----------------------------------------------------------


def overhead_s(app: App, template: Template) -> int:
    """What a start or a move costs: until the command runs, and the work since a checkpoint.

    As the last starts with this template took, the longest of ten; `START_S` without one.
    """
    events = app.ledger.events()
    took = [
        int((leg.begun.at - leg.claims[0].at).total_seconds())
        for job in jobs(events).values()
        if job.wanted.template == template.name
        for leg in job.legs
        if leg.begun is not None and not leg.claim.existing
    ]
    took = took[-_SAMPLES:] or list(_armed_within(events, template.name))[-_SAMPLES:] or [START_S]
    table = template.checkpoint
    loses = 0 if table is None else int(table.interval.total_seconds())
    return max(took) + loses + NOTICED_S


def _armed_within(events: Sequence[Event], template: str) -> Iterator[int]:
    leased = {e.id: e.at for e in events if isinstance(e, Leased) and e.template == template}
    for event in events:
        if isinstance(event, Armed) and event.lease in leased:
            first = leased.pop(event.lease)
            yield int((event.at - first).total_seconds()) + _AFTER_ARMED_S


def policy_job(app: App, wanted: Wanted, began: datetime, overhead: int) -> core.Job:
    """In whole seconds from the moment it was asked for.

    A machine's life is bounded (`limits.max_lifetime`): each of them costs a start more.
    """
    assert wanted.deadline is not None  # noqa: S101 - else there is nothing to decide
    work = wanted.work_s or 0
    life = int(app.settings.limits.max_lifetime.total_seconds())
    return core.Job(
        work=work + work // life * overhead,
        deadline=int((wanted.deadline - began).total_seconds()),
        overhead=overhead,
        interval=wanted.interval_s,
    )


def refuse_infeasible(app: App, wanted: Wanted, template: Template) -> Prices:
    """Raise UsageProblem (2) with what would fit; the prices that were asked for else."""
    table = template.checkpoint
    if table is None or table.bucket is None:
        raise UsageProblem(
            f"template {template.name} has no checkpoint table with a bucket: what spot takes back "
            "would be lost, and no deadline be sure",
            hint="docs/jobs.md",
        )
    prices = prices_now(app, template, wanted.project)
    most = app.settings.limits.max_hourly
    if most is not None and prices.on_demand > most:
        raise UsageProblem(
            f"{prices.type} costs {prices.on_demand} USD an hour on demand, and limits.max_hourly "
            f"is {most}: no deadline is sure",
            hint="gpuctl config set limits.max_hourly AMOUNT",
        )
    now = app.clock()
    job = policy_job(app, wanted, now, overhead_s(app, template))
    if job.feasible:
        return prices
    needs = -(-(job.work + job.overhead) // job.interval) * job.interval
    could = max(0, job.decisions * job.interval - job.overhead)
    earliest = now + timedelta(seconds=needs + 60)
    raise UsageProblem(
        f"{_hours(wanted.work_s or 0)} of work and {_minutes(job.overhead)} for a start do not fit "
        f"before {format_time(wanted.deadline or now)}; {_hours(could)} would",
        hint=f"--deadline {format_time(earliest)}",
    )


# --- a decision -----------------------------------------------------------------------------


def due(job: Job, *, held: bool) -> datetime:
    """When the next decision falls."""
    if not job.decided:
        return job.at
    pause = timedelta(seconds=job.wanted.interval_s * (_HELD if held else 1))
    return job.decided[-1].at + pause


def choose(app: App, job: Job, held: str, lost: str | None, done_s: int) -> Choice:
    """Decide for the interval that begins now. `held` is a zone, `on-demand` or `idle`."""
    template = app.settings.template(job.wanted.template)
    prices = prices_now(app, template, job.wanted.project)
    now = app.clock()
    refused = tuple(sorted(set(_refused(app, job))))
    shares = {zone: usd / prices.on_demand for zone, usd in prices.spot.items()}
    known = {zone for decided in job.decided for zone in (*decided.prices, *decided.refused)}
    extra = {zone for zone in (held, lost) if zone not in (None, IDLE, ON_DEMAND)}
    zones = tuple(sorted(known | set(shares) | {zone for zone in extra if zone}))
    overhead = overhead_s(app, template)
    policy = policy_job(app, job.wanted, job.at, overhead)
    left = max(0, policy.work - done_s)
    seen = Decided(
        number=len(job.decided) + 1,
        at=now,
        place=held,
        why="",
        held=held,
        lost=lost,
        refused=refused,
        prices={zone: f"{share:.4f}" for zone, share in shares.items()},
        type=prices.type,
        work_left_s=left,
    )
    memory = None
    for before in job.decided:
        memory = learn(_view(policy, job, before, zones)._replace(memory=memory))
    view = _view(policy, job, seen, zones)._replace(memory=memory)
    answer = decide(view)
    decided = seen._replace(
        place=_word(answer.place, zones),
        why=answer.why.value,
        then=tuple(_word(place, zones) for place in answer.then),
    )
    return Choice(decided, _words(decided, view, answer, prices))


def _view(policy: core.Job, job: Job, decided: Decided, zones: tuple[str, ...]) -> core.Observation:
    shares = tuple(float(str(decided.prices.get(zone, "1"))) for zone in zones)
    return core.Observation(
        policy,
        int((decided.at - job.at).total_seconds()),
        decided.work_left_s,
        shares,
        held=_place(decided.held, zones),
        lost=None if decided.lost is None else _place(decided.lost, zones),
        refused=tuple(_place(zone, zones) for zone in decided.refused if zone in zones),
    )


def _place(word: str, zones: tuple[str, ...]) -> core.Place:
    if word == IDLE:
        return core.IDLE
    return core.ON_DEMAND if word == ON_DEMAND else zones.index(word)


def _word(place: core.Place, zones: tuple[str, ...]) -> str:
    if place == core.IDLE:
        return IDLE
    return ON_DEMAND if place == core.ON_DEMAND else zones[place]


def _refused(app: App, job: Job) -> Iterator[str]:
    """Zones that refused a spot machine of this job since the last decision."""
    since = job.decided[-1].at if job.decided else job.at
    mine = set(legs.leases(app, job))
    events = app.ledger.events()
    failed = {e.intent for e in events if isinstance(e, Outcome) and e.result == "failed"}
    for event in events:
        if (
            isinstance(event, Intent)
            and event.lease in mine
            and event.id in failed
            and event.at >= since
            and event.order.get("market") == Market.SPOT.value
        ):
            yield str(event.order["zone"])


def _words(decided: Decided, view: core.Observation, answer: core.Decision, prices: Prices) -> str:
    price = prices.spot.get(decided.place)
    where = {
        IDLE: "wait",
        ON_DEMAND: f"{prices.type} on demand at ${decimal_text(prices.on_demand, 4)}/h",
    }.get(
        decided.place,
        f"{prices.type} spot in {decided.place}"
        + (f" at ${decimal_text(price, 4)}/h" if price else ""),
    )
    left = view.job.deadline - view.elapsed
    saves = "" if not answer.saves else f", which saves some {answer.saves:.1f} h of on-demand"
    refused = f"; refused: {', '.join(decided.refused)}" if decided.refused else ""
    return (
        f"{decided.at:%a %H:%MZ}  {where}: {decided.why}{saves}. {_hours(decided.work_left_s)} of "
        f"work and {_hours(left)} left, {_hours(view.slack)} to spare, "
        f"{_minutes(view.job.overhead)} a start{refused}"
    )


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:.1f} h"


def _minutes(seconds: int) -> str:
    return f"{seconds / 60:.0f} min"


# --- progress -------------------------------------------------------------------------------


def progress_s(app: App, job: Job, machine: Machine | None) -> int:
    """Seconds of the job's work that are done: as it says itself, else by the time it has run."""
    work = job.wanted.work_s or 0
    leg = job.leg
    before = fates.kept(job)
    if leg is None or leg.begun is None or leg.ended is not None or machine is None:
        return min(before, work)
    said = _said(app, machine, leg.begun.remote, work)
    if said is not None:
        return said
    ran = int((app.clock() - leg.begun.at).total_seconds())
    return min(before + max(0, ran), work)


def _said(app: App, machine: Machine, remote: str, work: int) -> int | None:
    """`0.42` (of all) or `12.5h` (hours done) in the file that GPUCTL_PROGRESS names."""
    try:
        code, text = app.reach.run(machine, ["cat", f".gpuctl/jobs/{remote}/progress"])
    except RemoteFailed:
        return None
    return parse_progress(text, work) if code == 0 else None


def parse_progress(text: str, work: int) -> int | None:
    """Seconds of `work` that are done; None for what is no progress."""
    word = text.strip()
    hours = word.endswith("h")
    try:
        number = Decimal(word.removesuffix("h"))
        if not number.is_finite() or number < 0:
            return None
        return int(min(Decimal(work), number * (3600 if hours else work)))
    except ArithmeticError:
        return None
