"""On which line of a TOML text each key and list item stands, which `tomllib` does not tell."""

import re
import tomllib
from bisect import bisect_right
from contextlib import suppress
from typing import cast

Path = tuple[str | int, ...]
"""Names of keys and, in lists, positions from 0."""

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]+")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)


def find_lines(text: str) -> dict[Path, int]:
    """Line numbers from 1 by path, for every table, key and list item.

    `text` is one that `tomllib` has read without complaint; of any other text, what stands
    before the first thing that cannot be understood.
    """
    scan = _Scan(text.replace("\r\n", "\n"))
    with suppress(_Lost):
        scan.document()
    return scan.lines


class _Lost(Exception):
    """The text is not the TOML it was said to be."""


class _Scan:
    """One pass over a text; `at` is the next character to look at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.tables: dict[Path, int] = {}
        """Arrays of tables -> position of the one being filled."""

    def document(self) -> None:
        table: Path = ()
        while self.blank() < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self.header(2)
            elif self.text[self.at] == "[":
                table = self.header(1)
            else:
                self.pair(table)

    def header(self, brackets: int) -> Path:
        self.at += brackets
        line = self.line()
        names = self.key()
        self.expect("]" * brackets)
        path: Path = ()
        for name in names[:-1]:
            path = self.inside((*path, name), line)
        path = (*path, names[-1])
        if brackets == 1:
            self.lines[path] = line
            return path
        self.lines.setdefault(path, line)
        self.tables[path] = self.tables.get(path, -1) + 1
        return self.inside(path, line)

    def inside(self, path: Path, line: int) -> Path:
        """The table at `path`, or the last of the array of tables there."""
        self.lines.setdefault(path, line)
        if path in self.tables:
            path = (*path, self.tables[path])
            self.lines.setdefault(path, line)
        return path

    def pair(self, table: Path) -> None:
        line = self.line()
        path = table
        for name in self.key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self.expect("=")
        self.value(path)

    def key(self) -> list[str]:
        names = [self.name()]
        while self.skip(".") is not None:
            names.append(self.name())
        return names

    def name(self) -> str:
        self.at = cast("re.Match[str]", _SPACE.match(self.text, self.at)).end()
        if match := _BARE_KEY.match(self.text, self.at):
            self.at = match.end()
            return match.group()
        match = _STRING.match(self.text, self.at)
        if match is None:
            raise _Lost
        self.at = match.end()
        quoted = match.group()
        if quoted[0] == "'":
            return quoted[1:-1]
        if "\\" not in quoted:
            return quoted[1:-1]
        return cast("str", tomllib.loads(f"name = {quoted}")["name"])

    def value(self, path: Path) -> None:
        self.at = cast("re.Match[str]", _SPACE.match(self.text, self.at)).end()
        if self.text.startswith("[", self.at):
            self.array(path)
        elif self.text.startswith("{", self.at):
            self.inline_table(path)
        else:
            match = _STRING.match(self.text, self.at) or _SCALAR.match(self.text, self.at)
            if match is None:
                raise _Lost
            self.at = match.end()

    def array(self, path: Path) -> None:
        self.expect("[")
        count = 0
        while not self.ends("]"):
            item = (*path, count)
            self.lines[item] = self.line()
            self.value(item)
            count += 1
            if not self.ends_item("]"):
                return

    def inline_table(self, path: Path) -> None:
        self.expect("{")
        while not self.ends("}"):
            self.pair(path)
            if not self.ends_item("}"):
                return

    def ends(self, bracket: str) -> bool:
        """Whether the list or table ends here; if so, step over its bracket."""
        self.blank()
        return self.skip(bracket) is not None

    def ends_item(self, bracket: str) -> bool:
        """Step over a comma (True: more may come) or the closing bracket (False)."""
        self.blank()
        if self.skip(",") is not None:
            return True
        self.expect(bracket)
        return False

    def expect(self, mark: str) -> None:
        if self.skip(mark) is None:
            raise _Lost

    def skip(self, mark: str) -> int | None:
        """Step over spaces and `mark`; None (and no step) when it is not there."""
        start = cast("re.Match[str]", _SPACE.match(self.text, self.at)).end()
        if not self.text.startswith(mark, start):
            return None
        self.at = start + len(mark)
        return self.at

    def blank(self) -> int:
        """Step over white space, line ends and comments."""
        self.at = cast("re.Match[str]", _BLANK.match(self.text, self.at)).end()
        return self.at

    def line(self) -> int:
        self.at = cast("re.Match[str]", _SPACE.match(self.text, self.at)).end()
        return bisect_right(self.starts, self.at)
