"""What machines really cost, reckoned from what the emulator did to them: no line of gpuctl's."""

import calendar
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

ADDRESS = Decimal("0.005")
DISK = Decimal("0.08")
"""USD an hour for an address in use, USD a GB and month for gp3: what the sandbox sells at."""
HOUR, MINIMUM = 3600, 60
MOMENT = Fraction(DISK) * 100 / (28 * 86_400)
"""USD: a second of a disk of 100 GB. EC2 makes and deletes it within a second of its machine."""


class Machine(NamedTuple):
    """One instance from its begin to its end. `free` = EC2 took it back within its first hour."""

    id: str
    name: str
    zone: str
    start: datetime
    end: datetime
    free: bool
    costs: Mapping[str, Fraction]
    """USD by lease and kind."""


def machines(truth: Mapping[str, Any], project: str, usd: Mapping[str, Decimal]) -> list[Machine]:
    """A project's, the oldest first; `usd` is the price of an hour in each zone, all the time."""
    mine = [one for one in truth["aws"]["instances"] if one["tags"]["gpuctl:project"] == project]
    return sorted((_machine(one, usd[one["zone"]]) for one in mine), key=lambda one: one.start)


def _machine(one: Mapping[str, Any], usd: Decimal) -> Machine:
    (run,) = one["runs"]
    start, end = _moment(run["started"]), _moment(run["ended"])
    seconds = int((end - start).total_seconds())
    free = one["ended_by"] == "provider" and seconds < HOUR
    billed = max(MINIMUM, seconds)
    lease = one["tags"]["gpuctl:lease"]
    costs = {
        f"{lease} compute": Fraction(0) if free else Fraction(usd) * billed / HOUR,
        f"{lease} ipv4": Fraction(ADDRESS) * billed / HOUR,
    }
    (disk,) = one["volumes"]
    made, deleted = _moment(disk["created"]), _moment(disk["deleted"])
    last = max(deleted, made + timedelta(seconds=MINIMUM))
    costs[f"{lease} disk"] = disk["gb"] * Fraction(DISK) * _months(made, last)
    return Machine(one["id"], one["tags"]["Name"], one["zone"], start, end, free, costs)


def _months(start: datetime, end: datetime) -> Fraction:
    """A second of February is dearer than one of March."""
    months = Fraction(0)
    while start < end:
        days = calendar.monthrange(start.year, start.month)[1]
        first = datetime(start.year, start.month, 1, tzinfo=UTC)
        here = min(end, first + timedelta(days=days))
        months += Fraction(int((here - start).total_seconds()), days * 86_400)
        start = here
    return months


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
