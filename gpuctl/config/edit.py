"""Changing settings files: comments and order stay, nothing invalid is ever written.

Every function takes texts as a command line gives them, checks the file as it would be, and
only then replaces it in one step. ConfigError tells what is wrong and leaves the file alone.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gpuctl.config.builtin import template_files
from gpuctl.config.check import check
from gpuctl.config.documents import parse_document, read_document
from gpuctl.config.entries import Entry, KeyPath, OriginKind, fill, missing
from gpuctl.config.keys import TABLES, dotted, shape_at
from gpuctl.config.rules import dangling, odd
from gpuctl.config.secrets import secrets_in
from gpuctl.config.tables import MapOf, Table
from gpuctl.core.errors import ConfigError, NotFound, Problem

Which = Literal["user", "project"]
"""The user's own file or the project's `gpuctl.toml`."""


def add_client(file: Path, name: str, values: Mapping[str, str]) -> None:
    """Add `[client.NAME]`; `values` by key under it, e.g. `{"markup": "15%"}`.

    A client that is there already is an error.
    """
    base = ("client", name)
    _add(file, base, values, f"there is a client {name!r} already")


def add_project(file: Path, project: str, values: Mapping[str, str]) -> None:
    """Add `client/name`, and its client where that is missing.

    `values` by key under the project, e.g. `{"budget.month": "120.00", "template": "l4-spot"}`.
    """
    client, slash, name = project.partition("/")
    if not slash:
        reason = f"{project!r} is not client/project"
        raise ConfigError([Problem(str(file), None, "client", reason)])
    base = ("client", client, "project", name)
    _add(file, base, values, f"there is a project {project!r} already")


def add_template(file: Path, name: str, values: Mapping[str, str]) -> None:
    """Add `[template.NAME]`; `values` by key under it, `provider` and `type` among them."""
    base = ("template", name)
    _add(file, base, values, f"there is a template {name!r} in the file already")


def set_key(file: Path, key: str, text: str, *, which: Which = "user") -> None:
    """Set one key, e.g. `limits.max_hourly` to `2.00`; a list takes parts between commas."""
    document = _open(file)
    _put(document, which, _path(file, key), text, str(file))
    _write(file, document, which)


def remove(file: Path, key: str, *, which: Which = "user") -> None:
    """Remove a key or a whole table, e.g. `client.acme`. NotFound when it is not in the file."""
    document = _open(file)
    path = _path(file, key)
    table = _table(document, path[:-1], make=False)
    if table is None or path[-1] not in table:
        raise NotFound(f"{file} has no key {key}", hint="gpuctl config show --origin")
    del table[path[-1]]
    _write(file, document, which)


def write_new(file: Path, text: str, *, which: Which) -> None:
    """Write a whole file that is not there yet, checked. FileExistsError when it is."""
    if file.exists():
        raise FileExistsError(file)
    _checked(file, text, which)
    _replace(file, text, which)


def _add(file: Path, base: KeyPath, values: Mapping[str, str], taken: str) -> None:
    document = _open(file)
    if _table(document, base, make=False) is not None:
        raise ConfigError([Problem(str(file), None, dotted(base), taken)])
    _table(document, base, make=True)
    for key, text in values.items():
        _put(document, "user", (*base, *key.split(".")), text, str(file))
    _write(file, document, "user")


def _put(document: Any, which: Which, path: KeyPath, text: str, file: str) -> None:
    shape = shape_at(TABLES[which], path)
    if shape is None:
        raise ConfigError([_unknown(which, path, file)])
    if isinstance(shape, Table | MapOf):
        reason = "is a table: set one of the keys in it"
        raise ConfigError([Problem(file, None, dotted(path), reason)])
    table = _table(document, path[:-1], make=True)
    table[path[-1]] = shape.of_text(text)


def _unknown(which: Which, path: KeyPath, file: str) -> Problem:
    """The first part of a path that no table knows, and the nearest that one does."""
    for length in range(1, len(path) + 1):
        if shape_at(TABLES[which], path[:length]) is None:
            table = shape_at(TABLES[which], path[: length - 1])
            near = table.nearest(path[length - 1]) if isinstance(table, Table) else None
            hint = dotted((*path[: length - 1], near)) if near else None
            return Problem(file, None, dotted(path[:length]), "no such key", hint)
    return Problem(file, None, dotted(path), "no such key")


def _table(document: Any, path: KeyPath, *, make: bool) -> Any:
    """The table at a path, made where it is missing; None when it is not there."""
    import tomlkit

    at = document
    for depth, part in enumerate(path, start=1):
        if part not in at:
            if not make:
                return None
            at[part] = tomlkit.table(is_super_table=depth < len(path))
        at = at[part]
        if not isinstance(at, dict):
            return None
    return at


def _path(file: Path, key: str) -> KeyPath:
    path = tuple(part.strip().strip('"') for part in key.split("."))
    if not all(path):
        raise ConfigError([Problem(str(file), None, key, "is not a key such as limits.month")])
    return path


def _open(file: Path) -> Any:
    import tomlkit

    if not file.exists():
        return tomlkit.document()
    problems: list[Problem] = []
    document = read_document(file, problems)
    if document is None:
        raise ConfigError(problems)
    return tomlkit.parse(document.text)


def _write(file: Path, document: Any, which: Which) -> None:
    import tomlkit

    text = tomlkit.dumps(document)
    _checked(file, text, which)
    _replace(file, text, which)


def _checked(file: Path, text: str, which: Which) -> None:
    """ConfigError unless the text is a good file of its kind."""
    problems: list[Problem] = []
    document = parse_document(str(file), text, problems)
    if document is not None and which == "project":
        problems += secrets_in(document)
        check(document, TABLES[which], OriginKind.PROJECT_FILE, problems)
    elif document is not None:
        entries = {
            **_templates(),
            **check(document, TABLES[which], OriginKind.USER_FILE, problems),
        }
        fill(TABLES[which], entries)
        if not problems:
            lacks = missing(TABLES[which], entries)
            problems += [Problem(str(file), None, dotted(path), "is needed") for path in lacks]
            problems += [*odd(entries), *dangling(entries)]
    if problems:
        raise ConfigError(problems)


def _templates() -> dict[KeyPath, Entry]:
    entries: dict[KeyPath, Entry] = {}
    for path in template_files():
        document = read_document(path, [])
        if document is not None:
            entries |= check(document, TABLES["user"], OriginKind.BUILT_IN, [])
    return entries


def _replace(file: Path, text: str, which: Which) -> None:
    """Put the whole text in place in one step, so that no crash leaves half a file.

    The user's file is for the user alone (0600); a project's keeps the mode it has. A link
    (settings kept in a repository of dotfiles) stays a link.
    """
    target = file.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = 0o600
    if which == "project":
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
