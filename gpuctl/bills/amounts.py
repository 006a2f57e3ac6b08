"""Amounts of money as bills write them -> exact decimals, in SQL and in Python alike.

A sum is kept in two parts, because DuckDB's widest decimal has 38 digits and a bill's doubles
may need more: `high` holds 18 decimals, `low` the 30 after those (NULL where there are none).
Each part is added up exactly, and an overflow is DuckDB's error, never a wrap.
"""

import re
from decimal import Decimal

from gpuctl.core.rounding import EXACT

DECIMALS = 48
"""More decimals than that are refused."""

_WHOLE_DIGITS = 20
_NUMBER = r" *([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]{1,3}))? *"
_NOTHING = ("", "null", "none", r"\n")

# Most amounts are short: DuckDB reads those of at most 18 decimals exactly. The rest is spelled
# out digit by digit. `1_000`, which DuckDB takes for a thousand, is no amount here. A list of
# one binds a name to what is used more than once.
MACROS = (
    """CREATE MACRO amount_is_short(t) AS NOT contains(t, '_')
        AND CASE WHEN contains(t, 'e') OR contains(t, 'E')
        THEN coalesce(TRY_CAST(split_part(lower(t), 'e', 2) AS INTEGER)
            BETWEEN strlen(split_part(lower(t), 'e', 1)) - 18 AND 0, false)
        ELSE strlen(t) <= 19 END""",
    f"""CREATE MACRO amount_parts(t) AS
        CASE WHEN regexp_full_match(t, '{_NUMBER}') AND regexp_matches(t, '^[^eE]*[0-9]')
        THEN regexp_extract(t, '{_NUMBER}', ['sign', 'whole', 'part', 'power']) END""",
    """CREATE MACRO amount_spelled(t) AS list_transform(
        list_transform([amount_parts(t)], lambda p: {
            'sign': p.sign, 'digits': p.whole || p.part,
            'point': len(p.whole) + coalesce(TRY_CAST(p.power AS INTEGER), 0)}),
        lambda d: {
            'sign': d.sign,
            'whole': CASE
                WHEN d.point <= 0 THEN '0'
                WHEN d.point >= len(d.digits)
                    THEN d.digits || repeat('0', d.point - len(d.digits))
                ELSE left(d.digits, d.point) END,
            'decimals': rtrim(CASE
                WHEN d.point <= 0 THEN repeat('0', -d.point) || d.digits
                WHEN d.point >= len(d.digits) THEN ''
                ELSE substr(d.digits, d.point + 1) END, '0')})[1]""",
    """CREATE MACRO amount_high(spelled) AS
        CASE WHEN strlen(spelled.decimals) <= 48 THEN TRY_CAST(
            spelled.sign || '0' || ltrim(spelled.whole, '0') || '.' || left(spelled.decimals, 18)
            AS DECIMAL(38, 18)) END""",
    """CREATE MACRO amount_low(spelled) AS
        CASE WHEN strlen(spelled.decimals) BETWEEN 19 AND 48 THEN TRY_CAST(
            spelled.sign || '0.' || substr(spelled.decimals, 19) AS DECIMAL(38, 30)) END""",
)


def with_amounts(relation: str) -> str:
    """The rows of a relation with `high` and `low` of the text in `amount`; NULL if it is none."""
    return f"""
        SELECT * EXCLUDE (short, spelled),
            CASE WHEN short THEN TRY_CAST(amount AS DECIMAL(38, 18))
                WHEN spelled IS NOT NULL THEN amount_high(spelled) END AS high,
            CASE WHEN spelled IS NOT NULL THEN amount_low(spelled) END AS low
        FROM (SELECT *, CASE WHEN NOT short THEN amount_spelled(amount) END AS spelled
        FROM (SELECT *, amount_is_short(amount) AS short FROM ({relation})))"""


def absent(text: str | None) -> bool:
    r"""Whether there is no amount at all: nothing, or a word for it (`NULL`, `None`, `\N`)."""
    return text is None or text.strip().lower() in _NOTHING


def amount(text: str) -> Decimal:
    """The exact value of one amount, scientific notation included. ValueError when it is none."""
    found = re.fullmatch(_NUMBER, text)
    if found is None or not (found[2] or found[3]):
        raise ValueError(f"{text!r} is not an amount")
    value = EXACT.create_decimal(text.strip(" "))
    if not value:
        return Decimal(0)
    exponent = value.normalize(EXACT).as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DECIMALS:
        raise ValueError(f"{text!r} has more than {DECIMALS} decimals")
    if value.adjusted() >= _WHOLE_DIGITS:
        raise ValueError(f"{text!r} is too large")
    return value


def joined(high: Decimal | None, low: Decimal | None) -> Decimal:
    """The two parts of a sum as one, exact, without padding."""
    whole = EXACT.add(high or Decimal(0), (low or Decimal(0)).scaleb(-18, EXACT))
    text = f"{whole:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
