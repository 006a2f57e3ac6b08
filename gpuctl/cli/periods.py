"""--from, --to and --month: the time that a money command is about."""

from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.session import Session
from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.app.money import Period


def period_options(function: Any) -> Any:
    """--from, --to and --month, as every money command takes them."""
    for option in (
        click.option("--month", metavar="M", help="2025-03, this or last: as each cloud bills it."),
        click.option(
            "--to", "end", metavar="T", help="Until then, not included. A date is 00:00Z."
        ),
        click.option("--from", "start", metavar="T", help="From then on. A date is 00:00Z."),
    ):
        function = option(function)
    return function


def period_of(session: Session, start: str | None, end: str | None, month: str | None) -> "Period":
    """What the options say; this month until now without any."""
    from gpuctl.app import money
    from gpuctl.core.rules import billing_zone
    from gpuctl.core.span import Month, parse_moment

    now = session.now()
    try:
        if month is not None:
            if start or end:
                raise UsageProblem("--month says it all: leave out --from and --to")
            this = Month.of(now, billing_zone(None))
            named = {"this": this, "last": this.previous()}.get(month)
            return money.of_month(named or Month.parse(month))
        if start is None and end is None:
            return money.this_month(now)
        default = money.this_month(now).shown
        first = parse_moment(start) if start else default.start
        last = parse_moment(end) if end else now
        if last < first:
            raise UsageProblem(f"--to {last:%Y-%m-%dT%H:%MZ} is before --from {first:%Y-%m-%d}")
        return money.between(first, last)
    except ValueError as error:
        raise UsageProblem(str(error), hint="--month 2025-03, this or last") from None
