"""Flags that become settings: checked one by one, so that a mistake names the flag."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gpuctl.core.errors import UsageProblem

if TYPE_CHECKING:
    from gpuctl.config.tables import Table

Given = Mapping[str, tuple[str, str | bool | None]]
"""Key under the table -> (flag, what was given; None = nothing)."""


def values_of(table: "Table", given: Given) -> dict[str, str]:
    """What was given, by key, as `config.edit` takes it. UsageProblem names the wrong flag."""
    values: dict[str, str] = {}
    for key, (flag, value) in given.items():
        if value is None:
            continue
        text = str(value).lower() if isinstance(value, bool) else value
        _check(table, key, flag, text)
        values[key] = text
    return values


def _check(table: "Table", key: str, flag: str, text: str) -> None:
    from gpuctl.config.keys import shape_at
    from gpuctl.config.shapes import Wrong

    shape = shape_at(table, tuple(key.split(".")))
    if shape is None:
        raise LookupError(f"{flag} stands for no key: {key}")
    try:
        shape.read(shape.of_text(text))
    except Wrong as wrong:
        hint = f"{flag} {wrong.suggestion}" if wrong.suggestion else None
        raise UsageProblem(f"{flag}: {wrong.reason}", hint=hint) from None


def client_and_project(name: str) -> tuple[str, str]:
    """`acme/vision` -> both halves; UsageProblem with the grammar."""
    from gpuctl.core.names import project_name

    try:
        client, _, project = project_name(name).partition("/")
    except ValueError as error:
        raise UsageProblem(str(error), hint="acme/vision") from None
    return client, project
