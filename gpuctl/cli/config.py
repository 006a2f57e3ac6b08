"""`config`: what is set, where that comes from, and changing it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gpuctl.cli.command import command
from gpuctl.cli.completions import keys
from gpuctl.cli.lazy import LazyGroup
from gpuctl.cli.render import Column, emit, emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import GpuctlError, UsageProblem

if TYPE_CHECKING:
    from gpuctl.config.edit import Which
    from gpuctl.config.load import ConfigRow

_FILES = {
    "validate": ("gpuctl.cli.config_files:validate", "Check the files; every mistake at once."),
    "schema": ("gpuctl.cli.config_files:schema", "The files' JSON Schema, for editors."),
    "edit": ("gpuctl.cli.config_files:edit", "Open the file in $EDITOR, and check it after."),
    "path": ("gpuctl.cli.config_files:path", "Where gpuctl keeps its files."),
}
_VALUES = {
    "show": ("gpuctl.cli.config:show", "Everything that is set."),
    "get": ("gpuctl.cli.config:get", "One value."),
    "set": ("gpuctl.cli.config:set_", "Set one key; comments in the file stay."),
    "unset": ("gpuctl.cli.config:unset", "Remove one key or a whole table."),
}


@click.group(cls=LazyGroup, sections={"Values": _VALUES, "Files": _FILES})
def config() -> None:
    """Show, check and change the configuration.

    Flags win over the environment, it over ./gpuctl.toml, that over the user's config.toml.
    """


@click.command()
@click.argument("key", required=False, shell_complete=keys)
@click.option("--origin", is_flag=True, help="Say where each value was set.")
@command
def show(session: Session, key: str | None, origin: bool) -> int:
    """Everything that is set; with KEY only what is under it: template.l4-spot."""
    rows = [
        row
        for row in session.lenient_config.rows()
        if key is None or row.key == key or row.key.startswith(f"{key}.")
    ]
    if key is not None and not rows:
        raise _absent(key)
    columns = [Column("KEY", lambda r: r["key"]), Column("VALUE", lambda r: r["toml"])]
    if origin:
        columns.append(Column("ORIGIN", _where))
    records = [{**_record(row), "toml": row.value} for row in rows]
    if session.output != "table":
        records = [_record(row) for row in rows]
    emit(session, "config.show", "settings", records, columns)
    return 0


@click.command()
@click.argument("key", shell_complete=keys)
@command
def get(session: Session, key: str) -> int:
    """One value, as `config set` takes it: a list as parts between commas."""
    row = next((row for row in session.lenient_config.rows() if row.key == key), None)
    if row is None:
        raise _absent(key)
    if session.output == "json":
        emit_json("config.get", _record(row))
    else:
        click.echo(as_text(value_of(row.value)))
    return 0


@click.command("set")
@click.argument("key", shell_complete=keys)
@click.argument("value")
@click.option("--project-file", is_flag=True, help="In gpuctl.toml, not in the user's own file.")
@command
def set_(session: Session, key: str, value: str, project_file: bool) -> int:
    """Set one key: gpuctl config set limits.month 200.00. A list takes parts between commas."""
    from gpuctl.config import edit

    file, which = target(session, project_file=project_file)
    _right_file(key, which)
    if which == "project" and key == "project":
        session.lenient_config.settings.project(value)
    if which == "project" and key == "template":
        session.lenient_config.settings.template(value)
    edit.set_key(file, key, value, which=which)
    click.echo(f"{key} = {value}   in {file}", err=True)
    _say_if_hidden(session, f"defaults.{key}" if which == "project" else key, file)
    return 0


@click.command()
@click.argument("key", shell_complete=keys)
@click.option("--project-file", is_flag=True, help="In gpuctl.toml, not in the user's own file.")
@command
def unset(session: Session, key: str, project_file: bool) -> int:
    """Remove one key or a whole table from the file: what is built in holds again."""
    from gpuctl.config import edit

    file, which = target(session, project_file=project_file)
    edit.remove(file, key, which=which)
    click.echo(f"{key} is no longer in {file}", err=True)
    return 0


def target(session: Session, *, project_file: bool) -> "tuple[Path, Which]":
    """The file that is meant: the nearest gpuctl.toml (or a new one here), or the user's."""
    if not project_file:
        return session.paths.config, "user"
    return session.paths.project_file or session.cwd / "gpuctl.toml", "project"


def _right_file(key: str, which: str) -> None:
    from gpuctl.config.keys import TABLES, shape_at

    path = tuple(key.split("."))
    other = "project" if which == "user" else "user"
    if shape_at(TABLES[which], path) is None and shape_at(TABLES[other], path) is not None:
        if which == "user":
            raise UsageProblem(
                f"{key} is a key of gpuctl.toml", hint="the same with --project-file"
            )
        raise UsageProblem(f"{key} is no key of gpuctl.toml", hint="leave out --project-file")


def _say_if_hidden(session: Session, key: str, file: Path) -> None:
    """A value may be set and still not hold: a stronger one hides it."""
    session.flag()
    try:
        origin = session.lenient_config.origin(key)
    except GpuctlError:
        return
    if origin.file is not None and origin.file != str(file):
        click.echo(f"It does not hold here: {origin} is stronger.", err=True)


def _absent(key: str) -> GpuctlError:
    """Why there is no such value: not set, a table, or a name that no table knows."""
    from gpuctl.config.keys import MERGED, PROJECT_FILE, shape_at
    from gpuctl.config.tables import MapOf, Table

    path = tuple(part for part in key.split(".") if part)
    shape = shape_at(MERGED, path) if path else None
    if isinstance(shape, Table | MapOf):
        return UsageProblem(f"nothing is set under {key}", hint=f"gpuctl config show {path[0]}")
    if shape is not None:
        return GpuctlError(f"{key} is not set", hint=f"gpuctl config set {key} VALUE")
    if key in PROJECT_FILE.keys:
        return UsageProblem(f"there is no key {key}", hint=f"gpuctl config get defaults.{key}")
    near = _nearest(path)
    return UsageProblem(f"there is no key {key}", hint=f"did you mean {near}?" if near else _ALL)


def _nearest(path: tuple[str, ...]) -> str | None:
    """The key that was probably meant, each wrong part replaced by the nearest right one."""
    from gpuctl.config.keys import MERGED, dotted, shape_at
    from gpuctl.config.tables import Table

    for place, part in enumerate(path):
        table = shape_at(MERGED, path[:place])
        if isinstance(table, Table) and part not in table.keys:
            near = table.nearest(part)
            if near is None:
                return None
            path = (*path[:place], near, *path[place + 1 :])
    return dotted(path) if path and shape_at(MERGED, path) is not None else None


_ALL = "gpuctl config show"


def _record(row: "ConfigRow") -> dict[str, Any]:
    return {
        "key": row.key,
        "value": value_of(row.value),
        "origin": row.origin.kind.value,
        "file": row.origin.file,
        "line": row.origin.line,
    }


def _where(record: "Any") -> str:
    file, line = record["file"], record["line"]
    if file is None:
        return str(record["origin"])
    return f"{file}:{line}" if line else f"{record['origin']} {file}"


def value_of(toml: str) -> Any:
    """The value that TOML text stands for; dates become texts."""
    import tomllib
    from datetime import date

    value = tomllib.loads(f"value = {toml}", parse_float=str)["value"]
    return value.isoformat() if isinstance(value, date) else value


def as_text(value: Any) -> str:
    """A value as the command line takes it: lists with commas, `true` and `false`."""
    if isinstance(value, list):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
