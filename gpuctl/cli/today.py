"""The figures of the board: machines as last seen, and the month's money. No cloud is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from gpuctl.app.fleet import Shown, cached, show
from gpuctl.app.money import of_month
from gpuctl.config.model import BudgetPolicy, Settings
from gpuctl.core.bill import bill, fixed
from gpuctl.core.books import books
from gpuctl.core.charges import Charge
from gpuctl.core.events import Event
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span
from gpuctl.core.tally import total


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A project's month in USD; `limit` None = no budget. `project` None = unattributed."""

    project: str | None
    spent: Fraction
    limit: Decimal | None
    passed: int | None = None
    """The highest warning threshold (per cent) that was passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What the board shows. `month` and `today` are USD, ours alone; `limit` is over all."""

    machines: tuple[Shown, ...]
    projects: tuple[Spent, ...]
    today: Fraction
    month: Fraction
    limit: Decimal | None
    problems: tuple[str, ...]


def today(settings: Settings, events: Sequence[Event], now: datetime) -> Today:
    """From settings and facts alone."""
    known = books(events)
    period = of_month(Month.of(now, billing_zone(None)))
    whole = bill(events, period.window, now)
    midnight = now.replace(hour=0, minute=0, second=0)
    day = bill(events, fixed(Span(midnight, max(now, midnight + timedelta(seconds=1)))), now)
    return Today(
        machines=tuple(show(events, known, cached(known), now)),
        projects=tuple(_projects(settings, whole.charges)),
        today=day.total,
        month=whole.total,
        limit=settings.limits.month,
        problems=whole.problems,
    )


def _projects(settings: Settings, charges: Sequence[Charge]) -> Sequence[Spent]:
    """Those with a budget or with costs, dearest first; nobody's last."""
    mine: dict[str | None, list[Charge]] = {}
    for charge in charges:
        if charge.payer is None:
            mine.setdefault(charge.project, []).append(charge)
    limits = {
        name: policy.budget
        for name, policy in settings.projects.items()
        if policy.budget is not None and policy.budget.month is not None and not policy.archived
    }
    spent = [
        _spent(name, total(mine.get(name, [])), limits.get(name or "")) for name in {*mine, *limits}
    ]
    spent = [item for item in spent if item.spent or item.limit is not None]
    return sorted(spent, key=lambda item: (item.project is None, -item.spent, item.project or ""))


def _spent(project: str | None, spent: Fraction, budget: BudgetPolicy | None) -> Spent:
    limit = budget.month if budget is not None else None
    if budget is None or not limit:
        return Spent(project=project, spent=spent, limit=limit)
    used = spent * 100 / Fraction(limit)
    passed = max((per_cent for per_cent in budget.warn if used >= per_cent), default=None)
    return Spent(project=project, spent=spent, limit=limit, passed=passed)
