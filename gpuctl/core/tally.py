"""Sums of charges, exact and quick: whole numbers are added, fractions made at the end alone."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpuctl.core.charges import Charge


class Tally:
    """One running sum. A million charges have few rates, and fewer divisors."""

    __slots__ = ("_units",)

    def __init__(self) -> None:
        self._units: dict[tuple[int, int, Decimal | None], int] = {}
        """(denominator of the units, seconds of one unit, rate) -> numerator."""

    def add(self, charge: "Charge") -> None:
        """Count a charge: its amount, and its cost unless the price is missing or it is free."""
        numerator, denominator = charge.units.as_integer_ratio()
        if charge.free:
            numerator = 0
        key = (denominator, charge.per, charge.rate)
        self._units[key] = self._units.get(key, 0) + numerator

    @property
    def cost(self) -> Fraction:
        """USD of what is priced."""
        sums: dict[int, Fraction] = {}
        for (denominator, per, rate), numerator in self._units.items():
            if rate is not None:
                divisor = denominator * per
                sums[divisor] = sums.get(divisor, Fraction(0)) + numerator * Fraction(rate)
        return sum((amount / divisor for divisor, amount in sums.items()), Fraction(0))

    @property
    def amount(self) -> Fraction:
        """Billed units, priced or not."""
        sums: dict[int, int] = {}
        for (denominator, per, _), numerator in self._units.items():
            divisor = denominator * per
            sums[divisor] = sums.get(divisor, 0) + numerator
        return sum((Fraction(units, divisor) for divisor, units in sums.items()), Fraction(0))

    @property
    def rate(self) -> Decimal | None:
        """The one rate of all; None when several went into it, or none is known."""
        rates = {rate for _, _, rate in self._units}
        return rates.pop() if len(rates) == 1 else None


def total(charges: Iterable["Charge"]) -> Fraction:
    """The exact sum of what is priced, in USD."""
    tally = Tally()
    for charge in charges:
        tally.add(charge)
    return tally.cost
