"""A comparison with a bill as a person reads it: sums, what they differ by, and why."""

import textwrap
from collections.abc import Iterable, Sequence
from fractions import Fraction

from gpuctl.app.reconcile import Settled
from gpuctl.cli.reconcile_shapes import printed_parts
from gpuctl.cli.render import Column, Record, as_table, plain, say
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars, project_text
from gpuctl.core.reconciliation import Match, Unmatched
from gpuctl.core.rounding import round_half_up

_WIDTH = 80
_MOST = 10
"""So many of each are shown; JSON and CSV have all."""
_FEW = 5
"""So many sorts of what is not ours."""
_PLACES = 4

_NAMES = {
    "matched": "on both, and different",
    "not_in_ledger": "ours, on the bill alone",
    "not_ours": "not gpuctl's",
    "not_on_bill": "in the ledger alone",
    "credits": "credits and discounts",
    "refunds": "refunds",
    "taxes": "taxes",
    "fees": "fees",
    "other": "rounding and other",
}


def print_settled(session: Session, made: Settled, *, rows: int, dry_run: bool) -> None:
    """Totals, what makes the gap, the largest differences, what is left over, what changed."""
    found = made.found
    say(session, f"{found.source}: {rows} rows")
    for provider, span in sorted(found.spans.items()):
        say(session, f"  {provider} {span.start:%Y-%m-%dT%H:%MZ} to {span.end:%Y-%m-%dT%H:%MZ}")
    say(session, as_table(_sums(made), _SUMS))
    shown = (m for m in found.matched if m.undated or round_half_up(m.difference, _PLACES))
    apart = sorted(shown, key=_size, reverse=True)
    if apart:
        say(session, "")
        _print(session, "different", [_match_row(match) for match in apart[:_MOST]], len(apart))
    loose = sorted(found.unmatched, key=_weight, reverse=True)
    ours = [item for item in loose if item.ours]
    if ours:
        say(session, "")
        _print(session, "on one side alone", [_loose_row(i) for i in ours[:_MOST]], len(ours))
    others = [item for item in loose if not item.ours]
    if others:
        say(session, "")
        _print_others(session, others)
    say(session, "")
    say(session, _written(made, dry_run=dry_run))
    for change in made.changes:
        was, is_ = dollars(change.before, _PLACES), dollars(change.after, _PLACES)
        say(session, f"  {project_text(change.project)}: {was} -> {is_}")


def _sums(made: Settled) -> Sequence[Record]:
    found = made.found
    bill, ledger = (round_half_up(usd, _PLACES) for usd in (found.bill_total, found.ledger_total))
    share = f"{round_half_up(found.gap / found.bill_total * 100, 2)} %" if found.bill_total else "-"
    parts = printed_parts(found.parts, bill - ledger, _PLACES)
    sums = [
        {"what": "bill", "usd": dollars(bill, _PLACES), "share": ""},
        {"what": "ledger", "usd": dollars(ledger, _PLACES), "share": ""},
        {"what": "gap", "usd": dollars(bill - ledger, _PLACES), "share": share},
    ]
    return [
        *sums,
        *(
            {"what": f"  {_NAMES[name]}", "usd": dollars(usd, _PLACES), "share": ""}
            for name, usd in parts.items()
            if found.parts[name]
        ),
    ]


_SUMS = [
    Column("USD", lambda r: r["what"]),
    Column("", lambda r: r["usd"], right=True),
    Column("", lambda r: r["share"], right=True),
]


def _size(match: Match) -> Fraction:
    return abs(match.difference)


def _weight(item: Unmatched) -> Fraction:
    return abs(item.cost or Fraction(0))


def _match_row(match: Match) -> Record:
    day = match.reckoned
    return {
        "when": day.day.isoformat(),
        "resource": day.resource,
        "kind": day.kind.value,
        "ledger": dollars(day.cost, _PLACES),
        "bill": dollars(match.billed, _PLACES),
        "reason": match.reason or "-",
    }


def _loose_row(item: Unmatched) -> Record:
    cost = dollars(item.cost, _PLACES)
    when = item.first.isoformat()
    return {
        "when": when if item.days == 1 else f"{when} +{(item.last - item.first).days}d",
        "resource": item.resource or "-",
        "kind": item.kind.value if item.kind else (item.sku or "-")[:24],
        "ledger": cost if item.side == "ledger" else "-",
        "bill": cost if item.side == "bill" else "-",
        "reason": item.reason,
    }


_ROWS = [
    Column("DAY", lambda r: r["when"]),
    Column("RESOURCE", lambda r: r["resource"]),
    Column("KIND", lambda r: r["kind"]),
    Column("LEDGER", lambda r: r["ledger"], right=True),
    Column("BILL", lambda r: r["bill"], right=True),
]


def _print(session: Session, title: str, rows: Sequence[Record], whole: int) -> None:
    more = f", the {len(rows)} largest (all: -o csv)" if whole > len(rows) else ""
    say(session, f"{title}: {whole}{more}")
    header, *lines = as_table(rows, _ROWS).split("\n")
    say(session, header)
    for line, row in zip(lines, rows, strict=True):
        say(session, line)
        for part in _wrapped(plain(row["reason"])):
            say(session, part)


def _print_others(session: Session, items: Sequence[Unmatched]) -> None:
    rows = [_loose_row(item) for item in items[:_FEW]]
    more = f", the {len(rows)} largest (all: -o csv)" if len(items) > len(rows) else ""
    say(session, f"not gpuctl's: {len(items)}{more}")
    say(
        session,
        as_table(rows, [column for column in _ROWS if column.title in ("DAY", "KIND", "BILL")]),
    )
    for reason in dict.fromkeys(item.reason for item in items):
        for part in _wrapped(plain(reason)):
            say(session, part)


def _wrapped(text: str) -> Iterable[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _written(made: Settled, *, dry_run: bool) -> str:
    if not made.settled:
        return "nothing new to settle"
    days = "1 resource-day" if made.settled == 1 else f"{made.settled} resource-days"
    was, is_ = dollars(made.before, _PLACES), dollars(made.after, _PLACES)
    verb = "would be settled" if dry_run else "settled"
    return f"{days} {verb}; ledger {was} -> {is_}"
