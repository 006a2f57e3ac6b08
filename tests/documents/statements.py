"""Statements to draw: one as a client would get it, others at the edges, and any at all.

All are consistent by construction: lines, and sessions with `other`, and days add up to their
project's `cost`; `billable = cost - absorbed + markup`; billables, fee and rounding to `net`.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache

from hypothesis import strategies as st

from gpuctl.core.kinds import EndedBy, Market, Unit
from gpuctl.core.rounding import minor_units, round_half_up
from gpuctl.core.statement import (
    BillingSpan,
    DaySpend,
    Exchange,
    Party,
    PriceStep,
    ProjectStatement,
    SessionLine,
    Statement,
    StatementLine,
)

HEAD = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
MARCH = (
    BillingSpan("aws", datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC)),
    BillingSpan("gcp", datetime(2025, 3, 1, 8, tzinfo=UTC), datetime(2025, 4, 1, 7, tzinfo=UTC)),
)
EUROS = Exchange("EUR", Decimal("0.9223390518"), date(2025, 3, 31), "ECB", "1 EUR = 1.0842 USD")
ZERO = Decimal(0)


def march() -> Statement:
    """ACME's March: three projects, twelve sessions on two clouds, euros with VAT."""
    vision = _project(
        "acme/vision",
        [
            run("vision-1", 3, "08:02:11", "10:30:40", "0.3381 0.3402 0.3411", settled=True),
            run("vision-1", 4, "09:15:00", "09:52:30", "0.3402", by="provider", free=True),
            run("vision-1", 4, "10:01:07", "14:44:59", "0.3402 0.3398 0.3417", by="provider"),
            run("vision-1", 4, "14:50:12", "18:20:00", "0.3417 0.3425", settled=True),
            run("vision-2", 10, "14:05:30", "16:18:50", "0.9180 0.9420 0.9615", sku="p3.2xlarge"),
            run("vision-2", 30, "22:30:00", None, "0.9615 1.1020", sku="p3.2xlarge"),
            run("vision-od", 12, "12:00:00", "12:00:40", "3.06", sku="p3.2xlarge", spot=False),
        ],
        title="Shelf detection, phase 2",
        tags={"po": "4500012345", "cost-center": "R&D <vision>"},
        markup=Decimal("0.15"),
        extras=[
            StatementLine(
                "snapshot",
                "standard",
                None,
                Unit.MONTH,
                Decimal("2.5"),
                Decimal("0.05"),
                _c("0.12"),
            ),
            StatementLine(
                "correction",
                None,
                None,
                None,
                Decimal(1),
                None,
                _c("-1.37"),
                "2025-02: the bill asked 1.49 USD less for i-0b1c2d3e4f",
            ),
        ],
    )
    nlp = _project(
        "acme/nlp",
        [
            run("nlp-1", 17, "05:30:00", "09:00:00", "0.28 0.21", sku="g2-standard-8", gcp=True),
            run("nlp-1", 18, "05:30:00", "21:00:00", "0.21", sku="g2-standard-8", gcp=True),
            run("nlp-1", 21, "06:59:59", "23:10:03", "0.8539", "g2-standard-8", True, spot=False),
        ],
        title="Überblick: Verträge | Klauseln 契約書の要約",
        tags={"po": "4500012399"},
        markup=Decimal("0.15"),
        absorbed=_c("6.50"),
        extras=[],
    )
    long = _project(
        "acme/a-name-as-long-as-names-can-be",
        [
            run("benchmark-of-every-type-there-is-anywhere", 6, "08:00:00", "08:59:59", "0.3415"),
            run("i-0a1b2c3d4e5f60718", 7, "08:00:00", "11:11:11", "0.3415 0.3415", settled=True),
        ],
        title=None,
        tags={},
        extras=[
            StatementLine("adjust", None, None, None, Decimal(1), None, _c("-0.50"), "goodwill")
        ],
    )
    return statement(
        [vision, nlp, long],
        client="acme",
        receiver=Party(
            "ACME Robotics & Söhne GmbH",
            ("Straße des 17. Juni 135", "10623 Berlin", "Germany"),
            "DE811907980",
            "Zoë O'Neill <ap@acme.example>",
        ),
        sender=Party(
            "Łukasz Żółć | Machine Learning",
            ("Keizersgracht 1", "1015 CJ Amsterdam", "Netherlands"),
            "NL123456789B01",
            "me@example.net",
        ),
        exchange=EUROS,
        vat_rate=Decimal("0.21"),
        basis="mixed",
        invoice="2025-031",
        closed_at=datetime(2025, 4, 3, 9, 12, 44, tzinfo=UTC),
        notes=(
            "the end of i-0a1b2c3d4e5f60718 at 2025-03-07T11:11:11Z is uncertain: heartbeat",
            "the cap of 40.00 USD a month was reached: 6.50 EUR are not charged",
        ),
    )


