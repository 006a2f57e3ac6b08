"""Quotes beside what they have come to, for `report`: only where the ledger has one."""

from collections.abc import Callable, Sequence
from datetime import datetime

from gpuctl.core.events import Event, Quoted
from gpuctl.core.quoting.actual import Actual, actuals
from gpuctl.core.span import Span


def in_period(
    events: Sequence[Event], about: Callable[[Span], Sequence[Event]], shown: Span, now: datetime
) -> tuple[Actual, ...]:
    """The quotes that held within the period, oldest first, with all cost until its end, or now.

    One that another took the place of before it had any cost is left out.
    `events` are the period's; `about` reads those of another span (`Ledger.events_about`).
    """
    moment = min(now, shown.end)
    begun = [event.at for event in events if isinstance(event, Quoted) and event.at < moment]
    if not begun:
        return ()
    found = actuals(about(Span(min(begun), moment)), moment)
    return tuple(
        one
        for one in found
        if one.quote.at < moment and (one.open or (one.until > shown.start and one.usd))
    )
