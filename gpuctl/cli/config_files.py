"""`config validate|schema|edit|path`: the files themselves."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from gpuctl.cli.command import command
from gpuctl.cli.config import target
from gpuctl.cli.render import Column, emit, emit_json
from gpuctl.cli.session import Session
from gpuctl.core.errors import ConfigError, GpuctlError, Problem, UsageProblem


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@command
def validate(session: Session, file: Path | None) -> int:
    """Check the files; every mistake at once, with file, line, key and reason. Exit 2 on any.

    FILE: a user's file, a gpuctl.toml, or the directory of an image's recipe; the files in use
    without it.
    """
    problems = _mistakes(session, None if file is None else session.cwd / file)
    form = _form(session)
    if form == "json":
        found = [_shape(problem) for problem in problems]
        emit_json("config.validate", {"ok": not problems, "problems": found})
    elif form == "csv":
        from gpuctl.cli.render import as_csv

        click.echo(as_csv([_shape(problem) for problem in problems]), nl=False)
    else:
        for problem in problems:
            click.echo(str(problem))
    if problems:
        count = len(problems)
        click.echo("1 mistake" if count == 1 else f"{count} mistakes", err=True)
        return ConfigError.exit_code
    click.echo("no mistakes", err=True)
    return 0


def _mistakes(session: Session, file: Path | None) -> Sequence[Problem]:
    from gpuctl.config.load import Sources, load
    from gpuctl.config.recipe import read_recipe

    try:
        if file is None:
            _ = session.config
        elif file.is_dir() or file.name == "image.toml":
            read_recipe(file if file.is_dir() else file.parent)
        elif file.name == "gpuctl.toml":
            user = session.paths.config
            load(Sources(user_file=user, project_file=file, environ={}, flags={}))
        else:
            load(Sources(user_file=file, required=True, environ={}, flags={}))
    except ConfigError as error:
        return error.problems
    return ()


def _form(session: Session) -> str:
    """The form of output, also when it cannot be read because the files are wrong."""
    try:
        return session.output
    except ConfigError:
        named = session.environ.get("GPUCTL_OUTPUT")
        return named if named in ("json", "csv") else "table"


def _shape(problem: Problem) -> dict[str, str | int | None]:
    return {
        "file": problem.file,
        "line": problem.line,
        "key": problem.key,
        "reason": problem.reason,
        "suggestion": problem.suggestion,
    }


@click.command()
@click.argument("kind", type=click.Choice(["user", "project"]), default="user")
@command
def schema(session: Session, kind: Literal["user", "project"]) -> int:  # noqa: ARG001 - as all
    """The JSON Schema that editors complete and check the files with."""
    import json

    from gpuctl.config.schema import json_schema

    click.echo(json.dumps(json_schema(kind), indent=2, ensure_ascii=False))
    return 0


@click.command()
@click.option("--project-file", is_flag=True, help="gpuctl.toml, not the user's own file.")
@command
def edit(session: Session, project_file: bool) -> int:
    """Open the file in $VISUAL or $EDITOR, and check it after. Exit 2 when it has mistakes."""
    file, which = target(session, project_file=project_file)
    argv = _editor(session)
    if which == "user" and not file.exists():
        from gpuctl.config.builtin import defaults_text
        from gpuctl.config.edit import write_new

        write_new(file, defaults_text(), which=which)
    try:
        code = subprocess.run([*argv, str(file)], check=False, env=session.environ).returncode
    except OSError as error:
        raise UsageProblem(
            f"the editor {argv[0]!r} cannot be started: {error.strerror}",
            hint="EDITOR=nano gpuctl config edit",
        ) from None
    if code:
        raise GpuctlError(f"{argv[0]} ended with {code}", hint="gpuctl config validate")
    session.flag()
    problems = _mistakes(session, None)
    for problem in problems:
        click.echo(str(problem), err=True)
    if problems:
        click.echo("Try: gpuctl config edit", err=True)
    return ConfigError.exit_code if problems else 0


def _editor(session: Session) -> list[str]:
    named = session.environ.get("VISUAL") or session.environ.get("EDITOR") or "vi"
    try:
        argv = shlex.split(named)
    except ValueError as error:
        raise UsageProblem(f"$EDITOR {named!r} cannot be read: {error}") from None
    return argv or ["vi"]


@click.command()
@command
def path(session: Session) -> int:
    """Where gpuctl keeps its files, and which of them are there."""
    session.flag(output=_form(session))
    places = session.paths
    ledger = places.ledger
    named: list[tuple[str, Path | None, str | None]] = [
        ("config", places.config, None),
        ("project file", places.project_file, None),
        ("ledger", ledger.path, None if ledger.path else str(ledger)),
        ("keys", places.keys, None),
        ("ssh", places.ssh, None),
        ("cache", places.cache, None),
        ("logs", places.logs, None),
    ]
    records = [
        {"name": name, "path": url or (str(at) if at else None), "exists": _exists(at)}
        for name, at, url in named
    ]
    columns = [
        Column("WHAT", lambda r: r["name"]),
        Column("WHERE", lambda r: r["path"] or "none here or above"),
        Column("", lambda r: "not there yet" if r["exists"] is False and r["path"] else ""),
    ]
    emit(session, "config.path", "paths", records, columns)
    return 0


def _exists(at: Path | None) -> bool | None:
    return None if at is None else at.exists()
