"""Budgets and ceilings: what is left, what the month will come to, and when to refuse."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.app import App
from gpuctl.config.model import BudgetPolicy, Settings
from gpuctl.core.bill import Window, bill, monthly
from gpuctl.core.charges import Charge
from gpuctl.core.errors import BudgetExceeded
from gpuctl.core.events import Event
from gpuctl.core.forecast import coming
from gpuctl.core.rounding import decimal_text
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import Month, Span
from gpuctl.core.tally import total

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A project's month and its whole life in USD. A limit of None = none is set."""

    project: str
    limit: Decimal | None
    spent: Fraction
    hard: bool
    warn: tuple[int, ...]
    session: Decimal | None = None
    """What one session may cost: a deadline of its machine."""
    total_limit: Decimal | None = None
    total_spent: Fraction | None = None
    """Since the ledger began; None where no limit in all is set."""
    forecast: Fraction | None = None
    """What the month comes to if all that is open goes on; None = not asked, or a price lacks."""

    @property
    def left(self) -> Fraction | None:
        """What may still be spent this month; negative when it is exceeded."""
        return None if self.limit is None else Fraction(self.limit) - self.spent

    @property
    def total_left(self) -> Fraction | None:
        """What may still be spent in all; negative when it is exceeded."""
        if self.total_limit is None or self.total_spent is None:
            return None
        return Fraction(self.total_limit) - self.total_spent

    @property
    def room(self) -> Fraction | None:
        """The lesser of what the month and the whole leave; None = no limit is set."""
        left = [part for part in (self.left, self.total_left) if part is not None]
        return min(left, default=None)

    @property
    def used(self) -> Fraction | None:
        """The share of the month's limit that is spent: 1 = all of it."""
        return None if not self.limit else self.spent / Fraction(self.limit)

    @property
    def total_used(self) -> Fraction | None:
        """The share of the limit in all that is spent."""
        if not self.total_limit or self.total_spent is None:
            return None
        return self.total_spent / Fraction(self.total_limit)

    @property
    def month_passed(self) -> int | None:
        """The highest warning threshold (per cent) that the month has passed."""
        return self._mark(self.used)

    @property
    def total_passed(self) -> int | None:
        """The highest warning threshold (per cent) that the whole has passed."""
        return self._mark(self.total_used)

    @property
    def passed(self) -> int | None:
        """The higher of the two."""
        marks = (self.month_passed, self.total_passed)
        return max((mark for mark in marks if mark is not None), default=None)

    def _mark(self, used: Fraction | None) -> int | None:
        if used is None:
            return None
        return max((per_cent for per_cent in self.warn if used * 100 >= per_cent), default=None)


def budget_of(app: App, project: str, now: datetime) -> Budget:
    """What a project spent this month, and what it may."""
    return budget_in(app.settings, app.ledger.events(), project, now)


def budget_in(settings: Settings, events: Sequence[Event], project: str, now: datetime) -> Budget:
    """The same, from settings and facts alone."""
    return budgets_in(settings, events, [project], now)[0]


def budgets_in(
    settings: Settings, events: Sequence[Event], projects: Sequence[str], now: datetime
) -> Sequence[Budget]:
    """Those projects' budgets, with what the month will come to."""
    month = _by_project(bill(events, monthly(_month(now)), now).charges)
    policies = {name: _policy(settings, name) for name in projects}
    # The whole life is reckoned only where somebody set a limit to it.
    ever: dict[str, Fraction] = {}
    if any(policy.total is not None for policy in policies.values()):
        ever = _by_project(bill(events, _ever(now), now).charges)
    ahead = coming(events, now)
    return [
        Budget(
            project=name,
            limit=policy.month,
            spent=month.get(name, Fraction(0)),
            hard=policy.hard,
            warn=policy.warn,
            session=policy.session,
            total_limit=policy.total,
            total_spent=None if policy.total is None else ever.get(name, Fraction(0)),
            forecast=_forecast(month.get(name, Fraction(0)), ahead.get(name, Fraction(0))),
        )
        for name, policy in policies.items()
    ]


def _policy(settings: Settings, project: str) -> BudgetPolicy:
    policy = settings.projects.get(project)
    if policy is None or policy.budget is None:
        return BudgetPolicy(warn=())
    return policy.budget


def _by_project(charges: Sequence[Charge]) -> dict[str, Fraction]:
    mine: dict[str, list[Charge]] = {}
    for charge in charges:
        if charge.payer is None and charge.project is not None:
            mine.setdefault(charge.project, []).append(charge)
    return {name: total(parts) for name, parts in mine.items()}


def _month(now: datetime) -> Month:
    return Month.of(now, billing_zone(None))


def _ever(now: datetime) -> Window:
    month = monthly(_month(now))
    return lambda provider: Span(_BEGINNING, month(provider).end)


def _forecast(spent: Fraction, ahead: Fraction | None) -> Fraction | None:
    return None if ahead is None else spent + ahead


def spent_this_month(
    events: Sequence[Event], now: datetime, project: str | None = None
) -> Fraction:
    """USD so far in the running month of each provider; of all projects when None."""
    charges = bill(events, monthly(_month(now)), now).charges
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
    for key, left, spent, limit, when in (
        ("month", budget.left, budget.spent, budget.limit, " this month"),
        ("total", budget.total_left, budget.total_spent, budget.total_limit, " in all"),
    ):
        if budget.hard and left is not None and left <= 0 and spent is not None:
            raise BudgetExceeded(
                f"{budget.project} has spent {decimal_text(spent, 2)} "
                f"of its {limit} USD{when}, and its budget is hard",
                hint=f"gpuctl config set client.{budget.project.replace('/', '.project.')}"
                f".budget.{key} AMOUNT",
            )
    ceiling, room = app.settings.limits.month, left_in_month(app, now)
    if room is not None and worst > room:
        raise BudgetExceeded(
            f"at worst this would cost {decimal_text(worst, 2)} USD, "
            f"and limits.month allows {ceiling} USD in all",
            hint="gpuctl up --ttl SHORTER, or gpuctl config set limits.month AMOUNT",
        )
