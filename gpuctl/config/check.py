"""A document against its table of keys: checked entries by path, and every mistake in it."""

from typing import Any

from gpuctl.config.documents import Document
from gpuctl.config.entries import Entry, KeyPath, OriginKind, Steps
from gpuctl.config.keys import dotted
from gpuctl.config.shapes import Shape, Wrong, kind_of
from gpuctl.config.tables import ListOf, MapOf, Table
from gpuctl.core.errors import Problem


class Checker:
    """Walks one document; `entries` are what is right in it, `problems` what is wrong."""

    def __init__(self, document: Document, kind: OriginKind, problems: list[Problem]) -> None:
        self.document = document
        self.kind = kind
        self.problems = problems
        self.entries: dict[KeyPath, Entry] = {}

    def table(self, table: Table, tree: object, path: KeyPath = ()) -> None:
        """Check the keys of a table."""
        if not self.opens(tree, path):
            return
        for name, value in self.items(tree):
            here = (*path, name)
            key = table.keys.get(name)
            if key is None:
                self.wrong(here, "no such key", table.nearest(name))
            else:
                self.value(key.shape, value, here)

    def mapping(self, shape: MapOf, tree: object, path: KeyPath) -> None:
        """Check names of the user's choosing, and what they hold."""
        if not self.opens(tree, path):
            return
        for name, value in self.items(tree):
            here = (*path, name)
            try:
                shape.name.read(name)
            except Wrong as wrong:
                self.wrong(here, wrong.reason, wrong.suggestion)
                continue
            self.value(shape.item, value, here)

    def value(self, shape: Shape, value: object, path: KeyPath) -> None:
        """Check one value of any kind."""
        if isinstance(shape, Table):
            self.table(shape, value, path)
        elif isinstance(shape, MapOf):
            self.mapping(shape, value, path)
        elif isinstance(shape, ListOf):
            self.several(shape, value, path)
        else:
            self.leaf(shape, value, path, path, self.keep)

    def several(self, shape: ListOf, value: object, path: KeyPath) -> None:
        """Check each item of a list."""
        items = [value] if shape.single and not isinstance(value, list) else value
        if not isinstance(items, list):
            hint = f'["{value}"]' if isinstance(value, str) else None
            self.wrong(path, f"is {kind_of(value)}, not a list", hint)
            return
        read: list[object] = []
        good = [
            self.leaf(shape.item, item, path, (*path, i), lambda _, v, __: read.append(v))
            for i, item in enumerate(items)
        ]
        if all(good):
            self.keep(path, tuple(read), value)

    def leaf(self, shape: Shape, value: object, path: KeyPath, place: Steps, keep: Any) -> bool:
        """Read one plain value and hand it to `keep`; False when it is wrong."""
        try:
            keep(path, shape.read(value), value)
        except Wrong as wrong:
            self.wrong(place, wrong.reason, wrong.suggestion)
            return False
        return True

    def opens(self, tree: object, path: KeyPath) -> bool:
        """Whether a table is one; it is noted as written."""
        if not isinstance(tree, dict):
            self.wrong(path, f"is {kind_of(tree)}, not a table")
            return False
        if path:
            self.entries[path] = Entry(None, tree, self.kind, self.document, path, table=True)
        return True

    @staticmethod
    def items(tree: object) -> list[tuple[str, object]]:
        """Pairs of a table."""
        return list(tree.items()) if isinstance(tree, dict) else []

    def keep(self, path: KeyPath, value: object, written: object) -> None:
        """Note a value that is right."""
        self.entries[path] = Entry(value, written, self.kind, self.document, path)

    def wrong(self, place: Steps, reason: str, suggestion: str | None = None) -> None:
        """Note a mistake at its line."""
        line = self.document.line(place)
        key = dotted(place)
        self.problems.append(Problem(self.document.file, line, key, reason, suggestion))


def check(
    document: Document, table: Table, kind: OriginKind, problems: list[Problem]
) -> dict[KeyPath, Entry]:
    """The right entries of a document; what is wrong in it is added to `problems`."""
    checker = Checker(document, kind, problems)
    checker.table(table, document.tree)
    return checker.entries