def retained() -> Statement:
    """In dollars, with a fee, an included part, rounding to whole dollars, no VAT, still open."""
    work = _project(
        "borealis/nlp",
        [run("nlp-1", 10, "14:05:30", "16:18:50", "0.9180 0.9420 0.9615", sku="p3.2xlarge")],
        title="Corpus",
        tags={},
        absorbed=_c("1.00"),
        extras=[],
        per_usd=Decimal(1),
    )
    return statement(
        [work],
        client="borealis",
        receiver=Party("Borealis Ltd"),
        fee=_c("250.00"),
        included=_c("1.00"),
        step=Decimal(1),
    )


def nothing() -> Statement:
    """A month without work."""
    return statement([], client="idle", receiver=Party("Idle AG"))


def statement(
    projects: Sequence[ProjectStatement],
    *,
    client: str,
    receiver: Party,
    sender: Party | None = None,
    exchange: Exchange | None = None,
    fee: Decimal = ZERO,
    included: Decimal = ZERO,
    step: Decimal | None = None,
    vat_rate: Decimal | None = None,
    basis: str = "estimated",
    invoice: str | None = None,
    closed_at: datetime | None = None,
    notes: tuple[str, ...] = (),
    month: str | None = "2025-03",
) -> Statement:
    """The sums that follow from the projects and the client's terms."""
    currency = exchange.currency if exchange else "USD"
    asked = sum((project.billable for project in projects), fee)
    net = asked if step is None else (asked / step).quantize(Decimal(1)) * step
    vat = ZERO if vat_rate is None else round_half_up(net * vat_rate, minor_units(currency))
    return Statement(
        client=client,
        receiver=receiver,
        sender=sender,
        month=month,
        spans=MARCH,
        currency=currency,
        exchange=exchange,
        projects=tuple(projects),
        own_account=ZERO,
        fee=fee,
        included_usd=included,
        rounding=net - asked,
        net=net,
        vat_rate=vat_rate,
        vat=vat,
        total=net + vat,
        basis=basis,
        invoice=invoice,
        closed_at=closed_at,
        as_of=datetime(2025, 4, 1, 6, 0, tzinfo=UTC),
        ledger_head=HEAD,
        notes=notes,
    )


def run(
    machine: str,
    day: int,
    start: str,
    end: str | None,
    prices: str,
    sku: str = "g6.xlarge",
    gcp: bool = False,
    *,
    spot: bool = True,
    by: str = "user",
    free: bool = False,
    settled: bool = False,
    per_usd: Decimal = EUROS.per_usd,
) -> SessionLine:
    """A session in March 2025; costs as its prices say, disk and address on top."""
    begun = datetime.fromisoformat(f"2025-03-{day:02d}T{start}+00:00")
    over = datetime.fromisoformat(f"2025-03-{day:02d}T{end}+00:00") if end else None
    seconds = int(((over or datetime(2025, 4, 1, tzinfo=UTC)) - begun).total_seconds())
    usd = [Decimal(price) for price in prices.split()]
    steps = tuple(PriceStep(begun + timedelta(hours=i), price) for i, price in enumerate(usd))
    compute = ZERO if free else round_half_up(usd[0] * seconds / 3600 * per_usd, 2)
    disk = round_half_up(Decimal("0.0158") * seconds / 3600 * per_usd, 2)
    list_price = {"g6.xlarge": "0.8048", "p3.2xlarge": "3.06", "g2-standard-8": "0.8539"}[sku]
    return SessionLine(
        session=f"{machine}-{day:02d}{start[:5].replace(':', '')}",
        machine=machine,
        provider="gcp" if gcp else "aws",
        zone="us-central1-a" if gcp else "us-east-1a",
        type=sku,
        gpu="nvidia-v100" if sku == "p3.2xlarge" else "nvidia-l4",
        gpus=1,
        market=Market.SPOT if spot else Market.ON_DEMAND,
        start=begun,
        end=over,
        seconds=seconds,
        low=min(usd),
        high=max(usd),
        compute=compute,
        cost=compute + disk,
        on_demand=round_half_up(Decimal(list_price) * seconds / 3600 * per_usd, 2),
        ended_by=EndedBy(by) if over else None,
        settled=settled,
        free=free,
        prices=steps,
    )


