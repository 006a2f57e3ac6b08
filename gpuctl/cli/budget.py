"""`budget`: what each project may spend, has spent, and will have spent at the month's end."""

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.render import Column, Record, emit
from gpuctl.cli.session import Session
from gpuctl.cli.text import dollars

if TYPE_CHECKING:
    from gpuctl.app.budget import Budget

_BAR = 10


@click.command()
@command
def budget(session: Session) -> int:
    """Budgets of this month, what is left of them, and what the month will come to.

    The forecast goes on at the prices of now: machines until their deadlines, storage that
    outlives them until the month's end.
    """
    from gpuctl.app.budget import budgets_in, spent_this_month
    from gpuctl.cli.money_shapes import exact

    now = session.now()
    settings = session.settings
    events = session.ledger.events()
    found = budgets_in(settings, events, sorted(settings.projects), now)
    records = [_shape(item) for item in found]
    ceiling = settings.limits.month
    extra = {
        "spent": exact(spent_this_month(events, now)),
        "limit": None if ceiling is None else f"{ceiling:f}",
        "currency": "USD",
    }
    if session.output == "table":
        records = [row for record in records for row in _rows(record)]
        if ceiling is not None:
            records.append(_ceiling(extra))
    emit(session, "budget", "budgets", records, _COLUMNS, extra=extra, empty="no projects")
    return 0


def _shape(item: "Budget") -> dict[str, Any]:
    from gpuctl.cli.money_shapes import exact

    def text(usd: Fraction | None) -> str | None:
        return None if usd is None else exact(usd)

    return {
        "project": item.project,
        "spent": exact(item.spent),
        "limit": None if item.limit is None else f"{item.limit:f}",
        "left": text(item.left),
        "forecast": text(item.forecast),
        "used": _per_cent(item.used),
        "total": None
        if item.total_limit is None
        else {
            "spent": text(item.total_spent),
            "limit": f"{item.total_limit:f}",
            "left": text(item.total_left),
            "used": _per_cent(item.total_used),
            "warned": item.total_passed,
        },
        "session": None if item.session is None else f"{item.session:f}",
        "hard": item.hard,
        "warned": item.month_passed,
        "currency": "USD",
    }


def _per_cent(share: Fraction | None) -> int | None:
    """Whole per cents, rounded down: 99.9 % of a budget is not all of it."""
    return None if share is None else int(share * 100)


def _rows(record: Record) -> list[dict[str, Any]]:
    """A project's month, and below it its whole life where that has a limit."""
    rows = [{**record, "name": record["project"]}]
    if record["total"] is not None:
        rows.append({**record["total"], "name": "  in all", "hard": record["hard"]})
    return rows


def _ceiling(extra: Record) -> dict[str, Any]:
    spent, limit = Fraction(extra["spent"]), Fraction(extra["limit"])
    return {
        "name": "everything",
        "spent": extra["spent"],
        "limit": extra["limit"],
        "left": str(limit - spent),
        "used": int(spent * 100 / limit) if limit else None,
        "warned": None,
        "hard": True,
    }


def _used(record: Record) -> str:
    from gpuctl.cli.marks import bar

    if record["used"] is None:
        return ""
    return f"{bar(Fraction(record['used'], 100), _BAR)} {record['used']:>3} %"


def _says(record: Record) -> str:
    words = ["hard"] if record["hard"] else []
    limit = record["limit"]
    if limit is not None and Fraction(record["spent"]) > Fraction(limit):
        words.append("over")
    elif record["warned"] is not None and record["used"] is not None:
        words.append(f"past {record['warned']} %")
    elif limit is not None and Fraction(record.get("forecast") or 0) > Fraction(limit):
        words.append("will be over")
    return ", ".join(words)


def _limit(record: Record, key: str) -> str:
    return "-" if record[key] is None else dollars(record[key])


def _forecast(record: Record) -> str:
    return dollars(record["forecast"]) if "forecast" in record else ""


_COLUMNS = [
    Column("PROJECT", lambda r: r["name"]),
    Column("SPENT", lambda r: dollars(r["spent"]), right=True),
    Column("BUDGET", lambda r: _limit(r, "limit"), right=True),
    Column("LEFT", lambda r: _limit(r, "left"), right=True),
    Column("FORECAST", _forecast, right=True),
    Column("USED", _used),
    Column("", _says),
]
