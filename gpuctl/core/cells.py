"""Cells of comma separated tables: what a spreadsheet would run as a formula stays text."""

import re

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?\Z"
_UNSEEN = " \t\r\n\x0b\x0c\xa0\u200b\u200c\u200d\u2060\ufeff"
"""What some programs drop in front of a cell before they look at it."""
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What a formula begins with, in full width too."""


def cell(text: str) -> str:
    """The text, with `'` in front where a spreadsheet would take it for a formula.

    Plain decimal numbers, negative ones too, stay as they are and can be added up. Quoting is the
    writer's. Source: OWASP "CSV Injection" (= + - @, tab, carriage return, full-width forms).
    """
    if text[:1] in ("\t", "\r", "\n"):
        return "'" + text
    begins = text.lstrip(_UNSEEN)[:1]
    if begins and begins in _FORMULA and not re.match(_NUMBER, text):
        return "'" + text
    return text
