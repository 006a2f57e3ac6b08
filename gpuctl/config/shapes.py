"""The kinds of value a key may hold: how each is read, described and offered to editors.

Plain classes without generated methods: this module is loaded by every command.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from gpuctl.core.span import parse_duration

Schema = dict[str, object]


class Wrong(Exception):
    """A value that its key cannot hold: why, and what to write."""

    def __init__(self, reason: str, suggestion: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.suggestion = suggestion


class Fraction:
    """A TOML number with a point, kept as it was written: no float is ever made of it."""

    def __init__(self, text: str) -> None:
        self.text = text


def kind_of(value: object) -> str:
    """What a TOML value is, in words."""
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a text", int: "a number", Fraction: "a number with a point", list: "a list"}
    return names.get(type(value)) or ("a table" if isinstance(value, dict) else "a date or time")


def number_text(value: object) -> str | None:
    """A TOML number as it was written; None for anything else."""
    if isinstance(value, Fraction):
        return value.text
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


class Shape:
    """One kind of value. `word` says in the reference what to write."""

    word = "value"

    def read(self, value: object) -> Any:
        """The value as the program uses it, or `Wrong`."""
        raise NotImplementedError

    def schema(self) -> Schema:
        """The same as JSON Schema."""
        raise NotImplementedError

    def of_text(self, text: str) -> object:
        """What TOML value a command line's text means; not yet checked."""
        return text


class Text(Shape):
    """A text, perhaps of one form; `form` and `like` tell people what it is to look like."""

    def __init__(
        self, form: str = r".*\S.*", *, word: str = "text", like: str | None = None
    ) -> None:
        self.form = form
        self.word = word
        self.like = like

    def read(self, value: object) -> str:
        """The text itself."""
        if not isinstance(value, str):
            raise Wrong(f"is {kind_of(value)}, not a text", _quoted(value))
        # Compiled when first used: no command uses all forms, and every command loads them.
        if not re.fullmatch(self.form, value, re.DOTALL | re.ASCII):
            raise Wrong(f"{value!r} is not a {self.word}", self.like)
        return value

    def schema(self) -> Schema:
        """A string with the pattern."""
        form = self.form.replace(r".*\S.*", r"\S")
        return {"type": "string", "pattern": form if form == r"\S" else f"^(?:{form})$"}


class Checked(Text):
    """A text that a function of the core accepts: its ValueError is the reason."""

    def __init__(self, check: Callable[[str], str], form: str, *, word: str) -> None:
        super().__init__(form, word=word)
        self.check = check

    def read(self, value: object) -> str:
        """The text itself."""
        if not isinstance(value, str):
            raise Wrong(f"is {kind_of(value)}, not a text", _quoted(value))
        try:
            return self.check(value)
        except ValueError as error:
            raise Wrong(str(error)) from None


class Choice(Shape):
    """One of the values of an enumeration, or of a tuple of words."""

    def __init__(self, choices: "type[Enum] | tuple[str, ...]") -> None:
        self.choices = choices
        self.words = (
            choices
            if isinstance(choices, tuple)
            else tuple(str(choice.value) for choice in choices)
        )
        self.word = " or ".join(f'"{word}"' for word in self.words)

    def read(self, value: object) -> Any:
        """The member of the enumeration, or the word."""
        if not isinstance(value, str) or value not in self.words:
            shown = repr(value) if isinstance(value, str) else kind_of(value)
            raise Wrong(f"{shown} is not one of {', '.join(self.words)}", near(value, self.words))
        return value if isinstance(self.choices, tuple) else self.choices(value)

    def schema(self) -> Schema:
        """An enumeration."""
        return {"enum": list(self.words)}


class Flag(Shape):
    """True or false."""

    word = "true or false"

    def read(self, value: object) -> bool:
        """The truth."""
        if isinstance(value, bool):
            return value
        word = str(value).lower() if isinstance(value, str) else ""
        suggestion = {"true": "true", "yes": "true", "false": "false", "no": "false"}.get(word)
        raise Wrong(f"is {kind_of(value)}, not true or false", suggestion)

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}

    def of_text(self, text: str) -> object:
        """`true`, `yes`, `on`, `1` and their opposites."""
        return truth(text, text)


class Count(Shape):
    """A whole number within bounds."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self.word = f"whole number, {low} to {high}"

    def read(self, value: object) -> int:
        """The number."""
        if not isinstance(value, int) or isinstance(value, bool):
            digits = value if isinstance(value, str) and value.isascii() else ""
            raise Wrong(
                f"is {kind_of(value)}, not a whole number", digits if digits.isdigit() else None
            )
        if not self.low <= value <= self.high:
            raise Wrong(f"{value} is not between {self.low} and {self.high}")
        return value

    def schema(self) -> Schema:
        """An integer with both bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def of_text(self, text: str) -> object:
        """A number when it is one."""
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