def _project(
    name: str,
    sessions: Sequence[SessionLine],
    *,
    title: str | None,
    tags: dict[str, str],
    extras: Sequence[StatementLine],
    markup: Decimal = ZERO,
    absorbed: Decimal = ZERO,
    per_usd: Decimal = EUROS.per_usd,
) -> ProjectStatement:
    groups: dict[tuple[str, Market], list[SessionLine]] = {}
    for session in sessions:
        groups.setdefault((session.type or "", session.market or Market.SPOT), []).append(session)
    lines = [
        StatementLine(
            "compute",
            sku,
            market,
            Unit.HOUR,
            round_half_up(Fraction(sum(one.seconds for one in found), 3600), 6),
            found[0].low
            if {(one.low, one.high) for one in found} == {(found[0].low,) * 2}
            else None,
            _total(one.compute for one in found),
        )
        for (sku, market), found in groups.items()
    ]
    beside = _total(one.cost - one.compute for one in sessions)
    lines.append(
        StatementLine(
            "disk", "gp3", None, Unit.MONTH, Decimal("12.345678"), Decimal("0.08"), beside
        )
    )
    lines.extend(extras)
    days: dict[date, tuple[Decimal, Decimal]] = {date(2025, 3, 31): (ZERO, ZERO)}
    other = _total(line.cost for line in extras)
    for when, cost, seconds in [
        *((one.start.date(), one.cost, one.seconds) for one in sessions),
        (date(2025, 3, 31), other, 0),
    ]:
        spent, hours = days.get(when, (ZERO, ZERO))
        days[when] = (spent + cost, hours + round_half_up(Fraction(seconds, 3600), 6))
    cost = _total(line.cost for line in lines)
    asked = round_half_up((cost - absorbed) * markup, 2)
    known = [one.on_demand - one.compute for one in sessions if one.on_demand is not None]
    return ProjectStatement(
        project=name,
        title=title,
        tags=tags,
        lines=tuple(lines),
        sessions=tuple(sessions),
        other=other,
        days=tuple(DaySpend(day, *days[day]) for day in sorted(days)),
        cost=cost,
        cost_usd=round_half_up(cost / per_usd, 2),
        absorbed=absorbed,
        markup=asked,
        markup_rate=markup,
        billable=cost - absorbed + asked,
        hours=round_half_up(Fraction(sum(one.seconds for one in sessions), 3600), 6),
        saved=_total(known) if known else None,
    )


def _total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)


def _c(text: str) -> Decimal:
    return Decimal(text)


# Any statement at all: every sum holds, every text may be hostile.

HOSTILE = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    'say "hi", and ; | * _ ` < > & $ # \\ { } [ ] ~ ^',
    "two\nlines\r\nthree\u2028four",
    "\u202egnp.exe",
    "\x00\x07\x1b[31mred\x7f\x9b",
    "|---|---|",
    "<script>alert(1)</script>",
    "](javascript:alert(1))",
    "_a_ *b* ~~c~~ `d` <e> [f](g) ![h](i) &amp; \\ # j",
    "- a list",
    "+ a list",
    "1. a list",
    "2) a list",
    "> a quote",
    "due [2025-99-99]",
    "date:2025-99-99, date2:x",
    "1) * (2",
    "  lead and trail  ",
    "; project:other, client:other",
    '2025-01-01 * "x"',
    "e\u0301 \ufeff \u200b 漢字 🧪",
    "x" * 3_000,
)


@cache  # a strategy costs more to make than to draw from
def texts() -> st.SearchStrategy[str]:
    """Names that came from outside: anything that UTF-8 can hold."""
    return st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@cache
def slugs() -> st.SearchStrategy[str]:
    """The parts of project names, as their grammar has them."""
    return st.from_regex(r"[a-z0-9][a-z0-9-]{0,29}", fullmatch=True)


