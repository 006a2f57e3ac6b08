"""The ledger beside the real bill: what agrees, what differs and why, and what only one knows.

Pure. Everything is USD, exact: `gap = bill - ledger`, and its parts add up to it. What the bill
asks for something the ledger has becomes a `Settle`; nothing else of the ledger changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
from typing import NamedTuple

from gpuctl.core.bill import Window
from gpuctl.core.bill_days import AskedKey, BillDays, read_bill
from gpuctl.core.billed import BilledDay, Category
from gpuctl.core.events import Event, Settle
from gpuctl.core.interchange import canonical
from gpuctl.core.kinds import Kind, Market
from gpuctl.core.ledger_days import Known, LedgerDay, LedgerDays, known_resources, ledger_days
from gpuctl.core.names import client_of
from gpuctl.core.pairing import Pair, Pairs, pairs
from gpuctl.core.reasons import NOT_FINAL, Why, is_cut, is_final, why_different, why_only_reckoned
from gpuctl.core.reconciliation import PARTS, Match, Reconciliation
from gpuctl.core.rounding import round_half_up
from gpuctl.core.rules import billing_zone
from gpuctl.core.settling import holding, key_of
from gpuctl.core.span import Month, Span, day_span
from gpuctl.core.undated import NO_DATE
from gpuctl.core.unmatched import billed_alone, not_ours, reckoned_alone

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 30
"""Decimals that a record may have."""

_PART_OF = {
    Category.CREDIT: "credits",
    Category.REFUND: "refunds",
    Category.TAX: "taxes",
    Category.FEE: "fees",
    Category.OTHER: "other",
}


class Asking(NamedTuple):
    """What is to be compared. `month` None = the days that the bill has usage on."""

    source: str
    """What was read: it goes into every settlement."""
    month: Month | None = None
    client: str | None = None
    """Only what ran for this client's projects."""
    only: Market | None = None
    """The bill is of computing on this market alone (a spot data feed); nothing else counts."""
    per_usd: Decimal | None = None
    """Units of the bill's currency for one USD, where the bill names none."""


def reconcile(
    days: Iterable[BilledDay], events: Sequence[Event], now: datetime, asking: Asking
) -> Reconciliation:
    """Reads the bill once. UsageProblem where it is in a currency without a rate.

    A day of the ledger belongs to the comparison when the bill has its account, or one of its
    resources; all accounts where the bill names none.
    """
    known = known_resources(events)
    bill = read_bill(days, known, lambda day: _is_wanted(day, asking), asking.per_usd)
    spans = _spans(bill, asking.month)
    held = ledger_days(events, _around(spans, asking.month), now)
    return _Comparison(
        asking=asking,
        now=now,
        known=known,
        bill=bill,
        spans=spans,
        held=held,
        pairs=pairs(bill.asked, held.days, known),
        settles=_known_settles(events),
    ).result()


def _is_wanted(day: BilledDay, asking: Asking) -> bool:
    month, client = asking.month, asking.client
    if month is not None and (day.day.year, day.day.month) != (month.year, month.month):
        return False
    if client is None or day.category is Category.USAGE:
        return True
    # Of taxes, fees and credits only what carries a tag can be told to be a client's.
    return day.project is not None and client_of(day.project) == client


def _spans(bill: BillDays, month: Month | None) -> Mapping[str, Span]:
    spans = {}
    for provider, (first, last) in bill.days.items():
        zone = billing_zone(provider)
        spans[provider] = (
            Span(day_span(first, zone).start, day_span(last, zone).end)
            if month is None
            else month.span(zone)
        )
    return spans


def _around(spans: Mapping[str, Span], month: Month | None) -> Window:
    """What is looked at of the ledger: the months that the bill's days are in."""

    def window(provider: str | None) -> Span:
        span = spans.get(provider or "")
        if span is None:
            return Span(_NEVER, _NEVER)
        if month is not None:
            return span
        zone = billing_zone(provider)
        last = Month.of(span.end - timedelta(seconds=1), zone)
        return Span(Month.of(span.start, zone).span(zone).start, last.span(zone).end)

    return window


def _known_settles(events: Iterable[Event]) -> Mapping[tuple[str, str, str, datetime], Settle]:
    held = holding(event for event in events if isinstance(event, Settle))
    return {(*key, one.since): one for key, stretches in held.items() for one in stretches}


