"""One client's projects, drawn up: lines, sessions and days, each column adding up to the cost."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.charges import Charge
from gpuctl.core.kinds import Market
from gpuctl.core.ledger_days import by_day
from gpuctl.core.report import Account, Line, Terms, spread
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.statement import DaySpend, ProjectStatement, SessionLine, StatementLine
from gpuctl.core.statements_facts import Customer, Described, Known, Rate
from gpuctl.core.statements_sessions import Run, on_demand, price_steps, runs_of, spot_prices
from gpuctl.core.tally import total

_UNITS_PLACES = 6
"""Decimals of hours and other amounts, as AWS prints hours."""


class Drawing:
    """What all projects of one statement have in common."""

    def __init__(
        self,
        customer: Customer,
        known: Known,
        rate: Rate | None,
        now: datetime,
    ) -> None:
        self._customer = customer
        self._known = known
        self._now = now
        self._in_usd = rate is None
        self._per_usd = Fraction(1) if rate is None else rate.per_usd
        self._places = minor_units(customer.currency)
        ends = {usage.id: usage.end for usage in known.usages}
        self._ends = {usage: end for usage, end in ends.items() if end is not None}

    def projects(self, charges: Sequence[Charge]) -> Iterable[ProjectStatement]:
        """Each project of the client, by name."""
        by_project: dict[str, list[Charge]] = {}
        for charge in charges:
            by_project.setdefault(charge.project or "", []).append(charge)
        exact = {
            account.project: total(by_project.get(account.project, ())) * self._per_usd
            for account in self._known.accounts
        }
        # In USD the cents were shared over all clients together, and stay as they are.
        costs = (
            {account.project: account.cost for account in self._known.accounts}
            if self._in_usd
            else spread(exact, self._places)
        )
        for account in self._known.accounts:
            name = account.project
            yield self._project(account, by_project.get(name, []), costs[name])

    def _project(
        self, account: Account, charges: Sequence[Charge], cost: Decimal
    ) -> ProjectStatement:
        terms = self._known.terms(account.project)
        described = self._customer.projects.get(account.project, Described())
        runs, rest = runs_of(charges)
        exact = {f"{number:06}": run.cost for number, run in enumerate(runs)}
        parts = self._spread({**exact, "other": total(rest)}, cost)
        seconds = spread({number: run.seconds for number, run in zip(exact, runs, strict=True)}, 0)
        sessions = tuple(
            self._session(run, parts[number], int(seconds[number]))
            for number, run in zip(exact, runs, strict=True)
        )
        hours = round_half_up(account.hours, _UNITS_PLACES)
        absorbed = self._absorbed(account, terms, cost)
        markup = round_half_up((cost - absorbed) * terms.markup, self._places)
        saved = [s.on_demand - s.compute for s in sessions if s.on_demand is not None]
        return ProjectStatement(
            project=account.project,
            title=described.title,
            tags=described.tags,
            lines=tuple(self._lines(account, charges, cost)),
            sessions=sessions,
            other=parts["other"],
            days=tuple(self._days(charges, cost, hours)),
            cost=cost,
            cost_usd=account.cost,
            absorbed=absorbed,
            markup=markup,
            markup_rate=terms.markup,
            billable=cost - absorbed + markup,
            hours=hours,
            saved=sum(saved, Decimal(0)) if saved else None,
        )

    def _spread(self, usd: Mapping[str, Fraction], whole: Decimal) -> dict[str, Decimal]:
        """Parts of a project's cost in the statement's currency, which add up to it."""
        parts = {name: value * self._per_usd for name, value in usd.items()}
        return spread(parts, self._places, whole) if parts else {}

    def _absorbed(self, account: Account, terms: Terms, cost: Decimal) -> Decimal:
        """What the user bears, as the report decided it in USD.

        What is recharged is converted, not what is absorbed: a cap is a promise to the client.
        """
        if terms.absorbed or (account.absorbed and account.absorbed == account.cost):
            return cost
        if not account.absorbed:
            return round_half_up(Decimal(0), self._places)
        if self._in_usd:
            return account.absorbed
        recharged = round_half_up(Fraction(account.recharged) * self._per_usd, self._places)
        return cost - min(recharged, cost)

    def _lines(
        self, account: Account, charges: Sequence[Charge], cost: Decimal
    ) -> Iterable[StatementLine]:
        lines = account.lines
        exact: dict[tuple[str, str, Market | None], Fraction] = {}
        for charge in charges:
            key = (charge.kind, charge.sku or "", charge.market)
            exact[key] = exact.get(key, Fraction(0)) + (charge.cost or 0)
        names = {f"{number:06}": _key(line) for number, line in enumerate(lines)}
        costs = (
            dict(zip(names, (line.cost for line in lines), strict=True))
            if self._in_usd
            else self._spread({n: exact.get(key, Fraction(0)) for n, key in names.items()}, cost)
        )
        for line, part in zip(lines, costs.values(), strict=True):
            beside = line.unit is None
            yield StatementLine(
                kind=line.kind,
                # A correction's month is told by its note.
                sku=None if line.kind == "correction" else line.sku,
                market=line.market,
                unit=line.unit,
                amount=Decimal(1) if beside else round_half_up(line.amount, _UNITS_PLACES),
                rate=None if beside else line.rate,
                cost=part,
                note=line.note,
                unpriced=line.unpriced,
            )

    def _session(self, run: Run, cost: Decimal, seconds: int) -> SessionLine:
        first = run.first
        look = self._known.look(first.session, first.machine)
        compute = self._spread({"0 machine": run.compute, "1 beside": total(run.beside)}, cost)[
            "0 machine"
        ]
        paid = [usd for _, usd in price_steps(run)]
        known = [usd for usd in paid if usd is not None] if None not in paid else []
        instead = on_demand(run, self._known.book)
        gpu = next((charge for charge in run.timed if charge.kind == "gpu"), None)
        kind = next((charge.sku for charge in run.timed if charge.kind == "compute"), None)
        return SessionLine(
            session=first.session or first.usage or first.resource or "",
            machine=look.name or first.resource or "",
            provider=first.provider or "",
            zone=first.zone,
            type=look.type or kind,
            gpu=look.gpu or (gpu.sku if gpu is not None else None),
            gpus=look.gpus or (int(gpu.quantity) if gpu is not None else 0),
            market=first.market,
            start=first.start,
            end=run.end(self._now, self._ends),
            seconds=seconds,
            low=min(known, default=None),
            high=max(known, default=None),
            compute=compute,
            cost=cost,
            on_demand=self._instead(run, instead, compute),
            ended_by=run.ended_by(self._ends),
            settled=all(charge.settled for charge in run.machine),
            free=first.free,
            prices=spot_prices(run),
            image=look.image,
            recipe_sha256=look.recipe_sha256,
            unpriced=any(charge.unpriced for charge in (*run.machine, *run.beside)),
        )

    def _instead(self, run: Run, usd: Fraction | None, compute: Decimal) -> Decimal | None:
        if run.first.market is not Market.SPOT:
            return compute
        return None if usd is None else round_half_up(usd * self._per_usd, self._places)

    def _days(self, charges: Sequence[Charge], cost: Decimal, hours: Decimal) -> Iterable[DaySpend]:
        """By the provider's own days; they add up to the project's cost and hours."""
        spent: dict[str, Fraction] = {}
        ran: dict[str, Fraction] = {}
        for charge in charges:
            for day, piece in by_day(charge):
                name = day.isoformat()
                spent[name] = spent.get(name, Fraction(0)) + (piece.cost or 0)
                if charge.kind in ("compute", "vcpu") and charge.quantity:
                    used = piece.amount / Fraction(charge.quantity)
                    ran[name] = ran.get(name, Fraction(0)) + used
        costs = self._spread(spent, cost)
        shares = spread({name: ran.get(name, Fraction(0)) for name in spent}, _UNITS_PLACES, hours)
        for name in sorted(spent):
            yield DaySpend(day=date.fromisoformat(name), cost=costs[name], hours=shares[name])


def _key(line: Line) -> tuple[str, str, Market | None]:
    return line.kind, line.sku or "", line.market
