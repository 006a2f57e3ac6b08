"""`quote`: a price before the work begins, from prices, what was seen of spot, measured starts."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app import quote_words as words
from gpuctl.app.quote_prices import Around, Sold, around, sold
from gpuctl.app.quote_words import Asked
from gpuctl.config.model import ClientPolicy, Settings
from gpuctl.config.template import Template
from gpuctl.core.errors import UsageProblem
from gpuctl.core.kinds import MarketPolicy
from gpuctl.core.names import client_of
from gpuctl.core.quoting import jobs, reckon
from gpuctl.core.quoting.outlook import Draw, outlook
from gpuctl.core.quoting.quote import Amounts, Basis, Quote, quoted
from gpuctl.core.quoting.seen import Seen, seen
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.span import format_duration, format_time
from gpuctl.core.statement import Exchange, Party
from gpuctl.core.statements_facts import Rate

INTERVAL = 900
"""Seconds between the decisions of the sample: quicker ones give the same figures…"""
_STEPS = 960
"""…and no more decisions than that: a long job's are further apart."""
USABLE_S = 360
"""From request to usable where no start was measured…"""
LOST_S = 360
"""…and what is computed again after each, without a checkpoint table. Together 0.2 h, the figure
that the published work on deadlines takes (docs/quotes.md)."""
_FARTHEST = timedelta(days=120)
_UNIT = 10**10
_RATE_PLACES = 10

Rates = Callable[[str, date], Rate]
Chance = Callable[[str], Draw]
"""A seed -> draws that are the same for the same seed."""


def make_quote(app: App, asked: Asked, chance: Chance, rates: Rates) -> Quote:
    """Reckon a quote and keep it in the ledger.

    UsageProblem where the deadline cannot be met, NotFound where a price is not known.
    """
    now = app.clock()
    policy = _client(app.settings, asked.project)
    rate = None if policy.currency == "USD" else rates(policy.currency, now.date())
    found = sold(app, asked.project, asked.template, now, ask=not asked.cached)
    past = seen(app.ledger.events(), found.provider, found.skus, [z.zone for z in found.zones], now)
    overhead = _overhead(asked.template, past)
    _refuse_infeasible(asked, overhead, now)
    beside = around(app, found, asked.template, now)
    terms = _terms(asked, found, overhead, now)
    beliefs = outlook(past.stretches, [zone.zone for zone in found.zones])
    seed = _seed(asked, terms, beliefs, beside)
    with app.progress.step(f"trying {reckon.SAMPLES} ways it could go"):
        made = reckon.reckon(
            terms,
            (float(asked.hours[0]), float(asked.hours[1])),
            beliefs,
            reckon.Around(beside.held, beside.always),
            Fraction(1, _UNIT),
            chance(seed),
            reckon.SAMPLES,
        )
    facts = _Facts(policy, rate, found, beside, past, overhead)
    quote = _quote(app.settings, asked, facts, made, seed, now)
    app.ledger.append([quoted(quote)])
    return quote


