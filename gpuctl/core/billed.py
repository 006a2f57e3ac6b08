"""What a real bill says, in our words: read by `bills`, compared with the ledger by `app`."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from gpuctl.core.kinds import Kind, Market
from gpuctl.core.span import Month


class Category(StrEnum):
    """What a row of a bill is. Only usage is ever compared with the ledger."""

    USAGE = "usage"
    CREDIT = "credit"
    """Promotions, discounts, sustained use: negative as a rule."""
    REFUND = "refund"
    TAX = "tax"
    FEE = "fee"
    """Up-front and recurring fees, support, purchases."""
    OTHER = "other"
    """Rounding errors, adjustments: what the provider calls neither of these."""


KindOf = Callable[[str], tuple[Kind | None, Market | None]]
"""A bill's own word (usage type, SKU description) -> what it is in ours; (None, None) = neither."""


class BilledDay(NamedTuple):
    """All rows of one bill for one resource, kind and day, added up.

    `cost` is exact, in `currency`, and signed as the bill has it. `per_usd` is the bill's own
    rate (units of its currency for one USD), None where it names none. `day` is the provider's:
    UTC on AWS, Los Angeles on Google.
    """

    provider: str
    account: str | None
    resource: str | None
    """As the ledger names it: `i-0abc`, `vol-0abc`; on Google as the bill names it."""
    kind: Kind | None
    """None = nothing that gpuctl makes; `sku` then says what."""
    sku: str | None
    """The bill's own word: usage type, SKU description."""
    market: Market | None
    category: Category
    day: date
    start: datetime
    end: datetime
    quantity: Decimal | None
    unit: str | None
    cost: Decimal
    currency: str
    per_usd: Decimal | None
    project: str | None
    """From the cost allocation tag or label, where the bill has it."""
    region: str | None
    invoice: str | None
    rows: int
    undated: bool = False
    """The bill has no date for it that can be read: `day` is a place in the totals, no more."""
    period: Month | None = None
    """Of what is undated, the month in which it was used, where the bill tells that."""


class Total(NamedTuple):
    """The sum of a category in one currency."""

    category: Category
    currency: str
    cost: Decimal
    rows: int


class Bill(Protocol):
    """A bill that was opened and understood. Reading it again gives the same."""

    @property
    def source(self) -> str:
        """What was read, for people and for the record: format and file names."""

    @property
    def rows(self) -> int:
        """Rows in the files, whatever became of them."""

    @property
    def totals(self) -> Sequence[Total]:
        """By category and currency, exact: their sum is the sum of the files' cost column."""

    @property
    def problems(self) -> Sequence[str]:
        """What was read leniently or left out, with row counts, in words for people."""

    def days(self) -> Iterable[BilledDay]:
        """By resource, kind and day; their costs add up to `totals`."""
