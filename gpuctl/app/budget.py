"""Budgets and ceilings: what is left, and when to refuse."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.app import App
from gpuctl.config.model import Settings
from gpuctl.core.bill import bill, monthly
from gpuctl.core.errors import BudgetExceeded
from gpuctl.core.events import Event
from gpuctl.core.rounding import decimal_text
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month
from gpuctl.core.tally import total


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A project's month in USD. `limit` None = no budget is set."""

    project: str
    limit: Decimal | None
    spent: Fraction
    hard: bool
    warn: tuple[int, ...]

    @property
    def left(self) -> Fraction | None:
        """What may still be spent; negative when it is exceeded."""
        return None if self.limit is None else Fraction(self.limit) - self.spent

    @property
    def passed(self) -> int | None:
        """The highest warning threshold (per cent) that was passed."""
        if not self.limit:
            return None
        used = self.spent * 100 / Fraction(self.limit)
        return max((per_cent for per_cent in self.warn if used >= per_cent), default=None)


def budget_of(app: App, project: str, now: datetime) -> Budget:
    """What a project spent this month, and what it may."""
    return budget_in(app.settings, app.ledger.events(), project, now)


def budget_in(settings: Settings, events: Sequence[Event], project: str, now: datetime) -> Budget:
    """The same, from settings and facts alone."""
    policy = settings.projects.get(project)
    budget = policy.budget if policy is not None else None
    return Budget(
        project=project,
        limit=budget.month if budget is not None else None,
        spent=spent_this_month(events, now, project),
        hard=budget.hard if budget is not None else False,
        warn=budget.warn if budget is not None else (),
    )


def spent_this_month(
    events: Sequence[Event], now: datetime, project: str | None = None
) -> Fraction:
    """USD so far in the running month of each provider; of all projects when None."""
    month = Month.of(now, billing_zone(None))
    charges = bill(events, monthly(month), now).charges
    return total(
        charge
        for charge in charges
        if charge.payer is None and (project is None or charge.project == project)
    )


def left_in_month(app: App, now: datetime) -> Fraction | None:
    """What `limits.month` leaves for all projects together; None = no ceiling is set."""
    ceiling = app.settings.limits.month
    if ceiling is None:
        return None
    return Fraction(ceiling) - spent_this_month(app.ledger.events(), now)


def refuse_over_budget(app: App, budget: Budget, worst: Fraction, now: datetime) -> None:
    """Raise BudgetExceeded where a hard limit leaves no room for anything at all.

    A soft budget only warns. The ceiling over all projects (`limits.month`) is always hard.
    """
    if budget.hard and budget.left is not None and budget.left <= 0:
        raise BudgetExceeded(
            f"{budget.project} has spent {decimal_text(budget.spent, 2)} "
            f"of its {budget.limit} USD this month, and its budget is hard",
            hint=f"gpuctl config set client.{budget.project.replace('/', '.project.')}"
            ".budget.month AMOUNT",
        )
    ceiling, room = app.settings.limits.month, left_in_month(app, now)
    if room is not None and worst > room:
        raise BudgetExceeded(
            f"at worst this would cost {decimal_text(worst, 2)} USD, "
            f"and limits.month allows {ceiling} USD in all",
            hint="gpuctl up --ttl SHORTER, or gpuctl config set limits.month AMOUNT",
        )
