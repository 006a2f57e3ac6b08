"""What each leg of a job cost, and what the provider's own rules did not charge."""

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import NamedTuple

from gpuctl.app import App
from gpuctl.app.leg import leases_of
from gpuctl.core.bill import bill, fixed
from gpuctl.core.books import books
from gpuctl.core.charges import is_waived
from gpuctl.core.events import Ended, Event, Usage
from gpuctl.core.jobs import Job, Leg
from gpuctl.core.kinds import EndedBy
from gpuctl.core.span import Span
from gpuctl.core.tally import total

_SHORTEST = timedelta(minutes=1)
"""So long each run is billed at least (`core.rules`), though its last second is yet to come."""


class LegCost(NamedTuple):
    """A leg and its machine's cost until now, in USD; `waived` would have been charged else.

    The minimum of a run counts whole, so that what has ended costs the same at any later time.
    """

    leg: Leg
    cost: Fraction
    waived: Fraction


def leg_costs(app: App, job: Job) -> Sequence[LegCost]:
    """Of all its legs, oldest first. A machine that ran before the job counts whole."""
    events = app.ledger.events()
    now = app.clock()
    known = books(events)
    free = {usage.id for usage in known.usages if is_waived(usage)}
    asked = [_asked(event, free) for event in events] if free else events
    window = fixed(Span(min(job.at, now), now + _SHORTEST))
    charged, full = bill(events, window, now).charges, bill(asked, window, now).charges
    found = []
    for leg in job.legs:
        mine = set(leases_of(events, leg))
        cost, whole = (
            total(c._replace(payer=None) for c in charges if c.session in mine)
            for charges in (charged, full)
        )
        found.append(LegCost(leg, cost, whole - cost))
    return found


def _asked(event: Event, free: set[str]) -> Event:
    """As if the user had ended it."""
    if isinstance(event, Usage) and event.id in free:
        return event._replace(ended_by=EndedBy.USER if event.ended_by else None)
    if isinstance(event, Ended) and event.usage in free:
        return event._replace(ended_by=EndedBy.USER)
    return event
