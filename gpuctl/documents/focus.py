"""Charges as a FOCUS dataset: version 1.2 (as AWS exports it), or 1.4.

A row is a charge within one of its provider's billing months. What FOCUS cannot say is left out:
a charge without a price (`BilledCost` may not be null, and a price that is missing is not zero),
and what runs on a client's own account (its provider bills it to the client).
Source: FOCUS Specification 1.2, "Columns" and "Attributes".
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from gpuctl.core.cells import cell
from gpuctl.core.charges import Charge, by_month
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.report import spread
from gpuctl.core.rounding import EXACT, PRINTED_DECIMALS, decimal_text, round_half_up
from gpuctl.core.rules import MARKET_KINDS, billing_zone
from gpuctl.core.span import Month, Span, format_time
from gpuctl.core.tally import total
from gpuctl.documents.focus_row import FocusRow
from gpuctl.documents.focus_words import (
    US,
    description_of,
    provider_name,
    resource_of,
    service_of,
    unit_of,
)
from gpuctl.documents.formats import plain

VERSIONS = ("1.2", "1.4")

_RENAMED = {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}
"""What 1.4 calls two columns of 1.2."""

_USD = "USD"
_CORRECTION = "correction"
_CREDITS = ("discount",)


def columns(version: str = "1.2") -> tuple[str, ...]:
    """The header, in order of name with our own `x_` columns last. ValueError: not a version."""
    if version not in VERSIONS:
        raise ValueError(f"{version!r} is not a version: it is {' or '.join(VERSIONS)}")
    names = [_column(field) for field in FocusRow._fields]
    if version == "1.4":
        names = [_RENAMED.get(name, name) for name in names]
    return tuple(names)


def draw_focus(charges: Iterable[Charge], version: str = "1.2") -> Iterator[str]:
    """The dataset as lines of CSV, each ending in CRLF; an empty cell is null."""
    yield _line(columns(version))
    for row in focus_rows(charges):
        yield _line([_cell(value) if value else "" for value in row])


def focus_rows(charges: Iterable[Charge]) -> Iterator[FocusRow]:
    """The rows; their `billed_cost` add up to `total(charges)` in its 20 printed decimals, exactly.

    All cost is USD. List and contracted prices are the rate that was paid.
    """
    pieces = [piece for charge in charges if _sayable(charge) for piece in _monthly(charge)]
    for piece, billed in zip(pieces, _billed([piece.charge for piece in pieces]), strict=True):
        yield _row(piece, billed)


class _Piece(NamedTuple):
    """What of a charge falls into one billing month."""

    charge: Charge
    month: Month


def _sayable(charge: Charge) -> bool:
    return charge.cost is not None and charge.payer is None


def _monthly(charge: Charge) -> Iterator[_Piece]:
    if charge.start == charge.end:
        # FOCUS knows no instants: the end of a period lies after its start.
        end = charge.start + timedelta(seconds=1)
        month = Month.of(charge.start, billing_zone(charge.provider))
        yield _Piece(charge._replace(end=end), month)
        return
    for month, span in by_month(Span(charge.start, charge.end), charge.provider):
        part = Fraction(span.seconds, charge.seconds)
        units = charge.units * part
        yield _Piece(charge._replace(start=span.start, end=span.end, units=units), month)


def _billed(charges: Sequence[Charge]) -> Iterable[Decimal]:
    """Costs in 20 decimals, which add up to the sum in 20 decimals: by largest remainder."""
    costs = {f"{place:09d}": charge.cost or Fraction(0) for place, charge in enumerate(charges)}
    whole = round_half_up(total(charges), PRINTED_DECIMALS)
    return spread(costs, PRINTED_DECIMALS, whole).values()


def _row(piece: _Piece, billed: Decimal) -> FocusRow:
    charge = piece.charge
    period = piece.month.span(billing_zone(charge.provider))
    provider, service = provider_name(charge.provider), service_of(charge)
    account = _account(charge)
    category = _category(charge)
    resource = resource_of(charge)
    cost = decimal_text(billed)
    row = FocusRow(
        availability_zone=charge.zone,
        billed_cost=cost,
        billing_account_id=account or provider,
        billing_account_name=account,
        billing_account_type="Account",
        billing_currency=_USD,
        billing_period_end=format_time(period.end),
        billing_period_start=format_time(period.start),
        charge_category=category,
        charge_class="Correction" if charge.kind == _CORRECTION else None,
        charge_description=description_of(charge),
        charge_frequency="Usage-Based" if category == "Usage" else "One-Time",
        charge_period_end=format_time(charge.end),
        charge_period_start=format_time(charge.start),
        contracted_cost=cost,
        effective_cost=cost,
        invoice_issuer_name=provider,
        list_cost=cost,
        pricing_currency=_USD,
        pricing_currency_effective_cost=cost,
        provider_name=provider,
        publisher_name=provider,
        region_id=charge.region,
        region_name=charge.region,
        resource_id=resource,
        resource_name=charge.resource,
        resource_type=service.resource if resource else None,
        service_category=service.category,
        service_name=service.name,
        service_subcategory=service.subcategory,
        sub_account_id=account,
        sub_account_name=account,
        sub_account_type=_sub_account(charge) if account else None,
        tags=_json({"gpuctl:project": charge.project}),
        x_absorbed="true" if charge.absorbed else None,
        x_basis="settled" if charge.settled else "estimated",
        x_kind=charge.kind,
        x_project=charge.project,
        x_session_id=charge.session,
    )
    return _with_prices(row, charge) if category == "Usage" else row


def _with_prices(row: FocusRow, charge: Charge) -> FocusRow:
    """Quantities and unit prices of usage: their product is the list and contracted cost."""
    market = charge.market if charge.kind in MARKET_KINDS else None
    # What the provider does not ask for is consumed all the same.
    used = Fraction(charge.quantity) * charge.seconds / charge.per if charge.free else charge.amount
    amount = round_half_up(Fraction(0) if charge.free else used, PRINTED_DECIMALS)
    rate = charge.rate or Decimal(0)
    cost, price = decimal_text(EXACT.multiply(amount, rate), 60), decimal_text(rate, 60)
    sku = "-".join(filter(None, (charge.provider, charge.kind, charge.sku, market)))
    unit = unit_of(charge)
    dynamic = charge.market is Market.SPOT
    instance = {"InstanceType": charge.sku if charge.kind == Kind.COMPUTE else None}
    return row._replace(
        consumed_quantity=decimal_text(used),
        consumed_unit=unit,
        contracted_cost=cost,
        contracted_unit_price=price,
        list_cost=cost,
        list_unit_price=price,
        pricing_category="Dynamic" if dynamic else "Standard",
        pricing_currency_contracted_unit_price=price,
        pricing_currency_list_unit_price=price,
        pricing_quantity=decimal_text(amount),
        pricing_unit=unit,
        sku_id=sku,
        sku_meter=row.charge_description,
        sku_price_details=_json(instance),
        sku_price_id=f"{sku}-{charge.region or 'global'}-{price}",
    )


def _category(charge: Charge) -> str:
    """Usage; a credit where something is given back; an adjustment where a figure is corrected."""
    if charge.kind in _USAGE:
        return "Usage"
    if charge.kind in _CREDITS or (charge.kind == "adjust" and (charge.cost or 0) < 0):
        return "Credit"
    return "Adjustment"


_USAGE = frozenset(Kind)


def _account(charge: Charge) -> str | None:
    """The account, as text: readers of CSV take twelve digits for a number."""
    if charge.account and charge.account.isdigit():
        return f"{charge.provider or US}-{charge.account}"
    return charge.account


def _sub_account(charge: Charge) -> str:
    return "Project" if charge.provider == "gcp" else "Account"


def _json(values: dict[str, str | None]) -> str | None:
    known = {name: plain(value) for name, value in values.items() if value}
    return json.dumps(known, ensure_ascii=False) if known else None


@lru_cache(maxsize=4_096)  # most of a row is as in the row before
def _cell(text: str) -> str:
    return cell(plain(text))


def _column(field: str) -> str:
    """`billed_cost` -> `BilledCost`, `x_project` -> `x_Project`."""
    prefix = "x_" if field.startswith("x_") else ""
    return prefix + "".join(part.capitalize() for part in field.removeprefix("x_").split("_"))


def _line(values: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(values)
    return out.getvalue()
