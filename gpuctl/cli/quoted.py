"""Quotes beside what they have come to, as tables and JSON."""

from collections.abc import Sequence
from typing import Any

from gpuctl.cli.render import Column, as_table, room, say
from gpuctl.cli.session import Session
from gpuctl.core.quoting.actual import Actual


def hours_text(hours: Sequence[str]) -> str:
    """`30`, or `25 to 40`."""
    return hours[0] if hours[0] == hours[-1] else f"{hours[0]} to {hours[-1]}"


def moment_text(moment: str | None) -> str:
    """When it is done, to the minute."""
    return "not in 60 days" if moment is None else moment[:16].replace("T", " ")


COLUMNS = (
    Column("QUOTED", lambda r: r["at"][:10]),
    Column("PROJECT", lambda r: r["project"]),
    Column("HOURS", lambda r: hours_text(r["hours"]), right=True),
    Column("P50", lambda r: r["p50"], right=True),
    Column("P90", lambda r: r["p90"], right=True),
    Column("CEILING", lambda r: r["ceiling"], right=True),
    Column("SO FAR", lambda r: r["actual"] + ("+?" if r["missing"] else ""), right=True),
    Column("", lambda r: r["currency"]),
    Column("DONE BY (P90)", lambda r: moment_text(r["finish_p90"])),
    Column("STATE", lambda r: "open" if r["open"] else "over"),
)
_KEPT = (
    "id", "at", "project", "template", "hours", "deadline", "currency", "p50", "p90", "ceiling",
    "finish_p50", "finish_p90",
)  # fmt: skip


def quote_shapes(found: Sequence[Actual]) -> list[dict[str, Any]]:
    """Each quote with `actual`: in its own currency, markup included, without VAT."""
    from gpuctl.core.quoting.quote import quote_shape
    from gpuctl.core.span import format_time

    shapes = []
    for one in found:
        shape = quote_shape(one.quote)
        shapes.append(
            {name: shape[name] for name in _KEPT}
            | {
                "actual": f"{one.line.spent:f}",
                "sessions": one.sessions,
                "until": format_time(one.until),
                "open": one.open,
                "missing": one.missing,
            }
        )
    return shapes


def print_quotes(session: Session, found: Sequence[Actual]) -> None:
    """Below a report: what was quoted, in the quotes' own currencies, and what it has come to."""
    say(session, "")
    say(session, as_table(quote_shapes(found), COLUMNS, room(session)))
