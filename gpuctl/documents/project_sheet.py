"""One project's part of a sheet: what it cost, by line and by session."""

from decimal import Decimal

from gpuctl.core.kinds import EndedBy
from gpuctl.core.statement import ProjectStatement, SessionLine, Statement, StatementLine
from gpuctl.documents import price_sheet
from gpuctl.documents.formats import (
    NONE,
    aligned,
    amount,
    duration,
    gpu,
    money,
    percent,
    plain,
    provider,
    short_moment,
)
from gpuctl.documents.lines import cost_of, details_of, kind_of, unit_of
from gpuctl.documents.sheet import (
    Block,
    Cell,
    Column,
    Facts,
    Row,
    Section,
    Table,
    Words,
)


def section(name: str, project: ProjectStatement, statement: Statement) -> Section:
    """Its lines, its sessions and what an hour cost during them."""
    blocks: list[Block] = [_figures(project, statement.currency)]
    if project.lines:
        blocks.append(_lines(name, project, statement.currency))
    if project.sessions:
        blocks.append(_sessions(name, project, statement))
        if gallery := price_sheet.gallery(name, project.sessions, statement):
            blocks.append(gallery)
    else:
        blocks.append(Words("No machine ran for this project in the period."))
    tags = [f"{plain(key)}: {plain(value)}" for key, value in project.tags.items()]
    under = [plain(project.project)] if project.title else []
    title = plain(project.title or "") or plain(project.project)
    return Section(name, title, " · ".join(under + tags), tuple(blocks))


def _figures(project: ProjectStatement, currency: str) -> Facts:
    pairs = [("Cost", money(project.cost, currency))]
    if project.cost_usd != project.cost or currency != "USD":
        pairs.append(("Cost in dollars", money(project.cost_usd, "USD")))
    if project.absorbed:
        pairs.append(("Not charged", money(-project.absorbed, currency)))
    if project.markup or project.markup_rate:
        pairs.append((f"Markup {percent(project.markup_rate)}", money(project.markup, currency)))
    pairs.append(("Charged", money(project.billable, currency)))
    if project.saved is not None:
        pairs.append(("Saved by spot", money(project.saved, currency)))
    return Facts(tuple(pairs))


def _rate(line: StatementLine) -> str:
    """In words, where it is no one number."""
    if line.unit is None or line.rate is not None:
        return ""
    return "not known" if line.unpriced and not line.cost else "various"


def _lines(name: str, project: ProjectStatement, currency: str) -> Table:
    amounts = aligned(line.amount if line.unit else None for line in project.lines)
    rates = aligned((line.rate if line.unit else None for line in project.lines), 2)
    rows = [
        Row(
            (
                Cell(plain(kind_of(line)), " · ".join(map(plain, details_of(line)))),
                Cell(amounts[i], unit_of(line)),
                Cell(_rate(line) or rates[i]),
                Cell(cost_of(line, currency)),
            )
        )
        for i, line in enumerate(project.lines)
    ]
    foot = Row((Cell("Cost"), Cell(""), Cell(""), Cell(amount(project.cost, currency))), "total")
    return Table(
        f"{name}-lines",
        "What was used",
        (
            Column("What"),
            Column("Amount", number=True),
            Column("Rate", "USD", number=True),
            Column("Cost", currency, number=True),
        ),
        tuple(rows),
        (foot,),
    )


def _sessions(name: str, project: ProjectStatement, statement: Statement) -> Table:
    currency, sessions = statement.currency, project.sessions
    lows, highs = [one.low for one in sessions], [one.high for one in sessions]
    rates = aligned([*lows, *highs], 4)
    rows = [
        Row(
            (
                Cell(plain(one.machine), _where(one)),
                Cell(gpu(one.gpu, one.gpus), plain(one.type or "")),
                Cell(one.market.value if one.market else NONE, _how(one, statement.basis)),
                Cell(short_moment(one.start), _until(one)),
                Cell(duration(one.seconds)),
                Cell(*_range(rates[i], rates[i + len(sessions)])),
                Cell("?" if one.unpriced and not one.compute else amount(one.compute, currency)),
                Cell(*_against(one, currency)),
                Cell(cost_of(one, currency)),
            )
        )
        for i, one in enumerate(sessions)
    ]
    ran = sum(one.seconds for one in sessions)
    compute = sum((one.compute for one in sessions), Decimal(0))
    cost = sum((one.cost for one in sessions), Decimal(0))
    listed = [one.on_demand for one in sessions if one.on_demand is not None]
    saved = Cell(NONE)
    if listed:
        less = sum(
            (one.on_demand - one.compute for one in sessions if one.on_demand is not None),
            Decimal(0),
        )
        saved = Cell(amount(less, currency), f"of {amount(sum(listed, Decimal(0)), currency)}")
    empty = Cell("")
    feet = [
        Row(
            (
                Cell(_count(len(sessions), "session")),
                empty,
                empty,
                empty,
                Cell(duration(ran)),
                empty,
                Cell(amount(compute, currency)),
                saved,
                Cell(amount(cost, currency)),
            ),
            "part",
        )
    ]
    if project.other:
        feet.append(_foot("In no session", project.other, currency, "part"))
    feet.append(_foot("Cost", project.cost, currency, "total"))
    return Table(
        f"{name}-sessions",
        "Sessions, times in UTC",
        (
            Column("Machine", "where"),
            Column("GPU", "type"),
            Column("Market", "how it ended"),
            Column("Start", "end"),
            Column("Time", "h:mm:ss", number=True),
            Column("Rate", "USD/h", number=True),
            Column("Compute", currency, number=True),
            Column("Saved", "of on demand", number=True),
            Column("Cost", currency, number=True),
        ),
        tuple(rows),
        tuple(feet),
        wordy=True,
    )


def _foot(label: str, cost: Decimal, currency: str, weight: str) -> Row:
    return Row((Cell(label), *[Cell("")] * 7, Cell(amount(cost, currency))), weight)


def _where(one: SessionLine) -> str:
    return " ".join([provider(one.provider), plain(one.zone or "")]).strip()


def _how(one: SessionLine, basis: str) -> str:
    said = []
    if one.free:
        said.append("interrupted in its first hour, free")
    elif one.ended_by is EndedBy.PROVIDER:
        said.append("interrupted")
    if one.end is None:
        said.append("still running")
    if basis == "mixed":
        said.append("settled" if one.settled else "estimated")
    return ", ".join(said)


def _until(one: SessionLine) -> str:
    return f"to {short_moment(one.end)}" if one.end else "goes on"


def _range(low: str, high: str) -> tuple[str, str]:
    return (low, "") if low == high else (low, f"to {high}")


def _against(one: SessionLine, currency: str) -> tuple[str, str]:
    if one.on_demand is None:
        return NONE, "no price known"
    return (
        amount(one.on_demand - one.compute, currency),
        f"of {amount(one.on_demand, currency)}",
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
