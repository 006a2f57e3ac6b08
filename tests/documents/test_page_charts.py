"""Charts: what is drawn is what was spent, and the words and numbers beside it are right."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.core.statement import DaySpend, PriceStep
from gpuctl.documents import charts, formats, price_sheet
from gpuctl.documents.axes import Scale, bars, sums
from gpuctl.documents.charts import Series, Stay
from gpuctl.documents.drawing import PAPER_STYLE, inline, standalone
from gpuctl.documents.period_sheet import section
from gpuctl.documents.sheet import Figure
from gpuctl.documents.statement_sheet import sheet
from tests.documents.statements import _project, march, run, statement

MARCH = [date(2025, 3, 1) + timedelta(days=i) for i in range(31)]
START = datetime(2025, 3, 10, 14, 5, 30, tzinfo=UTC)


def rects(body: str) -> list[dict[str, str]]:
    return [
        dict(re.findall(r'([\w-]+)="([^"]*)"', one)) for one in re.findall(r"<rect[^>]*>", body)
    ]


def titles(body: str) -> list[str]:
    return [one.replace("\xa0", " ") for one in re.findall(r"<title>(.*?)</title>", body)]


def share(text: str) -> float:
    return float(text.removesuffix("%")) / 100


def test_bars_are_as_high_as_what_they_say() -> None:
    days = {MARCH[0]: Decimal(10), MARCH[4]: Decimal(5)}
    other = {MARCH[0]: Decimal(20), MARCH[9]: Decimal(-10)}
    made = charts.spend("c", MARCH, [Series("a", days), Series("b & c", other)], "EUR")
    ten, twenty, five, less = rects(made.body)
    assert float(twenty["height"]) == pytest.approx(2 * float(ten["height"]), abs=0.2)
    assert float(ten["height"]) == pytest.approx(2 * float(five["height"]), abs=0.2)
    assert float(less["height"]) == pytest.approx(float(ten["height"]), abs=0.2)
    assert float(less["y"]) == pytest.approx(float(ten["y"]) + float(ten["height"]), abs=0.2)
    assert float(twenty["y"]) + float(twenty["height"]) == pytest.approx(float(ten["y"]), abs=0.2)
    assert titles(made.body) == [
        "1 Mar: a, EUR 10.00",
        "1 Mar: b &amp; c, EUR 20.00",
        "5 Mar: a, EUR 5.00",
        "10 Mar: b &amp; c, EUR \N{MINUS SIGN}10.00",
    ]
    assert share(five["x"]) == pytest.approx(4.12 / 31, abs=0.001)
    assert ten["class"] == "part c0"
    assert twenty["fill"] == "url(#c-1)"


def test_more_projects_than_can_be_told_apart_share_a_colour() -> None:
    many = [Series(f"p{i}", {MARCH[0]: Decimal(i + 1)}) for i in range(9)]
    made = charts.spend("c", MARCH, many, "USD")
    assert charts.labels(many)[-2:] == ["p4", "4 more projects"]
    assert titles(made.body)[-1] == "1 Mar: 4 more projects, USD 30.00"
    assert len(rects(made.body)) == 6


@pytest.mark.parametrize(
    ("days", "count", "first"),
    [(62, 62, "1 Jan"), (63, 10, "1 Jan \N{EN DASH} 5 Jan"), (435, 15, "1 Jan \N{EN DASH} 31 Jan")],
)
def test_a_long_period_has_a_bar_a_week_or_a_month(days: int, count: int, first: str) -> None:
    begun = date(2025, 1, 1)
    found = bars([begun + timedelta(days=i) for i in range(days)])
    assert len(found) == count
    assert str(found[0]).replace("\xa0", " ") == first
    each = {begun + timedelta(days=i): Decimal(1) for i in range(days)}
    assert sum(sums(each, found)) == days


@given(
    st.decimals(-(10**6), 0, places=2, allow_nan=False),
    st.decimals(0, 10**6, places=2, allow_nan=False),
)
def test_a_scale_holds_all_in_few_steps(low: Decimal, high: Decimal) -> None:
    scale = Scale(low, high, top=10, plot=100)
    assert 10 - 1e-6 <= scale.y(high) <= scale.y(low) <= 110 + 1e-6
    lines = re.findall(r"<text[^>]*>([^<]*)<", scale.grid())
    assert 2 <= len(lines) <= 5
    assert "0" in lines
    assert len(set(lines)) == len(lines)


def stay(machine: str = "m", start: float = 0.5, end: float = 0.6, seconds: int = 60) -> Stay:
    return Stay(machine, start, end, seconds, 0, interrupted=True, words="said")


def test_a_session_lies_where_it_ran_and_can_be_seen() -> None:
    body = charts.machines("m", MARCH, [stay(), stay(start=0.99999, end=2.0)], {}).body
    track, first, second = rects(body)
    assert track["class"] == "track"
    assert share(first["x"]) == pytest.approx(0.5)
    assert share(first["width"]) == pytest.approx(0.1)
    assert share(second["x"]) + share(second["width"]) == pytest.approx(1)
    assert share(second["width"]) >= 0.005
    assert body.count('class="cut"') == 2


def test_many_machines_leave_the_briefest_together() -> None:
    stays = [stay(f"m{i}", seconds=i) for i in range(40)]
    body = charts.machines("m", MARCH, stays, {}).body
    assert "25 more machines" in body
    assert ">m39<" in body
    assert ">m24<" not in body


def test_a_long_name_does_not_run_into_its_hours() -> None:
    body = charts.machines("m", MARCH, [stay("x" * 90)], {}).body
    assert f">{'x' * 29}\N{HORIZONTAL ELLIPSIS}<" in body


def test_a_price_goes_in_steps_below_on_demand() -> None:
    steps = [PriceStep(START, Decimal("0.5")), PriceStep(START + timedelta(hours=1), Decimal(1))]
    made = price_sheet.chart("p", steps, START, START + timedelta(hours=4), Decimal(2))
    low, high = rects(made.body)
    assert share(low["width"]) == pytest.approx(0.25)
    assert share(high["x"]) == pytest.approx(0.25)
    assert float(high["height"]) == pytest.approx(2 * float(low["height"]))
    (listed,) = re.findall(r'<line class="list"[^>]*y1="([\d.]+)"', made.body)
    assert float(listed) < float(high["y"]) < float(low["y"])
    assert re.findall(r">(10\xa0Mar\xa01[48]:05)<", made.body) == [
        "10\xa0Mar\xa014:05",
        "10\xa0Mar\xa018:05",
    ]


def test_only_the_longest_of_many_sessions_are_drawn() -> None:
    runs = [run(f"m-{i}", 1 + i, "08:00:00", f"{9 + i % 9:02d}:00:00", "0.3") for i in range(20)]
    project = _project("acme/vision", runs, title=None, tags={}, extras=[])
    found = price_sheet.gallery(
        "p", runs, statement([project], client="a", receiver=march().receiver)
    )
    assert found is not None
    assert len(found.figures) == 12
    assert "The 12 longest of 20 spot sessions are drawn." in found.words
    assert len({one.name for one in found.figures}) == 12


def test_the_on_demand_price_is_found_again_from_rounded_costs() -> None:
    (gallery,) = [
        block
        for block in sheet(march()).sections[2].blocks
        if getattr(block, "name", "") == "project-1-prices"
    ]
    assert [figure.words for figure in gallery.figures][:2] == [
        "0.3381 to 0.3411, on demand 0.80",
        "0.3402, on demand 0.80",
    ]


def test_a_drawing_has_its_colours_on_paper_and_none_of_its_own_on_the_page() -> None:
    made = charts.spend("c", MARCH, [Series("a", {MARCH[0]: Decimal(1)})], "EUR")
    alone = standalone(made, 680)
    assert PAPER_STYLE in alone
    assert 'width="680"' in alone
    assert "#" not in inline(made, "t", "w").replace("url(#", "")
    for kind in set(re.findall(r'class="(\w+)"', alone)):
        assert f".{kind}{{" in PAPER_STYLE, kind


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [
        ("1234.5", "EUR", "1,234.50"),
        ("-0.5", "USD", "\N{MINUS SIGN}0.50"),
        ("1234567", "JPY", "1,234,567"),
        ("1.2", "KWD", "1.200"),
        ("0.12345", "EUR", "0.12345"),
        ("0", "EUR", "0.00"),
    ],
)
def test_amounts_have_the_coins_of_their_currency(value: str, currency: str, text: str) -> None:
    assert formats.amount(Decimal(value), currency) == text
    assert formats.money(Decimal(value), currency) == f"{currency}\xa0{text}"


def test_words_for_time_and_things() -> None:
    assert formats.duration(93_909) == "26:05:09"
    assert formats.hours(93_909) == "26.1\xa0h"
    assert formats.percent(Decimal("0.077")) == "7.7\xa0%"
    assert formats.gpu("nvidia-tesla-v100", 2) == "2\xa0\N{MULTIPLICATION SIGN}\xa0V100"
    assert formats.gpu("Radeon", 1) == "1\xa0\N{MULTIPLICATION SIGN}\xa0Radeon"
    assert formats.gpu("nvidia-l4", 0) == formats.gpu(None, 3) == "\N{EN DASH}"
    assert formats.provider("aws") == "AWS"
    assert formats.provider("hetzner\n") == "hetzner"
    day = START.replace(hour=0, minute=0, second=0)
    assert formats.stretch(day, day + timedelta(days=1)) == "10\xa0March\xa02025"
    assert formats.aligned([Decimal("1.50"), None, Decimal(3)], 0) == ["1.5", "\N{EN DASH}", "3.0"]
    assert formats.plain(" a\tb\u202ec\x1b\ud800 ") == "a b\ufffdc\ufffd\ufffd"
    assert formats.clip("abcdef", 4) == "abc\N{HORIZONTAL ELLIPSIS}"


def test_a_month_of_credits_has_no_dearest_day() -> None:
    def words(days: dict[int, str]) -> str:
        made = march()
        spent = tuple(DaySpend(MARCH[i], Decimal(usd), Decimal(0)) for i, usd in days.items())
        alone = made.projects[0]._replace(days=spent)
        (figure,) = (
            block
            for block in section(made._replace(projects=(alone,))).blocks
            if isinstance(block, Figure) and block.name == "spend"
        )
        return figure.words.replace("\xa0", " ")

    assert words({4: "-5"}) == "EUR a day before markup."
    assert words({4: "-5", 6: "2"}).endswith("The most was EUR 2.00, on 7 March 2025.")
