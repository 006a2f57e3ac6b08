"""Charges and reports -> the JSON objects of the public contract. No cloud, no SDK."""

from fractions import Fraction
from typing import Any

from gpuctl.core.charges import Charge
from gpuctl.core.report import Account, Line
from gpuctl.core.rounding import decimal_text, round_half_up
from gpuctl.core.span import format_time

_HOUR_PLACES = 6
_CUR_PLACES = 10


def exact(value: Fraction) -> str:
    """Exact: at most 20 decimals, no exponent."""
    return decimal_text(value)


def charge_shape(charge: Charge) -> dict[str, Any]:
    """`charge` of the contract, exact."""
    cost = charge.cost
    return _charge(
        charge,
        amount=decimal_text(charge.amount),
        cost=None if cost is None else decimal_text(cost),
    )


def cur_shape(charge: Charge) -> dict[str, Any]:
    """The charge as AWS's bill prints it: hours to 6 decimals, the rest and costs to 10."""
    amount = cur_amount(charge)
    cost = cur_cost(charge)
    return _charge(
        charge,
        amount=decimal_text(amount),
        cost=None if cost is None else decimal_text(cost, _CUR_PLACES),
    )


def cur_amount(charge: Charge) -> Fraction:
    """Hours rounded to 6 decimals, other quantities to 10 (measured on real bill rows)."""
    places = _HOUR_PLACES if charge.unit == "hour" else _CUR_PLACES
    return Fraction(round_half_up(charge.amount, places))


def cur_cost(charge: Charge) -> Fraction | None:
    """The rounded amount times the rate, to 10 decimals; None where the price is missing."""
    if charge.rate is None:
        return charge.cost
    return Fraction(round_half_up(cur_amount(charge) * Fraction(charge.rate), _CUR_PLACES))


def _charge(charge: Charge, *, amount: str, cost: str | None) -> dict[str, Any]:
    return {
        "provider": charge.provider,
        "account": charge.account,
        "region": charge.region,
        "zone": charge.zone,
        "resource": charge.resource,
        "kind": charge.kind,
        "sku": charge.sku,
        "market": None if charge.market is None else charge.market.value,
        "from": format_time(charge.start),
        "to": format_time(charge.end),
        "seconds": charge.seconds,
        "quantity": decimal_text(charge.quantity),
        "unit": None if charge.unit is None else charge.unit.value,
        "rate": None if charge.rate is None else decimal_text(charge.rate),
        "amount": amount,
        "cost": cost,
        "currency": "USD",
        "project": charge.project,
        "session": charge.session,
        "basis": "settled" if charge.settled else "estimated",
        "ended_by": None if charge.ended_by is None else charge.ended_by.value,
        **({"absorbed": True} if charge.absorbed else {}),
        **({"payer": charge.payer} if charge.payer else {}),
        **({"note": charge.note} if charge.note else {}),
    }


def account_shape(account: Account) -> dict[str, Any]:
    """One project of `report`."""
    return {
        "project": account.project,
        "client": account.client,
        "cost": f"{account.cost:f}",
        "billable": f"{account.billable:f}",
        "absorbed": f"{account.absorbed:f}",
        "markup": f"{account.markup:f}",
        "hours": decimal_text(account.hours),
        "own_account": f"{account.own_account:f}",
        "lines": [line_shape(line) for line in account.lines],
    }


def line_shape(line: Line) -> dict[str, Any]:
    """One line of a project: a kind of thing on a market."""
    return {
        "kind": line.kind,
        "sku": line.sku,
        "market": None if line.market is None else line.market.value,
        "amount": decimal_text(line.amount),
        "unit": None if line.unit is None else line.unit.value,
        "rate": None if line.rate is None else decimal_text(line.rate),
        # A missing price is never zero.
        "cost": None if line.unpriced and not line.cost else f"{line.cost:f}",
        "sessions": line.sessions,
        **({"note": line.note} if line.note else {}),
        **({"unpriced": True} if line.unpriced else {}),
    }