class _Comparison(NamedTuple):
    """Everything that was read, while it is put side by side."""

    asking: Asking
    now: datetime
    known: Known
    bill: BillDays
    spans: Mapping[str, Span]
    held: LedgerDays
    pairs: Pairs
    settles: Mapping[tuple[str, str, str, datetime], Settle]

    def result(self) -> Reconciliation:
        doubtful = self._doubtful()
        matched = tuple(
            self._match(pair, undated=pair.asked.key in doubtful)
            for pair in self.pairs.found
            if self._is_meant(pair.day)
        )
        only_billed = [
            self.bill.asked[key] for key in self.pairs.bill_left if self._is_meant_line(key)
        ]
        foreign = self.bill.foreign if self.asking.client is None else ()
        reckoned = [self.held.days[key] for key in self.pairs.ledger_left]
        reckoned = [day for day in reckoned if self._is_meant(day) and self._has_account(day)]
        inside = [day for day in reckoned if self._is_inside(day)]
        outside = [day for day in reckoned if not self._is_inside(day)]
        billed = sum((match.billed for match in matched), Fraction(0))
        missed = sum((one.usd for one in only_billed), Fraction(0))
        others = sum((one.usd for one in foreign), Fraction(0))
        alone = sum((day.cost for day in inside), Fraction(0))
        have = sum((match.reckoned.cost for match in matched), Fraction(0))
        parts = dict.fromkeys(PARTS, Fraction(0))
        for category, usd in self.bill.sums.items():
            if category is not Category.USAGE:
                parts[_PART_OF[category]] += usd
        beside = sum(parts.values(), Fraction(0))
        discounts = self._discounts()
        parts["credits"] -= discounts
        parts |= {
            "matched": billed - have,
            "not_in_ledger": missed,
            "not_ours": others,
            "not_on_bill": -alone,
        }
        return Reconciliation(
            source=self.asking.source,
            spans=self.spans,
            rows=self.bill.rows,
            matched=matched,
            unmatched=(
                *billed_alone(only_billed, self.known),
                *reckoned_alone(inside, self._why),
                *reckoned_alone(outside),
                *map(not_ours, foreign),
            ),
            bill_total=billed + missed + others + beside,
            ledger_total=have + alone + discounts,
            parts=parts,
        )

    def _is_meant(self, day: LedgerDay) -> bool:
        only = self.asking.only
        if only is not None and (day.kind is not Kind.COMPUTE or day.market is not only):
            return False
        return self._is_clients(day.projects)

    def _is_meant_line(self, key: AskedKey) -> bool:
        one = self.bill.asked[key]
        own = self.known.projects.get((key.provider, key.resource or ""), frozenset())
        return self._is_clients(own if one.project is None else {one.project, *own})

    def _is_clients(self, projects: Iterable[str | None]) -> bool:
        client = self.asking.client
        return client is None or any(name and client_of(name) == client for name in projects)

    def _is_inside(self, day: LedgerDay) -> bool:
        return day.first in self.spans[day.provider]

    def _has_account(self, day: LedgerDay) -> bool:
        return self._is_billed(day.provider, day.account)

    def _is_billed(self, provider: str, account: str | None) -> bool:
        accounts = self.bill.accounts.get(provider)
        if accounts is None or account is None or account in accounts:
            return True
        return (provider, account) in {
            (pair.day.provider, pair.day.account) for pair in self.pairs.found
        }

    def _discounts(self) -> Fraction:
        """What the ledger takes off by itself; the bill has it as a credit."""
        if self.asking.client is not None or self.asking.only is not None:
            return Fraction(0)
        return sum(
            (
                usd
                for (provider, account, day), usd in self.held.discounts.items()
                if day_span(day, billing_zone(provider)).start in self.spans[provider]
                and self._is_billed(provider, account)
            ),
            Fraction(0),
        )

    def _why(self, day: LedgerDay) -> Why:
        until = None if self.asking.month else self.bill.until.get(day.provider)
        kinds = self.bill.kinds.get(day.provider, frozenset())
        why = why_only_reckoned(day, now=self.now, until=until, kinds=kinds)
        lost = not why.expected and self.bill.undated.has(day, day.projects)
        return Why(NO_DATE) if lost else why

    def _doubtful(self) -> frozenset[AskedKey]:
        """What was asked without all its rows: whoever shares it gets too little."""
        return frozenset(
            pair.asked.key
            for pair in self.pairs.found
            if self.bill.undated.has(pair.day, pair.day.projects if pair.by == "tag" else ())
        )

    def _match(self, pair: Pair, *, undated: bool) -> Match:
        day = pair.day
        until = self.bill.until.get(day.provider)
        final = is_final(day.provider, day.day, self.now) and not is_cut(day, until)
        alone = pair.asked if pair.cost == pair.asked.cost else None
        reason = why_different(day, alone, pair.usd) if final else NOT_FINAL
        return Match(
            reckoned=day,
            billed=pair.usd,
            by=pair.by,
            final=final,
            reason=NO_DATE if undated else reason,
            settle=self._settle(pair) if final and not undated else None,
            undated=undated,
        )

    def _settle(self, pair: Pair) -> Settle | None:
        """The fact; None where the one that holds already asks the same."""
        day, asked = pair.day, pair.asked
        stretch = day_span(day.day, billing_zone(day.provider))
        settle = Settle(
            id="",
            provider=day.provider,
            account=day.account or asked.account,
            resource=day.resource,
            kind=day.kind,
            since=stretch.start,
            until=stretch.end,
            billed=_recordable(pair.cost),
            at=self.now,
            source=self.asking.source,
            currency=asked.currency,
            per_usd=asked.per_usd,
            invoice=asked.invoice,
        )
        known = self.settles.get((*key_of(settle), settle.since))
        same = ("until", "billed", "currency", "per_usd")
        if known is not None and all(getattr(known, n) == getattr(settle, n) for n in same):
            return None
        digest = sha256(canonical(settle).encode()).hexdigest()[:24]
        return settle._replace(id=f"settle/{digest}")


def _recordable(cost: Decimal) -> Decimal:
    exponent = cost.as_tuple().exponent
    long = isinstance(exponent, int) and exponent < -_LONGEST
    return round_half_up(cost, _LONGEST) if long else cost
