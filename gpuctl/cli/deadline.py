"""`run --deadline`: what was asked for, checked, and what it comes to."""

import re
from datetime import datetime, timedelta
from typing import Any

import click

from gpuctl.cli.session import Session
from gpuctl.cli.text import rate
from gpuctl.config.template import Template
from gpuctl.core.errors import UsageProblem
from gpuctl.core.jobs import ATTEMPTS, Wanted

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = (
    r"(?P<day>mon|tue|wed|thu|fri|sat|sun|today|tomorrow)[a-z]*\s+(?P<hour>\d{1,2}):(?P<min>\d\d)"
)


def with_deadline(
    session: Session, wanted: Wanted, template: Template, flags: dict[str, Any]
) -> Wanted:
    """The job with its deadline. UsageProblem when it cannot be kept, with what could."""
    from gpuctl.app.timely import refuse_infeasible
    from gpuctl.core.span import format_time

    now = session.now()
    deadline = moment(flags["deadline"], now)
    work = hours(flags["job_hours"])
    made = wanted._replace(
        deadline=deadline,
        work_s=work,
        attempts=flags["attempts"] or 5 * ATTEMPTS,
    )
    prices = refuse_infeasible(session.app, made, template)
    cheapest = min(prices.spot.values(), default=None)
    spot = "no spot" if cheapest is None else f"spot from {rate(cheapest)}/h"
    click.echo(
        f"done by {format_time(deadline)} ({deadline.astimezone():%a %H:%M} here): "
        f"{prices.type} {rate(prices.on_demand)}/h on demand, {spot}",
        err=True,
    )
    return made


def hours(text: str | None) -> int:
    """`30`, `30h`, `90m` as seconds of work. UsageProblem."""
    if text is None:
        raise UsageProblem(
            "--deadline needs --job-hours: how long the job computes, without stops",
            hint="gpuctl run --deadline +30h --job-hours 20 -- …",
        )
    from gpuctl.core.span import parse_duration

    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return _positive(timedelta(hours=float(text)))
        return _positive(parse_duration(text))
    except ValueError as error:
        raise UsageProblem(f"--job-hours {text!r}: {error}", hint="30, 1.5, 90m") from None


def _positive(span: timedelta) -> int:
    if span <= timedelta():
        raise ValueError("is more than nothing")
    return int(span.total_seconds())


def moment(text: str, now: datetime) -> datetime:
    """`Fri 18:00` (this computer's zone, the next one), `+30h`, or RFC 3339. UsageProblem."""
    from gpuctl.core.span import parse_duration, parse_time

    word = text.strip()
    try:
        if word.startswith("+"):
            found = now + parse_duration(word[1:])
        elif match := re.fullmatch(_DAY, word.lower()):
            found = _next(match["day"], int(match["hour"]), int(match["min"]), now)
        else:
            found = parse_time(word)
    except (ValueError, OverflowError) as error:
        raise UsageProblem(
            f"--deadline {text!r} is no moment: {error}",
            hint='"Fri 18:00", "tomorrow 9:00", +30h, 2026-11-27T18:00:00Z',
        ) from None
    if found <= now:
        raise UsageProblem(f"--deadline {text!r} has passed")
    return found


def _next(day: str, hour: int, minute: int, now: datetime) -> datetime:
    here = now.astimezone()
    ahead = {"today": 0, "tomorrow": 1}.get(day)
    if ahead is None:
        ahead = (_DAYS.index(day) - here.weekday()) % 7
    # The clock on the wall: a change to summer time in between moves the instant.
    wall = (here.replace(tzinfo=None) + timedelta(days=ahead)).replace(
        hour=hour, minute=minute, second=0, microsecond=0
    )
    found = wall.astimezone()
    if found <= now and day in _DAYS:
        found = (wall + timedelta(days=7)).astimezone()
    return found.astimezone(now.tzinfo)
