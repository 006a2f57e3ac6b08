"""One leg of a job: its machine, the start of its command there, what became of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app import job as verb
from gpuctl.app.door import open_door
from gpuctl.app.plan import Plan
from gpuctl.app.sync import Synced
from gpuctl.config.template import Template
from gpuctl.core.bill import bill, fixed
from gpuctl.core.errors import GpuctlError, LedgerError, NotFound
from gpuctl.core.events import Event, JobNote, Leased
from gpuctl.core.jobs import CLAIMED, Begun, Claim, Fact, Job, Leg, jobs, note, remote_name
from gpuctl.core.keeping import Keep, root_of
from gpuctl.core.kinds import MarketPolicy
from gpuctl.core.model import Machine
from gpuctl.core.span import Span
from gpuctl.core.tally import total

_MINIMUM = timedelta(minutes=1)


class Actor(NamedTuple):
    """A process that pursues jobs. `name` is its own and nobody else's, ever.

    `alive` tells whether the process of that name lives, None where that cannot be told: it is
    another computer's. `confirm` is asked before a machine is started.
    """

    name: str
    host: str
    environ: Mapping[str, str]
    alive: Callable[[str], bool | None] = lambda _: None
    confirm: Callable[[Plan], bool] = lambda _: True
    explain: Callable[[str], None] = lambda _: None
    """Told why, at each decision of a job with a deadline."""


def put(app: App, job: str, *facts: Fact) -> bool:
    """Write them, all or none; False when another process had written one of them before."""
    notes = [note(job, fact, getattr(fact, "at", app.clock())) for fact in facts]
    try:
        app.ledger.append(notes)
    except LedgerError:
        there = {event.id for event in app.ledger.events() if isinstance(event, JobNote)}
        if not there & {one.id for one in notes}:
            raise
        return False
    return True


def find(app: App, job: str) -> Job:
    """By its id. NotFound."""
    known = jobs(app.ledger.events()).get(job)
    if known is None:
        raise NotFound(f"there is no job {job}", hint="gpuctl jobs")
    return known


def claim(app: App, actor: Actor, leg: int, turn: int, machine: str) -> Claim:
    """A claim from now on."""
    now = app.clock()
    return Claim(leg, turn, actor.name, now, now + CLAIMED, machine)


def held_by_other(app: App, actor: Actor, held: Claim) -> bool:
    """Whether somebody else is acting, as far as can be told."""
    if held.by == actor.name:
        return False
    return app.clock() < held.until and actor.alive(held.by) is not False


def template_for(app: App, job: Job, held: Claim | None = None) -> Template:
    """The job's template: what is left of its budget, and the place where one was decided."""
    template = app.settings.template(job.wanted.template)
    left = budget_left(app, job)
    if left is not None:
        own = template.budget
        most = Decimal(int(left * 10_000)) / 10_000
        template = replace(template, budget=most if own is None else min(own, most))
    if job.wanted.deadline is not None:
        rest = job.wanted.deadline - app.clock() + timedelta(minutes=10)
        template = replace(template, ttl=max(template.ttl, rest))
    if held is not None and held.market is not None:
        market = MarketPolicy(held.market)
        template = replace(template, market=market, zones=held.zones or template.zones)
        if market is MarketPolicy.ON_DEMAND:
            # `max_price` bounds what spot may cost; the deadline is to be kept.
            template = replace(template, max_price=None)
        if held.type is not None:
            template = replace(template, type=held.type, fallbacks=())
    return template


def budget_left(app: App, job: Job) -> Fraction | None:
    """USD that the job may still cost; None = it has no budget."""
    if job.wanted.budget is None:
        return None
    return Fraction(job.wanted.budget) - spent(app, job)


def spent(app: App, job: Job) -> Fraction:
    """USD that its machines cost until now, those that never began included."""
    return total(
        charge._replace(payer=None)
        for charge in bill(
            app.ledger.events(), fixed(Span(job.at, app.clock() + _MINIMUM)), app.clock()
        ).charges
        if charge.session in set(leases(app, job))
    )


