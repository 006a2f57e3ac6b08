"""Exact decimals and their one rounding. Floats never get in."""

from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, Inexact, InvalidOperation
from fractions import Fraction

EXACT = Context(prec=400, traps=[InvalidOperation, DivisionByZero, Inexact])
"""Arithmetic that raises `decimal.Inexact` instead of rounding."""

PRINTED_DECIMALS = 20
"""The public contract prints exact amounts with at most this many decimals."""

_DIGITS = (
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
)
"""All that have other than two (ISO 4217, list one: "Minor unit")."""

_MINOR_UNITS = {name: digits for digits, names in _DIGITS for name in names.split()}


def minor_units(currency: str) -> int:
    """Decimals of a currency's smallest coin (ISO 4217): 2 for USD, 0 for JPY."""
    return _MINOR_UNITS.get(currency, 2)


def decimal_text(value: Decimal | Fraction, places: int = PRINTED_DECIMALS) -> str:
    """A value as plain decimal text: rounded half up to `places`, no exponent, no padding.

    At least as many decimals are kept as an exact short value has: `4.590` prints `4.59`.
    """
    rounded = round_half_up(value, places)
    text = f"{rounded:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def round_half_up(value: Decimal | Fraction, places: int) -> Decimal:
    """Half away from zero, as invoices round; exact ties only, since the input is exact.

    What rounds to nothing is `0.00`, never `-0.00`.
    """
    if isinstance(value, Fraction):
        scaled = abs(value) * 10**places
        whole = int(scaled)
        if (scaled - whole) * 2 >= 1:
            whole += 1
        if value < 0:
            whole = -whole
        return Decimal(whole).scaleb(-places, EXACT)
    quantum = Decimal(1).scaleb(-places)
    rounded = value.quantize(quantum, rounding=ROUND_HALF_UP, context=Context(prec=400))
    return rounded or rounded.copy_abs()
