"""`--deadline` of `run` and of `quote`: one reading of what people write, and one way to say it."""

import re
from datetime import datetime, timedelta

from gpuctl.core.errors import UsageProblem

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED = {"today": 0, "tomorrow": 1}
_DAY = r"(?P<day>[a-z]{3,})\s+(?P<hour>\d{1,2}):(?P<minute>\d\d)"
_HINT = '"Fri 18:00" or "tomorrow 9:00" by this computer\'s zone, +30h, or 2026-11-27T18:00:00Z'


def moment(text: str, now: datetime) -> datetime:
    """When a `--deadline` is, in UTC.

    `Fri 18:00` is the next one by this computer's zone, `30h` or `+30h` is from now, and a date
    (00:00Z) or RFC 3339 as everywhere. UsageProblem for anything else, and for what has passed.
    """
    try:
        found = _read(text.strip(), now)
    except (ValueError, OverflowError) as error:
        raise UsageProblem(f"--deadline {text!r} is no moment: {error}", hint=_HINT) from None
    if found <= now:
        raise UsageProblem(f"--deadline {text!r} has passed: it is {in_words(now)}", hint=_HINT)
    return found


def in_words(when: datetime) -> str:
    """In UTC and by this computer's zone: `2026-03-06T12:30:00Z (Fri 18:00 IST here)`."""
    from gpuctl.core.span import format_time

    return f"{format_time(when)} ({when.astimezone():%a %H:%M %Z} here)"


def _read(word: str, now: datetime) -> datetime:
    from gpuctl.core.span import parse_duration, parse_moment

    if match := re.fullmatch(_DAY, word.lower(), re.ASCII):
        return _next(match["day"], int(match["hour"]), int(match["minute"]), now)
    if word.startswith("+") or re.fullmatch(r"(\d+[dhms])+", word.lower(), re.ASCII):
        return now + parse_duration(word.removeprefix("+"))
    return parse_moment(word)


def _next(day: str, hour: int, minute: int, now: datetime) -> datetime:
    here = now.astimezone()
    ahead = _NAMED.get(day)
    if ahead is None:
        number = next((n for n, name in enumerate(_DAYS) if name.startswith(day)), None)
        if number is None:
            raise ValueError(f"{day!r} is no day of the week")
        ahead = (number - here.weekday()) % 7
    # The clock on the wall: a change to summer time in between moves the instant.
    wall = (here.replace(tzinfo=None) + timedelta(days=ahead)).replace(
        hour=hour, minute=minute, second=0, microsecond=0
    )
    found = wall.astimezone()
    if found <= now and day not in _NAMED:
        found = (wall + timedelta(days=7)).astimezone()
    return found.astimezone(now.tzinfo)
