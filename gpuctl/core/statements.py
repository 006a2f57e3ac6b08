"""Charges -> what one client is sent. Everything exact until here, and rounded here, once.

In USD the cents are those of `report`; in another currency the exact USD are converted first and
then rounded, by largest remainder over the client's own projects and lines, so that every
printed column adds up. Only charges of this client come in, so nothing of another can come out.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from gpuctl.core.charges import Charge, basis
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.statement import BillingSpan, Exchange, Statement
from gpuctl.core.statements_facts import Customer, Known, Period, Rate
from gpuctl.core.statements_projects import Drawing

_RATE_PLACES = 10


def statement_of(
    customer: Customer,
    period: Period,
    known: Known,
    rate: Rate | None,
    now: datetime,
    ledger_head: str,
) -> Statement:
    """One client's statement. `rate` None = in USD; ValueError when the currency needs one."""
    if (rate is None) != (customer.currency == "USD"):
        raise ValueError(f"{customer.currency} needs its rate, USD none")
    mine = [charge for charge in known.charges if charge.payer is None]
    projects = tuple(Drawing(customer, known, rate, now).projects(mine))
    places = minor_units(customer.currency)
    fee = round_half_up(customer.fee, places)
    asked = sum((project.billable for project in projects), fee)
    net = _stepped(asked, customer.step, places)
    vat = round_half_up(net * (customer.vat_rate or 0), places)
    return Statement(
        client=customer.client,
        receiver=customer.receiver,
        sender=customer.sender,
        month=period.month,
        spans=_spans(period, known.charges),
        currency=customer.currency,
        exchange=None if rate is None else _exchange(rate),
        projects=projects,
        own_account=sum((account.own_account for account in known.accounts), Decimal(0)),
        fee=fee,
        included_usd=customer.included_usd,
        rounding=net - asked,
        net=net,
        vat_rate=customer.vat_rate,
        vat=vat,
        total=net + vat,
        basis=basis(mine),
        invoice=None,
        closed_at=None,
        as_of=now,
        ledger_head=ledger_head,
        notes=tuple(_notes(customer, known, rate)),
    )


def _stepped(amount: Decimal, step: Decimal | None, places: int) -> Decimal:
    if step is None:
        return amount
    return round_half_up(round_half_up(Fraction(amount) / Fraction(step), 0) * step, places)


def _exchange(rate: Rate) -> Exchange:
    return Exchange(
        currency=rate.currency,
        per_usd=round_half_up(rate.per_usd, _RATE_PLACES),
        day=rate.day,
        source=rate.source,
        quoted=rate.quoted,
    )


def _spans(period: Period, charges: Iterable[Charge]) -> tuple[BillingSpan, ...]:
    """Of the providers that the client has something from; all where it has nothing."""
    used = {charge.provider for charge in charges if charge.provider in period.spans}
    return tuple(
        BillingSpan(provider=name, start=span.start, end=span.end)
        for name, span in sorted(period.spans.items())
        if name in used or not used
    )


def _notes(customer: Customer, known: Known, rate: Rate | None) -> Iterable[str]:
    yield from known.problems
    if customer.cap_usd is not None and any(
        account.absorbed and not known.terms(account.project).absorbed for account in known.accounts
    ):
        recharged = sum((account.recharged for account in known.accounts), Decimal(0))
        if recharged >= customer.cap_usd:
            yield f"the cap of {customer.cap_usd} USD was reached: what is above is not charged"
    if rate is not None:
        yield from rate.notes
