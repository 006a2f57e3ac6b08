"""Days of a bill, made by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from gpuctl.core.billed import BilledDay, Category
from gpuctl.core.kinds import Kind
from gpuctl.core.rules import billing_zone
from gpuctl.core.span import day_span


def billed(cost, resource="i-1", kind="compute", day="03-10", *, hours=None, **more):
    """One BilledDay of 2025; `hours` are its billed units."""
    on = date.fromisoformat(f"2025-{day}")
    provider = more.get("provider", "aws")
    span = day_span(on, billing_zone(provider))
    values = {
        "provider": provider,
        "account": "1",
        "resource": resource,
        "kind": Kind(kind) if kind else None,
        "sku": "BoxUsage:g5" if kind == "compute" else "usage",
        "market": None,
        "category": Category.USAGE,
        "day": on,
        "start": span.start,
        "end": span.end,
        "quantity": None if hours is None else Decimal(hours),
        "unit": None if hours is None else "Hrs",
        "cost": Decimal(cost),
        "currency": "USD",
        "per_usd": None,
        "project": None,
        "region": "us-east-1",
        "invoice": None,
        "rows": 1,
    }
    return BilledDay(**(values | more))


def beside(category, cost, day="03-10", **more):
    """A row that is not usage: a tax, a credit."""
    return billed(cost, None, None, day, category=Category(category), **more)


def hour(day, clock):
    """A moment of 2025."""
    return datetime.fromisoformat(f"2025-{day}T{clock}").replace(tzinfo=UTC)


LATER = timedelta(days=400)
