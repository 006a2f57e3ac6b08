"""A statement in GitHub-flavoured Markdown: for an issue, a wiki, a mail."""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from gpuctl.core.kinds import EndedBy
from gpuctl.core.rounding import decimal_text
from gpuctl.core.statement import (
    Party,
    ProjectStatement,
    QuoteLine,
    SessionLine,
    Statement,
    StatementLine,
)
from gpuctl.documents.formats import (
    NONE,
    aligned,
    amount,
    day,
    duration,
    exchanged,
    moment,
    month,
    percent,
    plain,
    provider,
    short_moment,
    stretch,
)
from gpuctl.documents.lines import amount_of, cost_of, details_of, kind_of

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~!&$@]|:(?=//)|^(?:[-+=]|\d+(?=[.)]))")
"""What Markdown could take for its own: marks anywhere, list marks and rules at the beginning."""


def draw(statement: Statement) -> bytes:
    """Headings and tables; each table's last row is the sum of those above it."""
    return "".join(f"{line}\n" for line in _lines(statement)).encode()


def _lines(statement: Statement) -> Iterator[str]:
    title = month(statement.month) if statement.month else _span(statement)
    yield f"# {_text(statement.receiver.name) or statement.client}: cloud costs, {title}"
    yield ""
    yield from _facts(statement)
    yield ""
    yield from _summary(statement)
    if statement.quotes:
        yield from ("", "## Quoted", "")
        yield from _quotes(statement.quotes)
    for project in statement.projects:
        yield from _project(statement, project)
    if statement.notes:
        yield from ("", "## Notes", "")
        yield from (f"- {_text(note)}" for note in statement.notes)
    yield ""
    yield f"Amounts in {statement.currency}, times in UTC. Ledger `{_code(statement.ledger_head)}`."


_BASIS = {"mixed": "partly settled"}
"""As the page says it: `mixed` is a word of ours."""


def _facts(statement: Statement) -> Iterator[str]:
    if statement.sender is not None:
        yield f"- From: {_party(statement.sender)}"
    yield f"- To: {_party(statement.receiver)}"
    for span in statement.spans:
        yield f"- {provider(span.provider)}: {moment(span.start)} to {moment(span.end)}"
    if statement.invoice:
        yield f"- Invoice: {_text(statement.invoice)}"
    state = "closed " + moment(statement.closed_at) if statement.closed_at else "not closed"
    basis = _BASIS.get(statement.basis, statement.basis)
    yield f"- Status: {basis}, {state}, as of {moment(statement.as_of)}"
    if statement.exchange is not None:
        yield f"- Exchange rate: {_marked(exchanged(statement.exchange))}"
    if statement.own_account:
        own = amount(statement.own_account, "USD")
        yield f"- On your own cloud account, in no total here: {own} USD"


def _summary(statement: Statement) -> Iterator[str]:
    def coins(value: Decimal) -> str:
        return amount(value, statement.currency)

    rows = [
        (
            _text(project.project),
            coins(project.cost),
            coins(-project.absorbed),
            coins(project.markup),
            coins(project.billable),
        )
        for project in statement.projects
    ]
    included = f"fee, includes {amount(statement.included_usd, 'USD')} USD of cloud cost"
    label = included if statement.included_usd else "fee"
    if statement.fee:
        rows.append((label, "", "", "", coins(statement.fee)))
    if statement.rounding:
        rows.append(("rounding", "", "", "", coins(statement.rounding)))
    rows.append(("**net**", "", "", "", f"**{coins(statement.net)}**"))
    if statement.vat_rate is not None:
        rows.append((f"VAT {percent(statement.vat_rate)}", "", "", "", coins(statement.vat)))
    rows.append(("**total**", "", "", "", f"**{coins(statement.total)}**"))
    yield from _table(("", "cost", "not charged", "markup", statement.currency), rows, left=1)


def _quotes(quotes: Sequence[QuoteLine]) -> Iterator[str]:
    rows = [
        (
            _text(quote.project),
            day(quote.at.date()),
            *(amount(each, quote.currency) for each in (quote.p50, quote.p90, quote.ceiling)),
            f"{amount(quote.spent, quote.currency)} {quote.currency}",
        )
        for quote in quotes
    ]
    titles = ("project", "quoted", "likely", "prudent", "ceiling", "so far, without VAT")
    yield from _table(titles, rows, left=2)


def _project(statement: Statement, project: ProjectStatement) -> Iterator[str]:
    title = f": {_text(project.title)}" if project.title else ""
    yield from ("", f"## {_text(project.project)}{title}", "")
    for name, value in project.tags.items():
        yield f"- {_text(name)}: {_text(value)}"
    if project.tags:
        yield ""
    currency = statement.currency
    rates = aligned(line.rate for line in project.lines)
    rows = [
        (
            _what(line),
            amount_of(line),
            rate,
            cost_of(line, currency),
        )
        for line, rate in zip(project.lines, rates, strict=True)
    ]
    rows.append(("**cost**", "", "", f"**{amount(project.cost, currency)}**"))
    yield from _table(("what", "amount", "USD each", currency), rows, left=1)
    if not project.sessions:
        return
    yield ""
    yield from _sessions(project, currency)


def _sessions(project: ProjectStatement, currency: str) -> Iterator[str]:
    rows = [
        (
            _text(session.machine),
            _text(" ".join(filter(None, (session.type, session.market, session.zone)))),
            short_moment(session.start),
            short_moment(session.end) if session.end else "runs on",
            _ended(session),
            duration(session.seconds),
            _prices(session),
            cost_of(session, currency),
        )
        for session in project.sessions
    ]
    if project.other:
        rows.append(("in no session", "", "", "", "", "", "", amount(project.other, currency)))
    seconds = sum(session.seconds for session in project.sessions)
    cost = f"**{amount(project.cost, currency)}**"
    rows.append(("**cost**", "", "", "", "", duration(seconds), "", cost))
    titles = ("machine", "what", "from", "to", "ended by", "time", "USD an hour", currency)
    yield from _table(titles, rows, left=5)


def _what(line: StatementLine) -> str:
    details = ", ".join(details_of(line))
    return _text(f"{kind_of(line)}: {details}" if details else kind_of(line))


def _ended(session: SessionLine) -> str:
    if session.ended_by is None:
        return NONE
    who = "us" if session.ended_by is EndedBy.USER else "the cloud"
    return f"{who}: free" if session.free else who


def _prices(session: SessionLine) -> str:
    if session.low is None or session.high is None:
        return NONE
    if session.low == session.high:
        return decimal_text(session.low)
    return f"{decimal_text(session.low)} to {decimal_text(session.high)}"


def _span(statement: Statement) -> str:
    return stretch(
        min(span.start for span in statement.spans), max(span.end for span in statement.spans)
    )


def _party(party: Party) -> str:
    vat = (f"VAT {party.vat}",) if party.vat else ()
    lines = (party.name, *party.address, *vat, *((party.contact,) if party.contact else ()))
    return ", ".join(text for text in map(_text, lines) if text)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> Iterator[str]:
    """The first `left` columns are words, the others numbers."""
    yield _row(titles)
    yield _row([":--" if place < left else "--:" for place in range(len(titles))])
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """A name as it is, whatever marks it holds, on one line."""
    return _marked(plain(text))


def _marked(text: str) -> str:
    """Words that are plain already."""
    return _SPECIAL.sub(lambda found: _escaped(found.group()), text)


def _escaped(mark: str) -> str:
    # A list's number has its point escaped, every other mark itself.
    return f"{mark}\\" if mark.isdigit() else f"\\{mark}"


def _code(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)
