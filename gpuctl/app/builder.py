"""The machine that an image is built on: a machine like any other, under a lease."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from fractions import Fraction

from gpuctl.app import App
from gpuctl.app.door import access_of
from gpuctl.app.down import down
from gpuctl.app.plan import Plan
from gpuctl.app.pricing import fetch_prices
from gpuctl.app.settle import BUILDER, IMAGE
from gpuctl.app.sync import Synced, sync
from gpuctl.config.recipe import Recipe
from gpuctl.config.template import Template
from gpuctl.core.books import books
from gpuctl.core.errors import GpuctlError, UsageProblem
from gpuctl.core.events import Price
from gpuctl.core.kinds import Kind, Market, MarketPolicy, Priced, State, Unit
from gpuctl.core.model import DiskSpec, Down, Machine
from gpuctl.core.overhead import IMAGES
from gpuctl.core.ports import CloudRef
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.span import Span

_AFTER_STEPS = timedelta(minutes=45)
"""How long its lease goes on for the image itself."""
_DISKS = {"aws": "gp3", "gcp": "pd-balanced"}
_STORED = {"aws": "standard", "gcp": "image"}
_UP = (State.STARTING, State.RUNNING)
_LONGEST = 40
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What to build, on which cloud, and for whom. `files` is the whole recipe, `key` its hash."""

    recipe: Recipe
    files: Mapping[str, bytes]
    key: str
    steps: tuple[str, ...]
    provider: str
    project: str = IMAGES
    """Whose its cost is; unless one is named, everybody's."""
    region: str | None = None
    pip: bytes | None = None
    keep: bool = False
    """A builder whose step failed stays, for looking at."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """The builder's plan, how long it may take, and what the image costs from then on."""

    plan: Plan
    steps: tuple[str, ...]
    minutes: int
    longest: timedelta
    monthly: Fraction | None
    """USD a month and region, at most: the whole disk; None = the price is not known."""

    @property
    def cost(self) -> Fraction | None:
        """USD for those minutes."""
        return None if self.plan.hourly is None else self.plan.hourly * Fraction(self.minutes, 60)


def builder_name(recipe: Recipe) -> str:
    """The same for the same version, so that the next `ami build` finds it."""
    return f"build-{recipe.name}-{recipe.version}"[:_LONGEST].rstrip("-")


def builder_template(app: App, asked: Building) -> Template:
    """The recipe's base and types as a template. UsageProblem where it has none on that cloud.

    A template `ami-build` in the settings gives subnet, tunnel and the like.
    """
    recipe = asked.recipe
    types = recipe.aws_types if asked.provider == "aws" else recipe.gcp_types
    base = f"ssm:{recipe.aws_ssm}" if asked.provider == "aws" else recipe.gcp_family
    if not types or base is None:
        raise UsageProblem(f"{recipe.directory.name} is not for {asked.provider}")
    disk = DiskSpec(gb=recipe.disk_gb, type=_DISKS[asked.provider])
    own = app.settings.templates.get(BUILDER)
    start = own or Template(name=BUILDER, provider=asked.provider, type=types[0], disk=disk)
    return replace(
        start,
        name=BUILDER,
        provider=asked.provider,
        type=types[0],
        fallbacks=types[1:],
        market=MarketPolicy.SPOT if recipe.spot else MarketPolicy.ON_DEMAND,
        image=base,
        user=recipe.user,
        disk=disk,
        gpu=None,
        vm=None,
        data=None,
        setup=None,
        ttl=recipe.build_timeout + _AFTER_STEPS,
        idle_stop=None,
        regions=(asked.region,) if asked.region else start.regions,
    )


def estimate(app: App, asked: Building, plan: Plan) -> BuildPlan:
    """What it may cost: by the builds before, else by half the time that it may take."""
    return BuildPlan(
        plan=plan,
        steps=asked.steps,
        minutes=_minutes(app, asked),
        longest=asked.recipe.build_timeout,
        monthly=_monthly(app, asked, plan),
    )


def _minutes(app: App, asked: Building) -> int:
    known = books(app.ledger.events())
    done = {intent for intent, outcome in known.outcomes.items() if outcome.result == "done"}
    leases = {
        intent.lease
        for intent in known.intents.values()
        if intent.verb == IMAGE and intent.id in done and intent.order["name"] == asked.recipe.name
    }
    took = sorted(
        (usage.end - usage.start).total_seconds()
        for usage in known.usages
        if usage.end and usage.session in leases and usage.kind in (Kind.COMPUTE, Kind.VCPU)
    )
    if took:
        return max(1, round(took[len(took) // 2] / 60))
    return max(1, int(asked.recipe.build_timeout.total_seconds() // 120))


def _monthly(app: App, asked: Building, plan: Plan) -> Fraction | None:
    offer, now = plan.offers[0], app.clock()
    thing = Priced(
        provider=asked.provider,
        region=offer.region,
        zone=None,
        kind=Kind.SNAPSHOT,
        sku=_STORED[asked.provider],
        market=Market.ON_DEMAND,
        unit=Unit.MONTH,
    )
    fetch_prices(app, app.clouds.connect(plan.ref), {thing: Span(now, now)})
    known = PriceBook(event for event in app.ledger.events() if isinstance(event, Price))
    price = known.at(thing, now)
    return None if price is None else Fraction(price.usd) * asked.recipe.disk_gb


def standing(synced: Synced, name: str) -> Machine | None:
    """The builder of that name that runs, or is stopped and still has its disk."""
    found = [machine for machine in synced.machines if machine.name == name]
    return next((machine for machine in found if machine.state is not State.GONE), None)


class Stand(StrEnum):
    """What can be done with a builder that is there."""

    STARTING = "starting"
    READY = "ready"
    LOST = "lost"


def stand(app: App, synced: Synced, machine: Machine, template: Template) -> Stand:
    """Whether it is still starting, or was ready before and answers now as it did then.

    One that was being cleaned lets nobody in, or has lost its guard: whether all of that was done
    cannot be known.
    """
    if machine.state not in _UP:
        return Stand.LOST
    lease = synced.books.leases.get(machine.lease or "")
    if lease is None or lease.armed is None:
        return Stand.STARTING
    if app.reach.armed(machine) is not None:
        return Stand.READY
    # Perhaps this computer is elsewhere now than when it was started.
    provider = app.clouds.connect(synced.ref_of(machine))
    provider.admit(machine.id, access_of(app, template, lease.deadline))
    app.reach.introduce(machine, provider.host_keys(machine.id))
    for _ in range(_TRIES):
        if app.reach.armed(machine) is not None:
            return Stand.READY
        app.sleep(1.0)
    return Stand.LOST


def end_builder(app: App, ref: CloudRef, name: str) -> None:
    """Nothing of it remains, its disk neither. Nothing happens where there is none."""
    synced = sync(app, refs=[ref])
    machine = standing(synced, name)
    if machine is not None:
        down(app, synced, [machine], Down.DELETE)


def ended_anyway(app: App, ref: CloudRef, name: str) -> None:
    """After Ctrl-C: what cannot be ended now, its lease ends."""
    try:
        end_builder(app, ref, name)
    except GpuctlError as error:
        app.progress.note(f"{name} was not ended ({error.message}); its lease ends it")
