"""Reading unit files, spans and calendar times as systemd does."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuctl.sandbox.metal.units import UnitProblem, parse, parse_calendar, parse_span


def test_a_unit_file():
    unit = parse(
        "a.service",
        "# said\n[Service]\nExecStart=/bin/a \\\n  --b\nEnvironment=A=1\nEnvironment=B=2\n"
        "[Unit]\nAfter=x\nAfter=\n",
    )
    assert unit.get("Service", "ExecStart") == "/bin/a    --b"
    assert unit.all("Service", "Environment") == ("A=1", "B=2")
    assert unit.all("Unit", "After") == ()
    assert unit.get("Timer", "OnCalendar", "none") == "none"


@pytest.mark.parametrize("text", ["ExecStart=x", "[Service]\nnonsense"])
def test_what_is_no_unit_file(text):
    with pytest.raises(UnitProblem):
        parse("a.service", text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1h 30min", 5400),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("2d", 172800),
        ("1w", 604800),
    ],
)
def test_spans(text, seconds):
    assert parse_span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "x", "3 parsecs", "-5s"])
def test_what_is_no_span(text):
    with pytest.raises(UnitProblem):
        parse_span(text)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants them naive
def test_absolute_calendar_times_come_back(moment):
    at = moment.replace(microsecond=0, tzinfo=UTC)
    assert parse_calendar(f"{at:%Y-%m-%d %H:%M:%S} UTC") == at
    assert parse_calendar(f"@{int(at.timestamp())}") == at


@pytest.mark.parametrize("text", ["daily", "*:0/5", "2026-13-01 00:00:00 UTC", "Mon 10:00"])
def test_repeating_or_impossible_times_are_refused(text):
    with pytest.raises(UnitProblem):
        parse_calendar(text)
