"""Reports: a million charges beside a bare Decimal loop, a month beside its ten years."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.table import Row
from gpuctl.core.bill import bill, monthly
from gpuctl.core.charges import Charge
from gpuctl.core.events import Ended, Event, Price, Usage
from gpuctl.core.kinds import EndedBy, Evidence, Kind, Market, Unit
from gpuctl.core.report import Report, Terms, report
from gpuctl.core.span import Month
from gpuctl.ledger.store import SqliteLedger

TITLE = "Reports, CPU of this process (smallest of all rounds)"
CHARGES = int(os.environ.get("BENCH_CHARGES", "1000000"))
YEARS = int(os.environ.get("BENCH_YEARS", "10"))
ROUNDS = 3

_START = datetime(2016, 1, 1, tzinfo=UTC)
_KINDS = (
    ("compute", "p3.2xlarge", Market.SPOT, Unit.HOUR, 3_600),
    ("disk", "gp3", Market.ON_DEMAND, Unit.MONTH, 2_678_400),
    ("ipv4", "in-use", Market.ON_DEMAND, Unit.HOUR, 3_600),
)


def measure() -> Sequence[Row]:
    """All of it: about a minute."""
    return [*_million(), *_ten_years()]


def _best(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def _million() -> Iterator[Row]:
    charges = [_charge(number) for number in range(CHARGES)]
    loop, whole = _best(lambda: _bare(charges)), _best(lambda: _reported(charges))
    name = f"report over {CHARGES:,} charges"
    yield Row(
        name=name, unit="ms", value=whole * 1e3, baseline=loop * 1e3, goal=3.0,
        against=f"sums of Decimals by project ({loop * 1e3:.0f} ms)",
    )  # fmt: skip


def _charge(number: int) -> Charge:
    """Twelve projects, four hundred prices, a seventh of them shared machines."""
    kind, sku, market, unit, per = _KINDS[number % 3]
    start = _START + timedelta(seconds=number % 2_000_000)
    seconds = 3_600 + number % 700
    units = Fraction(seconds) if number % 7 else Fraction(seconds * 5, 7)
    return Charge(
        "aws", "111122223333", "us-east-1", "us-east-1a", f"i-{number % 5_000}", kind, sku, market,
        start, start + timedelta(seconds=seconds), Decimal(1), unit, units, per,
        Decimal("0.9180") + Decimal(number % 400) / 10_000, f"client-{number % 3}/p{number % 12}",
        f"s{number % 4_000}", EndedBy.USER, usage=f"u{number % 5_000}",
    )  # fmt: skip


def _bare(charges: Sequence[Charge]) -> dict[str | None, Decimal]:
    """What any program must do at least: amount times rate, added up by project."""
    sums: dict[str | None, Decimal] = {}
    for charge in charges:
        units, rate = charge.units, charge.rate
        assert rate is not None
        cost = Decimal(units.numerator) * rate / (units.denominator * charge.per)
        sums[charge.project] = sums.get(charge.project, Decimal(0)) + cost
    return sums


def _reported(charges: Sequence[Charge]) -> Report:
    return report(charges, lambda _project: Terms(markup=Decimal("0.15")))


def _ten_years() -> Iterator[Row]:
    month = Month(_START.year + YEARS // 2, 5)
    with tempfile.TemporaryDirectory(prefix="gpuctl-bench-") as directory:
        ledger = SqliteLedger(Path(directory) / "ledger.db", install="0" * 32)
        ledger.append(_history())
        everything = ledger.events()
        some = ledger.events_about(month.span(ZoneInfo("UTC")))
        now = _START + timedelta(days=366 * YEARS)
        same = bill(some, monthly(month), now) == bill(everything, monthly(month), now)
        part = _best(
            lambda: bill(ledger.events_about(month.span(ZoneInfo("UTC"))), monthly(month), now)
        )
        whole = _best(lambda: bill(ledger.events(), monthly(month), now))
        ledger.close()
    yield Row(
        name=f"the bill of a month out of {YEARS} years", unit="ms", value=part * 1e3,
        baseline=whole * 1e3, goal=0.1, against=f"reading all of them ({whole * 1e3:.0f} ms)",
        note=f"{len(some):,} of {len(everything):,} events" + ("" if same else ", AND IT DIFFERS"),
    )  # fmt: skip


def _history() -> Iterator[Event]:
    """A session a day with disk and address, written as gpuctl writes it; a price every day."""
    for day in range(365 * YEARS):
        start = _START + timedelta(days=day, hours=9)
        yield Price(
            id=f"p{day}", provider="aws", region="us-east-1", zone="us-east-1a", kind=Kind.COMPUTE,
            sku="p3.2xlarge", market=Market.SPOT, unit=Unit.HOUR,
            usd=Decimal("0.9180") + Decimal(day % 40) / 1_000, since=start - timedelta(hours=2),
        )  # fmt: skip
        for kind, sku, market, _, _ in _KINDS:
            run = f"{day}/{kind}"
            yield Usage(
                id=run, provider="aws", account="111122223333", region="us-east-1",
                zone="us-east-1a", resource=f"{kind}-{day}", kind=Kind(kind), sku=sku,
                market=market, quantity=Decimal(1), start=start, end=None, ended_by=None,
                project=f"client-{day % 3}/p{day % 12}", session=f"lease-{day}",
            )  # fmt: skip
            yield Ended(
                id=f"{run}/end", usage=run, end=start + timedelta(hours=5),
                ended_by=EndedBy.USER, evidence=Evidence.STATE_REASON,
            )  # fmt: skip
