"""Quotes against what came of them: which costs are a quote's own, and what they add up to."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.bill import bill, fixed
from gpuctl.core.events import Event, Quoted
from gpuctl.core.quoting.quote import Quote, read_quote
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.span import Span
from gpuctl.core.statement import QuoteLine


class Actual(NamedTuple):
    """What a quote has come to: all that its project cost from then until `until`.

    `open` = more may come. `missing` = some of it has no price, and is not counted.
    """

    quote: Quote
    usd: Fraction
    sessions: int
    until: datetime
    open: bool
    missing: bool

    @property
    def line(self) -> QuoteLine:
        """In the quote's own currency, markup and exchange rate, rounded once."""
        quote = self.quote
        exact = self.usd * quote.per_usd * (1 + Fraction(quote.markup))
        return QuoteLine(
            project=quote.project,
            at=quote.at,
            hours=quote.hours,
            currency=quote.currency,
            p50=quote.price.p50,
            p90=quote.price.p90,
            ceiling=quote.price.ceiling,
            spent=round_half_up(exact, minor_units(quote.currency)),
            finish_p90=quote.finish_p90,
            until=self.until,
            open=self.open,
        )


def actuals(
    events: Sequence[Event], now: datetime, projects: Iterable[str] | None = None
) -> Iterator[Actual]:
    """Each quote of these projects (all without), oldest first.

    A quote holds until the next one of its project, or until it is over (`Quote.over`).
    """
    wanted = None if projects is None else frozenset(projects)
    notes = sorted(
        (event for event in events if isinstance(event, Quoted)), key=lambda one: (one.at, one.id)
    )
    for place, note in enumerate(notes):
        if wanted is not None and note.project not in wanted:
            continue
        quote = read_quote(note)
        after = [one.at for one in notes[place + 1 :] if one.project == note.project]
        end = min([quote.over, *after])
        until = max(quote.at, min(end, now))
        yield _actual(events, quote, until, now, is_open=end > now)


def _actual(
    events: Sequence[Event], quote: Quote, until: datetime, now: datetime, *, is_open: bool
) -> Actual:
    found = [
        charge
        for charge in bill(events, fixed(Span(quote.at, until)), now).charges
        if charge.project == quote.project
    ]
    return Actual(
        quote=quote,
        usd=sum((charge.cost or Fraction(0) for charge in found), Fraction(0)),
        sessions=len({charge.session for charge in found if charge.session is not None}),
        until=until,
        open=is_open,
        missing=any(charge.cost is None and not charge.settled for charge in found),
    )
