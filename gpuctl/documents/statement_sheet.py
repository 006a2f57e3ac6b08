"""A statement -> the sheet that page and paper draw."""

from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal

from gpuctl.core.kinds import EndedBy
from gpuctl.core.statement import ProjectStatement, SessionLine, Statement
from gpuctl.documents import period_sheet, project_sheet
from gpuctl.documents.formats import (
    amount,
    day,
    duration,
    exchanged,
    hours,
    moment,
    money,
    month,
    percent,
    plain,
    provider,
    stretch,
)
from gpuctl.documents.sheet import (
    Block,
    Cell,
    Column,
    Facts,
    Remarks,
    Row,
    Section,
    Sheet,
    Table,
    Words,
    address_of,
)

_STATES = {
    "estimated": (
        "Estimated",
        "Reckoned from the providers' prices. Their bills may still differ a little.",
    ),
    "settled": ("Settled", "Every charge is what the providers' bills say."),
    "mixed": (
        "Partly settled",
        "Some charges are what the providers' bills say, others are reckoned from their prices.",
    ),
}


def sheet(statement: Statement) -> Sheet:
    """Everything the client is told, in the order of reading: the sum, then how it came about."""
    state, words = _STATES.get(statement.basis, (statement.basis, ""))
    if statement.closed_at:
        words += f" Closed on {moment(statement.closed_at)}: these figures do not move any more."
    else:
        words += f" As of {moment(statement.as_of)}, not closed yet."
    sections = [_summary(statement)]
    period = period_sheet.section(statement)
    if period.blocks:
        sections.append(period)
    sections += [
        project_sheet.section(_name(i), project, statement)
        for i, project in enumerate(statement.projects)
    ]
    sections.append(_terms(statement))
    return Sheet(
        title="Statement of cloud costs",
        period=_period(statement),
        sender=address_of("From", statement.sender) if statement.sender else None,
        receiver=address_of("For", statement.receiver),
        facts=_facts(statement),
        label="Total" if statement.vat_rate is None else "Total with VAT",
        amount=money(statement.total, statement.currency),
        under=_of_which(statement),
        state=state + (", closed" if statement.closed_at else ""),
        state_words=words.strip(),
        figures=_key_figures(statement),
        sections=tuple(sections),
        head=plain(statement.ledger_head),
        head_words="Fingerprint of the ledger that these figures were computed from:",
    )


def _name(number: int) -> str:
    return f"project-{number + 1}"


def _period(statement: Statement) -> str:
    if statement.month:
        return month(statement.month)
    if not statement.spans:
        return f"until {moment(statement.as_of)}"
    spans = statement.spans
    return stretch(min(span.start for span in spans), max(span.end for span in spans))


def _facts(statement: Statement) -> Facts:
    pairs = [("Period", _period(statement))]
    if statement.invoice:
        pairs.append(("Invoice", plain(statement.invoice)))
    if statement.closed_at:
        pairs.append(("Closed", day(statement.closed_at.astimezone(UTC).date())))
    else:
        pairs.append(("As of", day(statement.as_of.astimezone(UTC).date())))
    pairs.append(("Currency", statement.currency))
    return Facts(tuple(pairs))


def _of_which(statement: Statement) -> str:
    if statement.vat_rate is None:
        return "VAT is not part of this statement."
    net = money(statement.net, statement.currency)
    return (
        f"{net} and {percent(statement.vat_rate)} VAT, {money(statement.vat, statement.currency)}"
    )


def _key_figures(statement: Statement) -> Facts:
    runs = [one for project in statement.projects for one in project.sessions]
    pairs = [("Machine time", hours(_seconds(runs)))]
    pairs.append(("Sessions", f"{len(runs):,}"))
    cut = sum(1 for one in runs if one.ended_by is EndedBy.PROVIDER)
    pairs.append(("Interruptions", f"{cut:,}"))
    saved = [project.saved for project in statement.projects if project.saved is not None]
    if saved:
        pairs.append(("Saved by spot", money(sum(saved, Decimal(0)), statement.currency)))
    return Facts(tuple(pairs))


def _seconds(runs: Sequence[SessionLine]) -> int:
    return sum(one.seconds for one in runs)