@st.composite
def statements(draw: st.DrawFn) -> Statement:
    """Consistent statements in any currency, with and without every optional part."""
    currency = draw(st.sampled_from(["USD", "EUR", "GBP", "JPY", "KWD"]))
    places = minor_units(currency)
    client = draw(slugs())
    names = draw(st.lists(slugs(), max_size=3, unique=True))
    projects = [draw(_projects(f"{client}/{name}", places)) for name in names]
    exchange = Exchange(
        currency,
        draw(_figures(1_000_000, 2_000_000_000_000, 10)),
        draw(st.dates(date(2020, 1, 1), date(2030, 1, 1))),
        draw(texts()),
        draw(texts()),
    )
    party = st.builds(
        Party,
        texts(),
        st.lists(texts(), max_size=2).map(tuple),
        st.none() | texts(),
        st.none() | texts(),
    )
    return statement(
        projects,
        client=client,
        receiver=draw(party),
        sender=draw(st.none() | party),
        exchange=None if currency == "USD" else exchange,
        fee=draw(_amounts(places, 0)),
        included=draw(_amounts(2, 0)),
        step=draw(st.none() | st.sampled_from([Decimal(1), Decimal(5)])),
        vat_rate=draw(st.none() | st.sampled_from([ZERO, Decimal("0.21"), Decimal("0.077")])),
        basis=draw(st.sampled_from(["estimated", "settled", "mixed"])),
        invoice=draw(st.none() | texts()),
        closed_at=draw(st.none() | _moments()),
        notes=tuple(draw(st.lists(texts(), max_size=2))),
        month=draw(st.none() | st.just("2025-03")),
    )


@cache
def _amounts(places: int, least: int = -100_000) -> st.SearchStrategy[Decimal]:
    return _figures(least, 1_000_000, places)


@cache
def _figures(least: int, most: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda units: Decimal(units).scaleb(-places))


@cache
def _moments() -> st.SearchStrategy[datetime]:
    return st.integers(0, 2_678_399).map(lambda s: MARCH[0].start + timedelta(seconds=s))


@st.composite
def _sessions(draw: st.DrawFn, places: int) -> SessionLine:
    start, seconds = draw(_moments()), draw(st.integers(0, 500_000))
    prices = sorted(draw(st.lists(_figures(1, 990_000, 4), max_size=2)))
    compute = draw(_amounts(places, 0))
    ended = draw(st.booleans())
    return SessionLine(
        session=draw(texts()),
        machine=draw(texts()),
        provider=draw(st.sampled_from(["aws", "gcp"])),
        zone=draw(st.none() | texts()),
        type=draw(st.none() | texts()),
        gpu=draw(st.none() | texts()),
        gpus=draw(st.integers(0, 8)),
        market=draw(st.none() | st.sampled_from(Market)),
        start=start,
        end=start + timedelta(seconds=seconds) if ended else None,
        seconds=seconds,
        low=prices[0] if prices else None,
        high=prices[-1] if prices else None,
        compute=compute,
        cost=compute + draw(_amounts(places)),
        on_demand=draw(st.none() | _amounts(places, 0)),
        ended_by=draw(st.none() | st.sampled_from(EndedBy)) if ended else None,
        settled=draw(st.booleans()),
        free=draw(st.booleans()),
        prices=tuple(PriceStep(start, price) for price in prices),
    )


@st.composite
def _projects(draw: st.DrawFn, name: str, places: int) -> ProjectStatement:
    sessions = draw(st.lists(_sessions(places), max_size=3))
    other = draw(_amounts(places))
    cost = _total(one.cost for one in sessions) + other
    parts = draw(st.lists(_amounts(places), max_size=3))
    lines = [
        StatementLine(
            kind=draw(st.sampled_from(["compute", "vcpu", "disk", "adjust", "correction"])),
            sku=draw(st.none() | texts()),
            market=draw(st.none() | st.sampled_from(Market)),
            unit=draw(st.none() | st.sampled_from(Unit)),
            amount=draw(_figures(0, 10**11, 6)),
            rate=draw(st.none() | _figures(0, 99_000_000, 6)),
            cost=part,
            note=draw(st.none() | texts()),
        )
        for part in [*parts, cost - _total(parts)]
    ]
    absorbed = cost if draw(st.booleans()) else ZERO
    rate = draw(st.sampled_from([ZERO, Decimal("0.1"), Decimal("0.15")]))
    markup = round_half_up((cost - absorbed) * rate, places)
    return ProjectStatement(
        project=name,
        title=draw(st.none() | texts()),
        tags=draw(st.dictionaries(texts(), texts(), max_size=2)),
        lines=tuple(lines),
        sessions=tuple(sessions),
        other=other,
        days=(DaySpend(date(2025, 3, 9), cost, ZERO),),
        cost=cost,
        cost_usd=draw(_amounts(2)),
        absorbed=absorbed,
        markup=markup,
        markup_rate=rate,
        billable=cost - absorbed + markup,
        hours=draw(_figures(0, 744_000_000, 6)),
        saved=draw(st.none() | _amounts(places)),
    )
