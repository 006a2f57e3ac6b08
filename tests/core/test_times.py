"""Moments, spans, months and durations: aware, whole seconds, half open."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuctl.core.rules import billing_zone
from gpuctl.core.span import (
    Month,
    Span,
    format_duration,
    format_time,
    parse_duration,
    parse_moment,
    parse_time,
    utc,
)

AT = datetime(2025, 3, 10, 14, 5, 30, tzinfo=UTC)
PACIFIC = ZoneInfo("America/Los_Angeles")


def test_a_span_is_aware_half_open_and_forward():
    span = Span(AT, AT + timedelta(hours=1))
    assert span.seconds == 3600
    assert AT in span
    assert span.end not in span
    assert span.meet(Span(span.end, span.end + timedelta(1))) is None
    assert span.meet(Span(AT - timedelta(1), AT + timedelta(minutes=1))).seconds == 60
    with pytest.raises(ValueError, match="needs aware times"):
        Span(AT.replace(tzinfo=None), AT)
    with pytest.raises(ValueError, match="cannot end"):
        Span(AT, AT - timedelta(seconds=1))


def test_any_zone_becomes_utc_without_fractions():
    local = datetime(2025, 3, 10, 19, 35, 30, 999_999, timezone(timedelta(hours=5.5)))
    assert utc(local) == AT
    assert format_time(local) == "2025-03-10T14:05:30Z"
    with pytest.raises(ValueError, match="no time zone"):
        utc(AT.replace(tzinfo=None))


@given(st.datetimes(timezones=st.just(UTC)))
@settings(max_examples=60)
def test_every_time_survives_its_text(moment):
    moment = moment.replace(microsecond=0)
    assert parse_time(format_time(moment)) == moment


def outcome(text):
    try:
        return parse_time(text)
    except ValueError as error:
        return str(error).replace("z'", "Z'")


@given(
    st.datetimes(timezones=st.just(UTC)), st.integers(0, 18), st.sampled_from("0123459-:TW+ \u0662")
)
@settings(max_examples=300)
def test_the_form_that_ledgers_write_is_read_like_any_other(moment, place, sign):
    text = format_time(moment)[:-1]
    for changed in (text, text[:place] + sign + text[place + 1 :]):
        assert outcome(changed + "Z") == outcome(changed + "z")


@pytest.mark.parametrize(
    "text", ["2025-W01-1T14:05:30Z", "2025-03-10T140530.1Z", "2025-03-10T24:00:00Z"]
)
def test_other_forms_of_that_length_are_no_times(text):
    with pytest.raises(ValueError, match="is not"):
        parse_time(text)


def test_a_date_means_midnight_utc():
    assert parse_moment("2025-04-01") == datetime(2025, 4, 1, tzinfo=UTC)
    assert parse_moment("2025-03-10T14:05:30Z") == AT
    for wrong in ("2025-02-30", "tomorrow", "2025-03-10T14:05:30", "\u0662025-03-10"):
        with pytest.raises(ValueError, match=r"is not|has no time zone"):
            parse_moment(wrong)


@pytest.mark.parametrize(
    ("text", "seconds", "again"),
    [
        ("8h", 28_800, "8h"), ("30m", 1_800, "30m"), ("1h30m", 5_400, "1h30m"),
        ("2d", 172_800, "2d"), ("90s", 90, "1m30s"), (" 1D2H3M4S ", 93_784, "1d2h"),
        ("90m", 5_400, "1h30m"), ("24h", 86_400, "1d"), ("1d5m", 86_700, "1d"),
    ],
)  # fmt: skip
def test_durations(text, seconds, again):
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert format_duration(timedelta(seconds=seconds)) == again


@pytest.mark.parametrize("text", ["", " ", "8", "h", "0s", "-1h", "1.5h", "30m1h", "9" * 20 + "d"])
def test_what_is_no_duration(text):
    with pytest.raises(ValueError, match=r"duration|no time at all"):
        parse_duration(text)


def test_no_time_is_no_seconds():
    assert format_duration(timedelta()) == format_duration(-timedelta(hours=1)) == "0s"


@pytest.mark.parametrize(
    ("text", "zone", "hours"),
    [
        ("2025-11", PACIFIC, 721), ("2025-03", PACIFIC, 743), ("2025-04", PACIFIC, 720),
        ("2025-11", ZoneInfo("UTC"), 720), ("2024-02", ZoneInfo("UTC"), 696),
        ("2025-12", PACIFIC, 744),
    ],
)  # fmt: skip
def test_a_month_has_the_hours_that_its_clocks_show(text, zone, hours):
    month = Month.parse(text)
    assert month.span(zone).seconds == hours * 3600
    assert str(month) == text
    assert month.next().previous() == month == month.previous().next()
    assert month.span(zone).end == month.next().span(zone).start


def test_the_invoice_month_is_the_providers_own():
    early = datetime(2025, 11, 1, 6, 30, tzinfo=UTC)
    assert str(Month.of(early, billing_zone("gcp"))) == "2025-10"
    assert str(Month.of(early, billing_zone("aws"))) == "2025-11"
    assert billing_zone(None) == billing_zone("elsewhere") == billing_zone("aws")


@pytest.mark.parametrize("text", ["2025", "2025-13", "2025-00", "2025-3", "march"])
def test_what_is_no_month(text):
    with pytest.raises(ValueError, match="is not a month such as"):
        Month.parse(text)