def _overhead(template: Template, past: Seen) -> int:
    """Seconds without progress at each start: until usable, and what is computed once more."""
    usable = USABLE_S if past.usable_s is None else past.usable_s
    keeps = template.checkpoint
    return usable + (LOST_S if keeps is None else int(keeps.interval.total_seconds()) // 2)


def _refuse_infeasible(asked: Asked, overhead: int, now: datetime) -> None:
    if asked.deadline is None:
        return
    if asked.deadline > now + _FARTHEST:
        raise UsageProblem(
            f"--deadline {format_time(asked.deadline)}: nobody knows prices so far ahead",
            hint=f"--deadline {format_time(now + _FARTHEST)} or sooner",
        )
    needed = timedelta(seconds=int(asked.hours[1] * 3600) + overhead + INTERVAL)
    needed += needed / _STEPS
    if now + needed > asked.deadline:
        raise UsageProblem(
            f"{asked.hours[1]} hours and {format_duration(timedelta(seconds=overhead))} for the "
            f"start do not fit until {format_time(asked.deadline)}, not even on demand from now on",
            hint=f"--deadline {format_time(now + needed)} or later, or fewer --hours",
        )


def _terms(asked: Asked, found: Sold, overhead: int, now: datetime) -> jobs.Terms:
    market, highest = asked.template.market, asked.template.max_price
    left = None if asked.deadline is None else (asked.deadline - now).total_seconds() / 3600
    hours = float(asked.hours[1]) if left is None else left
    return jobs.Terms(
        on_demand=int(found.on_demand * _UNIT),
        zones=[
            jobs.ZonePrices(z.zone, int(z.now * _UNIT), [int(usd * _UNIT) for usd in z.before])
            for z in found.zones
            if market is not MarketPolicy.ON_DEMAND
        ],
        overhead=overhead,
        interval=INTERVAL * max(1, ceil(hours * 3600 / INTERVAL / _STEPS)),
        deadline=left,
        fallback=market is MarketPolicy.SPOT_THEN_ON_DEMAND,
        highest=None if highest is None else int(highest * _UNIT),
    )


def _seed(asked: Asked, terms: jobs.Terms, beliefs: Mapping[str, object], beside: Around) -> str:
    """The quote's own content: the same facts draw the same."""
    told = repr((asked.project, asked.hours, terms, beliefs, beside))
    return hashlib.sha256(told.encode()).hexdigest()


def _client(settings: Settings, project: str) -> ClientPolicy:
    client = client_of(project)
    return settings.clients.get(client) or ClientPolicy(name=client)


class _Facts(NamedTuple):
    policy: ClientPolicy
    rate: Rate | None
    found: Sold
    beside: Around
    past: Seen
    overhead: int


def _quote(
    settings: Settings, asked: Asked, facts: _Facts, made: reckon.Reckoned, seed: str, now: datetime
) -> Quote:
    policy, rate, found, beside, past, overhead = facts
    project = asked.project
    own = found.payer is not None
    billed = not own and not settings.absorbed(project)
    markup = settings.markup(project) if billed else Decimal(0)
    per_usd = Fraction(1) if rate is None else rate.per_usd
    described = settings.projects.get(project)
    return Quote(
        id=f"quote/{project}/{format_time(now)}/{seed[:8]}",
        project=project,
        title=described.title if described is not None else None,
        template=asked.template.name,
        at=now,
        hours=asked.hours,
        deadline=asked.deadline,
        way=_way(asked, made),
        usd=made.usd,
        currency=policy.currency,
        exchange=None if rate is None else _exchange(rate),
        per_usd=per_usd,
        markup=markup,
        billed=billed,
        price=Amounts(*(_priced(usd, per_usd, markup, policy) for usd in made.usd)),
        vat_rate=policy.vat_rate if billed else None,
        finish_p50=_after(now, made.finish_p50),
        finish_p90=_after(now, made.finish_p90),
        receiver=Party(policy.title or policy.name, policy.address, policy.vat, policy.contact),
        sender=_sender(settings),
        basis=Basis(
            price_days=found.days,
            sessions=past.sessions,
            attempts=past.attempts,
            interruptions=past.interruptions,
            starts=len(past.starts),
            overhead_s=overhead,
            type=found.type,
            zones=tuple(zone.zone for zone in found.zones),
            samples=reckon.SAMPLES,
            assumed=tuple(words.assumed(asked, found, past, overhead, made)),
        ),
        notes=(
            *found.notes,
            *beside.notes,
            *words.notes(asked, policy, made, own=own, billed=billed),
        ),
    )


def _way(asked: Asked, made: reckon.Reckoned) -> str:
    if made.on_demand:
        return "on-demand"
    return "deadline" if asked.deadline is not None else asked.template.market.value


def _sender(settings: Settings) -> Party | None:
    me = settings.me
    return Party(me.name, me.address, me.vat, me.contact) if me.name else None


def _exchange(rate: Rate) -> Exchange:
    per_usd = round_half_up(rate.per_usd, _RATE_PLACES)
    return Exchange(rate.currency, per_usd, rate.day, rate.source, rate.quoted)


def _priced(usd: Fraction, per_usd: Fraction, markup: Decimal, policy: ClientPolicy) -> Decimal:
    """As `report` would bill it: converted, with markup, in the client's own steps."""
    places = minor_units(policy.currency)
    exact = usd * per_usd * (1 + Fraction(markup))
    if policy.rounding is None:
        return round_half_up(exact, places)
    steps = round_half_up(exact / Fraction(policy.rounding), 0)
    return round_half_up(steps * policy.rounding, places)


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
