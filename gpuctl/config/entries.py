"""Values by path, each knowing where it was written; defaults filled in, absences found."""

from enum import StrEnum
from typing import Any, NamedTuple

from gpuctl.config.documents import Document
from gpuctl.config.shapes import Shape
from gpuctl.config.tables import ListOf, MapOf, Table

KeyPath = tuple[str, ...]
Steps = tuple[str | int, ...]


class OriginKind(StrEnum):
    """Where a value comes from, strongest first."""

    FLAG = "flag"
    ENV = "env"
    PROJECT_FILE = "project file"
    USER_FILE = "user file"
    BUILT_IN = "built-in"


class Entry(NamedTuple):
    """One value that is set. `written` is the TOML value, `value` what the program uses.

    A table that is written stands as an entry of its own with `table` True, so that an empty
    one (`[client.acme]`) is not lost. `place` is its path in `document`, or the name of the
    variable or flag.
    """

    value: Any
    written: object
    kind: OriginKind
    document: Document | None = None
    place: Steps = ()
    table: bool = False


def fill(table: Table, entries: dict[KeyPath, Entry], path: KeyPath = ()) -> None:
    """Add the defaults of keys that are not written, in every table that is there."""
    for key in table.keys.values():
        here = (*path, key.name)
        if isinstance(key.shape, Table):
            if here in entries or key.shape.always:
                fill(key.shape, entries, here)
        elif isinstance(key.shape, MapOf):
            if isinstance(key.shape.item, Table):
                for member in members(entries, here):
                    fill(key.shape.item, entries, (*here, member))
        elif key.default is not None and here not in entries:
            entries[here] = Entry(_read(key.shape, key.default), key.default, OriginKind.BUILT_IN)


def missing(table: Table, entries: dict[KeyPath, Entry], path: KeyPath = ()) -> list[KeyPath]:
    """Required keys that are absent from tables that are there."""
    absent: list[KeyPath] = []
    for key in table.keys.values():
        here = (*path, key.name)
        if isinstance(key.shape, Table):
            if here in entries:
                absent += missing(key.shape, entries, here)
        elif isinstance(key.shape, MapOf):
            if isinstance(key.shape.item, Table):
                for member in members(entries, here):
                    absent += missing(key.shape.item, entries, (*here, member))
        elif key.required and here not in entries:
            absent.append(here)
    return absent


def members(entries: dict[KeyPath, Entry], path: KeyPath) -> list[str]:
    """Names directly under a path, in the order they came."""
    depth = len(path)
    found = (each[depth] for each in entries if len(each) > depth and each[:depth] == path)
    return list(dict.fromkeys(found))


def nest(entries: dict[KeyPath, Entry]) -> dict[str, Any]:
    """The values as one tree, for building."""
    tree: dict[str, Any] = {}
    for path, entry in entries.items():
        at = tree
        for part in path[:-1]:
            at = at.setdefault(part, {})
        if entry.table:
            at.setdefault(path[-1], {})
        else:
            at[path[-1]] = entry.value
    return tree


def _read(shape: Shape, default: object) -> object:
    if isinstance(shape, ListOf):
        items = default if isinstance(default, list) else [default]
        return tuple(shape.item.read(item) for item in items)
    return shape.read(default)
