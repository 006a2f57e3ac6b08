"""`run --deadline`: what was asked for, checked, and what it comes to."""

import re
from datetime import timedelta
from typing import Any

import click

from gpuctl.cli.moment import in_words
from gpuctl.cli.session import Session
from gpuctl.cli.text import rate
from gpuctl.config.template import Template
from gpuctl.core.errors import UsageProblem
from gpuctl.core.jobs import ATTEMPTS, Wanted


def with_deadline(
    session: Session, wanted: Wanted, template: Template, flags: dict[str, Any]
) -> Wanted:
    """The job with its deadline, a moment already. UsageProblem with what could be kept else."""
    from gpuctl.app.timely import refuse_infeasible

    deadline = flags["deadline"]
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
        f"done by {in_words(deadline)}: {prices.type} {rate(prices.on_demand)}/h on demand, {spot}",
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
