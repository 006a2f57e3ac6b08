"""Rows of a bill without a date that can be read: the days that they may belong to.

What is asked for such a day is not known, and settling it with the rest would be too little.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gpuctl.core.billed import BilledDay
from gpuctl.core.kinds import Kind
from gpuctl.core.ledger_days import Known, LedgerDay
from gpuctl.core.span import Month

NO_DATE = "the bill has a row of it without a readable date"


class Place(NamedTuple):
    """Where such a row belongs. `month` None = on any day of the bill."""

    provider: str
    name: str
    """As the ledger names the resource or its machine; the project where no resource is named."""
    by_tag: bool
    month: Month | None


def place_of(row: BilledDay, resource: str | None) -> Place | None:
    """`resource`: as the ledger names it. None where the row is of nothing that the ledger has."""
    if resource is not None:
        return Place(row.provider, resource, by_tag=False, month=row.period)
    if row.resource is None and row.project is not None:
        return Place(row.provider, row.project, by_tag=True, month=row.period)
    return None


class Undated:
    """The places of all such rows of a bill."""

    def __init__(self, places: Iterable[Place], known: Known) -> None:
        self._places = {of for place in places for of in (place, *_own(place, known))}

    def has(self, day: LedgerDay, projects: Iterable[str | None] = ()) -> bool:
        """Whether a row may be of that day: by its id, or by the tag of one of `projects`."""
        if not self._places:
            return False
        names = [(day.resource, False), *((name, True) for name in projects if name is not None)]
        months = (None, Month(day.day.year, day.day.month))
        return any(
            Place(day.provider, *name, month) in self._places for name in names for month in months
        )


def _own(place: Place, known: Known) -> Iterable[Place]:
    """What a machine has: a bill may name all of it as the machine."""
    if place.by_tag:
        return
    for kind in Kind:
        for resource in known.of_machine.get((place.provider, kind, place.name), ()):
            yield place._replace(name=resource)
