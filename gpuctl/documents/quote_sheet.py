"""A quote -> the sheet that page and paper draw: one page, for the client."""

from datetime import UTC, datetime
from decimal import Decimal

from gpuctl.core.quoting.quote import Quote
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.documents.formats import (
    JOIN,
    NONE,
    amount,
    day,
    exchanged,
    moment,
    money,
    percent,
    plain,
    short_day,
)
from gpuctl.documents.sheet import (
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


def sheet(quote: Quote) -> Sheet:
    """Who offers what to whom, at what price, until when, and what that rests on.

    Own cost, markup and USD of the machine are not in it.
    """
    price, currency = quote.price, quote.currency
    ceiling = money(price.ceiling, currency)
    less = "without VAT" if quote.vat_rate is not None else "VAT is not part of this quote"
    return Sheet(
        title="Quote for cloud computing",
        period=plain(quote.title or quote.project),
        sender=address_of("From", quote.sender) if quote.sender else None,
        receiver=address_of("For", quote.receiver),
        facts=_facts(quote),
        label=f"Estimate, {less}",
        amount=_spread(price.p50, price.p90, currency),
        under=f"At most {ceiling}, if it takes no more than {quote.hours[-1]:f} hours.",
        state=f"Valid until {day(quote.valid_until.astimezone(UTC).date())}",
        state_words=_state(quote),
        figures=_figures(quote),
        sections=(_prices(quote), _basis(quote)),
        head=quote.id,
        head_words="This quote is kept under:",
    )


def _facts(quote: Quote) -> Facts:
    pairs = [
        ("Quoted", day(quote.at.astimezone(UTC).date())),
        ("Project", plain(quote.project)),
        ("Currency", quote.currency),
    ]
    return Facts(tuple(pairs))


def _state(quote: Quote) -> str:
    words = "An estimate: charged is what the machines come to cost, on the same terms."
    if quote.deadline is not None:
        words = f"To be done by {moment(quote.deadline)}. {words}"
    return words


def _spread(low: Decimal, high: Decimal, currency: str) -> str:
    if low == high:
        return money(low, currency)
    return f"{money(low, currency)} {NONE} {amount(high, currency)}"


def _figures(quote: Quote) -> Facts:
    pairs = [("Computing", f"{_hours(quote)}{JOIN}h"), ("On", plain(quote.basis.type))]
    by = quote.deadline or quote.finish_p90
    if by is not None:
        name = "Deadline" if quote.deadline is not None else "Begun today, done by"
        pairs.append((name, f"{short_day(by.astimezone(UTC))} {by.astimezone(UTC).year}"))
    return Facts(tuple(pairs))


def _hours(quote: Quote) -> str:
    least, most = quote.hours[0], quote.hours[-1]
    return f"{least:f}" if least == most else f"{least:f}{JOIN}{NONE}{JOIN}{most:f}"


def _prices(quote: Quote) -> Section:
    currency, vat = quote.currency, quote.vat_rate
    columns = [
        Column("Estimate"),
        Column("Done, if begun at once"),
        Column("Price", currency, number=True),
    ]
    if vat is not None:
        columns += [
            Column(f"VAT {percent(vat)}", currency, number=True),
            Column("With VAT", currency, number=True),
        ]

    def row(name: str, under: str, price: Decimal, done: str) -> Row:
        cells = [Cell(name, under), Cell(done), Cell(amount(price, currency))]
        if vat is not None:
            tax = round_half_up(price * vat, minor_units(currency))
            cells += [Cell(amount(tax, currency)), Cell(amount(price + tax, currency))]
        return Row(tuple(cells))

    rows = (
        row("Likely", "as many such jobs cost less as more", quote.price.p50,
            _done(quote.finish_p50)),
        row("Prudent", "nine of ten such jobs cost no more", quote.price.p90,
            _done(quote.finish_p90)),
        row("Ceiling", "on demand from start to end", quote.price.ceiling,
            _done(quote.uninterrupted)),
    )  # fmt: skip
    blocks: list[Table | Words] = [Table("prices", "Price and finish", tuple(columns), rows)]
    if quote.exchange is not None:
        blocks.append(
            Words(f"The providers ask for US dollars. Converted at {exchanged(quote.exchange)}.")
        )
    return Section("price", "What it is expected to cost", "", tuple(blocks))


def _done(finish: datetime | None) -> str:
    return "not within 60 days" if finish is None else moment(finish)


def _basis(quote: Quote) -> Section:
    items = [
        *(plain(one) for one in quote.basis.assumed),
        (
            "Included are the machines, their disks and addresses. Other storage, and data that "
            "is sent out, are not."
        ),
    ]
    return Section("basis", "What this rests on", "", (Remarks("", tuple(items)),))