def leases(app: App, job: Job) -> Iterator[str]:
    """The leases of its legs."""
    events = app.ledger.events()
    for leg in job.legs:
        yield from leases_of(events, leg)


def leases_of(events: Iterable[Event], leg: Leg) -> Iterator[str]:
    """The leases of a leg: what was ordered under its machine's name since it was claimed."""
    if leg.begun is not None and leg.claim.existing:
        yield leg.begun.lease
        return
    until = None if leg.ended is None else leg.ended.at
    for event in events:
        if isinstance(event, Leased) and event.name == leg.claim.machine:
            mine = event.at >= leg.claims[0].at and (until is None or event.at <= until)
            if mine or (leg.begun is not None and event.id == leg.begun.lease):
                yield event.id


# --- the start ------------------------------------------------------------------------------


def start(
    app: App, synced: Synced, job: Job, leg: Leg, actor: Actor, machine: Machine
) -> Begun | None:
    """Put the tree there and start the command, unless it runs there already.

    None when another process took the leg over meanwhile. `RemoteFailed` when it is not there.
    """
    wanted = job.wanted
    remote = begun_as(job, leg)
    open_door(app, synced, machine)
    if remote not in app.reach.jobs(machine):
        fetched = fetches(app, job, leg)
        source = None if fetched or wanted.tree is None else Path(wanted.tree)
        if fetched:
            app.reach.run(machine, ["mkdir", "-p", "--", wanted.directory])
        what = verb.Job(
            name=remote,
            argv=wanted.argv,
            directory=wanted.directory,
            source=source,
            exclude=wanted.exclude,
            environ={name: actor.environ[name] for name in wanted.environ},
            keep=_keep(app, job, leg, fetch=fetched),
        )
        if not renewed(app, job, leg, actor):
            return None
        try:
            verb.start(app, synced, machine, what)
        except GpuctlError:
            # Somebody whose claim had run out may have started it in this very moment.
            if remote not in app.reach.jobs(machine):
                raise
    begun = begun_on(machine, leg.number, remote, app.clock())
    put(app, job.id, begun)
    return begun


def begun_on(machine: Machine, leg: int, remote: str, at: datetime) -> Begun:
    """That a leg's command runs on that machine."""
    return Begun(
        leg=leg,
        at=at,
        machine=str(machine.id),
        name=machine.name,
        lease=machine.lease or "",
        zone=machine.id.zone,
        region=machine.id.region,
        type=machine.type,
        market=machine.market.value,
        remote=remote,
    )


def begun_as(job: Job, leg: Leg) -> str:
    """What its command is called on its machine."""
    return remote_name(job.wanted.name, leg.number)


def renewed(app: App, job: Job, leg: Leg, actor: Actor) -> bool:
    """Whether the leg is still ours, for as long again as a claim holds."""
    now = find(app, job.id)
    fresh = now.legs[leg.number - 1]
    if now.over is not None or fresh.ended is not None or fresh.claim.by != actor.name:
        return False
    held = fresh.claim
    return put(
        app,
        job.id,
        held._replace(turn=held.turn + 1, at=app.clock(), until=app.clock() + CLAIMED),
    )


def fetches(app: App, job: Job, leg: Leg) -> bool:
    """Whether the machine has the tree from the bucket: each leg after one that began."""
    table = app.settings.template(job.wanted.template).checkpoint
    bucket = table is not None and table.bucket is not None and job.wanted.keep is not None
    return bucket and any(one.begun is not None for one in job.legs[: leg.number - 1])


def _keep(app: App, job: Job, leg: Leg, *, fetch: bool) -> Keep | None:
    wanted = job.wanted
    table = app.settings.template(wanted.template).checkpoint
    if table is None or wanted.keep is None:
        return None
    first = not any(one.begun is not None for one in job.legs[: leg.number - 1])
    return Keep(
        job=wanted.keep,
        root=root_of(table.bucket, wanted.project, wanted.keep),
        dir=table.dir,
        bucket=table.bucket,
        command=table.command,
        signal=table.signal,
        interval_s=int(table.interval.total_seconds()),
        restore=wanted.restore or not first,
        tree=None if table.bucket is None else job.id,
        fetch=fetch,
    )
