"""The part of a sheet that shows the period: cost by day, use of machines."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from gpuctl.core.kinds import EndedBy
from gpuctl.core.statement import Statement
from gpuctl.documents import charts
from gpuctl.documents.charts import Series, Stay
from gpuctl.documents.formats import amount, day, duration, money, plain, short_moment
from gpuctl.documents.sheet import Block, Cell, Column, Figure, Key, Row, Section, Table

_CLOCKS = {"aws": "UTC on AWS", "gcp": "Los Angeles time on Google Cloud"}


def section(statement: Statement) -> Section:
    """Cost by day and project, with its table, and when which machine ran; may have no blocks."""
    days = _days(statement)
    blocks: list[Block] = []
    series = [
        Series(
            plain(project.title or "") or plain(project.project),
            {one.day: one.cost for one in project.days},
        )
        for project in statement.projects
    ]
    stays = _stays(statement, days)
    if any(cost for one in series for cost in one.days.values()):
        blocks.append(_spend(statement, days, series))
    if stays:
        blocks.append(_machines(statement, days, series, stays))
    if blocks:
        blocks.append(_by_day(statement))
    return Section("over-time", "Over the period", "", tuple(blocks))


def _spend(statement: Statement, days: Sequence[date], series: Sequence[Series]) -> Figure:
    sums = _by(days, statement)
    top = max(sums, key=lambda when: (sums[when], when))
    words = f"{statement.currency} a day before markup."
    if sums[top] > 0:
        # Where credits alone are left, the largest of all days is one on which nothing was.
        words += f" The most was {money(sums[top], statement.currency)}, on {day(top)}."
    return Figure(
        "spend",
        "Cost by day and project",
        words,
        charts.spend("spend", days, series, statement.currency),
        _keys("spend", series),
    )


def _keys(name: str, series: Sequence[Series]) -> tuple[Key, ...]:
    if len(series) == 1:
        return ()
    return tuple(
        Key(charts.swatch(f"{name}-key-{i}", i), label)
        for i, label in enumerate(charts.labels(series))
    )


def _by(days: Sequence[date], statement: Statement) -> dict[date, Decimal]:
    sums = dict.fromkeys(days, Decimal(0))
    for project in statement.projects:
        for one in project.days:
            sums[one.day] = sums.get(one.day, Decimal(0)) + one.cost
    return sums


def _hours(statement: Statement) -> dict[date, Decimal]:
    ran: dict[date, Decimal] = {}
    for project in statement.projects:
        for one in project.days:
            ran[one.day] = ran.get(one.day, Decimal(0)) + one.hours
    return ran


def _by_day(statement: Statement) -> Table:
    """The figures of both charts."""
    currency, projects, nought = statement.currency, statement.projects, Decimal(0)
    ran = {when: round(value * 3600) for when, value in _hours(statement).items()}
    costs = [{one.day: one.cost for one in project.days} for project in projects]
    columns = [Column("Day"), Column("Machine time", "h:mm:ss", number=True)]
    columns += [
        Column(plain(p.title or "") or plain(p.project), currency, number=True) for p in projects
    ]
    if len(projects) > 1:
        columns.append(Column("All projects", currency, number=True))

    def row(label: str, seconds: int, values: Sequence[Decimal], weight: str = "") -> Row:
        shown = [*values, sum(values, nought)] if len(projects) > 1 else values
        cells = [Cell(amount(value, currency)) for value in shown]
        return Row((Cell(label), Cell(duration(seconds)), *cells), weight)

    rows = [
        row(day(when), ran[when], [one.get(when, nought) for one in costs])
        for when in sorted(ran)
        if ran[when] or any(one.get(when) for one in costs)
    ]
    foot = row("All days", sum(ran.values()), [sum(one.values(), nought) for one in costs], "total")
    return Table(
        "by-day", "Day by day", tuple(columns), tuple(rows), (foot,), "The figures, day by day"
    )


def _machines(
    statement: Statement, days: Sequence[date], series: Sequence[Series], stays: Sequence[Stay]
) -> Figure:
    ran = _hours(statement)
    busy = sum(1 for value in ran.values() if value)
    names = len({stay.machine for stay in stays})
    seconds = sum(stay.seconds for stay in stays)
    words = (
        f"{names} machine{'s' if names > 1 else ''} for {duration(seconds)} hours, on {busy} of "
        f"{len(days)} days."
    )
    clocks = [_CLOCKS[span.provider] for span in statement.spans if span.provider in _CLOCKS]
    if clocks:
        words += f" Days are {' and '.join(clocks)}."
    keys = _keys("use", series)
    if any(stay.interrupted for stay in stays):
        keys += (Key(charts.mark("use-key-cut", "cut"), "interrupted by the provider"),)
    return Figure(
        "use",
        "Use of machines",
        words,
        charts.machines("use", days, stays, ran),
        keys,
    )


def _days(statement: Statement) -> list[date]:
    """The period's days, and any other that has figures."""
    found = {one.day for project in statement.projects for one in project.days}
    if statement.month:
        year, number = (int(part) for part in statement.month.split("-"))
        first = date(year, number, 1)
        found |= {first, date(year + number // 12, number % 12 + 1, 1) - timedelta(days=1)}
    else:
        for span in statement.spans:
            last = (span.end - timedelta(microseconds=1)).astimezone(UTC).date()
            found |= {span.start.astimezone(UTC).date(), last}
    found = found or {statement.as_of.astimezone(UTC).date()}
    first, last = min(found), max(found)
    return [first + timedelta(days=i) for i in range((last - first).days + 1)]


def _stays(statement: Statement, days: Sequence[date]) -> list[Stay]:
    """Every session's place in the period, by the clock that its provider counts days with."""
    opening = datetime(days[0].year, days[0].month, days[0].day, tzinfo=UTC)
    whole = timedelta(days=len(days))
    late = {span.provider: span.start - opening for span in statement.spans if statement.month}
    stays = []
    for i, project in enumerate(statement.projects):
        for one in project.sessions:
            behind = late.get(one.provider, timedelta(0)) + opening
            end = one.end or max(statement.as_of, one.start)
            stays.append(
                Stay(
                    plain(one.machine),
                    (one.start - behind) / whole,
                    (end - behind) / whole,
                    one.seconds,
                    i,
                    one.ended_by is EndedBy.PROVIDER,
                    f"{plain(one.machine)}: {short_moment(one.start)} to {short_moment(end)}, "
                    f"{duration(one.seconds)}",
                )
            )
    return stays
