"""Why a bill and an estimate differ, in words for people: the likeliest reason, never a proof."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from gpuctl.core.bill_days import Asked
from gpuctl.core.kinds import Kind, Unit
from gpuctl.core.ledger_days import Known, LedgerDay
from gpuctl.core.rounding import decimal_text
from gpuctl.core.rules import billing_zone, rule_for
from gpuctl.core.span import day_span, format_time
from gpuctl.core.undated import NO_DATE

NOT_FINAL = "the bill of that day is not final yet"
_ROUNDED = Fraction(1, 100_000)
"""Bills round hours to 6 decimals and quantities to 10."""
_START_S = 180
"""So long a machine may take from its launch to `running`, where it is billed from."""
_HOUR = 3_600

_HOURS = frozenset(("hrs", "hours", "hour", "hourly"))
_MONTHS = frozenset(("gb-mo", "gb-month", "gb-months", "gibibyte month", "iops-mo"))
_GB = frozenset(("gb", "gigabytes", "gibibyte"))

_LAG: Mapping[str, timedelta] = MappingProxyType(
    {"aws": timedelta(hours=24), "gcp": timedelta(days=5)}
)
"""How long a day's rows go on arriving after it has ended (AWS Cost Management, "up to 24 hours";
Google's export of billing data to BigQuery promises no time, and corrects for some days)."""


class Why(NamedTuple):
    """A reason; `expected` when nothing is wrong with either side."""

    text: str
    expected: bool = False


def is_final(provider: str, day: date, now: datetime) -> bool:
    """Whether the bill's rows of a day have all arrived by now."""
    lag = _LAG.get(provider, timedelta(hours=24))
    return day_span(day, billing_zone(provider)).end + lag <= now


def is_cut(one: LedgerDay, until: datetime | None) -> bool:
    """Whether the bill's rows end while the run, by the ledger, certainly went on."""
    later = until is not None and one.last > until + timedelta(hours=1)
    return later and not one.uncertain


def why_different(one: LedgerDay, asked: Asked | None, usd: Fraction) -> str | None:
    """Why `usd` is billed where the ledger estimates something else; None where they agree.

    `asked` None = what was billed for several things together, shared between them.
    """
    if one.settled and usd != one.cost:
        return f"an earlier bill asked {_short(one.cost)}"
    if one.missing:
        return "the ledger has no price for it"
    if usd == one.estimate:
        return None
    return _nothing(one, usd) or _price_or_time(one, asked, usd)


def _nothing(one: LedgerDay, usd: Fraction) -> str | None:
    """One of both is nothing, or as good as the other."""
    if one.free:
        return "interrupted in its first hour, which the ledger counts as free"
    if usd == 0:
        return "billed at nothing: a free tier, or interrupted in the first hour"
    if one.estimate == 0:
        return "the ledger counts nothing for it" if one.runs else "past midnight, on the bill"
    if abs(usd - one.estimate) <= _ROUNDED * abs(usd):
        return "rounding of quantities in the bill"
    return None


def _price_or_time(one: LedgerDay, asked: Asked | None, usd: Fraction) -> str:
    amount = None if asked is None else _amount(one, asked)
    if amount is None or not one.amount or not amount:
        return _by_time_alone(one) or "price, or how long it ran"
    rate, known = usd / amount, one.estimate / one.amount
    price = f"price: {_short(rate)} billed, {_short(known)} in the ledger"
    if abs(amount - one.amount) <= _ROUNDED * amount * 10:
        return price
    time = _time(one, amount)
    same_price = abs(rate - known) <= _ROUNDED * known * 10
    return time if same_price else f"{price}; and {time}"


def _amount(one: LedgerDay, asked: Asked) -> Fraction | None:
    """The billed units in the ledger's own unit; None where the bill's is another."""
    if asked.quantity is None or asked.unit is None:
        return None
    same = {Unit.HOUR: _HOURS, Unit.MONTH: _MONTHS, Unit.GB: _GB}
    unit = rule_for(one.provider, one.kind).unit
    return Fraction(asked.quantity) if asked.unit.lower() in same[unit] else None


