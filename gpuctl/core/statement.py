"""What a client is sent: values alone. Made in statements.py, drawn in `documents`.

Every amount is in the statement's currency and already rounded, once; each column adds up:
lines and sessions to their project, projects to `net`, `net + vat` to `total`.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from gpuctl.core.kinds import EndedBy, Market, Unit


class Party(NamedTuple):
    """Who sends or receives: `vat` is a number such as NL123456789B01."""

    name: str
    address: tuple[str, ...] = ()
    vat: str | None = None
    contact: str | None = None


class Exchange(NamedTuple):
    """`per_usd` units of `currency` for one USD, on `day`, as `source` says."""

    currency: str
    per_usd: Decimal
    """Exact where the source gives it so; else rounded half up to 10 decimals."""
    day: date
    source: str
    quoted: str
    """The rate as the source quotes it, e.g. `1 EUR = 1.0842 USD`."""


class BillingSpan(NamedTuple):
    """What a provider counts to the period."""

    provider: str
    start: datetime
    end: datetime


class StatementLine(NamedTuple):
    """One kind of thing of one project. `amount` (6 decimals) times `rate` (USD) gave the cost."""

    kind: str
    sku: str | None
    market: Market | None
    unit: Unit | None
    amount: Decimal
    rate: Decimal | None
    """None when several rates went into it."""
    cost: Decimal
    note: str | None = None
    """What a correction corrects, why an adjustment was made."""
    unpriced: bool = False
    """A price of it is missing: `cost` is what is known of it, 0 where that is nothing."""


class PriceStep(NamedTuple):
    """From `at` on, an hour cost so much USD."""

    at: datetime
    usd: Decimal


class SessionLine(NamedTuple):
    """One run of one machine for the project, with its disk, address and traffic."""

    session: str
    machine: str
    """Its short name where one is known, else the cloud's id."""
    provider: str
    zone: str | None
    type: str | None
    gpu: str | None
    gpus: int
    market: Market | None
    start: datetime
    end: datetime | None
    """None = still running."""
    seconds: int
    """Billed to this project: its share of a shared machine's time, 0 of a free one's."""
    low: Decimal | None
    high: Decimal | None
    """USD an hour, the least and the most that was paid for the machine itself."""
    compute: Decimal
    """Of `cost`, the machine itself."""
    cost: Decimal
    on_demand: Decimal | None
    """What the machine itself would have cost on demand; None where that price is not known."""
    ended_by: EndedBy | None
    settled: bool
    free: bool
    """Interrupted within the first hour: the provider asks nothing for it."""
    prices: tuple[PriceStep, ...] = ()
    image: str | None = None
    """`NAME@VERSION` that it was started from, where that is an image of one's own."""
    recipe_sha256: str | None = None
    """Of the recipe that the image was made of, as the cloud tells it."""
    unpriced: bool = False
    """A price of it is missing: `cost` is what is known of it, 0 where that is nothing."""


class DaySpend(NamedTuple):
    """Cost of one UTC day (AWS) or Los Angeles day (Google), and the hours machines ran."""

    day: date
    cost: Decimal
    hours: Decimal


class ProjectStatement(NamedTuple):
    """One project: `cost = recharged + absorbed`, `billable = recharged + markup`."""

    project: str
    title: str | None
    tags: Mapping[str, str]
    lines: tuple[StatementLine, ...]
    """They add up to `cost`."""
    sessions: tuple[SessionLine, ...]
    other: Decimal
    """What belongs to no session (snapshots, adjustments): sessions + other = `cost`."""
    days: tuple[DaySpend, ...]
    cost: Decimal
    cost_usd: Decimal
    absorbed: Decimal
    markup: Decimal
    markup_rate: Decimal
    """A fraction: 0.15 for 15 %."""
    billable: Decimal
    hours: Decimal
    saved: Decimal | None
    """What spot saved against on-demand; None where no on-demand price is known."""


class QuoteLine(NamedTuple):
    """What was quoted for a project, and what it has come to. Amounts as they were quoted."""

    project: str
    at: datetime
    hours: tuple[Decimal, ...]
    currency: str
    p50: Decimal
    p90: Decimal
    ceiling: Decimal
    spent: Decimal
    """Charged for the project since, at the quote's exchange rate, without VAT."""
    finish_p90: datetime | None
    until: datetime
    """So far it was counted."""
    open: bool
    """Whether more may come."""


class Statement(NamedTuple):
    """One client's period. Holds nothing of any other client."""

    client: str
    receiver: Party
    sender: Party | None
    month: str | None
    """`2025-03`; None for a span of days."""
    spans: tuple[BillingSpan, ...]
    currency: str
    exchange: Exchange | None
    """None when the currency is USD."""
    projects: tuple[ProjectStatement, ...]
    own_account: Decimal
    """USD on the client's own cloud account: shown, in no total."""
    fee: Decimal
    """The retainer's monthly fee."""
    included_usd: Decimal
    """The cloud cost that the fee includes."""
    rounding: Decimal
    """What rounding to the client's step adds."""
    net: Decimal
    vat_rate: Decimal | None
    """A fraction; None = no VAT line."""
    vat: Decimal
    total: Decimal
    basis: str
    """`estimated`, `settled`, or `mixed`."""
    invoice: str | None
    closed_at: datetime | None
    as_of: datetime
    """Runs that go on are counted until then."""
    ledger_head: str
    notes: tuple[str, ...]
    """What the client should know: an uncertain end, a missing price, an old exchange rate."""
    quotes: tuple[QuoteLine, ...] = ()
