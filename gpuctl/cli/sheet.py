"""One record, line by line: what `show` commands print."""

from collections.abc import Mapping
from typing import Any

import click

from gpuctl.cli.render import Record, as_csv, emit_json, plain
from gpuctl.cli.session import Session


def emit_sheet(
    session: Session, name: str, key: str, record: Record, lines: Mapping[str, str | None]
) -> None:
    """Print one record in the form that was asked for; `lines` are label -> text of the table.

    JSON: one object with `schema` and the record under `key`. Lines without text are left out.
    """
    match session.output:
        case "json":
            emit_json(name, {key: record})
        case "csv":
            click.echo(as_csv([record]), nl=False)
        case _:
            click.echo(as_sheet(lines))


def as_sheet(lines: Mapping[str, str | None]) -> str:
    """`label  text`, labels padded to one width."""
    width = max((len(label) for label, text in lines.items() if text), default=0)
    return "\n".join(
        f"{label:<{width}}  {plain(text)}".rstrip() for label, text in lines.items() if text
    )


def per_cent(share: Any) -> str:
    """A fraction as people say it: `15%`."""
    from gpuctl.core.rounding import decimal_text

    return f"{decimal_text(share * 100)}%"
