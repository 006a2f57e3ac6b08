"""Google's list filters: `labels.a=b AND (status!=TERMINATED OR name:vision*)`, `name eq re`."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from gpuctl.sandbox.gcp.wire import Json, Refusal

Test = Callable[[Json], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<paren>[()])|(?P<op>!=|>=|<=|=|:|>|<)
        |"(?P<quoted>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'
        |(?P<word>[^\s()=!:<>"']+))""",
    re.VERBOSE,
)
_WORD_OPS = {"eq", "ne"}


def compile_filter(text: str, fields: frozenset[str]) -> Test:
    """A test of one resource. Refusal (400 invalid) when the expression is none.

    `fields` are the resource's own field names: a filter on another one is refused too.
    """
    return _Parser(text, fields).parse()


class _Parser:
    """Recursive descent over the tokens; juxtaposition is AND, as Google has it."""

    def __init__(self, text: str, fields: frozenset[str]) -> None:
        self._text = text
        self._fields = fields
        self._tokens = list(self._split())
        self._at = 0

    def parse(self) -> Test:
        test = self._either()
        if self._at != len(self._tokens):
            raise self._wrong()
        return test

    def _wrong(self) -> Refusal:
        message = (
            f"Invalid value for field 'filter': '{self._text}'. Invalid list filter expression."
        )
        return Refusal(
            400, "invalid", message, extra={"locationType": "parameter", "location": "filter"}
        )

    def _split(self) -> list[tuple[str, str]]:
        tokens, at, text = [], 0, self._text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise self._wrong()
            kind = match.lastgroup
            value = match.group(kind)
            if kind == "quoted":
                value = re.sub(r"\\(.)", r"\1", value)
            tokens.append(("value" if kind in ("quoted", "single") else kind, value))
            at = match.end()
        return tokens

    def _peek(self) -> tuple[str, str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        if token is None:
            raise self._wrong()
        self._at += 1
        return token

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek() == ("word", "OR"):
            self._at += 1
            tests.append(self._both())
        return lambda item: any(test(item) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while (token := self._peek()) not in (None, ("word", "OR"), ("paren", ")")):
            if token == ("word", "AND"):
                self._at += 1
            tests.append(self._one())
        return lambda item: all(test(item) for test in tests)

    def _one(self) -> Test:
        kind, value = self._next()
        if (kind, value) == ("word", "NOT"):
            test = self._one()
            return lambda item: not test(item)
        if (kind, value) == ("paren", "("):
            test = self._either()
            if self._next() != ("paren", ")"):
                raise self._wrong()
            return test
        if kind != "word":
            raise self._wrong()
        return self._comparison(value)

    def _comparison(self, name: str) -> Test:
        kind, op = self._next()
        if not (kind == "op" or (kind == "word" and op in _WORD_OPS)):
            raise self._wrong()
        kind, wanted = self._next()
        if kind not in ("word", "value") or name.split(".", maxsplit=1)[0] not in self._fields:
            raise self._wrong()
        compare = _OPERATORS[op]
        return lambda item: compare(_look_up(item, name), wanted)


def _look_up(item: Json, name: str) -> Any:
    """The value at a dotted path; None when absent. Label keys hold no dots."""
    value: Any = item
    for part in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _equal(value: Any, wanted: str) -> bool:
    return value is not None and _text(value).lower() == wanted.lower()


def _has(value: Any, wanted: str) -> bool:
    """`:` is presence with `*`, a prefix with `abc*`, else containment."""
    if value is None:
        return False
    text, wanted = _text(value).lower(), wanted.lower()
    return fnmatchcase(text, wanted) if "*" in wanted else wanted in text


def _matches(value: Any, wanted: str) -> bool:
    """`eq` takes an RE2 expression that must match the whole value."""
    try:
        return value is not None and re.fullmatch(wanted, _text(value)) is not None
    except re.error as error:
        raise Refusal(
            400, "invalid", f"Invalid value for field 'filter': '{wanted}'. {error}"
        ) from None


def _order(value: Any, wanted: str) -> int | None:
    """-1, 0 or 1; None when there is nothing to compare."""
    if value is None:
        return None
    try:
        left, right = float(_text(value)), float(wanted)
    except ValueError:
        return (_text(value) > wanted) - (_text(value) < wanted)
    return (left > right) - (left < right)


_OPERATORS: dict[str, Callable[[Any, str], bool]] = {
    "=": _equal,
    "!=": lambda value, wanted: not _equal(value, wanted),
    ":": _has,
    "eq": _matches,
    "ne": lambda value, wanted: not _matches(value, wanted),
    ">": lambda value, wanted: _order(value, wanted) == 1,
    "<": lambda value, wanted: _order(value, wanted) == -1,
    ">=": lambda value, wanted: _order(value, wanted) in (0, 1),
    "<=": lambda value, wanted: _order(value, wanted) in (0, -1),
}
