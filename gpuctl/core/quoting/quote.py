"""A quote: what a client is told before a job begins. Values alone; `documents` draws them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from gpuctl.core.events import Json, Quoted
from gpuctl.core.statement import Exchange, Party

VALID = timedelta(days=14)
"""So long a quote may be accepted; then prices may be others."""
NO_FINISH = timedelta(days=90)
"""When a quote without a finish is over."""


class Usd(NamedTuple):
    """What it costs us, exact USD."""

    p50: Fraction
    p90: Fraction
    ceiling: Fraction


class Amounts(NamedTuple):
    """What the client pays, in its currency, markup included, without VAT; rounded once."""

    p50: Decimal
    p90: Decimal
    ceiling: Decimal


class Basis(NamedTuple):
    """What the figures rest on."""

    price_days: int
    """Days of spot prices that were known."""
    sessions: int
    attempts: int
    interruptions: int
    starts: int
    """Starts of machines whose time from request to usable was measured."""
    overhead_s: int
    """Without progress, at each start."""
    type: str
    zones: tuple[str, ...]
    samples: int
    assumed: tuple[str, ...]
    """What was taken for true, in words that a client may read."""


class Quote(NamedTuple):
    """`way` is how the job is to be run: `spot`, `spot-then-on-demand`, `deadline`, `on-demand`.

    `finish_p50` and `finish_p90` hold when it begins at once; None = not within sixty days.
    """

    id: str
    project: str
    title: str | None
    template: str
    at: datetime
    hours: tuple[Decimal, ...]
    """The least and the most."""
    deadline: datetime | None
    way: str
    usd: Usd
    currency: str
    exchange: Exchange | None
    per_usd: Fraction
    markup: Decimal
    """A fraction; 0 where nothing is billed."""
    billed: bool
    """False: we bear the cost, or the client's own cloud account does."""
    price: Amounts
    vat_rate: Decimal | None
    finish_p50: datetime | None
    finish_p90: datetime | None
    receiver: Party
    sender: Party | None
    basis: Basis
    notes: tuple[str, ...] = ()
    """For us alone: what the client is not told."""

    @property
    def valid_until(self) -> datetime:
        """The last moment at which it may be accepted."""
        return self.at + VALID

    @property
    def uninterrupted(self) -> datetime:
        """When it is done on one machine from the beginning on, if it takes longest."""
        seconds = int(self.hours[-1] * 3600) + self.basis.overhead_s
        return self.at + timedelta(seconds=seconds)

    @property
    def over(self) -> datetime:
        """Until when costs of the project are its own: begun on the last day, done by P90."""
        return (self.finish_p90 or self.at + NO_FINISH) + VALID


def quoted(quote: Quote) -> Quoted:
    """The quote as a fact of the ledger."""
    from gpuctl.core.statements_record import record_of  # noqa: PLC0415 - quotes alone need it

    return Quoted(
        id=quote.id,
        project=quote.project,
        template=quote.template,
        at=quote.at,
        quote=record_of(quote),
    )


def read_quote(event: Quoted) -> Quote:
    """The reverse. ValueError where a field is missing or is no such thing."""
    from gpuctl.core.statements_record import read_as  # noqa: PLC0415

    found: Quote = read_as(Quote, event.quote, f"quote {event.id}")
    return found


def quote_shape(quote: Quote) -> dict[str, Any]:
    """The object of the public contract, and what is beside it."""
    from gpuctl.core.span import format_time  # noqa: PLC0415

    def time(moment: datetime | None) -> str | None:
        return None if moment is None else format_time(moment)

    basis = quote.basis
    return {
        "id": quote.id,
        "project": quote.project,
        "template": quote.template,
        "hours": [f"{hours:f}" for hours in quote.hours],
        "deadline": time(quote.deadline),
        "currency": quote.currency,
        "p50": f"{quote.price.p50:f}",
        "p90": f"{quote.price.p90:f}",
        "ceiling": f"{quote.price.ceiling:f}",
        "finish_p50": time(quote.finish_p50),
        "finish_p90": time(quote.finish_p90),
        "basis": {**_basis(basis), "way": quote.way},
        "at": format_time(quote.at),
        "valid_until": format_time(quote.valid_until),
        "billed": quote.billed,
        "vat_rate": None if quote.vat_rate is None else f"{quote.vat_rate:f}",
        "notes": list(quote.notes),
    }


def _basis(basis: Basis) -> Mapping[str, Json]:
    return {
        "price_days": basis.price_days,
        "sessions": basis.sessions,
        "attempts": basis.attempts,
        "interruptions": basis.interruptions,
        "starts": basis.starts,
        "overhead_seconds": basis.overhead_s,
        "type": basis.type,
        "zones": list(basis.zones),
        "samples": basis.samples,
        "assumed": list(basis.assumed),
    }
