"""The European Central Bank's euro reference rates, read strictly.

Source: ecb.europa.eu, "Euro foreign exchange reference rates": units of each currency for one
euro, published on working days at about 16:00 in Frankfurt. A dollar is worth another currency by
way of the euro. The rate of a day without one is the last before it.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from gpuctl.core.errors import UsageProblem
from gpuctl.core.rounding import decimal_text
from gpuctl.core.statements_facts import Rate

ROOT = "https://www.ecb.europa.eu/stats/eurofxref/"
RECENT, ALL = "eurofxref-hist-90d.xml", "eurofxref-hist.zip"
"""The files of the last 90 days and of all days since 1999."""

_LARGEST_INSIDE = 64 << 20
_OLD = timedelta(days=5)
"""Easter and Christmas make four days without a rate; more is worth a word."""


class Unreadable(ValueError):
    """A file that is not the ECB's: where, and why."""


class Table(NamedTuple):
    """Rates by day: units of a currency for one euro. At least one day."""

    days: Mapping[date, Mapping[str, Decimal]]

    @property
    def first(self) -> date:
        """The earliest day."""
        return min(self.days)

    @property
    def last(self) -> date:
        """The latest day."""
        return max(self.days)

    def before(self, day: date, currency: str) -> tuple[date, Mapping[str, Decimal]] | None:
        """The day itself, or the last before it, that has both the dollar and the currency."""
        names = {"USD", currency} - {"EUR"}
        known = [one for one, rates in self.days.items() if one <= day and names <= set(rates)]
        return (max(known), self.days[max(known)]) if known else None


def read_table(data: bytes) -> Table:
    """Any of the ECB's files: XML of one day or many, CSV of all days, or that in a ZIP.

    Unreadable names the line; nothing is guessed and nothing is passed over.
    """
    if data[:2] == b"PK":
        data = _unzipped(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"not UTF-8: {error}") from None
    rows = _of_xml(text) if text.lstrip().startswith("<") else _of_csv(text)
    days: dict[date, dict[str, Decimal]] = {}
    try:
        for line, day, rates in rows:
            if day in days:
                raise Unreadable(f"line {line}: {day} is there twice")
            days[day] = rates
    except csv.Error as error:
        raise Unreadable(f"not CSV: {error}") from None
    if not days:
        raise Unreadable("no day with a rate in it")
    return Table(days)


def _unzipped(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) != 1 or not names[0].endswith(".csv"):
                raise Unreadable(f"a ZIP of one CSV was expected, not of {', '.join(names)}")
            with archive.open(names[0]) as inside:
                found = inside.read(_LARGEST_INSIDE + 1)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise Unreadable(f"the ZIP is damaged: {error}") from None
    if len(found) > _LARGEST_INSIDE:
        raise Unreadable("the ZIP holds more than rates can be")
    return found


_Rows = Iterator[tuple[int, date, dict[str, Decimal]]]
_CODE = r"[A-Z]{3}\Z"
_NUMBER = r"[0-9]{1,12}(\.[0-9]{1,12})?\Z"


def _of_csv(text: str) -> _Rows:
    lines = csv.reader(io.StringIO(text))
    header = [cell.strip() for cell in next(lines, [])]
    codes = [code for code in header[1:] if code]
    if header[:1] != ["Date"] or not codes or not all(re.match(_CODE, code) for code in codes):
        raise Unreadable('line 1: the header is not "Date,USD,JPY,…"')
    for number, cells in enumerate(lines, 2):
        if not cells:
            continue
        values = [cell.strip() for cell in cells[1:]]
        if len(values) < len(codes) or any(values[len(codes) :]):
            raise Unreadable(f"line {number}: {len(codes)} rates were expected")
        yield (
            number,
            _day(cells[0].strip(), number),
            _rates(zip(codes, values, strict=False), number),
        )


def _of_xml(text: str) -> _Rows:
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - only where there is XML

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Unreadable("the ECB's XML declares no entities")
    try:
        root = ET.fromstring(text)  # noqa: S314 - of a known size, without entities
    except ET.ParseError as error:
        raise Unreadable(f"not XML: {error}") from None
    number = 0
    for cube in root.iter():
        day = cube.get("time")
        if not cube.tag.endswith("}Cube") or day is None:
            continue
        number += 1
        pairs = [(rate.get("currency", ""), rate.get("rate", "")) for rate in cube]
        for code, _ in pairs:
            if not re.match(_CODE, code):
                raise Unreadable(f"day {day}: {code!r} is no currency")
        yield number, _day(day, number), _rates(iter(pairs), number)


def _day(text: str, line: int) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, no moment
    except ValueError:
        raise Unreadable(f"line {line}: {text!r} is no day such as 2025-03-31") from None


def _rates(pairs: Iterator[tuple[str, str]], line: int) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for code, value in pairs:
        if value in ("N/A", ""):
            continue
        if not re.match(_NUMBER, value) or not Decimal(value):
            raise Unreadable(f"line {line}: {code} is {value!r}, and no rate")
        if code in found:
            raise Unreadable(f"line {line}: {code} is there twice")
        found[code] = Decimal(value)
    return found


def rate_in(table: Table, currency: str, day: date, source: str) -> Rate | None:
    """What a dollar was worth on a day; None where the table does not say."""
    found = table.before(day, currency)
    if found is None:
        return None
    known, rates = found
    usd = rates["USD"]
    other = Decimal(1) if currency == "EUR" else rates[currency]
    quoted = f"1 EUR = {decimal_text(usd)} USD"
    if currency != "EUR":
        quoted += f", {decimal_text(other)} {currency}"
    notes: tuple[str, ...] = ()
    if day - known > _OLD:
        notes = (f"the exchange rate is of {known}, the last that was known before {day}",)
    return Rate(
        currency=currency,
        per_usd=Fraction(other) / Fraction(usd),
        day=known,
        source=source,
        quoted=quoted,
        notes=notes,
    )


def from_file(path: Path, currency: str, day: date) -> Rate:
    """The rate that a file of the ECB's gives. UsageProblem where it gives none."""
    try:
        table = read_table(path.read_bytes())
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}") from None
    except Unreadable as error:
        hint = f"the files are at {ROOT}: {ALL}, {RECENT}"
        raise UsageProblem(f"{path}: {error}", hint=hint) from None
    rate = rate_in(table, currency, day, f"ECB, {path.name}")
    if rate is None:
        raise UsageProblem(
            f"{path} has no rate of USD and {currency} on {day} or before: "
            f"it goes from {table.first} to {table.last}",
            hint="another file, or --rate 0.92",
        )
    return rate
