"""When a job is to be done by, and how long it computes: what people write."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gpuctl.cli.deadline import hours
from gpuctl.cli.moment import in_words, moment
from gpuctl.core.errors import UsageProblem
from tests.cli.clouds import Account, Clouds

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""A Monday; 14:30 in Kolkata, where the tests live."""
CLIENT = """
    [client.acme.project.vision]
    """


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+30h", NOW + timedelta(hours=30)),
        ("5d", NOW + timedelta(days=5)),
        ("2026-03-06", datetime(2026, 3, 6, tzinfo=UTC)),
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


@pytest.mark.parametrize(
    "text", ["soon", "Fri", "Fri 25:00", "fry 18:00", "2026-03-06T18:00:00", "+", "+x"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(UsageProblem, match="is no moment") as told:
        moment(text, NOW)
    assert told.value.hint is not None


@pytest.mark.parametrize("text", ["today 9:00", "2025-01-01T00:00:00Z"])
def test_what_has_passed(text: str) -> None:
    with pytest.raises(
        UsageProblem, match=r"has passed: it is 2026-03-02T09:00:00Z \(Mon 14:30 IST"
    ):
        moment(text, NOW)


def test_it_is_said_in_both_zones() -> None:
    assert in_words(moment("Fri 18:00", NOW)) == "2026-03-06T12:30:00Z (Fri 18:00 IST here)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Fri 25:00", "is no moment: hour must be in 0..23"),
        ("fry 18:00", "'fry' is no day of the week"),
        ("2026-03-06T18:00:00", "has no time zone: add Z or an offset"),
        ("today 9:00", "Mon 14:30 IST here"),
    ],
)
def test_quote_and_run_refuse_a_deadline_in_the_same_words(desk: Any, text: str, says: str) -> None:
    """Before anything is asked of a cloud; the hint names the zone."""
    desk.user(CLIENT)
    desk.clouds = Clouds(Account())
    quoted = desk.refused("quote", "-p", "acme/vision", "--hours", "2", "--deadline", text)
    run = desk.refused(
        "run", "--up", "-p", "acme/vision", "-y", "--deadline", text, "--job-hours", "2",
        "--", "true",
    )  # fmt: skip
    assert says in quoted
    assert quoted.splitlines()[-2:] == run.splitlines()[-2:]
    assert "by this computer's zone" in quoted


def test_hours() -> None:
    assert [hours(text) for text in ("30", "1.5", "90m", "30h")] == [108000, 5400, 5400, 108000]
    for text in ("0", "many", "-1", ""):
        with pytest.raises(UsageProblem, match="--job-hours"):
            hours(text)
    with pytest.raises(UsageProblem, match="needs --job-hours"):
        hours(None)