def _time(one: LedgerDay, amount: Fraction) -> str:
    seconds = round(one.seconds * (amount / one.amount - 1)) if one.amount else 0
    if _by_time_alone(one):
        return f"{_by_time_alone(one)} ({seconds:+d} s)"
    if -_START_S * one.runs <= seconds < 0:
        return f"seconds: billed from running, the ledger counts from launch ({seconds:+d} s)"
    if 0 < seconds <= _HOUR and one.runs > 1:
        return f"rows cut at hours or days, each with its own minimum ({seconds:+d} s)"
    return f"time: {seconds:+d} s on the bill"


def _by_time_alone(one: LedgerDay) -> str | None:
    if one.uncertain:
        return "its end is uncertain in the ledger"
    return "it goes on by the ledger" if one.open else None


def _short(value: Fraction) -> str:
    return decimal_text(value, 6)


def why_only_billed(asked: Asked, known: Known) -> Why:
    """Why the ledger has nothing for what the bill says is ours."""
    key = asked.key
    if key.undated:
        return Why(NO_DATE)
    if key.resource is None:
        return Why(f"nothing of {key.project} ran that day by the ledger, and the bill names no id")
    if asked.known:
        kinds = known.kinds.get((key.provider, key.resource), frozenset())
        if key.kind in kinds:
            return Why("by the ledger it did not exist that day: its end is wrong, or it was kept")
        if key.kind in (Kind.EGRESS, Kind.CROSS_AZ):
            return Why("gpuctl does not measure traffic")
        return Why(f"the ledger counts {', '.join(sorted(kinds))} of it alone")
    if key.kind is None:
        return Why("gpuctl does not count this kind of thing")
    return Why(_NEVER_SEEN.get(key.kind, "it has our tag, and the ledger never saw it"))


_NEVER_SEEN: Mapping[Kind | None, str] = MappingProxyType(
    {
        Kind.COMPUTE: "a machine with our tag that the ledger never saw: made by hand, or from "
        "another computer",
        **dict.fromkeys(
            (Kind.VCPU, Kind.RAM, Kind.GPU),
            "a machine with our label that the ledger never saw: made by hand, or from another "
            "computer",
        ),
        Kind.DISK: "a disk with our tag that the ledger never saw: of a machine that came and "
        "went between two looks, or made by hand",
        Kind.IPV4: "an address with our tag that the ledger never saw",
        Kind.SNAPSHOT: "a snapshot or image with our tag: the ledger has runs of those only where "
        "they were imported",
        Kind.EGRESS: "gpuctl does not measure traffic",
        Kind.CROSS_AZ: "gpuctl does not measure traffic",
    }
)


def why_foreign(*, nameless: bool) -> str:
    """Why usage is taken for somebody else's."""
    if nameless:
        return "the bill names neither id nor tag: activate the tag gpuctl:project, export ids"
    return "not gpuctl's: no tag of ours, and no id that the ledger knows (or its tag was deleted)"


def why_only_reckoned(
    one: LedgerDay, *, now: datetime, until: datetime | None, kinds: frozenset[Kind]
) -> Why:
    """Why the bill has nothing for what the ledger says ran, inside the days of the bill."""
    if one.free:
        return Why("interrupted in its first hour: nothing is billed", expected=True)
    if not is_final(one.provider, one.day, now):
        return Why(NOT_FINAL, expected=True)
    if one.cost == 0 and not one.missing:
        return Why("it costs nothing", expected=True)
    if until is not None and one.first >= until:
        return Why(f"the bill ends at {format_time(until)}, before it", expected=True)
    if one.seconds <= _START_S and one.last == day_span(one.day, billing_zone(one.provider)).end:
        return Why("billed from running, which was after midnight", expected=True)
    if one.kind not in kinds:
        return Why(f"the bill has no {one.kind} at all: a free tier, or an export of other things")
    if one.uncertain or one.open:
        return Why("its end is uncertain: it may have been over before")
    return Why("the bill does not know it: a free tier, another account, or it never ran")
