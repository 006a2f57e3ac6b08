"""What a statement is made from: the client, its terms, and the ledger's words on it alone."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.charges import Charge
from gpuctl.core.events import Usage
from gpuctl.core.pricebook import PriceBook
from gpuctl.core.report import Account, Terms
from gpuctl.core.span import Span
from gpuctl.core.statement import Party
from gpuctl.core.statements_sessions import Look


class Rate(NamedTuple):
    """What one USD is worth: exact, with where it comes from."""

    currency: str
    per_usd: Fraction
    day: date
    source: str
    quoted: str
    """As the source has it: `1 EUR = 1.0842 USD`."""
    notes: tuple[str, ...] = ()
    """What to know of it: an old rate, a computer that was offline."""


class Described(NamedTuple):
    """A project in words."""

    title: str | None = None
    tags: Mapping[str, str] = {}


class Customer(NamedTuple):
    """Whom a statement is for, and on what terms; amounts in `currency`."""

    client: str
    receiver: Party
    sender: Party | None = None
    currency: str = "USD"
    fee: Decimal = Decimal(0)
    """The retainer's fee for the period."""
    included_usd: Decimal = Decimal(0)
    cap_usd: Decimal | None = None
    step: Decimal | None = None
    """Billed amounts are rounded to multiples of it; None = the currency's coin."""
    vat_rate: Decimal | None = None
    projects: Mapping[str, Described] = {}


class Known(NamedTuple):
    """What the ledger says of the period, for this client alone."""

    charges: Sequence[Charge]
    """The client's own, corrections included, those on its own account too."""
    accounts: Sequence[Account]
    """Its projects as `report` has them: in USD, rounded over all clients together."""
    terms: Callable[[str], Terms]
    usages: Sequence[Usage]
    book: PriceBook
    look: Callable[[str | None, str | None], Look]
    """(session, machine) -> what is known of the machine."""
    problems: Sequence[str] = ()
    """What is wrong with these charges, in words."""


class Period(NamedTuple):
    """What is billed: a month, or a span of days."""

    month: str | None
    spans: Mapping[str, Span]
    """By provider."""
