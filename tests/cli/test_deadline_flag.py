"""When a job is to be done by, and how long it computes: what people write."""

from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.cli.deadline import hours, moment
from gpuctl.core.errors import UsageProblem

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday; 14:30 in Kolkata, where the tests live."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+30h", NOW + timedelta(hours=30)),
        ("2026-03-06T18:00:00Z", datetime(2026, 3, 6, 18, tzinfo=UTC)),
        ("Fri 18:00", datetime(2026, 3, 6, 12, 30, tzinfo=UTC)),
        ("friday 18:00", datetime(2026, 3, 6, 12, 30, tzinfo=UTC)),
        ("Mon 15:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
        ("Mon 14:00", datetime(2026, 3, 9, 8, 30, tzinfo=UTC)),
        ("today 20:30", datetime(2026, 3, 2, 15, tzinfo=UTC)),
        ("tomorrow 5:30", datetime(2026, 3, 3, 0, tzinfo=UTC)),
    ],
)
def test_a_moment(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["soon", "Fri", "Fri 25:00", "2026-03-06T18:00:00", "+", "+x"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(UsageProblem, match="is no moment") as told:
        moment(text, NOW)
    assert told.value.hint is not None


@pytest.mark.parametrize("text", ["today 9:00", "2025-01-01T00:00:00Z"])
def test_what_has_passed(text: str) -> None:
    with pytest.raises(UsageProblem, match="has passed"):
        moment(text, NOW)


def test_hours() -> None:
    assert [hours(text) for text in ("30", "1.5", "90m", "30h")] == [108000, 5400, 5400, 108000]
    for text in ("0", "many", "-1", ""):
        with pytest.raises(UsageProblem, match="--job-hours"):
            hours(text)
    with pytest.raises(UsageProblem, match="needs --job-hours"):
        hours(None)