class Amount(Shape):
    """Money, a text because a TOML number with a point is not exact."""

    form = r"[0-9]{1,9}(?:\.[0-9]{1,10})?"

    def __init__(self, word: str = "USD", *, positive: bool = False) -> None:
        self.word = f'amount in {word}, a text such as "1.50"'
        self.positive = positive

    def read(self, value: object) -> Decimal:
        """The amount, exact."""
        number = number_text(value)
        if number is not None:
            raise Wrong("an amount is a text, so that it stays exact", f'"{number}"')
        if not isinstance(value, str):
            raise Wrong(f"is {kind_of(value)}, not an amount such as '1.50'")
        if not re.fullmatch(self.form, value, re.ASCII):
            bare = re.sub(r"[$\s]|USD", "", value)
            fits = re.fullmatch(self.form, bare, re.ASCII)
            raise Wrong(f"{value!r} is not an amount such as '1.50'", bare if fits else None)
        amount = Decimal(value)
        if self.positive and not amount:
            raise Wrong("is nothing: leave the key out where no limit is meant")
        return amount

    def schema(self) -> Schema:
        """A string of digits."""
        return {"type": "string", "pattern": f"^{self.form}$"}


class Percent(Shape):
    """A share such as `15%`, read as a fraction."""

    word = 'percentage, a text such as "15%"'
    form = r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s?%"

    def read(self, value: object) -> Decimal:
        """The fraction, exact: 0.15 for 15%."""
        number = number_text(value)
        if number is not None:
            bare = isinstance(value, Fraction) and Decimal(number) < 1
            share = f"{Decimal(number) * 100:.0f}" if bare else number
            raise Wrong("is a number, not a percentage", f'"{share}%"')
        if not isinstance(value, str):
            raise Wrong(f"is {kind_of(value)}, not a percentage such as '15%'")
        match = re.fullmatch(self.form, value, re.ASCII)
        if match is None:
            raise Wrong(f"{value!r} is not a percentage such as '15%'")
        return Decimal(match.group(1)) / 100

    def schema(self) -> Schema:
        """A string that ends in a per cent sign."""
        return {"type": "string", "pattern": f"^{self.form}$"}


class Duration(Shape):
    """`8h`, `30m`, `2d`; where `off` may be said, None."""

    form = r"(?=.)(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?"

    def __init__(self, *, off: bool = False) -> None:
        self.off = off
        self.word = 'duration such as "8h", "30m", "1h30m"' + (' or "off"' if off else "")

    def read(self, value: object) -> timedelta | None:
        """The time span; None for `off`."""
        if self.off and value == "off":
            return None
        number = number_text(value)
        if number is not None:
            raise Wrong("has no unit", f'"{number}h"' if number.isdigit() else '"8h"')
        if not isinstance(value, str):
            raise Wrong(f"is {kind_of(value)}, not a duration such as '8h'")
        try:
            return parse_duration(value)
        except ValueError as error:
            raise Wrong(str(error)) from None

    def schema(self) -> Schema:
        """A string of numbers with units."""
        return {"type": "string", "pattern": f"^(?:{self.form}{'|off' if self.off else ''})$"}


class Day(Shape):
    """A date, as TOML writes one: without quotes."""

    word = "date such as 2026-09-01, without quotes"

    def read(self, value: object) -> date:
        """The day."""
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str) and isinstance(self.of_text(value), date):
            raise Wrong("a date is written without quotes", value)
        if isinstance(value, str):
            raise Wrong(f"{value!r} is not a date such as 2026-09-01")
        raise Wrong(f"is {kind_of(value)}, not a date such as 2026-09-01")

    def schema(self) -> Schema:
        """Editors that check TOML see a date as a string with this format."""
        return {"type": "string", "format": "date"}

    def of_text(self, text: str) -> object:
        """A date when it is one."""
        try:
            return date.fromisoformat(text)
        except ValueError:
            return text


def near(value: object, words: tuple[str, ...]) -> str | None:
    """The word most like the value, if any is."""
    if not isinstance(value, str):
        return None
    from difflib import get_close_matches  # noqa: PLC0415 - only mistakes pay for it

    found = get_close_matches(value.lower(), words, n=1)
    return found[0] if found else None


def truth(text: str, other: object = None) -> object:
    """`1`, `true`, `yes`, `on` -> True; `0`, `false`, `no`, `off`, nothing -> False."""
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    return False if word in ("", "0", "false", "no", "off") else other


def _quoted(value: object) -> str | None:
    number = number_text(value)
    return None if number is None else f'"{number}"'
