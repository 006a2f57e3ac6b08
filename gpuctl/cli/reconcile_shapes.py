"""A comparison with a bill -> the JSON of the public contract, and rows for CSV."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from gpuctl.app.reconcile import Settled
from gpuctl.core.reconciliation import PARTS, Match, Unmatched
from gpuctl.core.rounding import PRINTED_DECIMALS, decimal_text, round_half_up

_RATIO_PLACES = 6


def reconcile_shape(made: Settled, *, rows: int, dry_run: bool) -> dict[str, Any]:
    """`reconcile` of the contract, and what explains it: the parts add up to the gap as printed."""
    found = made.found
    bill, ledger = _exact(found.bill_total), _exact(found.ledger_total)
    gap = bill - ledger
    return {
        "source": found.source,
        "rows": rows,
        "matched": len(found.matched),
        "ledger_total": _text(ledger),
        "bill_total": _text(bill),
        "gap": _text(gap),
        "gap_ratio": _ratio(found.gap, found.bill_total),
        "currency": "USD",
        "breakdown": {name: _text(usd) for name, usd in printed_parts(found.parts, gap).items()},
        "from": {name: f"{span.start:%Y-%m-%dT%H:%M:%SZ}" for name, span in found.spans.items()},
        "to": {name: f"{span.end:%Y-%m-%dT%H:%M:%SZ}" for name, span in found.spans.items()},
        "differences": [match_shape(m) for m in found.matched if m.difference or m.undated],
        "unmatched": [unmatched_shape(item) for item in found.unmatched],
        "settled": made.settled,
        "dry_run": dry_run,
        "ledger_total_after": decimal_text(made.after),
        "projects": [
            {
                "project": change.project,
                "before": decimal_text(change.before),
                "after": decimal_text(change.after),
            }
            for change in made.changes
        ],
        "problems": list(made.problems),
    }


def printed_parts(
    parts: Mapping[str, Fraction], gap: Decimal, places: int = PRINTED_DECIMALS
) -> dict[str, Decimal]:
    """Rounded so that they add up to a rounded gap: the largest takes what rounding leaves."""
    printed = {name: round_half_up(parts[name], places) for name in PARTS}
    largest = max(PARTS, key=lambda name: abs(printed[name]))
    printed[largest] += gap - sum(printed.values(), Decimal(0))
    return printed


def _exact(value: Fraction) -> Decimal:
    return round_half_up(value, PRINTED_DECIMALS)


def _text(value: Decimal) -> str:
    return decimal_text(value)


def _ratio(gap: Fraction, bill: Fraction) -> str | None:
    return decimal_text(gap / bill, _RATIO_PLACES) if bill else None


def match_shape(match: Match) -> dict[str, Any]:
    """One resource's kind on one day, on both sides."""
    day = match.reckoned
    return {
        "provider": day.provider,
        "account": day.account,
        "resource": day.resource,
        "kind": day.kind.value,
        "day": day.day.isoformat(),
        "projects": sorted(filter(None, day.projects)),
        "estimate": None if day.missing else decimal_text(day.estimate),
        "ledger": decimal_text(day.cost),
        "billed": decimal_text(match.billed),
        "difference": decimal_text(match.difference),
        "currency": "USD",
        "by": match.by,
        "final": match.final,
        "settled": match.settle is not None,
        "reason": match.reason,
    }


def unmatched_shape(item: Unmatched) -> dict[str, Any]:
    """What only one side knows; `from` and `to` are days, both included."""
    return {
        "side": item.side,
        "provider": item.provider,
        "account": item.account,
        "resource": item.resource,
        "kind": None if item.kind is None else item.kind.value,
        "sku": item.sku,
        "projects": list(item.projects),
        "from": item.first.isoformat(),
        "to": item.last.isoformat(),
        "days": item.days,
        "cost": None if item.cost is None else decimal_text(item.cost),
        "currency": "USD",
        "ours": item.ours,
        "expected": item.expected,
        "counted": item.counted,
        "reason": item.reason,
    }


def csv_rows(made: Settled) -> list[dict[str, Any]]:
    """One row for each resource and day of both sides, then what only one side knows."""
    rows = []
    for match in made.found.matched:
        shape = match_shape(match)
        rows.append(
            {
                "side": "both",
                **{name: shape[name] for name in ("provider", "account", "resource", "kind")},
                "from": shape["day"],
                "to": shape["day"],
                "projects": " ".join(shape["projects"]),
                **{name: shape[name] for name in ("ledger", "billed", "difference", "currency")},
                "settled": shape["settled"],
                "reason": shape["reason"],
            }
        )
    for item in made.found.unmatched:
        shape = unmatched_shape(item)
        on_bill = item.side == "bill"
        rows.append(
            {
                **{name: shape[name] for name in ("side", "provider", "account", "resource")},
                "kind": shape["kind"] or shape["sku"],
                "from": shape["from"],
                "to": shape["to"],
                "projects": " ".join(shape["projects"]),
                "ledger": None if on_bill else shape["cost"],
                "billed": shape["cost"] if on_bill else None,
                "difference": None,
                "currency": "USD",
                "settled": False,
                "reason": shape["reason"],
            }
        )
    return rows