def _summary(statement: Statement) -> Section:
    blocks: list[Block] = []
    if not statement.projects:
        blocks.append(Words("Nothing ran for this client in the period."))
    blocks.append(_sums(statement))
    if statement.quotes:
        from gpuctl.documents.quote_rows import table  # noqa: PLC0415 - few statements have any

        blocks.append(table(statement.quotes))
    if statement.exchange:
        rate = exchanged(statement.exchange)
        blocks.append(Words(f"The providers ask for US dollars. Converted at {rate}."))
    if statement.fee or statement.included_usd:
        blocks.append(
            Words(
                "The monthly fee includes cloud cost of up to "
                f"{money(statement.included_usd, 'USD')}."
                if statement.included_usd
                else "The monthly fee is asked for beside the cloud cost."
            )
        )
    if statement.own_account:
        blocks.append(
            Words(
                f"On your own cloud account {money(statement.own_account, 'USD')} more was spent. "
                "It is billed to you there and is in no total here."
            )
        )
    if statement.notes:
        blocks.append(Remarks("Please note", tuple(plain(note) for note in statement.notes)))
    return Section("summary", "Summary", "", tuple(blocks))


def _sums(statement: Statement) -> Table:
    currency, projects = statement.currency, statement.projects
    less = any(project.absorbed for project in projects)
    more = any(project.markup or project.markup_rate for project in projects)
    columns = [
        Column("Project"),
        Column("Machine time", "h:mm:ss", number=True),
        Column("Cost", currency, number=True),
        *([Column("Not charged", currency, number=True)] if less else []),
        *([Column("Markup", currency, number=True)] if more else []),
        Column("Charged", currency, number=True),
    ]

    def cells(project: ProjectStatement) -> list[Cell]:
        usd = f"USD {amount(project.cost_usd, 'USD')}" if statement.exchange else ""
        found = [Cell(duration(_run(project))), Cell(amount(project.cost, currency), usd)]
        if less:
            found.append(Cell(amount(-project.absorbed, currency)))
        if more:
            found.append(Cell(amount(project.markup, currency), percent(project.markup_rate)))
        return [*found, Cell(amount(project.billable, currency))]

    rows = [
        Row(
            (
                Cell(
                    plain(project.title or "") or plain(project.project),
                    plain(project.project) if project.title else "",
                    _name(i),
                ),
                *cells(project),
            )
        )
        for i, project in enumerate(projects)
    ]
    return Table(
        "sums", "What is charged", tuple(columns), tuple(rows), _feet(statement, len(columns))
    )


def _run(project: ProjectStatement) -> int:
    return round(project.hours * 3600)


def _feet(statement: Statement, columns: int) -> tuple[Row, ...]:
    currency, projects = statement.currency, statement.projects

    def foot(label: str, value: Decimal, weight: str = "part") -> Row:
        blank = [Cell("")] * (columns - 2)
        return Row((Cell(label), *blank, Cell(amount(value, currency))), weight)

    feet = []
    if len(projects) > 1:
        less = any(project.absorbed for project in projects)
        more = any(project.markup or project.markup_rate for project in projects)
        total = Decimal(0)
        cells = [
            Cell("All projects"),
            Cell(duration(sum(_run(project) for project in projects))),
            Cell(amount(sum((project.cost for project in projects), total), currency)),
        ]
        if less:
            cells.append(Cell(amount(-sum((p.absorbed for p in projects), total), currency)))
        if more:
            cells.append(Cell(amount(sum((p.markup for p in projects), total), currency)))
        cells.append(Cell(amount(sum((p.billable for p in projects), total), currency)))
        feet.append(Row(tuple(cells), "part"))
    if statement.fee:
        feet.append(foot("Monthly fee", statement.fee))
    if statement.rounding:
        feet.append(foot("Rounding", statement.rounding))
    if statement.vat_rate is not None:
        feet.append(foot("Net", statement.net))
        feet.append(foot(f"VAT {percent(statement.vat_rate)}", statement.vat))
    feet.append(foot("Total", statement.total, "total"))
    return tuple(feet)


def _terms(statement: Statement) -> Section:
    items = [
        (
            "Cost is what the cloud providers ask for. Each amount is rounded once, and every "
            "column adds up to its total."
        ),
        (
            "Spot machines are spare capacity at a lower price, which the provider may take back. "
            "Saved is what the same time would have cost on demand, less what it cost."
        ),
    ]
    if any(span.provider == "aws" for span in statement.spans):
        items.append(
            "A spot machine that AWS takes back within its first hour is free; its disk and "
            "address are not."
        )
    items += [
        f"{provider(span.provider)} counts to this period what ran from {moment(span.start)} to "
        f"{moment(span.end)}."
        for span in statement.spans
    ]
    return Section("reading", "How to read this", "", (Remarks("", tuple(items)),))
