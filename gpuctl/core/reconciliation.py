"""What came of comparing the ledger with a bill: values alone, USD, exact."""

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from gpuctl.core.events import Settle
from gpuctl.core.kinds import Kind
from gpuctl.core.ledger_days import LedgerDay
from gpuctl.core.span import Span

NOT_A_CENT = Fraction(1, 200)
"""USD. Less than half a cent is no finding: no report would show it."""

PARTS = (
    "matched",
    "not_in_ledger",
    "not_ours",
    "not_on_bill",
    "credits",
    "refunds",
    "taxes",
    "fees",
    "other",
)
"""What a gap is made of, in this order."""


class Match(NamedTuple):
    """One resource's kind on one day, on both sides. USD, exact."""

    reckoned: LedgerDay
    billed: Fraction
    by: str
    """`resource`, or `tag` where the bill names none."""
    final: bool
    """Whether all rows of the day have arrived: what is not final settles nothing."""
    reason: str | None
    settle: Settle | None
    """The fact to be added; None where the same is known, or the day may not be settled."""
    undated: bool = False
    """A row without a readable date may be of that day: it settles nothing."""

    @property
    def difference(self) -> Fraction:
        """What the bill asks more than the ledger says now."""
        return self.billed - self.reckoned.cost


class Unmatched(NamedTuple):
    """What only one side knows, over `days` days from `first` to `last`. USD, exact."""

    side: str
    """`bill` or `ledger`."""
    provider: str
    account: str | None
    resource: str | None
    kind: Kind | None
    sku: str | None
    projects: tuple[str, ...]
    first: date
    last: date
    days: int
    cost: Fraction | None
    """None where the ledger has no price for it."""
    ours: bool
    expected: bool
    """Nothing is wrong: a bill that is not final yet, an hour that is free."""
    counted: bool
    """Whether it is part of the gap; what lies outside the bill's days is not."""
    reason: str

    @property
    def is_finding(self) -> bool:
        """Whether somebody should look at it."""
        large = self.cost is None or abs(self.cost) >= NOT_A_CENT
        return self.ours and not self.expected and large


class Reconciliation(NamedTuple):
    """Both sides, and all that is between them."""

    source: str
    spans: Mapping[str, Span]
    """Provider -> the days that were compared."""
    rows: int
    matched: tuple[Match, ...]
    unmatched: tuple[Unmatched, ...]
    bill_total: Fraction
    ledger_total: Fraction
    parts: Mapping[str, Fraction]
    """By the names in `PARTS`; their sum is the gap."""

    @property
    def gap(self) -> Fraction:
        """What the bill asks more than the ledger says."""
        return self.bill_total - self.ledger_total

    @property
    def settles(self) -> Sequence[Settle]:
        """The facts to add."""
        return [match.settle for match in self.matched if match.settle is not None]

    def findings(self, tolerance: Fraction) -> int:
        """How many things should be looked at: ours on one side alone, or too far apart."""
        apart = sum(
            1
            for match in self.matched
            if match.final and is_apart(match.difference, match.billed, tolerance)
        )
        return apart + sum(1 for item in self.unmatched if item.is_finding)


def is_apart(difference: Fraction, billed: Fraction, tolerance: Fraction) -> bool:
    """Whether a difference is more than the tolerance of what is billed, and half a cent."""
    return abs(difference) > tolerance * abs(billed) and abs(difference) >= NOT_A_CENT
