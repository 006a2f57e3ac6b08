"""One TOML file read from disk: its tree, where its keys stand, what is wrong with the file."""

import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from gpuctl.config.shapes import Fraction
from gpuctl.core.errors import Problem

MOST_BYTES = 1 << 20
"""A settings file larger than this is something else by mistake."""

_WHERE = r"(.*) \(at line (\d+), column (\d+)\)"


class Document:
    """A file's text and tree. `file` is its path as shown to the user."""

    __slots__ = ("_lines", "file", "text", "tree")

    def __init__(self, *, file: str, text: str, tree: dict[str, Any]) -> None:
        self.file = file
        self.text = text
        self.tree = tree
        self._lines: dict[tuple[str | int, ...], int] | None = None

    def line(self, path: tuple[str | int, ...]) -> int | None:
        """The line of a key or list item, or of the nearest table around it."""
        if self._lines is None:
            from gpuctl.config.lines import find_lines  # noqa: PLC0415 - for mistakes only

            self._lines = find_lines(self.text)
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None


def read_document(path: Path, problems: list[Problem], *, private: bool = False) -> Document | None:
    """The file, or None with what is wrong with it added to `problems`.

    `private`: a file that others could write to is refused, since it says who is billed and
    which commands run.
    """
    file = str(path)
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            problems.append(Problem(file, None, None, "is not a file"))
            return None
        if facts.st_size > MOST_BYTES:
            problems.append(Problem(file, None, None, "is larger than 1 MiB: not a settings file"))
            return None
        if private and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            reason = f"others may write to it (mode {facts.st_mode & 0o777:o})"
            problems.append(Problem(file, None, None, reason, f"chmod go-w {file}"))
            return None
        raw = path.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        problems.append(Problem(file, None, None, reason))
        return None
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problems.append(Problem(file, line, None, "is not UTF-8 text"))
        return None
    return parse_document(file, text.removeprefix("\ufeff"), problems)


def parse_document(file: str, text: str, problems: list[Problem]) -> Document | None:
    """The text, or None with the syntax error added to `problems`."""
    try:
        tree = tomllib.loads(text, parse_float=Fraction)
    except tomllib.TOMLDecodeError as error:
        problems.append(_syntax(file, text, str(error)))
        return None
    except RecursionError:
        problems.append(Problem(file, None, None, "is nested too deeply"))
        return None
    return Document(file=file, text=text, tree=tree)


def _syntax(file: str, text: str, message: str) -> Problem:
    match = re.fullmatch(_WHERE, message, re.DOTALL)
    if match is None:
        reason = message.removesuffix(" (at end of document)")
        last = text.rstrip().count("\n") + 1
        return Problem(file, last, None, f"not TOML: {reason}, at the end of the file")
    reason, line, column = match.groups()
    return Problem(file, int(line), None, f"not TOML: {reason}, in column {column}")
